//! A flood of bad signatures leaves room for everybody else: beyond a few a second, their answers are held back.
//!
//! A signature has to be checked before it is known to be bad, and that costs more than all else about a request.
//! Whoever sends many waits for his answers, so that his connections ask less often and the processor's time goes to
//! those whose tokens are good. Nobody whose token is good waits.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

/// Bad signatures that are answered at once, each second: more than honest mistakes make.
const FREE: u64 = 50;

/// How long an answer is held back.
const DELAY: Duration = Duration::from_millis(25);

/// Holds back answers.
pub(crate) struct Tarpit {
    /// The second, and how many bad signatures came in it.
    second: AtomicU64,
    count: AtomicU64,
    /// An answer that is held back holds a request's place: some are left to the others.
    places: Semaphore,
}

impl Tarpit {
    /// At most `places` answers are held back at a time; what comes beyond is answered at once.
    pub(crate) fn new(places: usize) -> Self {
        Self { second: AtomicU64::new(0), count: AtomicU64::new(0), places: Semaphore::new(places) }
    }

    /// A bad signature came at `uptime`; returns when it may be answered. Whether that took its time.
    pub(crate) async fn pass(&self, uptime: Duration) -> bool {
        if !self.is_flood(uptime) {
            return false;
        }
        let Ok(_place) = self.places.try_acquire() else {
            return false;
        };
        tokio::time::sleep(DELAY).await;
        true
    }

    fn is_flood(&self, uptime: Duration) -> bool {
        let second = uptime.as_secs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.count.store(0, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed) >= FREE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    async fn took(tarpit: &Tarpit, second: u64) -> Duration {
        let began = Instant::now();
        tarpit.pass(Duration::from_secs(second)).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_are_answered_at_once_and_the_rest_of_the_second_waits() {
        let tarpit = Tarpit::new(4);
        for second in [7, 8] {
            for _ in 0..FREE {
                assert_eq!(took(&tarpit, second).await, Duration::ZERO);
            }
            assert_eq!(took(&tarpit, second).await, DELAY);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_held_back_at_a_time() {
        let tarpit = Tarpit::new(2);
        for _ in 0..FREE {
            tarpit.pass(Duration::ZERO).await;
        }
        let pass = || tarpit.pass(Duration::ZERO);
        let (first, second, third) = tokio::join!(pass(), pass(), pass());
        assert_eq!((first, second, third), (true, true, false));
        assert_eq!(took(&tarpit, 0).await, DELAY, "their places are free again");
    }
}
