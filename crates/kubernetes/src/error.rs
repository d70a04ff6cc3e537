//! Why a call failed, and whether it may have had an effect.

use std::time::Duration;

use serde::Deserialize;

/// The most characters of the server's text that are shown.
const SHOWN: usize = 400;

/// Why a call to the API failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nobody says which cluster, or how.
    #[error("{0}")]
    Access(String),
    /// No answer came: the connection could not be made, or broke.
    #[error("the API server cannot be reached: {why}")]
    Unreachable {
        /// What happened.
        why: String,
        /// Whether the request may have arrived.
        sent: bool,
    },
    /// No answer came in time.
    #[error("the API server gave no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The server said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The answer is larger than anything that was asked for.
    #[error("the API server's answer has more than {0} bytes")]
    TooLarge(usize),
    /// The answer is not what the API promises.
    #[error("the API server's answer cannot be understood: {0}")]
    Garbage(String),
}

impl ApiError {
    /// The HTTP status that the server answered, if it did.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            _ => None,
        }
    }

    /// Whether what the call was to do may have been done: then somebody has to look.
    pub fn may_have_happened(&self) -> bool {
        match self {
            Self::Access(_) => false,
            Self::Unreachable { sent, .. } => *sent,
            Self::Timeout(_) | Self::TooLarge(_) | Self::Garbage(_) => true,
            Self::Refused(refusal) => refusal.code >= 500,
        }
    }

    /// Whether there is no server to ask for the moment: it is away, or has no time.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Timeout(_) => true,
            Self::Refused(refusal) => refusal.code == 429 || refusal.code >= 500,
            Self::Access(_) | Self::TooLarge(_) | Self::Garbage(_) => false,
        }
    }
}

/// What the server answered instead of what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the API server answered {code} {reason}: {message}")]
pub struct Refusal {
    /// HTTP status.
    pub code: u16,
    /// Its word for it, such as `Forbidden`.
    pub reason: String,
    /// Its text, cut and safe to print.
    pub message: String,
    /// When to come again, if it says so.
    pub retry_after: Option<Duration>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    reason: Option<String>,
    message: Option<String>,
}

impl Refusal {
    /// Reads an answer's body, which may be a `Status`, or a proxy's text.
    pub(crate) fn new(status: http::StatusCode, body: &[u8], retry_after: Option<Duration>) -> Self {
        let read: Status = serde_json::from_slice(body).unwrap_or_default();
        let reason = read.reason.filter(|reason| !reason.is_empty());
        let reason = reason.unwrap_or_else(|| status.canonical_reason().unwrap_or("").to_owned());
        let message = read.message.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
        let message = if message.is_empty() { "no reason given".to_owned() } else { message };
        Self { code: status.as_u16(), reason: harmless(&reason), message: harmless(&message), retry_after }
    }
}

/// Visible ASCII and spaces, cut: nothing that a terminal or a log would obey.
pub(crate) fn harmless(text: &str) -> String {
    let plain = |char: char| if char.is_ascii_graphic() || char == ' ' { char } else { '?' };
    text.chars().take(SHOWN).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn refused(code: u16) -> ApiError {
        let status = StatusCode::from_u16(code).expect("a status");
        ApiError::Refused(Refusal::new(status, b"", None))
    }

    #[test]
    fn a_refusal_says_what_the_server_said_and_nothing_that_a_terminal_obeys() {
        let body =
            br#"{"kind":"Status","message":"secrets \"a\" is forbidden\u001b[2J","reason":"Forbidden"}"#;
        let refusal = Refusal::new(StatusCode::FORBIDDEN, body, None);
        let text = "the API server answered 403 Forbidden: secrets \"a\" is forbidden?[2J";
        assert_eq!(refusal.to_string(), text);
        let proxy = Refusal::new(StatusCode::BAD_GATEWAY, b"<html>no\nupstream</html>", None);
        assert_eq!(proxy.to_string(), "the API server answered 502 Bad Gateway: <html>no?upstream</html>");
    }

    #[test]
    fn only_an_answer_or_a_failed_connection_say_that_nothing_happened() {
        for code in [400, 403, 404, 409, 422, 429] {
            assert!(!refused(code).may_have_happened(), "{code}");
        }
        for code in [500, 503, 504] {
            assert!(refused(code).may_have_happened(), "{code}");
        }
        let unreachable = |sent| ApiError::Unreachable { why: String::new(), sent };
        assert!(!unreachable(false).may_have_happened());
        assert!(unreachable(true).may_have_happened());
        assert!(ApiError::Timeout(Duration::ZERO).may_have_happened());
    }
}
