//! The suite that every store passes, on the stores of this crate.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests assert")]

mod common;

use std::sync::{Arc, Mutex};

use common::Directory;
use keystile_keyring::UnixTime;
use keystile_store::conformance::{Place, START};
use keystile_store::{MemoryStore, Store};
use keystile_testkit::ManualClock;

impl Place for Directory {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store())
    }

    fn set_clock(&self, now: UnixTime) {
        self.clock.set(now);
    }

    fn put(&self, members: &[(&str, &[u8])]) {
        self.put_files(members);
    }

    fn lose(&self) {
        std::fs::remove_dir_all(self.path()).unwrap();
    }
}

struct Memory {
    clock: ManualClock,
    store: Mutex<Arc<MemoryStore>>,
}

impl Memory {
    fn new() -> Self {
        let clock = ManualClock::at(START);
        let store = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        Self { clock, store: Mutex::new(store) }
    }
}

impl Place for Memory {
    fn open(&self) -> Arc<dyn Store> {
        self.store.lock().unwrap().clone()
    }

    fn set_clock(&self, now: UnixTime) {
        self.clock.set(now);
    }

    fn put(&self, members: &[(&str, &[u8])]) {
        let store = MemoryStore::with_key_set(Arc::new(self.clock.clone()), members.iter().copied());
        *self.store.lock().unwrap() = Arc::new(store);
    }

    fn lose(&self) {
        self.store.lock().unwrap().lose();
    }
}

mod directory {
    use super::common::Directory;

    keystile_store::conformance_tests!(Directory::new());
}

mod memory {
    use super::Memory;

    keystile_store::conformance_tests!(Memory::new());
}

/// The testkit's store that fails on demand does what the other does as long as nobody demands it.
mod faulty_at_its_best {
    use std::sync::Arc;

    use keystile_keyring::UnixTime;
    use keystile_store::Store;
    use keystile_store::conformance::Place;
    use keystile_testkit::FaultyStore;

    use super::Memory;

    struct Faulty(Memory);

    impl Place for Faulty {
        fn open(&self) -> Arc<dyn Store> {
            Arc::new(FaultyStore::new(self.0.open()))
        }

        fn set_clock(&self, now: UnixTime) {
            self.0.set_clock(now);
        }

        fn put(&self, members: &[(&str, &[u8])]) {
            self.0.put(members);
        }

        fn lose(&self) {
            self.0.lose();
        }
    }

    keystile_store::conformance_tests!(Faulty(Memory::new()));
}
