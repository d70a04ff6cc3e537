//! All streams that are open, and what they share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use keystile_replica::{Quota, Replica};
use tokio::task::JoinHandle;

use crate::lease::Open;

/// The open streams of a verifier: a number, and of those that were given a name, where they are.
pub(crate) struct Leases {
    pub(crate) replica: Arc<Replica>,
    pub(crate) process: u64,
    /// Lines about refusals, alarms and ends.
    pub(crate) refusals: Quota,
    pub(crate) alarms: Quota,
    pub(crate) ends: Quota,
    following: JoinHandle<()>,
    most: usize,
    open: AtomicUsize,
    next: AtomicU64,
    named: Mutex<HashMap<u64, Weak<Open>>>,
}

impl Leases {
    /// `following` keeps the keyring the newest, and ends with the last who asks about it.
    pub(crate) fn new(replica: Arc<Replica>, following: JoinHandle<()>, process: u64, most: usize) -> Self {
        Self {
            replica,
            process,
            refusals: Quota::default(),
            alarms: Quota::default(),
            ends: Quota::default(),
            following,
            most,
            open: AtomicUsize::new(0),
            next: AtomicU64::new(1),
            named: Mutex::default(),
        }
    }

    /// A place for one more, with its number; `None` if there are as many as may be.
    pub(crate) fn take(&self) -> Option<u64> {
        if self.open.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(self.next.fetch_add(1, Ordering::Relaxed));
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
        None
    }

    /// The place is free again.
    pub(crate) fn give_back(&self, number: u64, named: bool) {
        if named {
            self.named().remove(&number);
        }
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(crate) fn name(&self, number: u64, open: Weak<Open>) {
        self.named().insert(number, open);
    }

    pub(crate) fn find(&self, number: u64) -> Option<Arc<Open>> {
        // The lock is let go first: the last one to hold a stream takes it again.
        let found = self.named().get(&number).cloned();
        found?.upgrade()
    }

    fn named(&self) -> MutexGuard<'_, HashMap<u64, Weak<Open>>> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.following.abort();
    }
}
