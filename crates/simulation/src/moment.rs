//! Virtual time, and what a clock shows at it.

use std::fmt;
use std::time::Duration;

use keystile_keyring::UnixTime;
use serde::{Serialize, Serializer};

/// What a clock without offset shows when the simulation begins.
pub(crate) const EPOCH: UnixTime = UnixTime(1_800_000_000);

/// Milliseconds since the simulation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u32);

impl Moment {
    /// The moment that never comes.
    pub(crate) const NEVER: Self = Self(u32::MAX);

    /// So many seconds after the begin.
    pub fn at_seconds(seconds: u64) -> Self {
        Self(u32::try_from(seconds.saturating_mul(1000)).unwrap_or(u32::MAX))
    }

    /// Whole seconds since the begin.
    pub fn second(self) -> u32 {
        self.0 / 1000
    }

    /// This moment, `wait` later.
    #[must_use]
    pub fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)))
    }

    /// This moment, `wait` earlier; not before the begin.
    #[must_use]
    pub fn minus(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(u32::try_from(wait.as_millis()).unwrap_or(u32::MAX)))
    }

    /// From `earlier` to this moment; zero if that is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::from(self.0.saturating_sub(earlier.0)))
    }

    /// Time since the begin.
    pub fn elapsed(self) -> Duration {
        Duration::from_millis(u64::from(self.0))
    }

    /// What a clock shows that is `offset` milliseconds ahead.
    pub(crate) fn wall(self, offset: i32) -> UnixTime {
        let millis = i64::from(self.0).saturating_add(i64::from(offset)).div_euclid(1000);
        UnixTime(EPOCH.0.saturating_add_signed(millis))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.second();
        write!(f, "{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// Seconds.
impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_shows_whole_seconds_of_its_own() {
        let moment = Moment(10_500);
        assert_eq!(moment.wall(0), EPOCH.plus(10));
        assert_eq!(moment.wall(499), EPOCH.plus(10));
        assert_eq!(moment.wall(500), EPOCH.plus(11));
        assert_eq!(moment.wall(-10_501), EPOCH.minus(1));
    }

    #[test]
    fn time_saturates() {
        assert_eq!(Moment::at_seconds(u64::MAX), Moment::NEVER);
        assert_eq!(Moment(5).plus(Duration::MAX), Moment::NEVER);
        assert_eq!(Moment(5).minus(Duration::from_millis(6)), Moment(0));
        assert_eq!(Moment(5).since(Moment(7)), Duration::ZERO);
        assert_eq!(Moment(3_723_400).to_string(), "1:02:03");
    }
}
