//! A store that fails when a test says so.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use keystile_keyring::{Digest, Manifest, ReplicaId, ReplicaReport};
use keystile_store::{
    Commit, CommitError, FileError, KeySet, LoadError, Loaded, LoadedPublic, Mirror, Occupancy, Store,
    StoreError,
};
use tokio::sync::watch;

/// How a store fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing can be read or written.
    Unreachable,
    /// Nothing can be written; reading goes on.
    ReadOnly,
    /// Changes are refused before they happen; reports and the witness are written.
    CommitFails,
    /// A change happens, and the answer is [`CommitError::Unknown`].
    CommitUnknown,
    /// A change does not happen, and the answer is [`CommitError::Unknown`] all the same.
    CommitLost,
    /// Somebody else's change is always in the way.
    Locked,
    /// Reports cannot be written.
    ReportFails,
    /// The witness cannot be written.
    WitnessFails,
}

/// A store that does what another one does, unless it is told to fail.
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    fault: Mutex<Option<Fault>>,
    loads: AtomicUsize,
    /// What watches it, if it says nothing of changes.
    silence: Option<watch::Sender<u64>>,
}

impl FaultyStore {
    /// A store that does what `inner` does.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, fault: Mutex::new(None), loads: AtomicUsize::new(0), silence: None }
    }

    /// The same, but it never says that something changed.
    pub fn silent(inner: Arc<dyn Store>) -> Self {
        Self { silence: Some(watch::Sender::new(0)), ..Self::new(inner) }
    }

    /// Fails like this from now on.
    pub fn fail(&self, fault: Fault) {
        *self.fault() = Some(fault);
    }

    /// Fails no more.
    pub fn heal(&self) {
        *self.fault() = None;
    }

    /// How often it was asked to load, successfully or not.
    pub fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    fn fault(&self) -> MutexGuard<'_, Option<Fault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, faults: &[Fault]) -> bool {
        self.fault().is_some_and(|fault| faults.contains(&fault))
    }

    fn failed(&self, doing: &'static str) -> FileError {
        let kind = match *self.fault() {
            Some(Fault::ReadOnly) => io::ErrorKind::ReadOnlyFilesystem,
            _ => io::ErrorKind::TimedOut,
        };
        FileError::new(doing, self.inner.describe(), io::Error::new(kind, "injected by a test"))
    }

    fn readable(&self) -> Result<(), FileError> {
        if self.is(&[Fault::Unreachable]) { Err(self.failed("read")) } else { Ok(()) }
    }

    fn loadable(&self) -> Result<(), LoadError> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok(self.readable()?)
    }

    fn writable(&self, unless: Fault) -> Result<(), FileError> {
        if self.is(&[Fault::Unreachable, Fault::ReadOnly, unless]) {
            Err(self.failed("write"))
        } else {
            Ok(())
        }
    }

    fn changeable(&self) -> Result<(), CommitError> {
        if self.is(&[Fault::Locked]) {
            return Err(CommitError::Locked { by: "process 1 (a test)".to_owned() });
        }
        Ok(self.writable(Fault::CommitFails)?)
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn load(&self) -> Result<Loaded, LoadError> {
        self.loadable()?;
        self.inner.load().await
    }

    async fn load_public(&self) -> Result<LoadedPublic, LoadError> {
        self.loadable()?;
        self.inner.load_public().await
    }

    async fn salvage(&self) -> Result<Loaded, LoadError> {
        self.loadable()?;
        self.inner.salvage().await
    }

    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError> {
        self.changeable()?;
        if self.is(&[Fault::CommitLost]) {
            return Err(CommitError::Unknown(self.failed("write")));
        }
        let committed = self.inner.compare_and_swap(commit).await?;
        if self.is(&[Fault::CommitUnknown]) {
            return Err(CommitError::Unknown(self.failed("write")));
        }
        Ok(committed)
    }

    fn watch(&self) -> watch::Receiver<u64> {
        match &self.silence {
            Some(silence) => silence.subscribe(),
            None => self.inner.watch(),
        }
    }

    async fn report(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        self.writable(Fault::ReportFails)?;
        self.inner.report(report).await
    }

    async fn replicas(&self) -> Result<Vec<ReplicaReport>, StoreError> {
        self.readable()?;
        self.inner.replicas().await
    }

    async fn forget(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        self.writable(Fault::ReportFails)?;
        self.inner.forget(replica).await
    }

    async fn witness(&self) -> Result<Option<Manifest>, StoreError> {
        self.readable()?;
        self.inner.witness().await
    }

    async fn write_witness(&self, manifest: &Manifest) -> Result<(), StoreError> {
        self.writable(Fault::WitnessFails)?;
        self.inner.write_witness(manifest).await
    }

    async fn occupancy(&self) -> Result<Occupancy, StoreError> {
        self.readable()?;
        self.inner.occupancy().await
    }

    async fn read_key_set(&self) -> Result<KeySet, LoadError> {
        self.readable()?;
        self.inner.read_key_set().await
    }

    async fn mirror(&self) -> Result<Mirror, StoreError> {
        self.readable()?;
        self.inner.mirror().await
    }

    async fn repair_mirror(&self) -> Result<Mirror, CommitError> {
        self.changeable()?;
        self.inner.repair_mirror().await
    }

    async fn clean(&self) -> Result<Vec<String>, CommitError> {
        self.changeable()?;
        self.inner.clean().await
    }

    fn pace(&self) -> Duration {
        self.inner.pace()
    }

    fn describe(&self) -> String {
        self.inner.describe()
    }
}
