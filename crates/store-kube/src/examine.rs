//! What lies around a store, for whoever looks after it.

use std::collections::{BTreeMap, BTreeSet};

use keystile_kubernetes::{ApiError, Call, Data, Meta, ObjectName};
use keystile_store::FileError;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::commit::SECRET_BYTES;
use crate::secret::{failed, path};
use crate::{KubeStore, Root};

/// What was found around a store's Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Examined {
    /// Bytes of its members, and the most that a change may bring them to.
    pub bytes: (usize, usize),
    /// Whether it can never be changed.
    pub immutable: bool,
    /// Who else writes it, or its history, as its labels and annotations say.
    pub managers: BTreeSet<&'static str>,
    /// What an operator's identity should be allowed and this one is not, such as `patch secrets a/b`.
    pub missing: Vec<String>,
}

#[derive(Deserialize)]
struct Secret {
    metadata: Meta,
    #[serde(default)]
    data: BTreeMap<String, Data>,
    #[serde(default)]
    immutable: bool,
}

#[derive(Deserialize)]
struct Review {
    status: Allowed,
}

#[derive(Deserialize)]
struct Allowed {
    #[serde(default)]
    allowed: bool,
}

/// Marks of those who put back what they think a Secret should be.
const MARKS: [(&str, &str); 6] = [
    ("meta.helm.sh/", "Helm"),
    ("argocd.argoproj.io/", "Argo CD"),
    ("kustomize.toolkit.fluxcd.io/", "Flux"),
    ("helm.toolkit.fluxcd.io/", "Flux"),
    ("kubectl.kubernetes.io/last-applied-configuration", "kubectl apply"),
    ("reflector.v1.k8s.emberstack.com/", "Reflector"),
];

impl KubeStore {
    /// Looks around; `None` if there is no Secret.
    pub async fn examine(&self) -> Result<Option<Examined>, FileError> {
        let root = &*self.root;
        let read = root.api.find(Call::get(path(&root.secret))).await;
        let Some(Secret { metadata, data, immutable }) =
            read.map_err(|error| failed("read", &root.secret, error))?
        else {
            return Ok(None);
        };
        let managers = managers(&metadata);
        let bytes = data.iter().map(|(name, data)| name.len() + data.0.len()).sum();
        let missing =
            root.missing().await.map_err(|error| failed("ask for the rights to", &root.secret, error))?;
        Ok(Some(Examined { bytes: (bytes, SECRET_BYTES), immutable, managers, missing }))
    }
}

fn managers(meta: &Meta) -> BTreeSet<&'static str> {
    let keys = || meta.annotations.keys().chain(meta.labels.keys());
    let marked = MARKS.iter().filter(|(mark, _)| keys().any(|key| key.starts_with(mark)));
    let helm = meta.labels.get("app.kubernetes.io/managed-by").is_some_and(|by| by == "Helm");
    marked.map(|(_, who)| *who).chain(helm.then_some("Helm")).collect()
}

impl Root {
    /// What an operator needs and this identity may not.
    async fn missing(&self) -> Result<Vec<String>, ApiError> {
        let secrets = [&self.secret, &self.witness]
            .into_iter()
            .flat_map(|name| ["get", "patch"].map(|verb| (verb, "", "secrets", Some(name))));
        let others = [
            ("create", "", "secrets", None),
            ("list", "coordination.k8s.io", "leases", None),
            ("delete", "coordination.k8s.io", "leases", None),
            ("get", "", "pods", None),
        ];
        let mut missing = Vec::new();
        for (verb, group, resource, name) in secrets.chain(others) {
            if !self.may(verb, group, resource, name).await? {
                let what =
                    name.map_or_else(|| format!("in {}", self.secret.namespace()), ToString::to_string);
                missing.push(format!("{verb} {resource} {what}"));
            }
        }
        Ok(missing)
    }

    async fn may(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        name: Option<&ObjectName>,
    ) -> Result<bool, ApiError> {
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "namespace": self.secret.namespace(),
                "verb": verb,
                "group": group,
                "resource": resource,
                "name": name.map(ObjectName::name).unwrap_or_default(),
            }},
        });
        let body = Zeroizing::new(review.to_string().into_bytes());
        let call = Call::create("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body);
        let review: Review = self.api.json(call).await?;
        Ok(review.status.allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_puts_a_secret_back_is_known_by_its_marks() {
        let marked = |key: &str, value: &str| {
            let labels = [(key.to_owned(), value.to_owned())].into();
            managers(&Meta { labels, ..Meta::default() })
        };
        assert_eq!(marked("app.kubernetes.io/managed-by", "Helm"), ["Helm"].into());
        assert_eq!(marked("argocd.argoproj.io/instance", "x"), ["Argo CD"].into());
        assert_eq!(marked("kustomize.toolkit.fluxcd.io/name", "x"), ["Flux"].into());
        assert!(marked("app.kubernetes.io/managed-by", "somebody").is_empty());
    }
}
