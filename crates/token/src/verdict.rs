//! The closed answer to "may this token in?".

use keystile_keyring::{KeyState, Kid, UnixTime};

use crate::claims::{ClaimFault, Claims};
use crate::reason::Reason;
use crate::sandbox_id::SandboxId;

/// The verdict on a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<C = Claims> {
    /// It is good now.
    Accepted(Accepted<C>),
    /// Another issuer's token that names no key of ours: another authenticator may look at it. A
    /// token of our issuer, or with a kid of ours, never gets this (invariant I10).
    NotOurs,
    /// It is refused.
    Rejected(Rejection),
    /// It would be refused, for a reason that a newer generation could change, and the store could
    /// not be read.
    Unavailable(Rejection),
}

/// A token that is good now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<C = Claims> {
    /// What it says.
    pub claims: C,
    /// The key that signed it.
    pub kid: Kid,
    /// The key's state.
    pub state: KeyState,
}

/// Why a token is refused: for the log and the metrics. The caller gets [`Rejection::answer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The first rule that it breaks.
    pub reason: Reason,
    /// Which claim is at fault, where one is.
    pub fault: Option<ClaimFault>,
    /// The kid that it names: safe to print, and not to be believed.
    pub kid: Option<Kid>,
    /// The sandbox that it names; given only if its signature is good.
    pub sandbox_id: Option<SandboxId>,
    /// What is known of its signature.
    pub signature: Signature,
    /// Somebody other than a replica has signed with our key: raise the alarm, once the rejection is
    /// final (after the store was read again, where [`Rejection::reread`] asks for it).
    pub alarm: bool,
    /// The store should be read again before this is final: a newer generation could change every
    /// rule that the token breaks. Never set if the kid is known and the signature is not good.
    pub reread: bool,
}

/// What is known of a token's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signature {
    /// Nobody looked: another rule came first, or the key is not known.
    NotChecked,
    /// It is the key's.
    Good,
    /// It is not the key's.
    Bad,
}

/// What the caller knows about the keyring that it verifies with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circumstance {
    /// Nothing special: what is refused is refused, [`Rejection::reread`] tells whether to read again.
    Usual,
    /// The store was to be read again for this token, and could not be.
    StoreUnreadable {
        /// The instant up to which the keyring is known to have been the newest.
        confirmed_at: UnixTime,
    },
}

impl<C> Verdict<C> {
    /// Whether the token is good.
    pub fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }

    /// The reason, if the token is refused.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Rejected(rejection) | Self::Unavailable(rejection) => Some(rejection.reason),
            Self::Accepted(_) | Self::NotOurs => None,
        }
    }
}
