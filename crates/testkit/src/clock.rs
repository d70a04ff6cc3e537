//! A clock that stands still until a test moves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_keyring::UnixTime;
use keystile_system::Clock;

/// A clock that stands still until a test moves it; clones show the same time.
#[derive(Clone, Debug)]
pub struct ManualClock {
    wall: Arc<AtomicU64>,
    uptime: Arc<AtomicU64>,
}

impl ManualClock {
    /// A clock that shows `now`, a day after boot.
    pub fn at(now: UnixTime) -> Self {
        Self { wall: Arc::new(AtomicU64::new(now.0)), uptime: Arc::new(AtomicU64::new(24 * 3600)) }
    }

    /// Lets `seconds` pass.
    pub fn advance(&self, seconds: u64) {
        self.wall.fetch_add(seconds, Ordering::SeqCst);
        self.uptime.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Sets the wall clock, as an administrator would: the time since boot is not changed.
    pub fn set(&self, now: UnixTime) {
        self.wall.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime(self.wall.load(Ordering::SeqCst))
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(self.uptime.load(Ordering::SeqCst))
    }
}
