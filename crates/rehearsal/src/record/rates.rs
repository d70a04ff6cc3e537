//! Accepted calls per key over time.

use std::collections::BTreeMap;

use keystile_keyring::Kid;

use crate::moment::Moment;

/// Buckets per second.
pub const PER_SECOND: u32 = 4;

/// The most buckets that are kept: an hour and a little.
const MOST: usize = 4 * 3700;

/// Accepted calls per key and quarter of a second.
#[derive(Clone, Debug, Default)]
pub struct Rates {
    by_kid: BTreeMap<Kid, Vec<u32>>,
}

impl Rates {
    /// Counts one accepted call.
    pub fn count(&mut self, kid: &Kid, at: Moment) {
        let bucket = bucket(at);
        if !self.by_kid.contains_key(kid) {
            self.by_kid.insert(kid.clone(), Vec::new());
        }
        if let Some(buckets) = self.by_kid.get_mut(kid) {
            if buckets.len() <= bucket {
                buckets.resize(bucket + 1, 0);
            }
            if let Some(count) = buckets.get_mut(bucket) {
                *count = count.saturating_add(1);
            }
        }
    }

    /// Calls per second with tokens of `kid`, one value per quarter of a second from the begin to `until`.
    pub fn series(&self, kid: &Kid, until: Moment) -> Vec<f64> {
        let buckets = self.by_kid.get(kid).map(Vec::as_slice).unwrap_or_default();
        let counts = buckets.iter().copied().chain(std::iter::repeat(0)).take(bucket(until));
        counts.map(|count| f64::from(count) * f64::from(PER_SECOND)).collect()
    }

    /// Calls per second with any token in the last whole second before `now`.
    pub fn now(&self, now: Moment) -> f64 {
        let end = bucket(now);
        let begin = end.saturating_sub(PER_SECOND as usize);
        let recent = self.by_kid.values().flat_map(|buckets| buckets.iter().take(end).skip(begin));
        let calls: u64 = recent.map(|count| u64::from(*count)).sum();
        let seconds = f64::from(u32::try_from(end - begin).unwrap_or(1).max(1)) / f64::from(PER_SECOND);
        #[allow(clippy::cast_precision_loss, reason = "far below 2^52 calls")]
        let calls = calls as f64;
        calls / seconds
    }

    /// The largest sum over all keys in any bucket before `until`, per second.
    pub fn peak(&self, until: Moment) -> f64 {
        let sum = |index: usize| {
            let counts = self.by_kid.values().filter_map(|buckets| buckets.get(index));
            counts.map(|count| f64::from(*count)).sum::<f64>()
        };
        (0..bucket(until)).map(sum).fold(0.0, f64::max) * f64::from(PER_SECOND)
    }
}

fn bucket(at: Moment) -> usize {
    let quarters = at.0.as_millis() * u128::from(PER_SECOND) / 1000;
    usize::try_from(quarters).unwrap_or(MOST).min(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{kid, moment};

    #[test]
    fn calls_are_counted_by_key_and_quarter() {
        let mut rates = Rates::default();
        for at in [0.0, 0.1, 0.2, 0.3, 1.0] {
            rates.count(&kid("a"), moment(at));
        }
        rates.count(&kid("b"), moment(0.9));
        assert_eq!(rates.series(&kid("a"), moment(1.5)), [12.0, 4.0, 0.0, 0.0, 4.0, 0.0]);
        assert_eq!(rates.series(&kid("b"), moment(1.0)), [0.0, 0.0, 0.0, 4.0]);
        assert_eq!(rates.series(&kid("c"), moment(0.5)), [0.0, 0.0]);
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
        assert!((rates.peak(moment(2.0)) - 40.0).abs() < 1e-9);
        assert!(rates.now(Moment::default()).abs() < 1e-9);
    }

    #[test]
    fn a_run_without_end_does_not_fill_the_memory() {
        let mut rates = Rates::default();
        rates.count(&kid("a"), moment(1e9));
        assert!(rates.series(&kid("a"), moment(1e9)).len() <= MOST);
    }
}
