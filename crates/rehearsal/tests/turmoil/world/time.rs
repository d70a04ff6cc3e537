//! True time, which only the world knows, and what each host's clocks make of it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keystile_keyring::UnixTime;
use keystile_system::Clock;
use tokio::time::Instant;

/// What a right clock shows when a life begins.
const BEGIN: u64 = 1_800_000_000;

/// True time since the life began.
#[derive(Clone, Copy, Debug)]
pub struct Time(Instant);

impl Time {
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    pub fn now(self) -> Duration {
        self.0.elapsed()
    }

    pub fn instant(self, at: Duration) -> Instant {
        self.0 + at
    }
}

/// The clocks of one host: ahead or behind, set while it runs, standing still while the host sleeps.
pub struct HostClock {
    time: Time,
    /// Since when it has been how: never empty, ascending.
    settings: Mutex<Vec<Setting>>,
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    since: Duration,
    /// Milliseconds by which the wall clock is ahead.
    ahead: i64,
    /// Since when the host sleeps: neither clock moves.
    asleep: Option<Duration>,
    /// The host's clock for staleness never moves: a weakness, see `weakened.rs`.
    ageless: bool,
}

impl Setting {
    fn wall(&self, at: Duration) -> UnixTime {
        let at = self.asleep.unwrap_or(at);
        let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX).saturating_add(self.ahead);
        UnixTime(BEGIN.saturating_add_signed(millis.div_euclid(1000)))
    }

    fn uptime(&self, at: Duration) -> Duration {
        let at = self.asleep.unwrap_or(at);
        Duration::from_hours(1) + if self.ageless { Duration::ZERO } else { at }
    }
}

impl HostClock {
    pub fn new(time: Time, ahead: i64) -> Self {
        let first = Setting { since: Duration::ZERO, ahead, asleep: None, ageless: false };
        Self { time, settings: Mutex::new(vec![first]) }
    }

    /// Sets the wall clock so many milliseconds ahead of true time.
    pub fn set(&self, ahead: i64) {
        self.change(|setting| setting.ahead = ahead);
    }

    pub fn fall_asleep(&self) {
        let now = self.time.now();
        self.change(|setting| setting.asleep = Some(now));
    }

    pub fn wake(&self) {
        self.change(|setting| setting.asleep = None);
    }

    pub fn never_age(&self) {
        self.change(|setting| setting.ageless = true);
    }

    fn change(&self, change: impl FnOnce(&mut Setting)) {
        let mut settings = self.settings();
        let mut next = *settings.last().expect("never empty");
        change(&mut next);
        next.since = self.time.now();
        settings.push(next);
    }

    /// The least and the greatest that the wall clock showed between two instants of true time.
    pub fn readings(&self, from: Duration, to: Duration) -> (UnixTime, UnixTime) {
        let settings = self.settings();
        let mut shown = Vec::new();
        for (index, setting) in settings.iter().enumerate() {
            let end = settings.get(index + 1).map_or(Duration::MAX, |next| next.since);
            if setting.since <= to && end >= from {
                shown.extend([setting.wall(setting.since.max(from)), setting.wall(end.min(to))]);
            }
        }
        let now = || self.now();
        (shown.iter().min().copied().unwrap_or_else(now), shown.iter().max().copied().unwrap_or_else(now))
    }

    fn current(&self) -> Setting {
        *self.settings().last().expect("never empty")
    }

    fn settings(&self) -> MutexGuard<'_, Vec<Setting>> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for HostClock {
    fn now(&self) -> UnixTime {
        self.current().wall(self.time.now())
    }

    fn uptime(&self) -> Duration {
        self.current().uptime(self.time.now())
    }
}
