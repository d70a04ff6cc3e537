//! A store that fails when told to, and counts what is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use keystile_keyring::{Digest, Manifest, ReplicaId, ReplicaReport};
use keystile_store::{
    Commit, CommitError, FileError, KeySet, LoadError, Loaded, LoadedPublic, Mirror, Occupancy, Store,
    StoreError,
};
use tokio::sync::watch;

/// A real store, behind a fault.
pub struct Flaky {
    pub inner: Arc<dyn Store>,
    /// Whether reads of the keyring and its witness fail.
    pub unreadable: AtomicBool,
    /// Whether changes are kept quiet: only the periodic reading sees them.
    pub reads: AtomicU64,
    quiet: watch::Sender<u64>,
    pub silent: AtomicBool,
}

impl Flaky {
    pub fn over(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            unreadable: AtomicBool::new(false),
            reads: AtomicU64::new(0),
            quiet: watch::Sender::new(0),
            silent: AtomicBool::new(false),
        }
    }

    /// From now on reads fail, or do not.
    pub fn fail(&self, fail: bool) {
        self.unreadable.store(fail, Ordering::SeqCst);
    }

    fn read(&self) -> Result<(), FileError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.unreadable.load(Ordering::SeqCst) {
            return Err(FileError::new("read", "/injected", std::io::Error::other("injected fault")));
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Store for Flaky {
    async fn load(&self) -> Result<Loaded, LoadError> {
        if self.unreadable.load(Ordering::SeqCst) {
            self.read()?;
        }
        self.inner.load().await
    }

    async fn load_public(&self) -> Result<LoadedPublic, LoadError> {
        self.read()?;
        self.inner.load_public().await
    }

    async fn salvage(&self) -> Result<Loaded, LoadError> {
        self.inner.salvage().await
    }

    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError> {
        self.inner.compare_and_swap(commit).await
    }

    fn watch(&self) -> watch::Receiver<u64> {
        if self.silent.load(Ordering::SeqCst) { self.quiet.subscribe() } else { self.inner.watch() }
    }

    async fn report(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        self.inner.report(report).await
    }

    async fn replicas(&self) -> Result<Vec<ReplicaReport>, StoreError> {
        self.inner.replicas().await
    }

    async fn forget(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        self.inner.forget(replica).await
    }

    async fn witness(&self) -> Result<Option<Manifest>, StoreError> {
        self.inner.witness().await
    }

    async fn write_witness(&self, manifest: &Manifest) -> Result<(), StoreError> {
        self.inner.write_witness(manifest).await
    }

    async fn occupancy(&self) -> Result<Occupancy, StoreError> {
        self.inner.occupancy().await
    }

    async fn read_key_set(&self) -> Result<KeySet, LoadError> {
        self.inner.read_key_set().await
    }

    async fn mirror(&self) -> Result<Mirror, StoreError> {
        self.inner.mirror().await
    }

    async fn repair_mirror(&self) -> Result<Mirror, CommitError> {
        self.inner.repair_mirror().await
    }

    async fn clean(&self) -> Result<Vec<String>, CommitError> {
        self.inner.clean().await
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
