//! What the caller outside is told: one gRPC code, HTTP status and text for each reason.

use std::borrow::Cow;

use crate::claims::{ClaimFault, FaultKind};
use crate::reason::Reason;
use crate::verdict::Rejection;

/// Status codes of gRPC, by their numbers on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum GrpcCode {
    /// `INVALID_ARGUMENT`
    InvalidArgument = 3,
    /// `UNAVAILABLE`
    Unavailable = 14,
    /// `UNAUTHENTICATED`
    Unauthenticated = 16,
}

/// What the caller is told. Never more than it may know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The gRPC code.
    pub grpc: GrpcCode,
    /// The HTTP status.
    pub http: u16,
    /// The text.
    pub text: Cow<'static, str>,
}

impl Answer {
    /// The answer where nothing that authenticates is left to try.
    pub const NOT_OURS: Self = Self::unauthenticated("missing authorization header");

    /// The answer where the keyring cannot be confirmed: the caller may try again.
    pub const UNAVAILABLE: Self = Self {
        grpc: GrpcCode::Unavailable,
        http: 503,
        text: Cow::Borrowed("signing keys cannot be confirmed; try again"),
    };

    pub(crate) const fn unauthenticated(text: &'static str) -> Self {
        Self { grpc: GrpcCode::Unauthenticated, http: 401, text: Cow::Borrowed(text) }
    }
}

impl Rejection {
    /// The answer to the caller whose token was refused: OpenShell's texts where it has one.
    pub fn answer(&self) -> Answer {
        match self.fault {
            Some(fault) => Answer { text: fault.text(), ..Answer::unauthenticated("") },
            None => Answer::unauthenticated(self.reason.text()),
        }
    }
}

impl Reason {
    /// What an alarm with this reason may mean, the likeliest first. `adopted`: the key was taken over, and what it
    /// had signed before is the operator's word.
    pub fn suspicion(self, adopted: bool) -> &'static str {
        match self {
            Self::LifetimeExceedsPolicy if adopted => {
                "a token with a good signature lives longer than the --longest-token that was given when its key was \
                 adopted: if such tokens are out, raise token_ttl to their lifetime once; if not, the key may be \
                 stolen; see keystile revoke"
            }
            Self::NeverExpiresNotAllowed if adopted => {
                "a token with a good signature never expires, which the --longest-token that was given when its key was \
                 adopted rules out: if such tokens are out, set token_ttl to 0 once; if not, the key may be stolen; see \
                 keystile revoke"
            }
            _ => {
                "a token with a good signature that no replica made: the key may be stolen; see keystile revoke"
            }
        }
    }

    /// The text that the caller outside is told.
    pub fn text(self) -> &'static str {
        match self {
            Self::Malformed
            | Self::TooLarge
            | Self::WrongType
            | Self::MissingKid
            | Self::AlgMismatch
            | Self::MissingClaim
            | Self::LineageInvalid => "invalid token",
            Self::ExtensionToken => "extension tokens cannot authenticate to the gateway",
            Self::UnknownKid
            | Self::RetiredKey
            | Self::RevokedKey
            | Self::KeyNotActive
            | Self::SignedBeforeActivation
            | Self::SignedAfterSupersession
            | Self::LifetimeExceedsPolicy
            | Self::NeverExpiresNotAllowed
            | Self::LineageRevoked => "signing key not accepted",
            Self::BadSignature => "invalid token: InvalidSignature",
            Self::WrongIssuer => "invalid token: InvalidIssuer",
            Self::WrongAudience => "invalid token: InvalidAudience",
            Self::Expired => "invalid token: ExpiredSignature",
            Self::IssuedInFuture => "invalid token: ImmatureSignature",
            Self::SubjectMismatch => "invalid token: InvalidSubject",
            Self::LineageTooOld => "token lineage too old: bootstrap again",
        }
    }
}

impl ClaimFault {
    fn text(self) -> Cow<'static, str> {
        let claim = self.claim.as_str();
        Cow::Owned(match self.kind {
            FaultKind::Missing => format!("invalid token: JSON error: missing field `{claim}`"),
            FaultKind::WrongType => format!("invalid token: JSON error: invalid type of `{claim}`"),
            FaultKind::OutOfRange => format!("invalid token: Missing required claim: {claim}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_cause_of_an_alarm_comes_first() {
        for reason in [Reason::LifetimeExceedsPolicy, Reason::NeverExpiresNotAllowed] {
            assert!(reason.suspicion(true).contains("--longest-token"));
            assert!(!reason.suspicion(false).contains("--longest-token"));
        }
        assert!(!Reason::SignedAfterSupersession.suspicion(true).contains("--longest-token"));
        assert!(Reason::ALL.iter().all(|reason| reason.suspicion(true).contains("keystile revoke")));
    }
}
