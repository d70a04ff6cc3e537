//! A sandbox and the state of its supervisor: small, for there may be a million.

use keystile_supervisor::schedule::{Backoff, ForcedGate};
use serde::Serialize;

use crate::moment::Moment;
use crate::token::Token;

/// How a sandbox gets its first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// From any gateway, for its client certificate.
    Certificate,
    /// From any gateway, which asks the API server (TokenReview).
    ServiceAccount,
    /// From a file that the operator writes.
    File,
}

impl Source {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Certificate, Self::ServiceAccount, Self::File];

    /// It in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "client certificate",
            Self::ServiceAccount => "ServiceAccount",
            Self::File => "token file",
        }
    }
}

/// A sandbox with its supervisor. There is always a token; whether it is of use is another question.
#[derive(Clone, Debug)]
pub(crate) struct Sandbox {
    pub(crate) forced: ForcedGate,
    pub(crate) token: Token,
    /// When the token ends, or was found rejected.
    pub(crate) usable_until: Moment,
    /// When the supervisor acts next.
    pub(crate) due: Moment,
    pub(crate) backoff: Backoff,
    pub(crate) stranded: Backoff,
    pub(crate) source: Source,
    pub(crate) state: State,
    /// Whether an order of the operator's ended the token.
    pub(crate) by_order: bool,
    /// Whether a token that nobody has refused lies in the file.
    pub(crate) file_is_new: bool,
}

/// What the supervisor is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It holds a token, and renews it in time.
    Settled,
    /// Its last attempt failed; it tries again.
    Waiting,
    /// Its token was refused: it must bootstrap.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_sandboxes_fit_in_64_mb() {
        assert!(size_of::<Sandbox>() <= 64, "{}", size_of::<Sandbox>());
    }
}
