//! A store that fails when told to, and counts what is read.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use keystile_keyring::report::Condition;
use keystile_keyring::{Digest, Manifest, ReplicaId, ReplicaReport};
use keystile_store::{
    Commit, CommitError, FileError, KeySet, LoadError, Loaded, LoadedPublic, Mirror, Occupancy, Store,
    StoreError,
};
use tokio::sync::watch;

/// A real store, behind faults.
pub struct Flaky {
    pub inner: Arc<dyn Store>,
    fails: AtomicBool,
    silent: AtomicBool,
    held: watch::Sender<bool>,
    nothing: watch::Sender<u64>,
    reads: AtomicU64,
    recorded: Recorded,
    as_it_loads: Mutex<Option<Meanwhile>>,
}

type Meanwhile = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Reports in the order in which they were written.
pub type Recorded = Arc<Mutex<Vec<ReplicaReport>>>;

impl Flaky {
    pub fn over(inner: Arc<dyn Store>) -> Self {
        Self {
            inner,
            fails: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            held: watch::Sender::new(false),
            nothing: watch::Sender::new(0),
            reads: AtomicU64::new(0),
            recorded: Recorded::default(),
            as_it_loads: Mutex::new(None),
        }
    }

    /// From now on reads of the keyring and its witness fail, or do not.
    pub fn fail(&self, fail: bool) {
        self.fails.store(fail, Ordering::SeqCst);
    }

    /// From now on reads of the keyring do not end, or do.
    pub fn hold(&self, hold: bool) {
        self.held.send_replace(hold);
    }

    /// Gateways that start from now on are not told of changes.
    pub fn silence(&self) {
        self.silent.store(true, Ordering::SeqCst);
    }

    /// Every report from now on, as it is written.
    pub fn record_reports(&self) -> Recorded {
        Arc::clone(&self.recorded)
    }

    /// Happens once: as the next replica reports that it is loading.
    pub fn as_it_loads(&self, meanwhile: impl Future<Output = ()> + Send + 'static) {
        *self.as_it_loads.lock().expect("not poisoned") = Some(Box::pin(meanwhile));
    }

    /// The reports in the store, whatever fails.
    pub async fn inner_reports(&self) -> Vec<ReplicaReport> {
        self.inner.replicas().await.expect("reports can be read")
    }

    /// The digest of what the store holds.
    pub async fn load_digest(&self) -> Digest {
        self.inner.load_public().await.expect("the store holds a keyring").digest
    }

    /// How often the keyring was read.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    fn fault(&self) -> Result<(), FileError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(FileError::new("read", "/injected", std::io::Error::other("injected fault")));
        }
        Ok(())
    }
}

#[async_trait::async_trait]
impl Store for Flaky {
    async fn load(&self) -> Result<Loaded, LoadError> {
        self.fault()?;
        self.inner.load().await
    }

    async fn load_public(&self) -> Result<LoadedPublic, LoadError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        self.fault()?;
        self.inner.load_public().await
    }

    async fn salvage(&self) -> Result<Loaded, LoadError> {
        self.inner.salvage().await
    }

    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError> {
        self.inner.compare_and_swap(commit).await
    }

    fn watch(&self) -> watch::Receiver<u64> {
        if self.silent.load(Ordering::SeqCst) { self.nothing.subscribe() } else { self.inner.watch() }
    }

    async fn report(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        self.recorded.lock().expect("not poisoned").push(report.clone());
        self.inner.report(report).await?;
        if report.condition == Condition::Loading {
            let meanwhile = self.as_it_loads.lock().expect("not poisoned").take();
            if let Some(meanwhile) = meanwhile {
                meanwhile.await;
            }
        }
        Ok(())
    }

    async fn replicas(&self) -> Result<Vec<ReplicaReport>, StoreError> {
        let mut reports = self.inner.replicas().await?;
        // The store goes by the machine's clock, the replicas by the test's.
        for report in &mut reports {
            report.clock_offset = None;
        }
        Ok(reports)
    }

    async fn forget(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        self.inner.forget(replica).await
    }

    async fn witness(&self) -> Result<Option<Manifest>, StoreError> {
        self.fault()?;
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
