//! Who calls: from a request's headers to a sandbox, or to what the caller is told.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, header};
use keystile_token::{Accepted, Answer, GrpcCode, Signature};

use crate::audit::Audit;
use crate::metrics::Metrics;
use crate::replica::{Held, Judged, Moment, Outcome, Replica};
use crate::report::{Census, SandboxDigest, Sighting};
use crate::server::Peer;
use crate::tarpit::Tarpit;

/// When a caller that was answered `unavailable` may try again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What every bearer's value begins with: one space, and the case matters.
const SCHEME: &[u8] = b"Bearer ";

/// The credentials in a request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bearer<'a> {
    /// None that concern us.
    Absent,
    /// More than one authorization header: proxies and gateways would disagree about which counts.
    Several,
    /// The token.
    Token(&'a [u8]),
}

impl<'a> Bearer<'a> {
    /// As OpenShell's gateway reads it: a value that is not visible ASCII, or of another scheme, is
    /// for another authenticator.
    pub(crate) fn of(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(_), Some(_)) => Self::Several,
            (Some(value), None) => {
                match value.to_str().ok().and_then(|text| text.as_bytes().strip_prefix(SCHEME)) {
                    Some(token) => Self::Token(token),
                    None => Self::Absent,
                }
            }
        }
    }
}

/// A caller with a good token.
pub(crate) struct Caller {
    pub(crate) accepted: Accepted,
    pub(crate) held: Arc<Held>,
    pub(crate) moment: Moment,
}

/// Why a request is not a caller's with a good token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It presents no token, or another issuer's.
    Absent,
    /// Its token is refused.
    Rejected(Answer),
    /// Nobody can know now.
    Unavailable,
}

impl Refused {
    /// What the caller is told.
    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::Absent => Answer::NOT_OURS,
            Self::Rejected(answer) => answer,
            Self::Unavailable => Answer::UNAVAILABLE,
        }
    }
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
        let token = match Bearer::of(headers) {
            Bearer::Absent => return Err(Refused::Absent),
            Bearer::Several => {
                let text = "several authorization headers".into();
                return Err(Refused::Rejected(Answer { grpc: GrpcCode::Unauthenticated, http: 401, text }));
            }
            Bearer::Token(token) => token,
        };
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(values: &[&'static [u8]]) -> HeaderMap {
        let value = |bytes: &&'static [u8]| HeaderValue::from_bytes(bytes).expect("a header value");
        values.iter().map(|bytes| (header::AUTHORIZATION, value(bytes))).collect()
    }

    #[test]
    fn only_bearer_and_one_space_is_ours() {
        assert_eq!(Bearer::of(&headers(&[b"Bearer a.b.c"])), Bearer::Token(b"a.b.c"));
        assert_eq!(Bearer::of(&headers(&[b"Bearer  a.b.c"])), Bearer::Token(b" a.b.c"));
        for other in [b"bearer a.b.c" as &[u8], b"Basic YQ==", b"Bearer", b"Bearer\ta", b"Bearer \xff"] {
            let map: HeaderMap =
                [(header::AUTHORIZATION, HeaderValue::from_bytes(other).expect("a header value"))]
                    .into_iter()
                    .collect();
            assert_eq!(Bearer::of(&map), Bearer::Absent, "{other:?}");
        }
        assert_eq!(Bearer::of(&HeaderMap::new()), Bearer::Absent);
    }

    #[test]
    fn several_headers_are_refused_even_if_equal() {
        assert_eq!(Bearer::of(&headers(&[b"Bearer a", b"Bearer a"])), Bearer::Several);
        assert_eq!(Bearer::of(&headers(&[b"Bearer a", b"Basic b"])), Bearer::Several);
    }
}
