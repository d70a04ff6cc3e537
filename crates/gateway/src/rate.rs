//! The limit on extension credentials: so many requests per sandbox and minute, within bounded memory.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::report::SandboxDigest;

/// Requests of one sandbox in a window (contract of OpenShell's gateway).
const REQUESTS: usize = 10;

/// The window.
const WINDOW: Duration = Duration::from_mins(1);

/// Sandboxes remembered; beyond it, new ones are refused until a window has passed.
const SANDBOXES: usize = 20_000;

/// Counts requests for extension credentials. Only they take its lock.
#[derive(Default)]
pub(crate) struct ExtensionLimit(Mutex<HashMap<SandboxDigest, VecDeque<Duration>>>);

impl ExtensionLimit {
    /// Whether `sandbox` may have credentials at `uptime`; if so, the request is counted.
    pub(crate) fn admit(&self, sandbox: SandboxDigest, uptime: Duration) -> bool {
        let mut sandboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = |at: &Duration| uptime.saturating_sub(*at) >= WINDOW;
        if sandboxes.len() >= SANDBOXES && !sandboxes.contains_key(&sandbox) {
            sandboxes.retain(|_, requests| requests.back().is_some_and(|last| !over(last)));
            if sandboxes.len() >= SANDBOXES {
                return false;
            }
        }
        let requests = sandboxes.entry(sandbox).or_default();
        while requests.front().is_some_and(over) {
            requests.pop_front();
        }
        let admitted = requests.len() < REQUESTS;
        if admitted {
            requests.push_back(uptime);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keystile_token::SandboxId;

    fn sandbox(number: usize) -> SandboxDigest {
        SandboxDigest::of(&SandboxId::new(format!("s{number}")).expect("an id"))
    }

    #[test]
    fn ten_in_any_minute_and_each_sandbox_for_itself() {
        let limit = ExtensionLimit::default();
        let at = Duration::from_secs;
        for second in 0..10 {
            assert!(limit.admit(sandbox(1), at(second)));
        }
        assert!(!limit.admit(sandbox(1), at(59)));
        assert!(limit.admit(sandbox(2), at(59)));
        assert!(limit.admit(sandbox(1), at(60)), "the first request is a minute old");
        assert!(!limit.admit(sandbox(1), at(60)), "the second is not");
    }

    #[test]
    fn memory_is_bounded_and_freed_after_a_window() {
        let limit = ExtensionLimit::default();
        for number in 0..SANDBOXES {
            assert!(limit.admit(sandbox(number), Duration::ZERO));
        }
        assert!(!limit.admit(sandbox(SANDBOXES), Duration::from_secs(1)));
        assert!(limit.admit(sandbox(SANDBOXES), WINDOW));
        assert_eq!(limit.0.lock().expect("not poisoned").len(), 1);
    }
}
