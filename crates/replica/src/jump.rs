//! Clocks that jump: whoever sleeps until an instant of a clock would not wake when the clock gets there otherwise
//! than by passing. A machine was suspended, or somebody set its clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::Moment;

/// How far two clocks may part between two looks, in seconds: rounding, and a little more.
const LEAST: u64 = 2;

/// The clocks at the last look, and the timers' own.
pub(crate) struct Pace {
    last: Moment,
    timers: Instant,
}

impl Pace {
    pub(crate) fn of(moment: Moment) -> Self {
        Self { last: moment, timers: Instant::now() }
    }

    /// Whether a clock has moved otherwise than the timers since the last look.
    pub(crate) fn jumped(&mut self, now: Moment) -> bool {
        let timers = Instant::now();
        let passed = timers.duration_since(self.timers);
        let wall = i128::from(now.now.0) - i128::from(self.last.now.0);
        let wall_jumped = (wall - i128::from(passed.as_secs())).unsigned_abs() >= u128::from(LEAST);
        let uptime = now.uptime.saturating_sub(self.last.uptime);
        let uptime_jumped = uptime.abs_diff(passed) >= Duration::from_secs(LEAST);
        (self.last, self.timers) = (now, timers);
        wall_jumped || uptime_jumped
    }
}

#[cfg(test)]
mod tests {
    use keystile_keyring::UnixTime;

    use super::*;

    fn at(wall: u64, uptime: u64) -> Moment {
        Moment { now: UnixTime(wall), uptime: Duration::from_secs(uptime) }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_and_a_machine_that_slept_have_jumped() {
        let mut pace = Pace::of(at(1000, 50));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!pace.jumped(at(1005, 55)), "time passed");
        tokio::time::advance(Duration::from_millis(1900)).await;
        assert!(!pace.jumped(at(1007, 57)), "rounded");
        assert!(pace.jumped(at(1600, 57)), "set forward");
        assert!(!pace.jumped(at(1600, 57)), "told once");
        assert!(pace.jumped(at(900, 57)), "set back");
        assert!(pace.jumped(at(4500, 3657)), "slept, timers and all");
    }
}
