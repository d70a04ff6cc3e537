//! Rates over time, made as coarse as a picture needs them, and by phase.

use serde::Serialize;

use crate::tally::{Phase, Rates, Tally};

/// One of the rates.
pub(super) type Pick = fn(&Rates) -> u32;

/// The rates that are shown, by name.
pub(super) const RATES: [(&str, Pick); 4] = [
    ("renewed", |rates| rates.refreshed),
    ("bootstrapped", |rates| rates.bootstrapped),
    ("put off", |rates| rates.put_off),
    ("refused", |rates| rates.refused),
];

/// Mean and peak of a rate, per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Level {
    /// The mean.
    pub(super) mean: f64,
    /// The busiest second.
    pub(super) peak: u32,
}

impl Level {
    pub(super) fn of(rates: &[Rates], pick: Pick) -> Self {
        let sum: u64 = rates.iter().map(|rates| u64::from(pick(rates))).sum();
        #[allow(clippy::cast_precision_loss, reason = "a mean for people")]
        let mean = if rates.is_empty() { 0.0 } else { sum as f64 / rates.len() as f64 };
        Self { mean: (mean * 100.0).round() / 100.0, peak: rates.iter().map(pick).max().unwrap_or_default() }
    }
}

/// The busiest second of each of `count` equal parts of the time.
pub(super) fn peaks(tally: &Tally, pick: Pick, count: usize) -> Vec<f64> {
    parts(&tally.rates, count)
        .map(|part| f64::from(part.iter().map(pick).max().unwrap_or_default()))
        .collect()
}

/// `count` equal parts of the values, none of them empty.
pub(super) fn parts<T>(values: &[T], count: usize) -> impl Iterator<Item = &[T]> {
    let begin = move |part: usize| part * values.len() / count.max(1);
    (0..count).map(move |part| {
        let from = begin(part).min(values.len().saturating_sub(1));
        values.get(from..begin(part + 1).max(from + 1)).unwrap_or_default()
    })
}

/// Mean and peak of every so many seconds.
pub(super) fn levels(tally: &Tally, pick: Pick, every: u32) -> Vec<Level> {
    let size = usize::try_from(every.max(1)).unwrap_or(1);
    tally.rates.chunks(size).map(|part| Level::of(part, pick)).collect()
}

/// Of how many sandboxes a key's tokens are, now and then.
pub(super) fn holders(tally: &Tally, key: usize) -> Vec<u32> {
    tally.shares.iter().map(|shares| shares.get(key).copied().unwrap_or_default()).collect()
}

/// The level of a rate in a phase.
pub(super) fn level(tally: &Tally, phase: &Phase, pick: Pick) -> Level {
    Level::of(tally.rates_of(phase), pick)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_many_as_asked_for_and_cover_everything() {
        let parted = |length: u32, count| {
            let values: Vec<_> = (0..length).collect();
            parts(&values, count).map(<[u32]>::to_vec).collect::<Vec<_>>()
        };
        assert_eq!(parted(5, 2), [vec![0, 1], vec![2, 3, 4]]);
        assert_eq!(parted(2, 4), [vec![0], vec![0], vec![1], vec![1]]);
        assert!(parted(0, 2).concat().is_empty());
        let whole = parted(1000, 72);
        assert_eq!((whole.len(), whole.concat().len()), (72, 1000));
    }

    #[test]
    fn a_level_has_mean_and_peak() {
        let rates = [1, 2, 6].map(|refreshed| Rates { refreshed, ..Rates::default() });
        assert_eq!(Level::of(&rates, |rates| rates.refreshed), Level { mean: 3.0, peak: 6 });
        assert_eq!(Level::of(&[], |rates| rates.refreshed), Level::default());
    }
}
