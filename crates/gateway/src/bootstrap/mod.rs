//! Sandboxes that prove by a pod's ServiceAccount token who they are.
//!
//! The Kubernetes API says whose the token is, and what the pod and its owner are; every check is made
//! in OpenShell's order, with its texts. Nothing is remembered: each bootstrap is asked about anew, and
//! only as fast as the API server is to be asked.

mod checks;
mod limit;
mod reviews;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use keystile_kubernetes::{Api, ApiError};
use keystile_token::SandboxId;
use tonic::Code;

use crate::config::Bootstrap;
use limit::Limit;

/// Checks ServiceAccount tokens.
pub(crate) struct ServiceAccounts {
    api: Arc<Api>,
    rules: Bootstrap,
    limit: Limit,
}

/// Why a token obtains nothing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) code: Code,
    pub(crate) text: Cow<'static, str>,
    /// When to come again, if that may help.
    pub(crate) retry_after: Option<Duration>,
    /// The word for it: metric label.
    pub(crate) label: &'static str,
}

impl Denied {
    fn permission(text: impl Into<Cow<'static, str>>) -> Self {
        Self { code: Code::PermissionDenied, text: text.into(), retry_after: None, label: "denied" }
    }

    fn crowded(retry_after: Duration) -> Self {
        let text = "too many bootstraps at once; try again".into();
        Self { code: Code::Unavailable, text, retry_after: Some(retry_after), label: "rate-limited" }
    }

    /// The API server gave no answer that says anything about the token.
    fn failed(what: &str, error: &ApiError, again: Duration) -> Self {
        let retry_after = match error {
            ApiError::Refused(refusal) => refusal.retry_after.or(error.is_outage().then_some(again)),
            _ => error.is_outage().then_some(again),
        };
        let text = format!("{what} failed: {error}").into();
        Self { code: Code::Internal, text, retry_after, label: "kubernetes" }
    }
}

impl ServiceAccounts {
    pub(crate) fn new(api: Arc<Api>, rules: &Bootstrap) -> Self {
        let limit = Limit::new(rules.rate, rules.concurrency);
        Self { api, rules: rules.clone(), limit }
    }

    /// The sandbox whose pod `token` is bound to; `None` if the cluster does not know the token.
    pub(crate) async fn sandbox(&self, token: &[u8], uptime: Duration) -> Result<Option<SandboxId>, Denied> {
        let Ok(token) = std::str::from_utf8(token) else {
            return Ok(None);
        };
        let _turn = self.limit.turn(uptime).await.map_err(Denied::crowded)?;
        let Some(binding) = self.review(token, uptime).await? else {
            return Ok(None);
        };
        let pod = self.pod(&binding, uptime).await?;
        let sandbox = checks::identity(&pod, &binding)?;
        if !self.rules.plain_pods {
            let owner = checks::owner(&pod)?;
            let found = self.owner(&binding, owner, uptime).await?;
            checks::owned(owner, &found, sandbox)?;
        }
        let id = SandboxId::new(sandbox);
        id.map(Some)
            .map_err(|error| Denied::permission(format!("pod's sandbox identity is not usable: {error}")))
    }
}
