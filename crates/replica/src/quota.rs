//! Bounded log lines: of one class a few in a while, and then a number.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a class of lines is counted before it is written again.
const WINDOW: Duration = Duration::from_secs(10);

/// Lines of one class in a window.
const LINES: u64 = 5;

/// One class of lines: how many were written in the present window, how many left out.
#[derive(Debug, Default)]
pub struct Quota {
    window: AtomicU64,
    written: AtomicU64,
    left_out: AtomicU64,
}

impl Quota {
    /// Whether a line may be written at `uptime`, and how many were left out since the last one.
    pub fn line(&self, uptime: Duration) -> Option<u64> {
        let window = uptime.as_secs() / WINDOW.as_secs() + 1;
        if self.window.swap(window, Ordering::Relaxed) != window {
            self.written.store(0, Ordering::Relaxed);
        }
        if self.written.fetch_add(1, Ordering::Relaxed) < LINES {
            return Some(self.left_out.swap(0, Ordering::Relaxed));
        }
        self.left_out.fetch_add(1, Ordering::Relaxed);
        None
    }

    /// Lines that were left out and that no later line has told of yet.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_class_is_a_few_lines_and_then_a_number() {
        let quota = Quota::default();
        let lines = (0..10_000).filter(|_| quota.line(Duration::from_secs(100)).is_some()).count();
        assert_eq!(lines as u64, LINES);
        assert_eq!(quota.left_out(), 10_000 - LINES);
        assert_eq!(quota.line(Duration::from_secs(111)), Some(10_000 - LINES));
        assert_eq!(quota.line(Duration::from_secs(111)), Some(0));
    }
}
