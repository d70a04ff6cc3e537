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
        // A lowered max_skew counts in full for as long as tokens of the former one may be young.
        let skew = self.maxima(now).skew;
        let in_future = issued_at > now.plus(skew);
        let early = key.is_some_and(|key| {
            let first = self.first_activation(&key.kid);
            first.is_none_or(|first| issued_at < first.minus(skew))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Lifetime, Revoked};
    use crate::policy::PolicyBefore;
    use crate::testing::{at, kid, ring_of};

    /// A token of the usual lifetime, minted at `iat`.
    fn token(iat: u64) -> TokenTimes {
        TokenTimes { issued_at: at(iat), expires_at: Some(at(iat + 100)), lineage_began: at(iat) }
    }

    fn admit(manifest: &Manifest, name: &str, times: TokenTimes, now: u64) -> Result<(), Breach> {
        manifest.admit(manifest.key(&kid(name)).unwrap(), times, at(now))
    }

    /// `a` signed from 1000 to 2000, `b` since; TTL 100, leeway 10, skew 5, last_iat of `a` 2075.
    fn ring() -> Manifest {
        ring_of(&[("a", 1000), ("b", 2000)])
    }

    #[test]
    fn a_token_expires_after_exp_and_the_leeway() {
        assert_eq!(admit(&ring(), "b", token(2100), 2210), Ok(()));
        assert_eq!(admit(&ring(), "b", token(2100), 2211), Err(Breach::Expired));
    }

    #[test]
    fn a_token_may_be_as_far_ahead_as_clocks_differ() {
        assert_eq!(admit(&ring(), "b", token(2105), 2100), Ok(()));
        assert_eq!(admit(&ring(), "b", token(2106), 2100), Err(Breach::IssuedInFuture));
    }

    #[test]
    fn a_key_signs_from_its_first_activation_on_any_clock() {
        assert_eq!(admit(&ring(), "b", token(1995), 1995), Ok(()), "still prepared by this clock");
        assert_eq!(admit(&ring(), "b", token(1994), 1995), Err(Breach::SignedBeforeActivation));
        let mut manifest = ring();
        manifest.timeline.truncate(1);
        assert_eq!(admit(&manifest, "b", token(2100), 2100), Err(Breach::SignedBeforeActivation));
    }

    #[test]
    fn a_superseded_key_signs_until_its_last_iat() {
        assert_eq!(admit(&ring(), "a", token(2075), 2080), Ok(()));
        assert_eq!(admit(&ring(), "a", token(2076), 2080), Err(Breach::SignedAfterSupersession));
        assert_eq!(admit(&ring_of(&[("a", 1000), ("b", 2000), ("a", 2010)]), "a", token(2076), 2080), Ok(()));
    }

    #[test]
    fn a_key_verifies_to_the_last_second_of_its_window() {
        let mut manifest = ring();
        manifest.keys[0].longest_token = Lifetime::Bounded(110);
        let long = TokenTimes { expires_at: Some(at(2185)), ..token(2075) };
        assert_eq!(admit(&manifest, "a", long, 2185), Ok(()));
        assert_eq!(admit(&manifest, "a", long, 2186), Err(Breach::KeyRetired));
    }

    /// The bound on lifetimes holds for active keys too.
    #[test]
    fn a_token_lives_as_long_as_its_key_may_have_signed() {
        let lives = |seconds, iat| TokenTimes { expires_at: Some(at(iat + seconds)), ..token(iat) };
        for (name, iat) in [("a", 1990), ("b", 2010)] {
            assert_eq!(admit(&ring(), name, lives(100, iat), 2010), Ok(()));
            assert_eq!(admit(&ring(), name, lives(101, iat), 2010), Err(Breach::LifetimeExceedsPolicy));
        }
        let mut manifest = ring();
        manifest.keys[1].longest_token = Lifetime::Unbounded;
        assert_eq!(admit(&manifest, "b", lives(9_999_999, 2010), 2010), Ok(()));
    }

    #[test]
    fn a_token_that_never_expires_needs_a_key_that_signed_such() {
        let forever = TokenTimes { expires_at: None, ..token(2010) };
        assert_eq!(admit(&ring(), "b", forever, 2010), Err(Breach::NeverExpires));
        let mut manifest = ring();
        manifest.keys[1].never_expires = true;
        assert_eq!(admit(&manifest, "b", forever, 2_000_000_000), Ok(()));
    }

    #[test]
    fn a_lineage_at_the_floor_is_refused_whatever_the_key() {
        let mut manifest = ring();
        manifest.lineage_floor = Some(at(1500));
        let of_lineage = |began| TokenTimes { lineage_began: at(began), ..token(2010) };
        assert_eq!(admit(&manifest, "b", of_lineage(1500), 2010), Err(Breach::LineageRevoked));
        assert_eq!(admit(&manifest, "b", of_lineage(1501), 2010), Ok(()));
    }

    #[test]
    fn a_revoked_key_is_refused_before_anything_else() {
        let mut manifest = ring();
        manifest.keys[0].revoked = Some(Revoked { at: at(2050), reason: "lost".to_owned() });
        assert_eq!(admit(&manifest, "a", token(9000), 2010), Err(Breach::KeyRevoked));
    }

    #[test]
    fn a_lowered_max_skew_counts_in_full_for_a_while() {
        let mut manifest = ring();
        manifest.policy_before =
            Some(PolicyBefore { staleness: 50, skew: 30, verifier_cache: 40, until: at(2100) });
        assert_eq!(admit(&manifest, "b", token(2130), 2100), Ok(()));
        assert_eq!(admit(&manifest, "b", token(2130), 2101), Err(Breach::IssuedInFuture));
    }

    #[test]
    fn every_breach_is_listed_in_the_order_that_counts() {
        let mut manifest = ring();
        manifest.lineage_floor = Some(at(5000));
        let key = manifest.key(&kid("a")).unwrap();
        let times = TokenTimes { expires_at: Some(at(2200)), ..token(2090) };
        let breaches: Vec<_> = manifest.breaches(Some(key), times, at(2300)).collect();
        assert_eq!(
            breaches,
            [Breach::KeyRetired, Breach::Expired, Breach::LifetimeExceedsPolicy, Breach::LineageRevoked],
            "a retired key has no last_iat any more"
        );
        let without_key: Vec<_> = manifest.breaches(None, times, at(2300)).collect();
        assert_eq!(without_key, [Breach::Expired, Breach::LineageRevoked]);
    }

    /// Instants at the ends of their range neither overflow nor open a hole.
    #[test]
    fn extreme_times_are_judged_without_overflow() {
        for seconds in [0, 1, u64::MAX - 1, u64::MAX] {
            for now in [0, 2010, u64::MAX] {
                let times = TokenTimes {
                    issued_at: at(seconds),
                    expires_at: Some(at(u64::MAX - seconds)),
                    lineage_began: at(seconds),
                };
                assert!(admit(&ring(), "b", times, now).is_err(), "{seconds} at {now}");
            }
        }
    }
}
