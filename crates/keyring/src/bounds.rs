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
        self.breaches(Some(key), times, now).next().map_or(Ok(()), Err)
    }

    /// Every bound that a token with these times breaks at `now`; the first is the one that counts.
    /// Without a key, only the bounds that hold whatever the key.
    pub fn breaches(
        &self,
        key: Option<&Key>,
        times: TokenTimes,
        now: UnixTime,
    ) -> impl Iterator<Item = Breach> {
        let TokenTimes { issued_at, expires_at, lineage_began } = times;
        let state = key.map(|key| self.state_of(key, now));
        let dead = match state {
            Some(KeyState::Revoked) => Some(Breach::KeyRevoked),
            Some(KeyState::Retired) => Some(Breach::KeyRetired),
            Some(KeyState::Prepared | KeyState::Active | KeyState::VerifyOnly) | None => None,
        };
        let expired = expires_at.is_some_and(|expires_at| now > expires_at.plus(self.policy.leeway));
        let in_future = issued_at > now.plus(self.policy.max_skew);
        let early = key.is_some_and(|key| {
            let first = self.first_activation(&key.kid);
            first.is_none_or(|first| issued_at < first.minus(self.policy.max_skew))
        });
        let superseded = key.filter(|_| state == Some(KeyState::VerifyOnly)).and_then(|key| key.superseded);
        let late = superseded.is_some_and(|bounds| issued_at > bounds.last_iat);
        let endless = key.is_some_and(|key| expires_at.is_none() && !key.never_expires);
        let long = key
            .zip(expires_at)
            .is_some_and(|(key, expires_at)| !key.longest_token.allows(expires_at.since(issued_at)));
        let descends = self.lineage_floor.is_some_and(|floor| lineage_began <= floor);
        let of_times = [
            expired.then_some(Breach::Expired),
            in_future.then_some(Breach::IssuedInFuture),
            early.then_some(Breach::SignedBeforeActivation),
            late.then_some(Breach::SignedAfterSupersession),
            endless.then_some(Breach::NeverExpires),
            long.then_some(Breach::LifetimeExceedsPolicy),
            descends.then_some(Breach::LineageRevoked),
        ];
        dead.into_iter().chain(of_times.into_iter().flatten())
    }
}
