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
