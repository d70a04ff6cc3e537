//! What the Kubernetes API is asked.

use std::time::Duration;

use keystile_kubernetes::{ApiError, Call, Meta, Object, ObjectName, Owner};
use serde::Deserialize;
use serde_json::json;
use tonic::Code;
use zeroize::Zeroizing;

use super::checks::{self, Binding, GROUP, Review, VERSIONS};
use super::{Denied, ServiceAccounts};

#[derive(Deserialize)]
struct TokenReview {
    status: Option<Review>,
}

impl ServiceAccounts {
    /// Whose `token` is; `None` if the cluster does not know it.
    pub(super) async fn review(&self, token: &str, uptime: Duration) -> Result<Option<Binding>, Denied> {
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [self.rules.audience]},
        });
        let body = Zeroizing::new(review.to_string().into_bytes());
        let call = Call::create("/apis/authentication.k8s.io/v1/tokenreviews", body);
        let answer: Result<TokenReview, _> = self.api.json(call).await;
        let answer = answer.map_err(|error| self.failed("tokenreview", &error, uptime))?;
        let status = answer.status.ok_or_else(|| {
            let error = ApiError::Garbage("it has no status".to_owned());
            self.failed("tokenreview", &error, uptime)
        })?;
        if !status.authenticated {
            return Ok(None);
        }
        checks::binding(&status, &self.rules).map(Some)
    }

    /// The pod that the token is bound to, as it is now.
    pub(super) async fn pod(&self, binding: &Binding, uptime: Duration) -> Result<Meta, Denied> {
        let (namespace, name) = (binding.pod.namespace(), binding.pod.name());
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let found: Option<Object> = self
            .api
            .find(Call::get(path).metadata_only())
            .await
            .map_err(|error| self.failed("pod lookup", &error, uptime))?;
        found
            .map(|pod| pod.metadata)
            .ok_or_else(|| Denied { code: Code::NotFound, ..Denied::permission("sandbox pod not found") })
    }

    /// The Sandbox object that owns it: asked for in the version that the pod names, then in the other.
    pub(super) async fn owner(
        &self,
        binding: &Binding,
        owner: &Owner,
        uptime: Duration,
    ) -> Result<Meta, Denied> {
        let gone = || Denied::permission("sandbox owner not found");
        let name = ObjectName::new(binding.pod.namespace(), &owner.name).map_err(|_| gone())?;
        let named = checks::version(owner);
        let others = VERSIONS.into_iter().filter(|version| Some(*version) != named);
        for version in named.into_iter().chain(others) {
            let path =
                format!("/apis/{GROUP}/{version}/namespaces/{}/sandboxes/{}", name.namespace(), name.name());
            let found: Option<Object> = self
                .api
                .find(Call::get(path).metadata_only())
                .await
                .map_err(|error| self.failed("sandbox owner lookup", &error, uptime))?;
            if let Some(found) = found {
                return Ok(found.metadata);
            }
        }
        Err(gone())
    }

    fn failed(&self, what: &str, error: &ApiError, uptime: Duration) -> Denied {
        Denied::failed(what, error, self.limit.hint(uptime))
    }
}
