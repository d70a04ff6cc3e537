//! When to act, as pure functions of lives, failures and dice.

use std::time::Duration;

use crate::config::Timing;
use crate::dice::Dice;

/// How long after it was issued a token is renewed. `life` is `None` if it never expires.
pub(crate) fn renewal_after(life: Option<Duration>, timing: &Timing, dice: &Dice) -> Duration {
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
pub(crate) fn exchange_after(left: Option<Duration>, timing: &Timing, dice: &Dice) -> Duration {
    let spread = left.map_or(timing.start_spread, |left| timing.start_spread.min(left / 2));
    dice.between(Duration::ZERO, spread)
}

/// Waits between attempts: they grow, are random, and are bounded on both sides.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure: uniform from `first` to the bound that doubles with each failure up to
    /// `max`.
    pub(crate) fn next(&mut self, first: Duration, max: Duration, dice: &Dice) -> Duration {
        self.failures = self.failures.saturating_add(1);
        let bound = first.saturating_mul(2_u32.saturating_pow(self.failures)).min(max);
        dice.between(first.min(max), bound)
    }

    /// Forgets the failures.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Bounds the renewals that rejected calls force.
///
/// A token that is rejected again right after it was renewed will not be mended by renewing faster: something
/// that is not its age is wrong.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ForcedGate {
    last: Option<Duration>,
    streak: u32,
}

impl ForcedGate {
    /// The longest streak that still lengthens the wait.
    const STREAK_MAX: u32 = 5;

    /// When the next forced renewal may begin, by the clock that counts uptime.
    pub(crate) fn ready_at(&self, interval: Duration) -> Duration {
        self.last.map_or(Duration::ZERO, |last| last.saturating_add(self.gap(interval)))
    }

    /// Notes that a forced renewal begins.
    pub(crate) fn pass(&mut self, now: Duration, interval: Duration) {
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
