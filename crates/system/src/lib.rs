//! The rim: the one place that reads the clocks, the system's randomness, the environment, and what this process
//! takes of the machine, and that asks the system to guard the process's memory.
//!
//! Everything else takes a [`Clock`], an [`Entropy`] or an [`Environment`], so that a test can pass
//! its own. The lints forbid the standard library's readers elsewhere.
#![allow(clippy::disallowed_methods, reason = "this crate is the rim that the lint protects")]

mod footprint;
mod memory;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keystile_keyring::UnixTime;

pub use footprint::{Footprint, footprint};
pub use memory::{Guarded, guard_memory};

/// The two clocks that Keystile reads.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock.
    fn now(&self) -> UnixTime;

    /// Time since boot, suspend included: what staleness is measured by. Never goes back.
    fn uptime(&self) -> Duration;
}

/// A source of random bytes fit for keys.
pub trait Entropy: Send + Sync + 'static {
    /// Fills `bytes` whole, or fails.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// Where configuration strings come from besides flags and files.
pub trait Environment: Send + Sync {
    /// The value of a variable, if it is set and is text.
    fn get(&self, name: &str) -> Option<String>;

    /// The names of all variables that begin with `prefix`.
    fn names(&self, prefix: &str) -> Vec<String>;
}

/// The system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes")]
pub struct EntropyError;

/// The clocks of this machine; the wall clock may be shifted to rehearse skew.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock {
    shift: i64,
}

impl SystemClock {
    /// A wall clock that is `seconds` ahead of the machine's (behind, if negative).
    pub fn shifted(seconds: i64) -> Self {
        Self { shift: seconds }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> UnixTime {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixTime(since_epoch.as_secs().saturating_add_signed(self.shift))
    }

    fn uptime(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanos = u32::try_from(time.tv_nsec).unwrap_or_default();
        Duration::new(seconds, nanos)
    }
}

/// The operating system's randomness, through the cryptography library.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        aws_lc_rs::rand::fill(bytes).map_err(|_| EntropyError)
    }
}

/// The process's environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        let named = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        named.filter(|name| name.starts_with(prefix)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_clock_differs_by_its_shift() {
        let ahead = SystemClock::shifted(1000).now();
        let behind = SystemClock::shifted(-1000).now();
        assert!((1999..=2001).contains(&ahead.since(behind)));
    }

    #[test]
    fn uptime_advances() {
        let clock = SystemClock::default();
        let first = clock.uptime();
        assert!(first > Duration::ZERO);
        assert!(clock.uptime() >= first);
    }

    #[test]
    fn entropy_fills_the_whole_buffer() {
        let mut bytes = [0; 64];
        SystemEntropy.fill(&mut bytes).expect("the system has randomness");
        assert!(bytes.chunks(16).all(|chunk| chunk.iter().any(|byte| *byte != 0)));
    }
}
