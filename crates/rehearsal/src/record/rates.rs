//! Accepted calls per key over time.

use std::collections::{BTreeMap, VecDeque};

use keystile_keyring::Kid;

use crate::moment::Moment;

/// Buckets per second.
pub const PER_SECOND: u32 = 4;

/// The most buckets that are kept of a key: an hour and a little.
const MOST: usize = 4 * 3700;

/// Accepted calls per key and quarter of a second.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    by_kid: BTreeMap<Kid, Buckets>,
}

/// Calls per quarter of a second, from the first that is kept on.
#[derive(Clone, Debug)]
struct Buckets {
    first: usize,
    counts: VecDeque<u32>,
}

impl Buckets {
    fn count(&mut self, bucket: usize) {
        // An answer that is told late, of a time that is forgotten, is not missed.
        let Some(index) = bucket.checked_sub(self.first) else {
            return;
        };
        if index >= MOST {
            self.forget(bucket + 1 - MOST);
        }
        let index = bucket - self.first;
        if self.counts.len() <= index {
            self.counts.resize(index + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(index) {
            *count = count.saturating_add(1);
        }
    }

    fn forget(&mut self, before: usize) {
        let gone = before.saturating_sub(self.first).min(self.counts.len());
        self.counts.drain(..gone);
        self.first = self.first.max(before);
    }

    fn at(&self, bucket: usize) -> u32 {
        let index = bucket.checked_sub(self.first);
        index.and_then(|index| self.counts.get(index)).copied().unwrap_or_default()
    }

    fn end(&self) -> usize {
        self.first + self.counts.len()
    }
}

impl Rates {
    /// Counts one accepted call.
    pub fn count(&mut self, kid: &Kid, at: Moment) {
        let bucket = bucket(at);
        if !self.by_kid.contains_key(kid) {
            self.by_kid.insert(kid.clone(), Buckets { first: 0, counts: VecDeque::new() });
        }
        if let Some(buckets) = self.by_kid.get_mut(kid) {
            if buckets.counts.is_empty() {
                // A call may be told shortly after one that was later.
                buckets.first = bucket.saturating_sub(4 * PER_SECOND as usize);
            }
            buckets.count(bucket);
        }
    }

    /// Forgets what was before `moment`.
    pub fn forget(&mut self, moment: Moment) {
        let before = bucket(moment);
        self.by_kid.retain(|_, buckets| {
            buckets.forget(before);
            !buckets.counts.is_empty()
        });
    }

    /// Calls per second with tokens of `kid`, one value per quarter of a second from `from` to `until`.
    pub fn series(&self, kid: &Kid, from: Moment, until: Moment) -> Vec<f64> {
        let span = bucket(from)..bucket(until).min(bucket(from) + MOST);
        let count = |index: usize| self.by_kid.get(kid).map_or(0, |buckets| buckets.at(index));
        span.map(|index| f64::from(count(index)) * f64::from(PER_SECOND)).collect()
    }

    /// Calls per second with any token in the last whole second before `now`.
    pub fn now(&self, now: Moment) -> f64 {
        let end = bucket(now);
        let begin = end.saturating_sub(PER_SECOND as usize);
        let calls: u64 = (begin..end).map(|index| self.sum(index)).sum();
        let seconds = f64::from(u32::try_from(end - begin).unwrap_or(1).max(1)) / f64::from(PER_SECOND);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52 calls")]
        let calls = calls as f64;
        calls / seconds
    }

    /// The largest sum over all keys in any bucket from `from` to `until`, per second.
    pub fn peak(&self, from: Moment, until: Moment) -> f64 {
        let last = self.by_kid.values().map(Buckets::end).max().unwrap_or_default();
        let peak = (bucket(from)..bucket(until).min(last)).map(|index| self.sum(index)).max();
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52 calls")]
        let peak = peak.unwrap_or_default() as f64;
        peak * f64::from(PER_SECOND)
    }

    fn sum(&self, index: usize) -> u64 {
        self.by_kid.values().map(|buckets| u64::from(buckets.at(index))).sum()
    }
}

fn bucket(at: Moment) -> usize {
    let quarters = at.0.as_millis() * u128::from(PER_SECOND) / 1000;
    usize::try_from(quarters).unwrap_or(usize::MAX - 2 * MOST).min(usize::MAX - 2 * MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{kid, moment};

    const BEGIN: Moment = Moment(std::time::Duration::ZERO);

    #[test]
    fn calls_are_counted_by_key_and_quarter() {
        let mut rates = Rates::default();
        for at in [0.0, 0.1, 0.2, 0.3, 1.0] {
            rates.count(&kid("a"), moment(at));
        }
        rates.count(&kid("b"), moment(0.9));
        assert_eq!(rates.series(&kid("a"), BEGIN, moment(1.5)), [12.0, 4.0, 0.0, 0.0, 4.0, 0.0]);
        assert_eq!(rates.series(&kid("a"), moment(0.25), moment(1.5)), [4.0, 0.0, 0.0, 4.0, 0.0]);
        assert_eq!(rates.series(&kid("b"), BEGIN, moment(1.0)), [0.0, 0.0, 0.0, 4.0]);
        assert_eq!(rates.series(&kid("c"), BEGIN, moment(0.5)), [0.0, 0.0]);
    }

    #[test]
    fn the_present_rate_is_of_the_last_second() {
        let mut rates = Rates::default();
        for quarter in 0..8 {
            for _ in 0..10 {
                rates.count(&kid(if quarter % 2 == 0 { "a" } else { "b" }), moment(f64::from(quarter) / 4.0));
            }
        }
        assert!((rates.now(moment(2.0)) - 40.0).abs() < 1e-9);
        assert!((rates.now(moment(2.5)) - 20.0).abs() < 1e-9, "half of it was silent");
        assert!((rates.peak(BEGIN, moment(2.0)) - 40.0).abs() < 1e-9);
        assert!(rates.now(Moment::default()).abs() < 1e-9);
    }

    #[test]
    fn a_run_without_end_does_not_fill_the_memory() {
        let mut rates = Rates::default();
        for at in [0.0, 100.0, 1e6, 1e9, 1e9 + 1.0] {
            rates.count(&kid("a"), moment(at));
        }
        assert!(rates.by_kid.values().all(|buckets| buckets.counts.len() <= MOST));
        assert!(rates.series(&kid("a"), BEGIN, moment(1e9)).len() <= MOST);
        assert_eq!(rates.series(&kid("a"), moment(1e9), moment(1e9 + 0.25)), [4.0]);
        assert_eq!(rates.peak(moment(1e9), moment(1e9 + 2.0)), 4.0);
    }

    #[test]
    fn what_is_forgotten_takes_no_memory_and_the_rest_stays() {
        let mut rates = Rates::default();
        for second in 0..1000 {
            rates.count(&kid(if second < 500 { "a" } else { "b" }), moment(f64::from(second)));
        }
        rates.forget(moment(900.0));
        assert_eq!(rates.by_kid.keys().collect::<Vec<_>>(), [&kid("b")]);
        assert!(rates.by_kid.values().all(|buckets| buckets.counts.len() <= 400));
        assert_eq!(rates.series(&kid("b"), moment(998.0), moment(999.0)), [4.0, 0.0, 0.0, 0.0]);
        rates.count(&kid("b"), moment(10.0));
        rates.count(&kid("b"), moment(999.0));
        assert_eq!(rates.series(&kid("b"), moment(999.0), moment(999.25)), [8.0]);
    }
}
