//! When to act, as pure functions of lives, failures and dice: what [`crate::Supervisor`] runs by, and what a
//! simulation of a fleet asks.

use std::time::Duration;

use crate::config::Timing;
use crate::dice::Dice;

/// How long after it was issued a token is renewed. `life` is `None` if it never expires.
pub fn renewal_after(life: Option<Duration>, timing: &Timing, dice: &Dice) -> Duration {
    let longest = timing.longest_interval;
    let at_longest = dice.between(longest.mul_f64(0.75), longest);
    match life {
        Some(life) => {
            dice.between(life.mul_f64(timing.renew_from), life.mul_f64(timing.renew_to)).min(at_longest)
        }
        None => at_longest,
    }
}

/// How long after its adoption a token of unknown age is exchanged. `left` is what its `exp` leaves; `None` if
/// that is unknown or never.
pub fn exchange_after(left: Option<Duration>, timing: &Timing, dice: &Dice) -> Duration {
    let spread = left.map_or(timing.start_spread, |left| timing.start_spread.min(left / 2));
    dice.between(Duration::ZERO, spread)
}

/// How long an attempt may take while there are more gateways to ask: `longest`, but not so long that what is
/// `left` of the token's life would not do for the next one. `None` if nothing is left, or the token never ends:
/// then there is nothing to hurry for.
pub fn attempt_within(longest: Duration, left: Option<Duration>) -> Duration {
    left.map_or(longest, |left| (left / 2).max(longest / LEAST_SHARE).min(longest))
}

/// A gateway is given this part of the time that one may take, however short the token's life.
const LEAST_SHARE: u32 = 4;

/// Waits between attempts: they grow, are random, and are bounded on both sides.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: uniform from `first` to the bound that doubles with each failure up to
    /// `max`.
    pub fn next(&mut self, first: Duration, max: Duration, dice: &Dice) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let bound = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(max);
        dice.between(first.min(max), bound)
    }

    /// Forgets the failures.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Bounds the renewals that rejected calls force.
///
/// A token that is rejected again right after it was renewed will not be mended by renewing faster: something
/// that is not its age is wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct ForcedGate {
    last: Option<Duration>,
    streak: u32,
}

impl ForcedGate {
    /// The longest streak that still lengthens the wait.
    const STREAK_MAX: u32 = 5;

    /// When the next forced renewal may begin, by the clock that counts uptime.
    pub fn ready_at(&self, interval: Duration) -> Duration {
        self.last.map_or(Duration::ZERO, |last| last.saturating_add(self.gap(interval)))
    }

    /// Notes that a forced renewal begins.
    pub fn pass(&mut self, now: Duration, interval: Duration) {
        // A token that lived twice the gap without being rejected ends the streak.
        let calm = self.gap(interval).saturating_mul(2);
        let in_streak = self.last.is_some_and(|last| now.saturating_sub(last) <= calm);
        self.streak = if in_streak { (self.streak + 1).min(Self::STREAK_MAX) } else { 0 };
        self.last = Some(now);
    }

    fn gap(&self, interval: Duration) -> Duration {
        interval.saturating_mul(2_u32.saturating_pow(self.streak))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use keystile_system::{Entropy, EntropyError};
    use proptest::prelude::*;

    use super::*;

    /// splitmix64.
    struct Seeded(AtomicU64);

    impl Entropy for Seeded {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
            for byte in bytes {
                let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                *byte = z.to_be_bytes()[0];
            }
            Ok(())
        }
    }

    struct Broken;

    impl Entropy for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }

    fn dice(seed: u64) -> Dice {
        Dice::new(Arc::new(Seeded(AtomicU64::new(seed))))
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// 5,000 renewal points by the second; and how many the busiest second has.
    fn fleet(life: Option<Duration>) -> (BTreeMap<u64, u32>, u32) {
        let dice = dice(46);
        let mut seconds = BTreeMap::new();
        for _ in 0..5000 {
            *seconds.entry(renewal_after(life, &Timing::default(), &dice).as_secs()).or_default() += 1;
        }
        let busiest = seconds.values().copied().max().unwrap_or_default();
        (seconds, busiest)
    }

    /// No second sees more than 0.4 % of a fleet whose tokens live an hour: a mean of 5.6, at most 20.
    #[test]
    fn t46_an_hours_tokens_are_renewed_over_a_quarter_of_an_hour() {
        let (seconds, busiest) = fleet(Some(s(3600)));
        assert!(seconds.keys().all(|second| (2160..3060).contains(second)));
        assert!(busiest <= 20, "{busiest} in one second");

        // Uniform: each tenth of the window has its tenth, within five standard deviations.
        let mut tenths = [0; 10];
        for (second, count) in &seconds {
            tenths[usize::try_from((second - 2160) / 90).unwrap()] += count;
        }
        assert!(tenths.iter().all(|count| (394..=606).contains(count)), "{tenths:?}");
    }

    /// At most 0.2 % in a second: a mean of 0.9, at most 10.
    #[test]
    fn t46_tokens_that_never_expire_are_renewed_over_an_hour_and_a_half() {
        let (seconds, busiest) = fleet(None);
        assert!(seconds.keys().all(|second| (16_200..21_600).contains(second)));
        assert!(busiest <= 10, "{busiest} in one second");
    }

    #[test]
    fn long_lives_are_renewed_as_often_as_endless_ones() {
        let (seconds, _) = fleet(Some(s(30 * 24 * 3600)));
        assert!(seconds.keys().all(|second| (16_200..21_600).contains(second)));
    }

    #[test]
    fn a_given_token_is_exchanged_before_half_of_what_is_left() {
        let dice = dice(1);
        let timing = Timing::default();
        for _ in 0..1000 {
            assert!(exchange_after(None, &timing, &dice) < s(10));
            assert!(exchange_after(Some(s(3600)), &timing, &dice) < s(10));
            assert!(exchange_after(Some(s(6)), &timing, &dice) < s(3));
            assert_eq!(exchange_after(Some(s(0)), &timing, &dice), s(0));
        }
    }

    #[test]
    fn without_randomness_renewal_still_happens_in_time() {
        let dice = Dice::new(Arc::new(Broken));
        assert_eq!(renewal_after(Some(s(1000)), &Timing::default(), &dice), s(725));
        assert_eq!(dice.index(3), 0);
        assert_eq!(dice.index(0), 0);
    }

    #[test]
    fn a_forced_renewal_comes_at_once_and_the_next_ones_later_and_later() {
        let mut gate = ForcedGate::default();
        assert_eq!(gate.ready_at(s(1)), s(0));
        let mut now = s(100);
        let mut gaps = Vec::new();
        for _ in 0..8 {
            gate.pass(now, s(1));
            let ready = gate.ready_at(s(1));
            gaps.push(ready.saturating_sub(now).as_secs());
            now = ready;
        }
        assert_eq!(gaps, [1, 2, 4, 8, 16, 32, 32, 32]);
        // A token that was accepted for a while ends the streak.
        gate.pass(now.saturating_add(s(65)), s(1));
        assert_eq!(gate.ready_at(s(1)).saturating_sub(now), s(66));
    }

    #[test]
    fn an_attempt_leaves_half_of_a_life_and_has_a_least_time() {
        assert_eq!(attempt_within(s(10), None), s(10));
        assert_eq!(attempt_within(s(10), Some(s(540))), s(10));
        assert_eq!(attempt_within(s(10), Some(s(9))), Duration::from_millis(4500));
        assert_eq!(attempt_within(s(10), Some(s(1))), Duration::from_millis(2500));
    }

    proptest! {
        #[test]
        fn a_renewal_falls_in_its_window(life in 0_u64..400_000_000_000, seed: u64, a in 0.0..1.0, b in 0.0..1.0) {
            let timing = Timing { renew_from: f64::min(a, b), renew_to: f64::max(a, b), ..Timing::default() };
            let life = s(life);
            let at = renewal_after(Some(life), &timing, &dice(seed));
            prop_assert!(at <= life && at <= timing.longest_interval);
            if life < s(3600) {
                prop_assert!(at >= life.mul_f64(timing.renew_from));
                prop_assert!(at <= life.mul_f64(timing.renew_to));
            }
        }

        #[test]
        fn a_backoff_never_leaves_its_bounds(seed: u64, first in 1_u64..10_000, max in 1_u64..100_000, count in 1..80) {
            let (first, max) = (Duration::from_millis(first), Duration::from_millis(max));
            let mut backoff = Backoff::default();
            let dice = dice(seed);
            for _ in 0..count {
                let wait = backoff.next(first, max, &dice);
                prop_assert!(wait >= first.min(max) && wait <= max);
            }
            backoff.reset();
            prop_assert!(backoff.next(first, max, &dice) <= (first * 2).min(max));
        }
    }
}
