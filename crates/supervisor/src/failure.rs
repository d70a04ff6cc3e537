//! What went wrong with one attempt, and what follows from it.

use std::error::Error as _;
use std::time::Duration;

use tonic::{Code, Status};

use crate::token::Token;

/// The trailer with which a gateway says how many milliseconds to wait: a decimal number.
pub const RETRY_AFTER: &str = "retry-after-ms";

/// The longest text of a gateway that is kept, in characters.
const MAX_MESSAGE: usize = 200;

const LEFT_OUT: &str = "(left out) ";

/// One failed attempt to get a token. Holds no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {}: {message}", kind.label())]
pub struct Failure {
    /// Which gateway or file.
    pub place: String,
    /// What sort of failure.
    pub kind: FailureKind,
    /// What was said, bounded and safe to print.
    pub message: String,
    /// How long the gateway asked to wait, bounded by [`crate::Timing::hint_max`].
    pub retry_after: Option<Duration>,
}

/// Sorts of failure, by what can be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// No answer: the connection could not be made or broke.
    Transport,
    /// No answer within [`crate::Timing::attempt_timeout`].
    Timeout,
    /// The gateway answered with this status.
    Answered(Answer),
    /// The answer was good but its token cannot be used.
    BadAnswer,
    /// A file that should hold a token, or a certificate, cannot be used.
    File,
}

/// The status of an answer. The gRPC codes, OK excepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the codes of the gRPC specification")]
pub enum Answer {
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl FailureKind {
    /// A stable label for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Transport => "transport",
            Self::Timeout => "timeout",
            Self::BadAnswer => "bad-answer",
            Self::File => "file",
            Self::Answered(answer) => answer.label(),
        }
    }

    /// The gateway does not accept what was presented. PERMISSION_DENIED counts: a gateway that takes a token
    /// with an unknown kid for somebody else answers so, and waiting mends neither.
    pub fn refuses(self) -> bool {
        matches!(self, Self::Answered(Answer::Unauthenticated | Answer::PermissionDenied))
    }

    /// The same attempt may succeed later.
    pub fn is_transient(self) -> bool {
        match self {
            Self::Transport | Self::Timeout | Self::BadAnswer => true,
            Self::File => false,
            Self::Answered(answer) => matches!(
                answer,
                Answer::Cancelled
                    | Answer::Unknown
                    | Answer::DeadlineExceeded
                    | Answer::ResourceExhausted
                    | Answer::Aborted
                    | Answer::Internal
                    | Answer::Unavailable
                    | Answer::DataLoss
            ),
        }
    }
}

impl Answer {
    fn label(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid-argument",
            Self::DeadlineExceeded => "deadline-exceeded",
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::PermissionDenied => "permission-denied",
            Self::ResourceExhausted => "resource-exhausted",
            Self::FailedPrecondition => "failed-precondition",
            Self::Aborted => "aborted",
            Self::OutOfRange => "out-of-range",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::DataLoss => "data-loss",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    fn from_code(code: Code) -> Self {
        match code {
            Code::Cancelled => Self::Cancelled,
            Code::InvalidArgument => Self::InvalidArgument,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::NotFound => Self::NotFound,
            Code::AlreadyExists => Self::AlreadyExists,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::FailedPrecondition => Self::FailedPrecondition,
            Code::Aborted => Self::Aborted,
            Code::OutOfRange => Self::OutOfRange,
            Code::Unimplemented => Self::Unimplemented,
            Code::Internal => Self::Internal,
            Code::Unavailable => Self::Unavailable,
            Code::DataLoss => Self::DataLoss,
            Code::Unauthenticated => Self::Unauthenticated,
            // An answer that is an error although its code says OK.
            Code::Ok | Code::Unknown => Self::Unknown,
        }
    }
}

impl Failure {
    pub(crate) fn file(place: impl Into<String>, error: &(dyn std::error::Error + 'static)) -> Self {
        Self { place: place.into(), kind: FailureKind::File, message: chain(error), retry_after: None }
    }

    pub(crate) fn nothing_offered() -> Self {
        Self {
            place: "sources".to_owned(),
            kind: FailureKind::File,
            message: "none has a token to offer".to_owned(),
            retry_after: None,
        }
    }

    pub(crate) fn transport(place: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            place: place.to_owned(),
            kind: FailureKind::Transport,
            message: chain(error),
            retry_after: None,
        }
    }

    pub(crate) fn timeout(place: &str, after: Duration) -> Self {
        let message = format!("no answer within {} ms", after.as_millis());
        Self { place: place.to_owned(), kind: FailureKind::Timeout, message, retry_after: None }
    }

    pub(crate) fn bad_answer(place: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        Self {
            place: place.to_owned(),
            kind: FailureKind::BadAnswer,
            message: chain(error),
            retry_after: None,
        }
    }

    /// `presented` is left out of the message even if it does not look like a token.
    pub(crate) fn from_status(
        place: &str,
        status: &Status,
        presented: Option<&Token>,
        hint_max: Duration,
    ) -> Self {
        // A status that the client library made itself has a source; one that a gateway sent has none.
        let kind = if status.source().is_some() {
            FailureKind::Transport
        } else {
            FailureKind::Answered(Answer::from_code(status.code()))
        };
        let message =
            if kind == FailureKind::Transport { cause(status) } else { status.message().to_owned() };
        let message = match presented {
            Some(token) => message.replace(token.expose(), LEFT_OUT),
            None => message,
        };
        Self {
            place: place.to_owned(),
            kind,
            message: printable(&message),
            retry_after: hint(status).map(|hint| hint.min(hint_max)),
        }
    }
}

fn hint(status: &Status) -> Option<Duration> {
    let value = status.metadata().get(RETRY_AFTER)?.to_str().ok()?;
    value.parse().ok().map(Duration::from_millis)
}

/// What a connection failed of: the innermost error, since the layers above it only say that it did, and what
/// it may mean.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let (mut innermost, mut known) = (error, meaning(error));
    while let Some(source) = innermost.source() {
        innermost = source;
        known = known.or_else(|| meaning(source));
    }
    let told = innermost.to_string();
    let known = known.or_else(|| later_meaning(&told));
    printable(&known.map_or_else(|| told.clone(), |known| format!("{told}: {known}")))
}

const CLOSED: &str = "the other end closed the connection; a gateway's log says why";

/// What one layer of an error may mean to whoever configured the supervisor.
fn meaning(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    use std::io::ErrorKind;
    let inside = error.downcast_ref::<std::io::Error>();
    let within = inside.and_then(std::io::Error::get_ref);
    let tls = error.downcast_ref::<rustls::Error>();
    let tls = tls.or_else(|| within.and_then(|inner| inner.downcast_ref::<rustls::Error>()));
    match (tls, inside.map(std::io::Error::kind)) {
        (Some(error), _) => tls_meaning(error),
        (None, Some(ErrorKind::ConnectionRefused)) => Some("no gateway listens there"),
        (None, Some(ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof)) => {
            Some(CLOSED)
        }
        _ => None,
    }
}

/// The same of what is told after the handshake: in TLS 1.3 a client certificate is refused then, and HTTP/2 keeps
/// of its error the text only.
fn later_meaning(told: &str) -> Option<&'static str> {
    use rustls::{AlertDescription, Error};
    let alerts = [
        AlertDescription::CertificateRequired,
        AlertDescription::UnknownCA,
        AlertDescription::DecryptError,
        AlertDescription::CertificateExpired,
        AlertDescription::BadCertificate,
        AlertDescription::CertificateUnknown,
    ];
    let mut alerts = alerts.into_iter().map(Error::AlertReceived);
    match alerts.find(|alert| alert.to_string() == told) {
        Some(alert) => tls_meaning(&alert),
        None => {
            matches!(told, "stream closed because of a broken pipe" | "connection closed").then_some(CLOSED)
        }
    }
}

fn tls_meaning(error: &rustls::Error) -> Option<&'static str> {
    use rustls::{AlertDescription, CertificateError, Error};
    Some(match error {
        Error::InvalidMessage(_) => "the gateway does not speak TLS there: http:// instead of https://?",
        // An authority of the same name and another key.
        Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "its certificate is of another authority than the one given: --tls-ca"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => "use a name that is in its certificate, or give one: --tls-server-name",
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "its certificate has expired: renew it, or set this machine's clock"
        }
        Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => "its certificate is not valid yet: set this machine's clock or the gateway's",
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it wants a client certificate: --tls-cert, --tls-key"
        }
        // The second: an authority of the same name and another key.
        Error::AlertReceived(AlertDescription::UnknownCA | AlertDescription::DecryptError) => {
            "it does not know the authority of the client certificate: --tls-cert, --tls-key"
        }
        Error::AlertReceived(AlertDescription::CertificateExpired) => {
            "the client certificate has expired: --tls-cert, --tls-key"
        }
        Error::AlertReceived(AlertDescription::BadCertificate | AlertDescription::CertificateUnknown) => {
            "it refuses the client certificate: --tls-cert, --tls-key"
        }
        _ => return None,
    })
}

/// An error and what is under it, on one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    printable(&text)
}

/// At most [`MAX_MESSAGE`] characters, none of which moves a cursor or turns the writing, and nothing that looks like a token:
/// what a gateway says may repeat what it was sent.
fn printable(text: &str) -> String {
    let mut words = String::new();
    for word in text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))) {
        let looks_like_token = word.contains("eyJ") || word.len() > 64;
        words.push_str(if looks_like_token { LEFT_OUT } else { word });
    }
    let turns = |c| matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let plain = words.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c });
    plain.take(MAX_MESSAGE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(status: &Status, presented: Option<&Token>) -> Failure {
        Failure::from_status("gw", status, presented, Duration::from_mins(1))
    }

    fn hinted(value: &str) -> Option<Duration> {
        let mut status = Status::unavailable("later");
        status.metadata_mut().insert(RETRY_AFTER, value.parse().unwrap());
        failure(&status, None).retry_after
    }

    #[test]
    fn every_code_has_its_answer_and_its_meaning() {
        let kind = |code| failure(&Status::new(code, ""), None).kind;
        for number in 1..=16 {
            let code = Code::from_i32(number);
            let kind = kind(code);
            let label = kind.label().replace('-', "");
            assert_eq!(label, format!("{code:?}").to_lowercase());
            assert!(!(kind.refuses() && kind.is_transient()), "{code:?}");
        }
        assert!(kind(Code::Unauthenticated).refuses() && kind(Code::PermissionDenied).refuses());
        assert!(kind(Code::Unavailable).is_transient() && kind(Code::ResourceExhausted).is_transient());
        assert!(!kind(Code::NotFound).is_transient() && !kind(Code::Unimplemented).is_transient());
    }

    #[test]
    fn what_is_told_as_text_only_has_a_meaning_too() {
        for told in ["received fatal alert: UnknownCA", "received fatal alert: DecryptError"] {
            let meaning = later_meaning(told).unwrap();
            assert!(meaning.starts_with("it does not know the authority of the client certificate"));
        }
        for told in ["connection closed", "stream closed because of a broken pipe"] {
            assert_eq!(later_meaning(told), Some(CLOSED));
        }
        assert_eq!(later_meaning("something else"), None);
    }

    #[test]
    fn a_hint_is_a_bounded_decimal_number() {
        assert_eq!(hinted("1500"), Some(Duration::from_millis(1500)));
        assert_eq!(hinted("0"), Some(Duration::ZERO));
        assert_eq!(hinted("99999999999"), Some(Duration::from_mins(1)));
        for odd in ["", "-1", "1.5", "1s", "99999999999999999999999", "x"] {
            assert_eq!(hinted(odd), None, "{odd}");
        }
    }

    #[test]
    fn t48_a_message_is_made_safe_to_print() {
        let message = |text: &str, presented| failure(&Status::internal(text), presented).message;
        assert_eq!(message("invalid token: ExpiredSignature", None), "invalid token: ExpiredSignature");
        assert_eq!(message("a\nb\x1b[31m", None), "a b [31m");
        assert_eq!(message("a\u{202e}b\u{2028}c", None), "a b c");
        assert_eq!(message(&"ab ".repeat(1000), None).len(), MAX_MESSAGE);
        let unseen = "eyJhbGciOiJFZERTQSJ9.eyJpYXQiOjF9.c2ln";
        assert!(!message(&format!("bad '{unseen}'"), None).contains("eyJ"));
        let opaque = Token::new("short/opaque+token").unwrap();
        let shown = message("short/opaque+token: no", Some(&opaque));
        assert!(!shown.contains("opaque") && shown.contains("no"), "{shown}");
        assert!(!message(&"k".repeat(65), None).contains('k'));
    }

    #[test]
    fn a_failure_says_where_what_and_why() {
        let failure = failure(&Status::unauthenticated("invalid token"), None);
        assert_eq!(failure.to_string(), "gw: unauthenticated: invalid token");
    }
}
