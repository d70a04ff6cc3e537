//! Instants as the API writes them.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use keystile_keyring::UnixTime;

/// Reads an instant such as `2026-11-26T13:00:26Z`; fractions of a second are dropped.
pub fn rfc3339(text: &str) -> Option<UnixTime> {
    let at: Timestamp = text.parse().ok()?;
    u64::try_from(at.as_second()).ok().map(UnixTime)
}

/// Writes an instant as a Lease's `renewTime` wants it.
pub fn micro_time(at: UnixTime) -> String {
    let seconds = i64::try_from(at.0).unwrap_or(i64::MAX);
    let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    format!("{at:.6}")
}

/// Reads an HTTP `Date`.
pub(crate) fn http_date(text: &str) -> Option<UnixTime> {
    let at = DateTimeParser::new().parse_timestamp(text).ok()?;
    u64::try_from(at.as_second()).ok().map(UnixTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_of_the_api() {
        let at = UnixTime(1_795_698_026);
        assert_eq!(rfc3339("2026-11-26T13:00:26Z"), Some(at));
        assert_eq!(rfc3339("2026-11-26T13:00:26.999999Z"), Some(at));
        assert_eq!(micro_time(at), "2026-11-26T13:00:26.000000Z");
        assert_eq!(http_date("Thu, 26 Nov 2026 13:00:26 GMT"), Some(at));
        for nothing in ["", "yesterday", "-9999-01-01T00:00:00Z"] {
            assert_eq!(rfc3339(nothing), None, "{nothing}");
            assert_eq!(http_date(nothing), None, "{nothing}");
        }
        assert!(micro_time(UnixTime(u64::MAX)).starts_with("9999-"));
    }
}
