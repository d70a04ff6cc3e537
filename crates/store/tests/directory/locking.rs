//! One writer at a time.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keystile_store::conformance::Sample;
use keystile_store::directory::{Call, Options, Steps};
use keystile_store::{CommitError, Store, StoreError};

use crate::common::Directory;

/// Stops the writer at its commit point until told to go on.
struct Halt {
    reached: SyncSender<()>,
    go_on: Mutex<Receiver<()>>,
}

impl Steps for Halt {
    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        if call == Call::Rename && path.ends_with("..data") {
            self.reached.send(()).unwrap();
            self.go_on.lock().unwrap().recv().unwrap();
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_second_writer_is_told_who_holds_the_lock() {
    let directory = Directory::new();
    let mut sample = Sample::new();
    sample.create(&directory.store()).await;
    let base = sample.base();
    sample.bump();
    let (reached, is_reached) = sync_channel(1);
    let (release, go_on) = sync_channel(1);
    let steps = Arc::new(Halt { reached, go_on: Mutex::new(go_on) });
    let slow = directory.store_with(Options { steps, ..Options::default() });
    let commit = sample.on(base);
    let holder = tokio::spawn(async move { slow.compare_and_swap(commit).await });
    tokio::task::spawn_blocking(move || is_reached.recv()).await.unwrap().unwrap();

    let second = directory.store_with(Options { lock_wait: Duration::ZERO, ..Options::default() });
    let error = second.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Locked { .. }), "{error}");
    let expected = format!("process {} (committing generation 2)", std::process::id());
    assert!(error.to_string().contains(&expected), "{error}");
    let error = second.write_witness(&sample.manifest).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert_eq!(second.load().await.unwrap().base(), base, "readers are not held up");

    // A patient writer waits, and then finds that it came second.
    let patient = directory.store_with(Options { lock_wait: Duration::from_mins(1), ..Options::default() });
    let commit = sample.on(base);
    let third = tokio::spawn(async move { patient.compare_and_swap(commit).await });
    release.send(()).unwrap();
    assert_eq!(holder.await.unwrap().unwrap(), sample.base().digest);
    let error = third.await.unwrap().unwrap_err();
    assert!(matches!(error, CommitError::Conflict { .. }), "{error}");
}

/// Whatever is written there cannot confuse a terminal.
#[tokio::test]
async fn a_foreign_holder_is_named_safely() {
    let directory = Directory::new();
    let sample = Sample::new();
    sample.create(&directory.store()).await;
    let path = directory.path().join(".lock");
    for (text, shown) in [("\x1b[31mbackup job\n", "[31mbackup job"), ("", "another process")] {
        std::fs::write(&path, text).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.lock().unwrap();
        let store = directory.store_with(Options { lock_wait: Duration::ZERO, ..Options::default() });
        let error = store.clean().await.unwrap_err();
        assert!(matches!(&error, CommitError::Locked { by } if by == shown), "{error:?}");
    }
}

#[tokio::test]
async fn a_lock_that_was_left_by_a_dead_process_is_nobodys() {
    let directory = Directory::new();
    let mut sample = Sample::new();
    sample.create(&directory.store()).await;
    std::fs::write(directory.path().join(".lock"), "process 1 (committing generation 9)\n").unwrap();
    sample.change(&directory.store(), Sample::bump).await;
    assert_eq!(std::fs::read(directory.path().join(".lock")).unwrap(), b"", "nobody holds it");
}
