//! Random instants, so that a fleet that began together does not act together.

use std::sync::Arc;
use std::time::Duration;

use keystile_system::Entropy;

/// Draws from the system's randomness.
#[derive(Clone)]
pub struct Dice(Arc<dyn Entropy>);

impl Dice {
    /// Dice that draw from `entropy`.
    pub fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self(entropy)
    }

    /// Uniform in `[0, 1)`. One half if the system gives no randomness: a supervisor that stops renewing
    /// would be worse than one that renews together with others.
    pub fn unit(&self) -> f64 {
        let mut bytes = [0; 4];
        match self.0.fill(&mut bytes) {
            Ok(()) => f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0),
            Err(_) => 0.5,
        }
    }

    /// Uniform in `[from, to)`; `from` if `to` is not later.
    pub fn between(&self, from: Duration, to: Duration) -> Duration {
        from.saturating_add(to.saturating_sub(from).mul_f64(self.unit()))
    }

    /// Uniform over the indices of `count` things; 0 if there are none.
    pub fn index(&self, count: usize) -> usize {
        let mut bytes = [0; 4];
        let drawn = self.0.fill(&mut bytes).map(|()| u32::from_le_bytes(bytes)).unwrap_or_default();
        usize::try_from(drawn).unwrap_or_default().checked_rem(count).unwrap_or_default()
    }
}
