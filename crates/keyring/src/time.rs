//! Instants and durations: whole seconds throughout.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An instant: whole seconds since the Unix epoch, leap seconds not counted.
///
/// Durations are plain `u64` seconds; arithmetic saturates, so no input can overflow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// The instant before which nothing happened.
    pub const EPOCH: Self = Self(0);

    /// This instant `seconds` later.
    #[must_use]
    pub fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// This instant `seconds` earlier, not before the epoch.
    #[must_use]
    pub fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` to this instant; 0 if `earlier` is not earlier.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A duration as people say it: `45 s`, `5 min`, `67 min`, `2 h 30 min`, `31 days`.
pub fn in_words(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let with_rest = |whole: u64, unit: &str, rest: u64, small: &str| {
        if rest == 0 { format!("{whole} {unit}") } else { format!("{whole} {unit} {rest} {small}") }
    };
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => with_rest(seconds / MINUTE, "min", seconds % MINUTE, "s"),
        7200..172_800 => with_rest(seconds / HOUR, "h", seconds % HOUR / MINUTE, "min"),
        _ => with_rest(seconds / DAY, "days", seconds % DAY / HOUR, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(UnixTime(10).plus(5), UnixTime(15));
        assert_eq!(UnixTime(u64::MAX).plus(1), UnixTime(u64::MAX));
        assert_eq!(UnixTime(10).minus(4), UnixTime(6));
        assert_eq!(UnixTime(10).minus(11), UnixTime::EPOCH);
        assert_eq!(UnixTime(10).since(UnixTime(7)), 3);
        assert_eq!(UnixTime(7).since(UnixTime(10)), 0);
    }

    #[test]
    fn an_instant_is_stored_and_shown_as_plain_seconds() {
        assert_eq!(serde_json::to_string(&UnixTime(1_790_000_000)).unwrap(), "1790000000");
        assert_eq!(UnixTime(1_790_000_000).to_string(), "1790000000");
        for text in ["-1", "1.5", "\"1\"", "18446744073709551616"] {
            assert!(serde_json::from_str::<UnixTime>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_said_as_people_say_them() {
        let said = [
            (0, "0 s"),
            (1, "1 s"),
            (119, "119 s"),
            (120, "2 min"),
            (121, "2 min 1 s"),
            (4020, "67 min"),
            (7199, "119 min 59 s"),
            (7200, "2 h"),
            (9000, "2 h 30 min"),
            (9059, "2 h 30 min"),
            (172_799, "47 h 59 min"),
            (172_800, "2 days"),
            (2_678_400, "31 days"),
            (2_682_000, "31 days 1 h"),
        ];
        for (seconds, words) in said {
            assert_eq!(in_words(seconds), words, "{seconds}");
        }
        assert_eq!(in_words(u64::MAX), "213503982334601 days 7 h");
    }
}
