//! How durations and instants are written on the command line.

use std::str::FromStr;

use jiff::Timestamp;
use keystile_keyring::UnixTime;

/// Why a text is not a duration or an instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParseError {
    /// Not a duration.
    #[error(
        "{0:?} is not a duration; expected seconds, or numbers with units such as 90s, 15m, 2h, 1h30m, 30d"
    )]
    Duration(String),
    /// Not an instant.
    #[error("{0:?} is not an instant; expected RFC 3339 such as 2026-11-23T14:00:00Z, or \"in 2h\"")]
    Instant(String),
}

/// A duration in whole seconds: `3600`, `90s`, `15m`, `2h`, `1h30m`, `30d`.
pub(crate) fn duration(text: &str) -> Result<u64, ParseError> {
    let wrong = || ParseError::Duration(text.chars().take(64).collect());
    if let Ok(seconds) = u64::from_str(text) {
        return Ok(seconds);
    }
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let mut letters = tail.chars();
        let unit = match letters.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(wrong()),
        };
        let seconds = u64::from_str(number).ok().and_then(|number| number.checked_mul(unit));
        total = seconds.and_then(|seconds| total.checked_add(seconds)).ok_or_else(wrong)?;
        rest = letters.as_str();
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// An instant as it is written: absolute, or relative to the clock of whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instant {
    /// RFC 3339.
    At(UnixTime),
    /// `in 2h`.
    In(u64),
}

impl Instant {
    /// The instant it means at `now`.
    pub(crate) fn resolve(self, now: UnixTime) -> UnixTime {
        match self {
            Self::At(at) => at,
            Self::In(seconds) => now.plus(seconds),
        }
    }
}

impl FromStr for Instant {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some(relative) = text.strip_prefix("in ") {
            return duration(relative.trim()).map(Self::In);
        }
        let stamp: Option<Timestamp> = text.parse().ok();
        let seconds = stamp.and_then(|stamp| u64::try_from(stamp.as_second()).ok());
        seconds
            .map(|seconds| Self::At(UnixTime(seconds)))
            .ok_or_else(|| ParseError::Instant(text.chars().take(64).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_have_units() {
        let parsed = ["0", "90", "90s", "15m", "2h", "1h30m", "30d"].map(|text| duration(text).expect(text));
        assert_eq!(parsed, [0, 90, 90, 900, 7200, 5400, 2_592_000]);
    }

    #[test]
    fn what_is_not_a_duration_says_so() {
        for text in ["", "h", "-1", "1.5h", "2 h", "1w", "1h30", "99999999999999999999", "9999999999999999d"]
        {
            assert_eq!(duration(text), Err(ParseError::Duration(text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn instants_are_absolute_or_relative() {
        let now = UnixTime(1000);
        assert_eq!("in 2h".parse::<Instant>().map(|at| at.resolve(now)), Ok(UnixTime(8200)));
        assert_eq!("1970-01-01T01:00:00Z".parse::<Instant>().map(|at| at.resolve(now)), Ok(UnixTime(3600)));
        assert_eq!("1970-01-01T01:00:00+01:00".parse::<Instant>().map(|at| at.resolve(now)), Ok(UnixTime(0)));
    }

    #[test]
    fn what_is_not_an_instant_says_so() {
        for text in ["", "tomorrow", "2026-11-23", "2026-11-23T14:00:00", "1969-12-31T23:59:59Z"] {
            assert_eq!(text.parse::<Instant>(), Err(ParseError::Instant(text.to_owned())), "{text:?}");
        }
        assert!("in a while".parse::<Instant>().is_err());
    }
}
