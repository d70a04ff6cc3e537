//! Chance that can be repeated.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_system::{Entropy, EntropyError};

/// One step of splitmix64 (Steele, Lea and Flood 2014): from a counter to a number.
fn mixed(counter: u64) -> u64 {
    let z = (counter ^ (counter >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

/// Numbers of one seed: fit for choices, not for keys.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The choices of one kind: `purpose` keeps them apart, so that one more of one kind changes no other.
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self(mixed(seed ^ mixed(purpose.wrapping_mul(STRIDE))))
    }

    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STRIDE);
        mixed(self.0)
    }

    /// Uniform in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        let high = u32::try_from(self.number() >> 32).unwrap_or_default();
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }

    /// Uniform below `count`; 0 if that is 0.
    pub(crate) fn below(&mut self, count: u32) -> u32 {
        let scaled = u64::from(count) * (self.number() >> 32);
        u32::try_from(scaled >> 32).unwrap_or_default()
    }

    /// Whether one of `count` equal chances came.
    pub(crate) fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    /// One of some numbers; 0 of none.
    pub(crate) fn one_of(&mut self, numbers: &[f64]) -> f64 {
        let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        numbers.get(self.below(count) as usize).copied().unwrap_or_default()
    }

    /// Uniform from nothing to `most`.
    pub(crate) fn within(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.unit())
    }

    /// Normal with mean 0 and deviation 1: the sum of twelve uniform numbers, the same on every machine.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }

    /// Normal with `deviation`, drawn again until it lies within `most` of 0.
    pub(crate) fn normal_within(&mut self, deviation: f64, most: f64) -> f64 {
        (0..64).map(|_| self.normal() * deviation).find(|drawn| drawn.abs() <= most).unwrap_or_default()
    }

    /// Log-normal with this median; `shape` is the deviation of its logarithm. Not above `most`.
    pub(crate) fn log_normal(&mut self, median: f64, shape: f64, most: f64) -> f64 {
        (median * (self.normal() * shape).exp()).min(most)
    }
}

/// The same for the supervisor's dice.
pub(crate) struct Seeded(AtomicU64);

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(mixed(seed.wrapping_add(STRIDE))))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in bytes.chunks_mut(8) {
            let number = mixed(self.0.fetch_add(STRIDE, Ordering::Relaxed)).to_le_bytes();
            chunk.iter_mut().zip(number).for_each(|(byte, drawn)| *byte = drawn);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_choices_and_a_purpose_its_own() {
        let draw = |seed, purpose| {
            let mut chance = Chance::new(seed, purpose);
            (0..4).map(|_| chance.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, 1), draw(7, 1));
        assert_ne!(draw(7, 1), draw(7, 2));
        assert_ne!(draw(7, 1), draw(8, 1));
    }

    #[test]
    fn distributions_have_their_shape_and_bounds() {
        let mut chance = Chance::new(1, 1);
        let units: Vec<f64> = (0..10_000).map(|_| chance.unit()).collect();
        let mean = units.iter().sum::<f64>() / 10_000.0;
        assert!((0.49..0.51).contains(&mean) && units.iter().all(|unit| (0.0..1.0).contains(unit)));

        let normal: Vec<f64> = (0..10_000).map(|_| chance.normal_within(5.0, 15.0)).collect();
        let variance = normal.iter().map(|drawn| drawn * drawn).sum::<f64>() / 10_000.0;
        assert!((23.0..26.0).contains(&variance), "{variance}");
        assert!(normal.iter().all(|drawn| drawn.abs() <= 15.0));
        assert_eq!(chance.normal_within(5.0, 0.0), 0.0);

        let mut delays: Vec<f64> = (0..10_001).map(|_| chance.log_normal(1.0, 1.0, 60.0)).collect();
        delays.sort_by(f64::total_cmp);
        assert!((0.95..1.05).contains(&delays[5000]), "{}", delays[5000]);
        assert!(delays[9900] > 8.0 && delays[10_000] <= 60.0);
    }
}
