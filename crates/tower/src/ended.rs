//! Why a stream ends before its service ends it.

use keystile_replica::{Outcome, Refused};
use keystile_token::{Answer, Reason};

/// Why a stream ends before its service ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Its token is good no more: it has expired, its key or its lineage was revoked, its key was retired.
    Rejected(Reason),
    /// Nobody can know: the keyring could not be confirmed for too long.
    Unavailable,
}

impl Ended {
    /// What a request with the token would be told now.
    pub fn answer(self) -> Answer {
        match self {
            Self::Rejected(reason) => Answer { text: reason.text().into(), ..Refused::Absent.answer() },
            Self::Unavailable => Answer::UNAVAILABLE,
        }
    }

    /// The word for it, as in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rejected(reason) => reason.as_str(),
            Self::Unavailable => "unavailable",
        }
    }

    /// What an outcome that is not a good token means for a stream.
    pub(crate) fn by(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Accepted(_) => None,
            Outcome::Rejected(rejection) => Some(Self::Rejected(rejection.reason)),
            // A keyring of another issuer came into force.
            Outcome::NotOurs => Some(Self::Rejected(Reason::WrongIssuer)),
            Outcome::Unavailable => Some(Self::Unavailable),
        }
    }
}

/// The error in which a body ends whose token is good no more. It is the service's and the server's to see: what a
/// caller sees of it is a body that breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream ended with its token ({}); the caller must open another with a fresh one", .0.as_str())]
pub struct StreamEnded(pub Ended);
