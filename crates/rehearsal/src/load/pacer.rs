//! How fast the load goes: as fast as the machine answers without delay, and no faster.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_system::Clock;

/// Answers that take longer than this on average mean that the machine is full.
const FULL: Duration = Duration::from_millis(6);
/// A sleep that ends this much late means it too.
const LATE: Duration = Duration::from_millis(15);
/// How often the pace is set anew.
const INTERVAL: Duration = Duration::from_millis(100);
/// The shortest pause of one caller between two calls.
const SHORTEST: Duration = Duration::from_millis(2);
/// The longest, of so few callers that all together still call often enough to see what happens.
const LONGEST: Duration = Duration::from_millis(250);
/// What each caller more adds to it: a large fleet must not call more often than the machine can answer.
const EACH: Duration = Duration::from_millis(1);

/// The pause of every caller between two calls; shorter while answers come fast, longer when they do not.
#[derive(Debug)]
pub(crate) struct Pacer {
    pause: AtomicU64,
    longest: Duration,
    answers: AtomicU64,
    waited: AtomicU64,
}

impl Pacer {
    /// Begins with about a thousand calls per second of all callers together.
    pub(crate) fn new(callers: usize) -> Self {
        let all = EACH.saturating_mul(u32::try_from(callers).unwrap_or(u32::MAX));
        let longest = LONGEST.max(all);
        let pause = AtomicU64::new(micros(all.clamp(SHORTEST, longest)));
        Self { pause, longest, answers: AtomicU64::new(0), waited: AtomicU64::new(0) }
    }

    /// How long a caller rests between two calls.
    pub(crate) fn pause(&self) -> Duration {
        Duration::from_micros(self.pause.load(Ordering::Relaxed))
    }

    /// An answer took so long.
    pub(crate) fn answered(&self, took: Duration) {
        self.answers.fetch_add(1, Ordering::Relaxed);
        self.waited.fetch_add(micros(took), Ordering::Relaxed);
    }

    /// Sets the pace until the end of the run.
    pub(crate) async fn run(&self, clock: &dyn Clock) {
        loop {
            let before = clock.uptime();
            tokio::time::sleep(INTERVAL).await;
            let late = clock.uptime().saturating_sub(before).saturating_sub(INTERVAL);
            self.adjust(late);
        }
    }

    /// Additive increase, multiplicative decrease, as TCP shares a link.
    fn adjust(&self, late: Duration) {
        let answers = self.answers.swap(0, Ordering::Relaxed);
        let waited = self.waited.swap(0, Ordering::Relaxed);
        let average = Duration::from_micros(waited.checked_div(answers).unwrap_or_default());
        let pause = self.pause();
        let next = if average > FULL || late > LATE { pause.mul_f64(1.4) } else { pause.mul_f64(0.95) };
        self.pause.store(micros(next.clamp(SHORTEST, self.longest)), Ordering::Relaxed);
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(rounds: usize, took: Duration, late: Duration) -> Duration {
        let pacer = Pacer::new(100);
        for _ in 0..rounds {
            (0..10).for_each(|_| pacer.answered(took));
            pacer.adjust(late);
        }
        pacer.pause()
    }

    #[test]
    fn it_speeds_up_while_answers_come_fast() {
        let fast = Duration::from_millis(1);
        assert!(after(10, fast, Duration::ZERO) < Duration::from_millis(70));
        assert_eq!(after(1000, fast, Duration::ZERO), SHORTEST);
    }

    #[test]
    fn it_gives_way_to_slow_answers_and_to_a_busy_machine() {
        let slow = Duration::from_millis(30);
        assert!(after(1, slow, Duration::ZERO) > Duration::from_millis(130));
        assert!(after(1, Duration::ZERO, Duration::from_millis(50)) > Duration::from_millis(130));
        assert_eq!(after(100, slow, Duration::ZERO), LONGEST);
    }

    #[test]
    fn a_large_fleet_begins_and_may_rest_at_a_call_per_caller_and_millisecond() {
        let pacer = Pacer::new(10_000);
        assert_eq!(pacer.pause(), Duration::from_secs(10));
        (0..10).for_each(|_| pacer.answered(Duration::from_millis(30)));
        pacer.adjust(Duration::ZERO);
        assert_eq!(pacer.pause(), Duration::from_secs(10));
    }

    #[test]
    fn nothing_answered_is_no_reason_to_slow_down() {
        let pacer = Pacer::new(1);
        pacer.adjust(Duration::ZERO);
        assert_eq!(pacer.pause(), SHORTEST);
    }
}
