//! Answers on the wire to outcomes.

use std::error::Error as _;

use http::{HeaderMap, StatusCode, header};
use tonic::{Code, Status};

use crate::event::{NoAnswer, Outcome};

/// The longest text of a refusal that is kept, in characters.
const MOST_TEXT: usize = 100;

/// The outcome that a failed gRPC call means.
pub(super) fn of_status(status: &Status) -> Outcome {
    let no_answer = match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            return Outcome::Rejected(format!("gRPC: {}", printable(status.message())));
        }
        // What the connection itself comes to has a cause; what a replica says has none.
        _ if status.source().is_some() => NoAnswer::Unreachable,
        Code::Unavailable => NoAnswer::Unconfirmed,
        Code::DeadlineExceeded => NoAnswer::Late,
        Code::ResourceExhausted => NoAnswer::Busy,
        Code::Cancelled => NoAnswer::Unreachable,
        _ => NoAnswer::Other,
    };
    Outcome::NoAnswer(no_answer)
}

/// The outcome that an answer of `/verify` means.
pub(super) fn of_response(status: StatusCode, headers: &HeaderMap) -> Outcome {
    match status {
        StatusCode::OK => Outcome::Accepted { generation: None },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let challenge = headers.get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
            Outcome::Rejected(format!(
                "HTTP {}: {}",
                status.as_u16(),
                printable(challenge.unwrap_or("no challenge"))
            ))
        }
        StatusCode::SERVICE_UNAVAILABLE if headers.contains_key(header::RETRY_AFTER) => {
            Outcome::NoAnswer(NoAnswer::Unconfirmed)
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => Outcome::NoAnswer(NoAnswer::Busy),
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => Outcome::NoAnswer(NoAnswer::Late),
        _ => Outcome::NoAnswer(NoAnswer::Other),
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(MOST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_unauthenticated_and_permission_denied_are_refusals() {
        assert_eq!(
            of_status(&Status::unauthenticated("signing key not accepted")),
            Outcome::Rejected("gRPC: signing key not accepted".into())
        );
        assert!(matches!(of_status(&Status::permission_denied("no")), Outcome::Rejected(_)));
        for (status, expected) in [
            (Status::unavailable("signing keys cannot be confirmed"), NoAnswer::Unconfirmed),
            (Status::deadline_exceeded(""), NoAnswer::Late),
            (Status::resource_exhausted(""), NoAnswer::Busy),
            (Status::cancelled(""), NoAnswer::Unreachable),
            (Status::internal(""), NoAnswer::Other),
            (Status::from_error(Box::new(std::io::Error::other("broken pipe"))), NoAnswer::Unreachable),
        ] {
            assert_eq!(of_status(&status), Outcome::NoAnswer(expected), "{status:?}");
        }
    }

    #[test]
    fn forward_auth_answers_with_http_codes() {
        let retry = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("1"))]);
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        let refused = HeaderMap::from_iter([(header::WWW_AUTHENTICATE, challenge)]);
        assert_eq!(
            of_response(StatusCode::UNAUTHORIZED, &refused),
            Outcome::Rejected("HTTP 401: Bearer error=\"invalid_token\"".into())
        );
        assert_eq!(of_response(StatusCode::OK, &HeaderMap::new()), Outcome::Accepted { generation: None });
        for (status, headers, expected) in [
            (StatusCode::SERVICE_UNAVAILABLE, &retry, NoAnswer::Unconfirmed),
            (StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new(), NoAnswer::Busy),
            (StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), NoAnswer::Busy),
            (StatusCode::REQUEST_TIMEOUT, &HeaderMap::new(), NoAnswer::Late),
            (StatusCode::NOT_FOUND, &HeaderMap::new(), NoAnswer::Other),
            (StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), NoAnswer::Other),
        ] {
            assert_eq!(of_response(status, headers), Outcome::NoAnswer(expected), "{status}");
        }
    }

    #[test]
    fn a_hostile_text_is_cut_and_safe_to_print() {
        let text = format!("a\n\u{1b}[31m{}", "x".repeat(500));
        let Outcome::Rejected(kept) = of_status(&Status::unauthenticated(text)) else {
            panic!("a refusal");
        };
        assert!(kept.chars().count() <= MOST_TEXT + 6 && !kept.chars().any(char::is_control));
    }
}
