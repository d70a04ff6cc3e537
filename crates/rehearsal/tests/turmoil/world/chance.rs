//! All randomness of a life, from its seed.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use keystile_system::{Entropy, EntropyError};

/// splitmix64. What each part of a world draws comes from a stream of its own, so that one part's draws do not depend
/// on what another does first.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A stream of its own for the part called `name`.
    pub fn stream(&self, name: &str, number: usize) -> Self {
        let start = self.0 ^ (number as u64).wrapping_mul(0xd6e8_feb8_6659_fd93);
        Self(name.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `least` to `most`, both included.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.next() % (most - least + 1)
    }

    pub fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count.max(1) as u64).expect("less than a usize")
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn millis(&mut self, least: u64, most: u64) -> Duration {
        Duration::from_millis(self.between(least, most))
    }
}

/// Randomness for keys and dice that is the same in every run.
pub struct SeededEntropy(Mutex<Chance>);

impl SeededEntropy {
    pub fn new(chance: Chance) -> Self {
        Self(Mutex::new(chance))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&chance.next().to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}
