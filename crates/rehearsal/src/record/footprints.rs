//! What every process takes of the machine over time, and whether that stays as it is.
//!
//! A process that is started again begins anew: each has a series of its own.

use std::fmt;
use std::time::Duration;

use keystile_system::Footprint;
use serde::{Serialize, Serializer};

use crate::moment::{Moment, seconds_of};
use crate::replica::ReplicaName;

/// A series that is shorter says nothing: it is still warming up.
pub const LEAST: Duration = Duration::from_secs(40);
/// Resident memory may grow by this share …
pub const GROWTH: f64 = 0.10;
/// … and by so many bytes more, which an allocator may keep.
pub const SLACK_BYTES: u64 = 4 << 20;
/// By so many the open descriptors may exceed what they were.
pub const SLACK_FDS: u64 = 8;

/// The most samples that are kept of a process. When it is reached, every second one goes.
const MOST_SAMPLES: usize = 480;
/// The most judged series of processes that have ended that are kept.
const MOST_ENDED: usize = 48;

/// A process of the rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Process {
    /// A gateway.
    Gateway(ReplicaName),
    /// The rehearsal's own, with all the supervisors.
    Own,
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway(name) => name.fmt(f),
            Self::Own => f.write_str("supervisors"),
        }
    }
}

impl Serialize for Process {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a process took at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: Moment,
    /// What.
    pub took: Footprint,
}

/// What one process took, from its start to its end.
#[derive(Clone, Debug, Default)]
pub struct Series {
    samples: Vec<Sample>,
    /// One of so many samples is kept.
    every: usize,
    /// How many came since the last that was kept.
    since: usize,
    newest: Option<Sample>,
}

impl Series {
    /// Takes in a sample.
    pub fn push(&mut self, sample: Sample) {
        self.newest = Some(sample);
        self.every = self.every.max(1);
        self.since += 1;
        match self.samples.last_mut() {
            // Its memory is not kept, and what it had open only if that was most.
            Some(last) if self.since < self.every => keep_most_open(last, &sample),
            _ => {
                self.since = 0;
                self.samples.push(sample);
            }
        }
        if self.samples.len() >= MOST_SAMPLES {
            self.halve();
        }
    }

    /// Every second sample goes.
    fn halve(&mut self) {
        let halves = self.samples.chunks(2).filter_map(|pair| {
            let mut kept = *pair.first()?;
            for sample in pair {
                keep_most_open(&mut kept, sample);
            }
            Some(kept)
        });
        self.samples = halves.collect();
        // The last one that went is so many samples after the last that stayed.
        self.since = self.every;
        self.every *= 2;
    }

    /// The newest sample.
    pub fn last(&self) -> Option<&Sample> {
        self.newest.as_ref()
    }

    /// What is kept of it, for a picture.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// From its first sample to its last.
    pub fn lasts(&self) -> Duration {
        match (self.samples.first(), self.newest) {
            (Some(first), Some(last)) => last.at.since(first.at),
            _ => Duration::ZERO,
        }
    }

    /// Compares its second quarter with its last; `None` if it is too short to say anything.
    pub fn trend(&self) -> Option<Trend> {
        let (first, lasts) = (self.samples.first()?.at, self.lasts());
        if lasts < LEAST {
            return None;
        }
        let within = |from: u32, to: u32| {
            let span = (lasts * from / 4)..=(lasts * to / 4);
            self.samples.iter().filter(move |sample| span.contains(&sample.at.since(first)))
        };
        let resident = |sample: &Sample| sample.took.resident_bytes;
        let open = |sample: &Sample| sample.took.open_fds;
        Some(Trend {
            resident_early: median(within(1, 2).map(resident))?,
            resident_late: median(within(3, 4).map(resident))?,
            open_early: within(1, 2).map(open).max()?,
            open_late: median(within(3, 4).map(open))?,
        })
    }
}

fn keep_most_open(kept: &mut Sample, other: &Sample) {
    kept.took.open_fds = kept.took.open_fds.max(other.took.open_fds);
}

fn median(values: impl Iterator<Item = u64>) -> Option<u64> {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

/// A process's second quarter, when it had warmed up, beside its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Trend {
    /// Bytes resident in the second quarter: the median.
    pub resident_early: u64,
    /// Bytes resident in the last quarter: the median.
    pub resident_late: u64,
    /// Descriptors open in the second quarter: the most.
    pub open_early: u64,
    /// Descriptors open in the last quarter: the median.
    pub open_late: u64,
}

impl Trend {
    /// Whether its memory stays as it is: at most [`GROWTH`] and [`SLACK_BYTES`] more.
    pub fn memory_is_flat(&self) -> bool {
        self.excess_bytes() <= 0.0
    }

    /// Whether its descriptors stay as they are: at most [`SLACK_FDS`] more.
    pub fn descriptors_are_flat(&self) -> bool {
        self.open_late <= self.open_early + SLACK_FDS
    }

    /// By how much its memory is above what it may be; below 0, it is not.
    #[allow(clippy::cast_precision_loss, reason = "bytes of a machine's memory")]
    fn excess_bytes(&self) -> f64 {
        let most = self.resident_early as f64 * (1.0 + GROWTH) + SLACK_BYTES as f64;
        self.resident_late as f64 - most
    }
}

/// What one process took, judged.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// Which.
    pub process: Process,
    /// Its first sample.
    pub began: Moment,
    /// From its first sample to its last, in seconds.
    #[serde(serialize_with = "seconds_of")]
    pub lasted: Duration,
    /// Its second quarter beside its last.
    #[serde(flatten)]
    pub trend: Trend,
    /// Bytes resident over time.
    #[serde(skip)]
    pub resident: Vec<u64>,
}

impl Judged {
    fn of(process: Process, series: &Series) -> Option<Self> {
        let resident = series.samples.iter().map(|sample| sample.took.resident_bytes);
        Some(Self {
            process,
            began: series.samples.first()?.at,
            lasted: series.lasts(),
            trend: series.trend()?,
            resident: resident.collect(),
        })
    }

    fn is_flat(&self) -> bool {
        self.trend.memory_is_flat() && self.trend.descriptors_are_flat()
    }
}

/// What every process took.
#[derive(Clone, Debug, Default)]
pub struct Footprints {
    /// Processes that run, with what they have taken so far.
    running: Vec<(Process, Series)>,
    /// Of those that have ended, those that could be judged.
    ended: Vec<Judged>,
    /// Processes that ended too early to be judged.
    too_short: u64,
}

impl Footprints {
    /// A process was measured.
    pub fn measured(&mut self, process: Process, sample: Sample) {
        if let Some((_, series)) = self.running.iter_mut().find(|(known, _)| *known == process) {
            series.push(sample);
            return;
        }
        let mut series = Series::default();
        series.push(sample);
        self.running.push((process, series));
        self.running.sort_by_key(|(process, _)| *process);
    }

    /// A process has ended, or another begins in its place.
    pub fn ended(&mut self, process: Process) {
        let Some(index) = self.running.iter().position(|(known, _)| *known == process) else {
            return;
        };
        let (_, series) = self.running.remove(index);
        match Judged::of(process, &series) {
            Some(judged) => self.ended.push(judged),
            None => self.too_short += 1,
        }
        if self.ended.len() > MOST_ENDED {
            // The shortest of those that stayed flat says least.
            let least = self.ended.iter().enumerate().min_by_key(|(_, one)| (!one.is_flat(), one.lasted));
            if let Some(index) = least.map(|(index, _)| index) {
                self.ended.remove(index);
            }
        }
    }

    /// Whether anything was measured.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty() && self.ended.is_empty() && self.too_short == 0
    }

    /// What the processes that run took last.
    pub fn now(&self) -> impl Iterator<Item = (Process, Footprint)> + '_ {
        self.running.iter().filter_map(|(process, series)| Some((*process, series.last()?.took)))
    }

    /// Every process that could be judged, in their order.
    pub fn judged(&self) -> Vec<Judged> {
        let running = self.running.iter().filter_map(|(process, series)| Judged::of(*process, series));
        let mut judged: Vec<_> = self.ended.iter().cloned().chain(running).collect();
        judged.sort_by_key(|one| (one.process, one.began));
        judged
    }

    /// How many processes were too short to be judged.
    pub fn too_short(&self) -> u64 {
        let running = self.running.iter().filter(|(_, series)| series.trend().is_none()).count();
        self.too_short + running as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;

    const MIB: u64 = 1 << 20;

    fn sample(second: u64, resident_bytes: u64, open_fds: u64) -> Sample {
        let at = Moment(Duration::from_secs(second));
        Sample { at, took: Footprint { resident_bytes, open_fds } }
    }

    fn series(seconds: u64, of: impl Fn(u64, &mut Dice) -> (u64, u64)) -> Series {
        let (mut series, mut dice) = (Series::default(), Dice::new(7));
        for second in 0..seconds {
            let (resident, open) = of(second, &mut dice);
            series.push(sample(second, resident, open));
        }
        series
    }

    fn trend(seconds: u64, of: impl Fn(u64, &mut Dice) -> (u64, u64)) -> Trend {
        series(seconds, of).trend().expect("long enough")
    }

    #[test]
    fn a_leak_of_memory_is_caught_in_short_runs_and_long_ones() {
        for (seconds, bytes_a_second) in [(60, 400 * 1024), (1800, 10 * 1024), (86_400, 256)] {
            let leak = |second: u64, dice: &mut Dice| {
                (30 * MIB + second * bytes_a_second + dice.below(1 << 20) as u64, 40)
            };
            let trend = trend(seconds, leak);
            assert!(!trend.memory_is_flat(), "{seconds} s: {trend:?}");
            assert!(trend.descriptors_are_flat(), "{seconds} s: {trend:?}");
        }
    }

    #[test]
    fn a_leak_of_descriptors_is_caught() {
        for (seconds, every) in [(60, 2), (1800, 30), (86_400, 1800)] {
            let leak = |second: u64, dice: &mut Dice| (30 * MIB, 40 + second / every + dice.below(4) as u64);
            let trend = trend(seconds, leak);
            assert!(!trend.descriptors_are_flat(), "{seconds} s: {trend:?}");
            assert!(trend.memory_is_flat());
        }
    }

    #[test]
    fn what_is_noisy_and_flat_after_warming_up_passes() {
        for seconds in [60, 1800, 86_400] {
            let noisy = |second: u64, dice: &mut Dice| {
                let warm = if second < seconds / 4 { 10 * MIB * second * 4 / seconds } else { 10 * MIB };
                // Now and then somebody asks for a lot at once.
                let spike = if dice.below(20) == 0 { 40 * MIB } else { 0 };
                let crowd = if dice.below(15) == 0 { 100 } else { 0 };
                (20 * MIB + warm + spike + dice.below(3 << 20) as u64, 40 + crowd + dice.below(6) as u64)
            };
            let trend = trend(seconds, noisy);
            assert!(trend.memory_is_flat() && trend.descriptors_are_flat(), "{seconds} s: {trend:?}");
        }
    }

    #[test]
    fn the_rule_is_ten_percent_and_four_mebibytes_and_eight_descriptors() {
        let at = |resident_late, open_late| Trend {
            resident_early: 100 * MIB,
            resident_late,
            open_early: 50,
            open_late,
        };
        assert!(at(114 * MIB, 58).memory_is_flat() && at(114 * MIB, 58).descriptors_are_flat());
        assert!(!at(114 * MIB + 4096, 58).memory_is_flat());
        assert!(!at(114 * MIB, 59).descriptors_are_flat());
    }

    #[test]
    fn however_long_a_run_is_few_samples_are_kept_and_they_span_it() {
        let long = series(86_400, |second, _| (second, if second == 50_001 { 999 } else { 7 }));
        assert!((MOST_SAMPLES / 2 - 1..MOST_SAMPLES).contains(&long.samples().len()));
        assert!(long.lasts() > Duration::from_secs(86_000), "{:?}", long.lasts());
        assert!(long.samples().iter().any(|sample| sample.took.open_fds == 999), "a peak is not lost");
        let steps: Vec<_> = long.samples().windows(2).map(|pair| pair[1].at.since(pair[0].at)).collect();
        assert!(steps.windows(2).all(|pair| pair[0] == pair[1]), "evenly");
    }

    #[test]
    fn a_process_that_is_started_again_begins_anew() {
        let gateway = Process::Gateway(ReplicaName::of_index(1));
        let mut footprints = Footprints::default();
        for life in 0..3 {
            for second in 0..100 {
                footprints.measured(gateway, sample(life * 1000 + second, (20 + 10 * life) * MIB, 40));
                footprints.measured(Process::Own, sample(life * 1000 + second, 60 * MIB, 300));
            }
            footprints.ended(gateway);
        }
        footprints.measured(gateway, sample(4000, MIB, 40));
        let judged = footprints.judged();
        assert_eq!(judged.len(), 4, "three lives and the rehearsal's own");
        assert!(judged.iter().all(|one| one.trend.memory_is_flat()), "no life is the other's growth");
        assert_eq!(footprints.too_short(), 1);
        assert_eq!(footprints.now().count(), 2);
    }

    #[test]
    fn of_many_lives_those_that_grew_are_kept() {
        let gateway = Process::Gateway(ReplicaName::of_index(1));
        let mut footprints = Footprints::default();
        for life in 0..500 {
            for second in 0..50 {
                let grows = if life == 3 { second * MIB } else { 0 };
                footprints.measured(gateway, sample(life * 1000 + second, 20 * MIB + grows, 40));
            }
            footprints.ended(gateway);
        }
        let judged = footprints.judged();
        assert_eq!(judged.len(), MOST_ENDED);
        assert_eq!(judged.iter().filter(|one| !one.trend.memory_is_flat()).count(), 1);
    }
}
