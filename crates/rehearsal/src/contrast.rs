//! What the same load met when the key was replaced the old way: delete it, restart every gateway.

use std::time::Duration;

use serde::Serialize;

use crate::moment::seconds_of;
use crate::oracle::Ruling;
use crate::record::{Cause, Record};
use keystile_picture::{briefly, grouped};

/// What the same load met under delete-and-restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contrast {
    /// Good tokens that were refused.
    pub wrongly_rejected: u64,
    /// Calls with a verdict.
    pub verified: u64,
    /// From the first to the last refusal of a good token, in seconds.
    #[serde(serialize_with = "seconds_of")]
    pub rejected_for: Duration,
    /// The longest time without a usable token, in seconds; still running for those who never recovered.
    #[serde(serialize_with = "seconds_of")]
    pub longest_gap: Duration,
    /// Supervisors that were cut off.
    pub cut_off: usize,
    /// Supervisors that had no usable token at the end, and no way to get one by themselves.
    pub never_recovered: usize,
    /// Supervisors in all.
    pub supervisors: usize,
    /// How long the load was watched after the restart, in seconds.
    #[serde(serialize_with = "seconds_of")]
    pub watched_for: Duration,
}

impl Contrast {
    /// Draws it from the record of the old procedure, watched for so long after it.
    pub fn of(record: &Record, watched_for: Duration) -> Self {
        let gaps = |cause| record.supervisors.iter().map(move |one| one.gaps.longest(cause, record.now));
        let cut_off = record.supervisors.iter().filter(|one| one.gaps.iter().next().is_some());
        let rejected_for = record.wrongly_rejected_at.map(|(first, last)| last.since(first));
        Self {
            wrongly_rejected: record.calls.ruled(Ruling::Wrong),
            verified: record.calls.accepted() + record.calls.rejected(),
            rejected_for: rejected_for.unwrap_or_default(),
            longest_gap: gaps(Cause::Unordered).max().unwrap_or_default(),
            cut_off: cut_off.count(),
            never_recovered: record.supervisors.iter().filter(|one| one.gaps.is_open()).count(),
            supervisors: record.supervisors.len(),
            watched_for,
        }
    }

    /// How many good tokens were refused, in words.
    pub fn rejections(&self) -> String {
        format!("{} over {}", grouped(self.wrongly_rejected), briefly(self.rejected_for))
    }

    /// How long supervisors were without, in words.
    pub fn gaps(&self) -> String {
        let cut_off = format!("{} of {} cut off", self.cut_off, self.supervisors);
        match self.never_recovered {
            0 => format!("{}, {cut_off}", briefly(self.longest_gap)),
            never => format!("{cut_off}, {never} never recovered by themselves"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::fixture::{EPOCH, accepted, call, rejected, settings};
    use keystile_keyring::UnixTime;

    #[test]
    fn it_tells_who_was_cut_off_for_how_long() {
        let mut record = Record::new(settings(), UnixTime(EPOCH));
        for event in [
            call(0, "a", 1.0, accepted()),
            call(0, "a", 2.0, rejected()),
            call(1, "a", 2.5, rejected()),
            call(1, "a", 3.0, rejected()),
            call(0, "b", 4.0, accepted()),
            call(2, "b", 6.0, accepted()),
        ] {
            record.apply(&Event::Call(event));
        }
        let contrast = Contrast::of(&record, Duration::from_secs(4));
        assert_eq!((contrast.wrongly_rejected, contrast.verified), (3, 6));
        assert_eq!(contrast.rejected_for, Duration::from_secs(1));
        assert_eq!((contrast.cut_off, contrast.never_recovered, contrast.supervisors), (2, 1, 5));
        assert!(contrast.longest_gap > Duration::from_secs(3));
        assert_eq!(contrast.rejections(), "3 over 1.0 s");
        assert_eq!(contrast.gaps(), "2 of 5 cut off, 1 never recovered by themselves");
    }
}
