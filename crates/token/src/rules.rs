//! The rules on a token's instants, each a function of its own (design section 3).

use keystile_keyring::manifest::Lifetime;
use keystile_keyring::{Key, KeyState, Manifest, Policy, UnixTime};

use crate::judge::Times;
use crate::reason::Reason;

/// What may stand on a token of one key.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) longest: Lifetime,
    pub(crate) never_expires: bool,
}

impl Limits {
    /// What the key may have signed, by the manifest.
    pub(crate) fn of(key: &Key) -> Self {
        Self { longest: key.longest_token, never_expires: key.never_expires }
    }

    /// The same if the key was activated under today's policy by a generation that is not known here.
    pub(crate) fn once_active(self, policy: &Policy) -> Self {
        if policy.mints_forever() {
            return Self { never_expires: true, ..self };
        }
        Self { longest: self.longest.max(Lifetime::Bounded(policy.token_ttl)), ..self }
    }
}

/// `exp` with leeway: the instant `exp + leeway` itself is still good.
pub(crate) fn expired(policy: &Policy, times: &Times, now: UnixTime) -> Option<Reason> {
    let expired = times.expires_at.is_some_and(|exp| now > exp.plus(policy.leeway));
    expired.then_some(Reason::Expired)
}

/// `iat` may be ahead by the bound between any two clocks.
pub(crate) fn issued_in_future(policy: &Policy, times: &Times, now: UnixTime) -> Option<Reason> {
    (times.issued_at > now.plus(policy.max_skew)).then_some(Reason::IssuedInFuture)
}

/// The key must have been signing at `iat`, by some clock within bounds.
pub(crate) fn activation(manifest: &Manifest, key: &Key, times: &Times) -> Option<Reason> {
    match manifest.first_activation(&key.kid) {
        None => Some(Reason::KeyNotActive),
        Some(first) if times.issued_at < first.minus(manifest.policy.max_skew) => {
            Some(Reason::SignedBeforeActivation)
        }
        Some(_) => None,
    }
}

/// A verify-only key's tokens are as old as its bound says.
pub(crate) fn supersession(key: &Key, state: KeyState, times: &Times) -> Option<Reason> {
    let late = key.superseded.is_some_and(|superseded| times.issued_at > superseded.last_iat);
    (state == KeyState::VerifyOnly && late).then_some(Reason::SignedAfterSupersession)
}

/// The token must not live longer than any that the key may have signed.
pub(crate) fn lifetime(limits: Limits, times: &Times) -> Option<Reason> {
    match times.expires_at {
        None => (!limits.never_expires).then_some(Reason::NeverExpiresNotAllowed),
        Some(exp) => {
            let allowed = limits.longest.allows(exp.since(times.issued_at));
            (!allowed).then_some(Reason::LifetimeExceedsPolicy)
        }
    }
}

/// Lineages that began at or before the floor are refused, whatever key signed the token.
pub(crate) fn lineage_floor(manifest: &Manifest, times: &Times) -> Option<Reason> {
    let revoked = manifest.lineage_floor.is_some_and(|floor| times.began <= floor);
    revoked.then_some(Reason::LineageRevoked)
}

/// A chain of refreshes must not grow older than policy allows.
pub(crate) fn lineage_age(policy: &Policy, began: UnixTime, now: UnixTime) -> Option<Reason> {
    let too_old = policy.max_lineage_age.is_some_and(|longest| now.since(began) > longest);
    too_old.then_some(Reason::LineageTooOld)
}
