//! How long answers took.

use std::time::Duration;

/// Counts by powers of the square root of two microseconds: exact to 41 %, and small.
#[derive(Clone, Debug)]
pub struct Latency {
    counts: [u64; BUCKETS],
}

const BUCKETS: usize = 64;

impl Default for Latency {
    fn default() -> Self {
        Self { counts: [0; BUCKETS] }
    }
}

impl Latency {
    /// Counts one answer.
    pub fn count(&mut self, took: Duration) {
        if let Some(count) = self.counts.get_mut(bucket(took)) {
            *count += 1;
        }
    }

    /// The time within which this share of the answers came, rounded up to a bucket's bound.
    pub fn quantile(&self, share: f64) -> Duration {
        let total: u64 = self.counts.iter().sum();
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share from 0 to 1 of a count far below 2^52"
        )]
        let wanted = (total as f64 * share.clamp(0.0, 1.0)).ceil() as u64;
        let mut seen = 0;
        let reached = self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted.max(1)
        });
        reached.map_or(Duration::ZERO, bound)
    }
}

/// The first bucket whose bound is not below `took`.
fn bucket(took: Duration) -> usize {
    (0..BUCKETS - 1).find(|index| took <= bound(*index)).unwrap_or(BUCKETS - 1)
}

fn bound(index: usize) -> Duration {
    let half_powers = f64::from(u32::try_from(index).unwrap_or(u32::MAX));
    Duration::try_from_secs_f64((half_powers / 2.0).exp2() / 1e6).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_upper_bounds_within_a_bucket() {
        let mut latency = Latency::default();
        for micros in 1..=1000 {
            latency.count(Duration::from_micros(micros));
        }
        for (share, exact) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let measured = latency.quantile(share).as_secs_f64() * 1e6;
            assert!(measured >= exact && measured <= exact * 1.5, "{share}: {measured}");
        }
    }

    #[test]
    fn nothing_and_the_longest_are_bounded() {
        assert_eq!(Latency::default().quantile(0.99), Duration::ZERO);
        let mut latency = Latency::default();
        latency.count(Duration::MAX);
        assert!(latency.quantile(0.5) > Duration::from_secs(1000));
    }
}
