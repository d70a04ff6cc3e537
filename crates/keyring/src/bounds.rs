//! The bounds that the keyring puts on a token's times: the one place of these rules.
//!
//! They apply after the signature was found good. What a breach means: a token that violates a bound
//! of its key is what a careless thief makes.

use crate::manifest::{Key, Manifest};
use crate::state::KeyState;
use crate::time::UnixTime;

/// The instants that a token carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenTimes {
    /// `iat`: when it was minted.
    pub issued_at: UnixTime,
    /// `exp`; `None` for `exp = 0`, which never expires.
    pub expires_at: Option<UnixTime>,
    /// When its chain of refreshes began; a token that does not say began with its own `iat`.
    pub lineage_began: UnixTime,
}

/// Which bound a token breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Breach {
    /// Its key verifies nothing at this instant.
    KeyRetired,
    /// Its key was revoked.
    KeyRevoked,
    /// `exp` and the leeway have passed.
    Expired,
    /// `iat` lies more than max_skew ahead.
    IssuedInFuture,
    /// Its key has no activation, or one more than max_skew after `iat`.
    SignedBeforeActivation,
    /// `iat` is after the last instant at which any replica could sign with the key.
    SignedAfterSupersession,
    /// It lives longer than anything that its key may have signed.
    LifetimeExceedsPolicy,
    /// It never expires, and its key never signed such.
    NeverExpires,
    /// Its lineage began at or before the floor that a revocation set.
    LineageRevoked,
}

impl Manifest {
    /// Whether a well-signed token of `key` with these times is accepted at `now`.
    pub fn admit(&self, key: &Key, times: TokenTimes, now: UnixTime) -> Result<(), Breach> {
        let state = self.state_of(key, now);
        match state {
            KeyState::Revoked => return Err(Breach::KeyRevoked),
            KeyState::Retired => return Err(Breach::KeyRetired),
            KeyState::Prepared | KeyState::Active | KeyState::VerifyOnly => {}
        }
        let TokenTimes { issued_at, expires_at, lineage_began } = times;
        if expires_at.is_some_and(|expires_at| now > expires_at.plus(self.policy.leeway)) {
            return Err(Breach::Expired);
        }
        if issued_at > now.plus(self.policy.max_skew) {
            return Err(Breach::IssuedInFuture);
        }
        let first = self.first_activation(&key.kid);
        if first.is_none_or(|first| issued_at < first.minus(self.policy.max_skew)) {
            return Err(Breach::SignedBeforeActivation);
        }
        if state == KeyState::VerifyOnly && key.superseded.is_some_and(|bounds| issued_at > bounds.last_iat) {
            return Err(Breach::SignedAfterSupersession);
        }
        match expires_at {
            None if !key.never_expires => return Err(Breach::NeverExpires),
            Some(expires_at) if !key.longest_token.allows(expires_at.since(issued_at)) => {
                return Err(Breach::LifetimeExceedsPolicy);
            }
            _ => {}
        }
        if self.lineage_floor.is_some_and(|floor| lineage_began <= floor) {
            return Err(Breach::LineageRevoked);
        }
        Ok(())
    }
}
