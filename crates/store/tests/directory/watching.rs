//! Changes are noticed, whatever happens to the directory.

use std::time::Duration;

use keystile_keyring::plan::Base;
use keystile_store::conformance::Sample;
use keystile_store::directory::Options;
use keystile_store::{DirectoryStore, Store};
use tokio::sync::watch::Receiver;

use crate::common::Directory;

/// Long enough for any machine; a watch that works needs a fraction of it.
const PATIENCE: Duration = Duration::from_secs(30);

async fn changed(ticks: &mut Receiver<u64>) {
    tokio::time::timeout(PATIENCE, ticks.changed()).await.expect("no tick").expect("the watch is closed");
}

/// A replica: it reads at the start and then only on ticks.
struct Follower(Receiver<Option<Base>>);

impl Follower {
    fn of(store: DirectoryStore) -> Self {
        let (show, shown) = tokio::sync::watch::channel(None);
        tokio::spawn(async move {
            let mut ticks = store.watch();
            loop {
                ticks.borrow_and_update();
                show.send_replace(store.load_public().await.ok().map(|loaded| loaded.base()));
                if ticks.changed().await.is_err() {
                    return;
                }
            }
        });
        Self(shown)
    }

    /// Waits until it holds what is there.
    async fn holds(&mut self, base: Option<Base>) {
        let held = self.0.wait_for(|held| *held == base);
        tokio::time::timeout(PATIENCE, held).await.expect("it missed a change").expect("it ended");
    }
}

fn slow_poll() -> Options {
    Options { poll: Duration::from_hours(1), ..Options::default() }
}

#[tokio::test]
async fn a_change_is_noticed_at_once() {
    let directory = Directory::new();
    let mut sample = Sample::new();
    sample.create(&directory.store()).await;
    // The poll alone would need an hour.
    let mut follower = Follower::of(directory.store_with(slow_poll()));
    for _ in 0..20 {
        follower.holds(Some(sample.base())).await;
        sample.change(&directory.store(), Sample::bump).await;
    }
    follower.holds(Some(sample.base())).await;
}

#[tokio::test]
async fn a_change_of_the_witness_is_noticed() {
    let directory = Directory::new();
    let sample = Sample::new();
    sample.create(&directory.store()).await;
    let store = directory.store_with(Options { poll: Duration::from_millis(20), ..Options::default() });
    let mut ticks = store.watch();
    directory.store().write_witness(&sample.manifest).await.unwrap();
    changed(&mut ticks).await;
    assert_eq!(store.witness().await.unwrap(), Some(sample.manifest));
}

#[tokio::test]
async fn a_directory_that_is_deleted_and_comes_back_is_noticed() {
    let directory = Directory::new();
    let poll = Duration::from_millis(20);
    let mut follower = Follower::of(directory.store_with(Options { poll, ..Options::default() }));
    for _ in 0..5 {
        let mut sample = Sample::new();
        sample.create(&directory.store()).await;
        follower.holds(Some(sample.base())).await;
        sample.change(&directory.store(), Sample::bump).await;
        follower.holds(Some(sample.base())).await;
        std::fs::remove_dir_all(directory.path()).unwrap();
        follower.holds(None).await;
    }
}

#[tokio::test]
async fn a_dropped_store_stops_its_watch() {
    let directory = Directory::new();
    Sample::new().create(&directory.store()).await;
    let store = directory.store_with(slow_poll());
    let mut ticks = [store.watch(), store.watch()];
    drop(store);
    for ticks in &mut ticks {
        let closed = async { while ticks.changed().await.is_ok() {} };
        tokio::time::timeout(PATIENCE, closed).await.expect("it goes on");
    }
}

/// Watching is asked for outside of a runtime too.
#[test]
fn a_watch_needs_no_runtime() {
    let directory = Directory::new();
    let store = directory.store();
    assert!(!store.watch().has_changed().unwrap());
}
