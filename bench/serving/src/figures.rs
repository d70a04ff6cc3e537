//! What was measured, round by round, and what follows from it.

use std::collections::BTreeMap;

use crate::call::Call;
use crate::generator::Load;
use crate::server::Kind;
use crate::usage::Usage;

/// Under what a server was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scene {
    /// Good tokens, each seen before.
    Steady,
    /// Each token once, by a server that has just started.
    First,
    /// Good tokens while others present bad ones.
    BesideFlood,
    /// The bad ones.
    Flood,
    /// Two keys, and nothing changes.
    Still,
    /// The signing key changes every second.
    Turning,
}

/// One server under one load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) load: Load,
    /// Resident memory at the end, MiB.
    pub(crate) resident: f64,
    /// Of it, what is of no file.
    pub(crate) own: f64,
    /// Of the server's processor, how much it used, 0 to 1.
    pub(crate) busy: f64,
    /// The server's processor time for a request, microseconds.
    pub(crate) micros: Option<f64>,
}

impl Sample {
    /// Of a load between two looks at the server.
    #[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub(crate) fn of(load: Load, before: Usage, after: Usage) -> Self {
        let cpu = after.cpu - before.cpu;
        let micros = Some(cpu * 1e6 / load.requests as f64);
        Self { load, resident: after.resident, own: after.own, busy: cpu / load.seconds, micros }
    }

    pub(crate) fn rate(&self) -> f64 {
        self.load.rate()
    }

    pub(crate) fn p99(&self) -> f64 {
        self.load.p99
    }

    pub(crate) fn cost(&self) -> f64 {
        self.micros.unwrap_or(f64::NAN)
    }
}

/// A server that nobody calls.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    /// From the start of the process to its first good answer.
    pub(crate) ready_ms: f64,
    /// The processor time that it had used by then.
    pub(crate) cpu_ms: f64,
    /// MiB.
    pub(crate) resident: f64,
    /// Of these, what is of no file.
    pub(crate) own: f64,
}

/// Which samples.
pub(crate) type Which = (Call, Kind, Scene);

/// Everything that was measured.
#[derive(Default)]
pub(crate) struct Figures {
    samples: BTreeMap<Which, Vec<Sample>>,
    pub(crate) idle: Vec<Idle>,
    /// Requests per second that wrk and h2load made of Keystile.
    pub(crate) others: BTreeMap<Call, f64>,
}

/// The middle of some figures, and between what they lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) least: f64,
    pub(crate) median: f64,
    pub(crate) most: f64,
}

impl Spread {
    /// The spread of `values`; of an even number the median is the middle of the middle two.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self { least: at(0), median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), most: at(last) }
    }
}

impl Figures {
    pub(crate) fn push(&mut self, call: Call, kind: Kind, scene: Scene, sample: Sample) {
        self.samples.entry((call, kind, scene)).or_default().push(sample);
    }

    pub(crate) fn of(&self, which: Which) -> &[Sample] {
        self.samples.get(&which).map_or(&[], Vec::as_slice)
    }

    /// The median of `figure`.
    pub(crate) fn median(&self, which: Which, figure: impl Fn(&Sample) -> f64) -> f64 {
        Spread::of(self.of(which).iter().map(figure)).median
    }

    /// `figure` of `one` over that of `other` in the same round.
    pub(crate) fn ratio(&self, one: Which, other: Which, figure: impl Fn(&Sample) -> f64) -> Spread {
        Spread::of(self.of(one).iter().zip(self.of(other)).map(|(one, other)| figure(one) / figure(other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let spread = |least, median, most| Spread { least, median, most };
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), spread(1.0, 2.0, 3.0));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]), spread(1.0, 2.5, 4.0));
        assert!(Spread::of([]).median.is_nan());
    }
}
