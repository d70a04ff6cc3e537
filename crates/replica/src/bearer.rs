//! What a request presents, and what is said to who presents nothing good.

use std::time::Duration;

use http::{HeaderMap, header};
use keystile_token::{Answer, GrpcCode};

/// When a caller that was answered `unavailable` may try again.
pub const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What every bearer's value begins with: one space, and the case matters.
const SCHEME: &[u8] = b"Bearer ";

/// The credentials in a request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer<'a> {
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
    pub fn of(headers: &'a HeaderMap) -> Self {
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

    /// The token, or why there is none to look at.
    pub fn token(self) -> Result<&'a [u8], Refused> {
        match self {
            Self::Token(token) => Ok(token),
            Self::Absent => Err(Refused::Absent),
            Self::Several => Err(Refused::several()),
        }
    }
}

/// Why a request is not a caller's with a good token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It presents no token, or another issuer's.
    Absent,
    /// Its token is refused.
    Rejected(Answer),
    /// Nobody can know now.
    Unavailable,
}

impl Refused {
    /// Several authorization headers.
    pub fn several() -> Self {
        let text = "several authorization headers".into();
        Self::Rejected(Answer { grpc: GrpcCode::Unauthenticated, http: 401, text })
    }

    /// What the caller is told.
    pub fn answer(self) -> Answer {
        match self {
            Self::Absent => Answer::NOT_OURS,
            Self::Rejected(answer) => answer,
            Self::Unavailable => Answer::UNAVAILABLE,
        }
    }

    /// `WWW-Authenticate` for it. RFC 6750 section 3.1: no error code where no token was presented.
    pub fn challenge(&self, presented: Bearer<'_>) -> &'static str {
        match (self, presented) {
            (_, Bearer::Several) => "Bearer error=\"invalid_request\"",
            (Self::Absent, Bearer::Absent) => "Bearer",
            _ => "Bearer error=\"invalid_token\"",
        }
    }
}

/// Whether a request is gRPC's, by its content type: what OpenShell's gateway goes by.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
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
