//! Instants and durations for people: absolute, in a time zone, and relative to now.

use std::cmp::Ordering;

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use keystile_keyring::{UnixTime, in_words};

/// How instants are shown: in which time zone, and relative to which now.
#[derive(Clone, Debug)]
pub(crate) struct When {
    zone: TimeZone,
    now: UnixTime,
}

impl When {
    /// Shows instants in `zone`, relative to `now`.
    pub(crate) fn new(zone: TimeZone, now: UnixTime) -> Self {
        Self { zone, now }
    }

    /// The instant that everything is relative to.
    pub(crate) fn now(&self) -> UnixTime {
        self.now
    }

    /// The instant in the time zone; `None` beyond the calendar's end.
    pub(crate) fn zoned(&self, at: UnixTime) -> Option<Zoned> {
        let seconds = i64::try_from(at.0).ok()?;
        Timestamp::from_second(seconds).ok().map(|stamp| stamp.to_zoned(self.zone.clone()))
    }

    /// The zone's abbreviation at `now`: `UTC`, `CET`.
    pub(crate) fn zone_name(&self) -> String {
        self.zoned(self.now).map_or_else(|| "UTC".to_owned(), |now| now.strftime("%Z").to_string())
    }

    /// `14:32:10`, with the date where it is another day: `2026-11-24 14:32:10`.
    pub(crate) fn clock(&self, at: UnixTime) -> String {
        match (self.zoned(at), self.zoned(self.now)) {
            (Some(at), Some(now)) if at.date() == now.date() => at.strftime("%H:%M:%S").to_string(),
            (Some(at), _) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            (None, _) => format!("{at} s after 1970"),
        }
    }

    /// `in 48 min`, `3 s ago`, `now`.
    pub(crate) fn relative(&self, at: UnixTime) -> String {
        match at.cmp(&self.now) {
            Ordering::Greater => format!("in {}", roughly(at.since(self.now))),
            Ordering::Less => format!("{} ago", roughly(self.now.since(at))),
            Ordering::Equal => "now".to_owned(),
        }
    }

    /// `14:32:10 UTC (in 48 min)`.
    pub(crate) fn both(&self, at: UnixTime) -> String {
        format!("{} {} ({})", self.clock(at), self.zone_name(), self.relative(at))
    }

    /// RFC 3339 in UTC, for programs: `2026-11-23T14:32:10Z`.
    pub(crate) fn rfc3339(at: UnixTime) -> Option<String> {
        let seconds = i64::try_from(at.0).ok()?;
        Timestamp::from_second(seconds).ok().map(|stamp| stamp.to_string())
    }
}

/// A duration to the unit that matters: `48 min` for `48 min 12 s`. Rounds down.
pub(crate) fn roughly(seconds: u64) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0..120 => in_words(seconds),
        120..7200 => in_words(seconds - seconds % MINUTE),
        7200..172_800 => in_words(seconds - seconds % (HOUR / 2)),
        _ => in_words(seconds - seconds % DAY),
    }
}

/// `1,288`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index != 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_795_442_400); // 2026-11-23 14:00:00 UTC

    fn when() -> When {
        When::new(TimeZone::UTC, NOW)
    }

    #[test]
    fn an_instant_is_absolute_and_relative() {
        assert_eq!(when().both(NOW.plus(48 * 60 + 10)), "14:48:10 UTC (in 48 min)");
        assert_eq!(when().both(NOW.minus(3)), "13:59:57 UTC (3 s ago)");
        assert_eq!(when().both(NOW), "14:00:00 UTC (now)");
    }

    #[test]
    fn another_day_has_its_date() {
        assert_eq!(when().clock(NOW.plus(86_400)), "2026-11-24 14:00:00");
    }

    #[test]
    fn instants_beyond_the_calendar_do_not_panic() {
        assert_eq!(when().clock(UnixTime(u64::MAX)), format!("{} s after 1970", u64::MAX));
        assert_eq!(When::rfc3339(UnixTime(u64::MAX)), None);
    }

    #[test]
    fn another_zone_is_named() {
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let when = When::new(zone, NOW);
        assert_eq!(when.clock(NOW), "16:00:00");
        assert_eq!(when.zone_name(), "+02");
    }

    #[test]
    fn programs_get_rfc_3339() {
        assert_eq!(When::rfc3339(NOW).as_deref(), Some("2026-11-23T14:00:00Z"));
    }

    #[test]
    fn roughly_drops_what_does_not_matter() {
        assert_eq!(roughly(59), "59 s");
        assert_eq!(roughly(48 * 60 + 12), "48 min");
        assert_eq!(roughly(26 * 3600 + 59), "26 h");
        assert_eq!(roughly(31 * 86_400 + 5 * 3600), "31 days");
    }

    #[test]
    fn thousands_are_separated() {
        assert_eq!([0, 412, 1288, 2_411_902].map(thousands), ["0", "412", "1,288", "2,411,902"]);
    }
}
