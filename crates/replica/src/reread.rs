//! The bounded re-read of the request path (invariant I10): requests that are about to be refused for
//! a reason that a newer generation could change share the next read that starts after they arrived.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, watch};

/// The most requests that wait at a time; beyond it the answer is `unavailable`.
pub(crate) const WAITERS: usize = 1024;

/// The longest that a request waits for a read.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

/// A read that has ended.
#[derive(Clone, Copy, Debug, Default)]
struct Ended {
    number: u64,
    confirmed: bool,
}

/// What waiters and the reader share.
pub(crate) struct Rereads {
    wanted: Notify,
    waiters: AtomicUsize,
    begun: AtomicU64,
    ended: watch::Sender<Ended>,
}

/// What became of the read that a request waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reread {
    /// It confirmed what the replica now holds.
    Done,
    /// It could not be done, or confirmed nothing.
    Failed,
    /// Too many wait already.
    Crowded,
}

impl Rereads {
    pub(crate) fn new() -> Self {
        Self {
            wanted: Notify::new(),
            waiters: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            ended: watch::Sender::new(Ended::default()),
        }
    }

    /// Asks for a read without waiting for it.
    pub(crate) fn nudge(&self) {
        self.wanted.notify_one();
    }

    /// Waits for a read that begins after this call.
    pub(crate) async fn next(&self) -> Reread {
        let Some(_place) = Place::take(&self.waiters) else {
            return Reread::Crowded;
        };
        self.soon().await
    }

    /// The same without a limit: for those whose number is bounded already.
    pub(crate) async fn soon(&self) -> Reread {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut ended = self.ended.subscribe();
        self.wanted.notify_one();
        let next = ended.wait_for(|ended| ended.number > begun);
        match tokio::time::timeout(PATIENCE, next).await {
            Ok(Ok(ended)) if ended.confirmed => Reread::Done,
            _ => Reread::Failed,
        }
    }

    /// Waits until somebody asks.
    pub(crate) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The reader begins a read: whoever asks from now on waits for the one after it.
    pub(crate) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The read with this number has ended and its outcome is in force.
    pub(crate) fn end(&self, number: u64, confirmed: bool) {
        self.ended.send_replace(Ended { number, confirmed });
    }
}

struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiters: &'a AtomicUsize) -> Option<Self> {
        if waiters.fetch_add(1, Ordering::SeqCst) < WAITERS {
            return Some(Self(waiters));
        }
        waiters.fetch_sub(1, Ordering::SeqCst);
        None
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    async fn until_waiting(rereads: &Rereads, count: usize) {
        while rereads.waiters.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn waiters_share_the_read_that_begins_after_they_arrived() {
        let rereads = Arc::new(Rereads::new());
        let running = rereads.begin();
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let rereads = Arc::clone(&rereads);
                tokio::spawn(async move { rereads.next().await })
            })
            .collect();
        until_waiting(&rereads, 10).await;
        // The read under way began before they came: it does not serve them.
        rereads.end(running, true);
        tokio::task::yield_now().await;
        assert_eq!(rereads.waiters.load(Ordering::SeqCst), 10);
        let next = rereads.begin();
        rereads.end(next, true);
        for waiter in waiters {
            assert_eq!(waiter.await.expect("the waiter ends"), Reread::Done);
        }
        assert_eq!(rereads.waiters.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn a_read_that_confirms_nothing_is_no_read() {
        let rereads = Arc::new(Rereads::new());
        let waiter = {
            let rereads = Arc::clone(&rereads);
            tokio::spawn(async move { rereads.next().await })
        };
        until_waiting(&rereads, 1).await;
        rereads.end(rereads.begin(), false);
        assert_eq!(waiter.await.expect("the waiter ends"), Reread::Failed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_never_ends_is_waited_for_with_patience_only() {
        let rereads = Rereads::new();
        assert_eq!(rereads.next().await, Reread::Failed);
        assert_eq!(rereads.waiters.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn the_number_of_waiters_is_bounded() {
        let rereads = Arc::new(Rereads::new());
        let waiters: Vec<_> = (0..WAITERS)
            .map(|_| {
                let rereads = Arc::clone(&rereads);
                tokio::spawn(async move { rereads.next().await })
            })
            .collect();
        until_waiting(&rereads, WAITERS).await;
        assert_eq!(rereads.next().await, Reread::Crowded);
        rereads.end(rereads.begin(), true);
        for waiter in waiters {
            assert_eq!(waiter.await.expect("the waiter ends"), Reread::Done);
        }
    }
}
