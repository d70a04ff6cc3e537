//! `openshell.v1.OpenShell`: the token calls, with OpenShell's checks, codes and texts in its order.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::HeaderMap;
use keystile_keyring::UnixTime;
use keystile_proto::openshell::v1::open_shell_server::OpenShell;
use keystile_proto::openshell::v1::{
    ExtensionServiceCredential, IssueSandboxTokenRequest, IssueSandboxTokenResponse,
    RefreshSandboxTokenRequest, RefreshSandboxTokenResponse,
};
use keystile_token::{Answer, Audience, BootstrapMethod, SandboxGrant, SandboxId};
use tonic::{Request, Response, Status};

use super::{peer, status, try_again};
use crate::audit::Operation;
use crate::bootstrap::{Denied, ServiceAccounts};
use crate::gatekeeper::{Caller, Gatekeeper};
use crate::mint::{Mint, Occasion, Press};
use crate::report::SandboxDigest;
use crate::server::Peer;
use crate::tls::{PeerCertificate, SandboxCertificate};
use keystile_replica::{Bearer, Refused};

/// The most extension services that one call may name.
const NAMES: usize = 64;

/// The longest name of an extension service, bytes.
const NAME_BYTES: usize = 256;

pub(super) struct Service {
    pub(super) gatekeeper: Arc<Gatekeeper>,
    pub(super) mint: Arc<Mint>,
    pub(super) certificate_bootstrap: bool,
    pub(super) cluster: Option<ServiceAccounts>,
}

#[tonic::async_trait]
impl OpenShell for Service {
    async fn issue_sandbox_token(
        &self,
        request: Request<IssueSandboxTokenRequest>,
    ) -> Result<Response<IssueSandboxTokenResponse>, Status> {
        let peer = peer(&request)?;
        match self.gatekeeper.caller(request.metadata().as_ref(), &peer).await {
            Ok(_) => {
                let why = "this principal cannot mint a sandbox token; use RefreshSandboxToken";
                return Err(self.denied(Operation::Bootstrap, why, &peer));
            }
            // A token of ours that is refused ends it here: no other authenticator sees its bearer.
            Err(refused @ (Refused::Rejected(_) | Refused::Unavailable)) => {
                return Err(status(&refused.answer()));
            }
            Err(Refused::Absent) => {}
        }
        let (sandbox, method) = match self.service_account(request.metadata().as_ref(), &peer).await? {
            Some(sandbox) => (sandbox, BootstrapMethod::ServiceAccount),
            None => (self.certified(&peer)?, BootstrapMethod::ClientCertificate),
        };
        let (held, moment) = (self.gatekeeper.replica.held(), self.gatekeeper.replica.moment());
        let press = self.mint.press(held, moment).await.map_err(|answer| status(&answer))?;
        let grant = SandboxGrant::bootstrap(sandbox, method, press.moment.now);
        let occasion = Occasion { operation: Operation::Bootstrap, presented: None, peer: peer.address };
        let minted = self.mint.sandbox_token(&press, &grant, &occasion).map_err(|answer| status(&answer))?;
        Ok(Response::new(IssueSandboxTokenResponse {
            token: minted.token.expose().to_owned(),
            expires_at_ms: millis(minted.expires_at),
        }))
    }

    async fn refresh_sandbox_token(
        &self,
        request: Request<RefreshSandboxTokenRequest>,
    ) -> Result<Response<RefreshSandboxTokenResponse>, Status> {
        let peer = peer(&request)?;
        let caller = match self.gatekeeper.caller(request.metadata().as_ref(), &peer).await {
            Ok(caller) => caller,
            Err(refused) => return Err(self.no_caller(refused, &peer)),
        };
        let names = request.into_inner().extension_service_names;
        let audiences = self.audiences(&names, &peer)?;
        let Caller { accepted, held, moment } = caller;
        let press = self.mint.press(Arc::clone(&held), moment).await.map_err(|answer| status(&answer))?;
        let sandbox = &accepted.claims.sandbox_id;
        if !audiences.is_empty() && !self.mint.limit.admit(SandboxDigest::of(sandbox), press.moment.uptime) {
            self.gatekeeper.metrics.mint_refusals.inc("rate-limited");
            let why = "extension credential minting rate limit exceeded for this sandbox";
            return Err(Status::resource_exhausted(why));
        }
        let presented = Some(&accepted.kid);
        let occasion = Occasion { operation: Operation::Refresh, presented, peer: peer.address };
        let minted = self
            .mint
            .sandbox_token(&press, &SandboxGrant::refresh(&accepted), &occasion)
            .map_err(|answer| status(&answer))?;
        let occasion = Occasion { operation: Operation::Extension, ..occasion };
        let credentials = audiences
            .iter()
            .map(|(name, audience)| self.credential(&press, sandbox, name, audience, &occasion));
        let extension_credentials =
            credentials.collect::<Result<_, _>>().map_err(|answer| status(&answer))?;
        Ok(Response::new(RefreshSandboxTokenResponse {
            token: minted.token.expose().to_owned(),
            expires_at_ms: millis(minted.expires_at),
            extension_credentials,
        }))
    }
}

impl Service {
    /// The sandbox whose pod's ServiceAccount token is presented; `None` if the bearer is none that the
    /// cluster knows.
    async fn service_account(&self, headers: &HeaderMap, peer: &Peer) -> Result<Option<SandboxId>, Status> {
        let (Some(accounts), Bearer::Token(token)) = (&self.cluster, Bearer::of(headers)) else {
            return Ok(None);
        };
        let Gatekeeper { metrics, audit, replica, .. } = self.gatekeeper.as_ref();
        let uptime = replica.moment().uptime;
        accounts.sandbox(token, uptime).await.map_err(|Denied { code, text, retry_after, label }| {
            metrics.mint_refusals.inc(label);
            audit.denied(Operation::Bootstrap, &text, peer.address, uptime, metrics);
            let status = Status::new(code, text);
            match retry_after {
                Some(after) => try_again(status, after),
                None => status,
            }
        })
    }

    /// The sandbox that a client certificate names which has not expired.
    fn certified(&self, peer: &Peer) -> Result<SandboxId, Status> {
        let certificate = self.sandbox_certificate(peer)?;
        if self.gatekeeper.replica.moment().now > certificate.not_after {
            return Err(self.denied(Operation::Bootstrap, "client certificate has expired", peer));
        }
        Ok(certificate.sandbox_id.clone())
    }

    /// The certificate that lets its holder obtain a first token.
    fn sandbox_certificate(&self, peer: &Peer) -> Result<Arc<SandboxCertificate>, Status> {
        match &peer.certificate {
            PeerCertificate::Sandbox(certificate) if self.certificate_bootstrap => {
                Ok(Arc::clone(certificate))
            }
            PeerCertificate::Other(error) if self.certificate_bootstrap => {
                Err(self.denied(Operation::Bootstrap, &error.to_string(), peer))
            }
            _ => Err(status(&Answer::NOT_OURS)),
        }
    }

    fn no_caller(&self, refused: Refused, peer: &Peer) -> Status {
        let bootstraps =
            matches!(peer.certificate, PeerCertificate::Sandbox(_)) && self.certificate_bootstrap;
        if refused == Refused::Absent && bootstraps {
            let why = "this principal cannot refresh; use IssueSandboxToken for bootstrap";
            return self.denied(Operation::Refresh, why, peer);
        }
        status(&refused.answer())
    }

    fn denied(&self, operation: Operation, why: &str, peer: &Peer) -> Status {
        let Gatekeeper { metrics, audit, replica, .. } = self.gatekeeper.as_ref();
        metrics.mint_refusals.inc("denied");
        audit.denied(operation, why, peer.address, replica.moment().uptime, metrics);
        Status::permission_denied(why)
    }

    /// The audience of each named service, in the order of the names.
    fn audiences<'a>(
        &'a self,
        names: &'a [String],
        peer: &Peer,
    ) -> Result<Vec<(&'a str, &'a Audience)>, Status> {
        if names.len() > NAMES {
            return Err(Status::invalid_argument(format!("at most {NAMES} extension services may be named")));
        }
        let mut seen = BTreeSet::new();
        for name in names {
            if name.trim().is_empty() || name.len() > NAME_BYTES {
                let why = format!("an extension service name has 1 to {NAME_BYTES} bytes");
                return Err(Status::invalid_argument(why));
            }
            if !seen.insert(name) {
                return Err(Status::invalid_argument("an extension service is named twice"));
            }
        }
        let audience = |name: &'a String| {
            let audience = self.mint.services.get(name);
            audience.map(|audience| (name.as_str(), audience)).ok_or_else(|| {
                let shown = name.escape_debug();
                let why = format!("extension service '{shown}' is not selected by the sandbox policy");
                self.denied(Operation::Extension, &why, peer)
            })
        };
        names.iter().map(audience).collect()
    }

    fn credential(
        &self,
        press: &Press,
        sandbox: &SandboxId,
        name: &str,
        audience: &Audience,
        occasion: &Occasion<'_>,
    ) -> Result<ExtensionServiceCredential, Answer> {
        let minted = self.mint.extension_token(press, sandbox, audience, occasion)?;
        Ok(ExtensionServiceCredential {
            service_name: name.to_owned(),
            token: minted.token.expose().to_owned(),
            expires_at_ms: millis(minted.expires_at),
        })
    }
}

/// Milliseconds of `exp`; 0 if the token never expires.
fn millis(expires_at: Option<UnixTime>) -> i64 {
    expires_at.map_or(0, |at| i64::try_from(at.0.saturating_mul(1000)).unwrap_or(i64::MAX))
}
