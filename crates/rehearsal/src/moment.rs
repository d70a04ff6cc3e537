//! Time as a rehearsal tells it: from its begin, and by the wall clock.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::UnixTime;
use keystile_system::Clock;
use serde::{Serialize, Serializer};

/// Time since the load began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub Duration);

impl Moment {
    /// Seconds since the load began.
    pub fn seconds(self) -> f64 {
        self.0.as_secs_f64()
    }

    /// From `earlier` to this moment; zero if that is not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `seconds` after the begin; the begin itself for what is no such number.
    pub fn at_seconds(seconds: f64) -> Self {
        Self(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (minutes, seconds) = (self.0.as_secs() / 60, self.0.as_secs() % 60);
        match minutes / 60 {
            0 => write!(f, "{minutes:02}:{seconds:02}"),
            hours => write!(f, "{hours}:{:02}:{seconds:02}", minutes % 60),
        }
    }
}

/// Seconds, to the millisecond.
impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        seconds_of(&self.0, serializer)
    }
}

/// Serializes a duration as seconds, to the millisecond.
pub(crate) fn seconds_of<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// A moment and what the machine's wall clock showed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Time since the begin.
    pub moment: Moment,
    /// The wall clock, whole seconds.
    pub wall: UnixTime,
}

/// Reads both clocks, and knows how they lie to each other.
#[derive(Clone)]
pub(crate) struct RunClock {
    clock: Arc<dyn Clock>,
    began: Duration,
    tick: (UnixTime, Duration),
}

impl RunClock {
    /// The run begins now, or rather with the wall clock's next second: so it is known to about a
    /// millisecond where seconds begin.
    pub(crate) async fn begin(clock: Arc<dyn Clock>) -> Self {
        let before = clock.now();
        while clock.now() == before {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let (now, uptime) = (clock.now(), clock.uptime());
        Self { clock, began: uptime, tick: (now, uptime) }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn moment(&self) -> Moment {
        Moment(self.clock.uptime().saturating_sub(self.began))
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { moment: self.moment(), wall: self.clock.now() }
    }

    /// What the wall clock showed when the run began.
    pub(crate) fn epoch(&self) -> UnixTime {
        self.tick.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_minutes_and_seconds() {
        assert_eq!(Moment(Duration::from_millis(4_900)).to_string(), "00:04");
        assert_eq!(Moment(Duration::from_secs(83)).to_string(), "01:23");
        assert_eq!(Moment(Duration::from_secs(3_599)).to_string(), "59:59");
        assert_eq!(Moment(Duration::from_secs(45_296)).to_string(), "12:34:56");
        assert_eq!(Moment::at_seconds(-1.0), Moment::default());
        assert_eq!(serde_json::to_string(&Moment(Duration::from_micros(1_234_567))).unwrap(), "1.235");
    }

    #[tokio::test]
    async fn the_run_begins_where_a_second_begins() {
        let clock = RunClock::begin(Arc::new(keystile_system::SystemClock::default())).await;
        let stamp = clock.stamp();
        assert!(stamp.moment.0 < Duration::from_millis(500), "{:?}", stamp.moment);
        assert_eq!(stamp.wall, clock.epoch());
    }
}
