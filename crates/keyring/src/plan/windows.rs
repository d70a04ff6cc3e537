//! The bounds that a superseded key carries: set once, moved only with the tokens they follow from.

use crate::manifest::{Key, Lifetime, Manifest, Superseded};
use crate::policy::{Maxima, Policy};
use crate::time::UnixTime;

/// Bounds every key whose last active period ends elsewhere than `before`, and frees those that sign
/// again. `custody` is how long a private key superseded now is kept; `None` is as policy says.
pub(super) fn bound(
    next: &mut Manifest,
    before: &Manifest,
    maxima: Maxima,
    custody: Option<u64>,
    now: UnixTime,
) {
    let policy = next.policy.clone();
    let ends: Vec<_> = next.keys.iter().map(|key| next.last_period_end(&key.kid)).collect();
    let signs_again: Vec<_> = next
        .keys
        .iter()
        .map(|key| next.activations(&key.kid).count() != before.activations(&key.kid).count())
        .collect();
    for ((key, end), signs_again) in next.keys.iter_mut().zip(ends).zip(signs_again) {
        let unchanged = before.last_period_end(&key.kid) == end && key.superseded.is_some() == end.is_some();
        // What has ended stays as it ended, also when its successor's entries go with their key.
        let over = key.superseded.is_some_and(|superseded| superseded.at <= now) && !signs_again;
        if key.revoked.is_some() || unchanged || over {
            continue;
        }
        key.superseded = end.map(|at| ending(key, at, maxima, &policy, custody));
    }
}

/// The bounds of a key whose last active period ends `at`.
pub(super) fn ending(
    key: &Key,
    at: UnixTime,
    maxima: Maxima,
    policy: &Policy,
    custody: Option<u64>,
) -> Superseded {
    let custody = custody.unwrap_or(policy.rollback_custody.max(maxima.skew));
    let last_iat = at.plus(maxima.staleness + maxima.skew + policy.commit_delay);
    let accept_until = key.bounded_lifetime().map(|longest| last_iat.plus(longest).plus(policy.leeway));
    Superseded { at, last_iat, accept_until, custody_until: at.plus(custody) }
}

/// Raises what a key may have put on a token to what `ttl` lets it; never lowers it.
pub(super) fn raise_lifetime(key: &mut Key, ttl: u64) {
    if ttl == 0 {
        key.never_expires = true;
    } else {
        key.longest_token = key.longest_token.max(Lifetime::Bounded(ttl));
    }
}

/// Moves the end of a key's window with the tokens that it follows from; never brings it forward. An
/// end that an operator set before those of `before` stays where it is.
pub(super) fn move_end(key: &mut Key, before: &Key, leeway: u64) {
    let unbounded = before.bounded_lifetime().is_some() && key.bounded_lifetime().is_none();
    let (Lifetime::Bounded(former), Lifetime::Bounded(longest)) = (before.longest_token, key.longest_token)
    else {
        return;
    };
    let Some((bounds, was)) = key.superseded.as_mut().zip(before.superseded) else {
        return;
    };
    let set_by_hand = was.accept_until.is_some_and(|until| until < was.last_iat.plus(former));
    if set_by_hand {
        return;
    }
    let end = bounds.last_iat.plus(longest).plus(leeway);
    let moved = bounds.last_iat > was.last_iat || longest > former;
    if unbounded {
        bounds.accept_until = None;
    } else if moved {
        bounds.accept_until = bounds.accept_until.map(|until| until.max(end));
    }
}
