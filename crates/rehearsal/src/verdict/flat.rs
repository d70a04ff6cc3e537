//! Whether every process takes no more of the machine in the end than once it had warmed up.

use super::{Criterion, Figures};
use crate::record::{GROWTH, Judged, LEAST, Record, SLACK_BYTES, SLACK_FDS, Trend};
use keystile_picture::grouped;

/// Memory and descriptors.
pub(super) fn criteria(record: &Record, figures: &Figures) -> [Criterion; 2] {
    let percent = GROWTH * 100.0;
    let memory = Rule {
        name: "memory of processes is flat",
        holds: Trend::memory_is_flat,
        change: |trend| (mebibytes(trend.resident_early), mebibytes(trend.resident_late)),
        growth: |trend| signed(trend.resident_late, trend.resident_early),
        expected: format!("at most {percent} % and {} more", mebibytes(SLACK_BYTES)),
    };
    let descriptors = Rule {
        name: "descriptors of processes are flat",
        holds: Trend::descriptors_are_flat,
        change: |trend| (trend.open_early.to_string(), trend.open_late.to_string()),
        growth: |trend| signed(trend.open_late, trend.open_early),
        expected: format!("at most {SLACK_FDS} more"),
    };
    [memory.judge(record, figures), descriptors.judge(record, figures)]
}

/// Bytes, as people read them.
pub(crate) fn mebibytes(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).saturating_add(1 << 19) >> 20;
    format!("{}.{} MiB", grouped(tenths / 10), tenths % 10)
}

fn signed(late: u64, early: u64) -> i64 {
    i64::try_from(late).unwrap_or(i64::MAX).saturating_sub_unsigned(early)
}

struct Rule {
    name: &'static str,
    holds: fn(&Trend) -> bool,
    /// What it was and what it became, in words.
    change: fn(&Trend) -> (String, String),
    /// By how much it grew.
    growth: fn(&Trend) -> i64,
    expected: String,
}

impl Rule {
    fn judge(&self, record: &Record, figures: &Figures) -> Criterion {
        let judged = &figures.footprints;
        // One that is not as it must be comes before all others.
        let worst = judged.iter().max_by_key(|one| (!(self.holds)(&one.trend), (self.growth)(&one.trend)));
        let found = match worst {
            _ if record.footprints.is_empty() => "not measured: this system does not say".to_owned(),
            None => format!("not judged: no process ran for {} s", LEAST.as_secs()),
            Some(worst) => self.told(worst, judged.len(), record.footprints.too_short()),
        };
        let holds = judged.iter().all(|one| (self.holds)(&one.trend));
        Criterion { name: self.name, found, expected: self.expected.clone(), holds }
    }

    fn told(&self, worst: &Judged, judged: usize, too_short: u64) -> String {
        let (was, became) = (self.change)(&worst.trend);
        let most = format!("of {judged}, {} grew most: {was} to {became}", worst.process);
        if too_short == 0 { most } else { format!("{most}; {too_short} ran too short") }
    }
}

#[cfg(test)]
mod tests {

    use keystile_keyring::UnixTime;
    use keystile_system::Footprint;

    use super::*;
    use crate::event::Event;
    use crate::fixture::{EPOCH, moment, settings};
    use crate::record::{Process, Sample};
    use crate::replica::ReplicaName;
    use crate::settings::Settings;
    use crate::verdict::Verdict;

    const MIB: u64 = 1 << 20;

    /// Two gateways for so many seconds; the second takes so many bytes and descriptors more each second.
    fn criteria_of(seconds: u32, bytes: u64, every: u32) -> Vec<(String, bool)> {
        let mut record = Record::new(Settings { soak: true, ..settings() }, UnixTime(EPOCH));
        for second in 0..seconds {
            let measured = |index, resident_bytes, open_fds| Event::Measured {
                process: Process::Gateway(ReplicaName::of_index(index)),
                sample: Sample { at: moment(second.into()), took: Footprint { resident_bytes, open_fds } },
            };
            record.apply(&measured(0, 20 * MIB, 40));
            let open = 40 + u64::from(second.checked_div(every).unwrap_or_default());
            record.apply(&measured(1, 20 * MIB + u64::from(second) * bytes, open));
        }
        let criteria = Verdict::of(&record).criteria.into_iter();
        let flat = criteria.filter(|criterion| criterion.name.contains("flat"));
        flat.map(|criterion| (criterion.found, criterion.holds)).collect()
    }

    #[test]
    fn a_process_that_grows_fails_the_verdict_and_is_named() {
        let leaks = criteria_of(100, MIB, 2);
        assert_eq!(
            leaks,
            [
                ("of 2, gateway-2 grew most: 57.0 MiB to 107.0 MiB".to_owned(), false),
                ("of 2, gateway-2 grew most: 64 to 83".to_owned(), false),
            ]
        );
        assert!(criteria_of(100, 1000, 0).iter().all(|(_, holds)| *holds));
    }

    #[test]
    fn what_was_not_measured_or_ran_too_short_is_said_and_fails_nothing() {
        let none = ("not measured: this system does not say".to_owned(), true);
        assert_eq!(criteria_of(0, 0, 0), [none.clone(), none]);
        let short = ("not judged: no process ran for 40 s".to_owned(), true);
        assert_eq!(criteria_of(20, 0, 0), [short.clone(), short]);
    }

    #[test]
    fn a_rehearsal_of_a_script_says_nothing_of_it() {
        let record = Record::new(settings(), UnixTime(EPOCH));
        assert!(Verdict::of(&record).criteria.iter().all(|criterion| !criterion.name.contains("flat")));
    }
}
