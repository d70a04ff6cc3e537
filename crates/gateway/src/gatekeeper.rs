//! Who calls: from a request's headers to a sandbox, or to what the caller is told.

use std::sync::Arc;

use arc_swap::Guard;
use http::HeaderMap;
use keystile_replica::{Bearer, Held, Judged, Moment, Outcome, Refused, Replica};
use keystile_token::{Accepted, Signature};

use crate::audit::Audit;
use crate::metrics::Metrics;
use crate::report::{Census, SandboxDigest, Sighting};
use crate::server::Peer;
use crate::tarpit::Tarpit;

/// A caller with a good token.
pub(crate) struct Caller {
    pub(crate) accepted: Accepted,
    pub(crate) held: Guard<Arc<Held>>,
    pub(crate) moment: Moment,
}

/// Decides who calls, and notes it.
pub(crate) struct Gatekeeper {
    pub(crate) replica: Arc<Replica>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) audit: Audit,
    pub(crate) census: Arc<Census>,
    pub(crate) tarpit: Tarpit,
}

impl Gatekeeper {
    /// The caller that presents a good token in `headers`.
    pub(crate) async fn caller(&self, headers: &HeaderMap, peer: &Peer) -> Result<Caller, Refused> {
        let token = Bearer::of(headers).token()?;
        let Judged { outcome, held, moment, .. } = self.replica.verify(token).await;
        match outcome {
            Outcome::Accepted(accepted) => {
                self.metrics.verifications.inc("accepted");
                self.accepted(&accepted, &held, moment);
                Ok(Caller { accepted, held, moment })
            }
            Outcome::NotOurs => {
                self.metrics.verifications.inc("not-ours");
                Err(Refused::Absent)
            }
            Outcome::Rejected(rejection) => {
                self.metrics.verifications.inc("rejected");
                self.metrics.rejections.inc(rejection.reason.as_str());
                let adopted = held.adopted(rejection.kid.as_ref());
                self.audit.rejected(&rejection, adopted, peer.address, moment.uptime, &self.metrics);
                drop(held);
                if rejection.signature == Signature::Bad && self.tarpit.pass(moment.uptime).await {
                    self.metrics.held_back.inc();
                }
                Err(Refused::Rejected(rejection.answer()))
            }
            Outcome::Unavailable => {
                self.metrics.verifications.inc("unavailable");
                Err(Refused::Unavailable)
            }
        }
    }

    fn accepted(&self, accepted: &Accepted, held: &Held, moment: Moment) {
        if let Some(key) = held.key(&accepted.kid) {
            key.accepted.inc();
        }
        let claims = &accepted.claims;
        if !self.census.is_news(claims, &accepted.kid, moment.now) {
            return;
        }
        self.census.note(Sighting {
            sandbox: SandboxDigest::of(&claims.sandbox_id),
            name: claims.expires_at.is_none().then(|| claims.sandbox_id.as_str().to_owned()),
            kid: accepted.kid.clone(),
            issued_at: claims.issued_at,
            expires_at: claims.expires_at,
            method: claims.lineage.method,
            seen_at: moment.now,
        });
    }
}
