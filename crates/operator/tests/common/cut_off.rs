//! A store whose caller is cut off at its n-th call: before it, or after it has taken effect.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use keystile_keyring::{Digest, Manifest, ReplicaId, ReplicaReport};
use keystile_store::{
    Commit, CommitError, KeySet, LoadError, Loaded, LoadedPublic, Mirror, Occupancy, Store, StoreError,
};
use tokio::sync::{Notify, watch};

pub struct CutOff {
    inner: Arc<dyn Store>,
    left: AtomicUsize,
    reached: Notify,
}

impl CutOff {
    /// Lets `calls` points pass, and no more.
    pub fn after(inner: Arc<dyn Store>, calls: usize) -> Self {
        Self { inner, left: AtomicUsize::new(calls), reached: Notify::new() }
    }

    /// Runs `work`; `None` if it was cut off.
    pub async fn cut<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.reached.notified() => None,
            done = work => Some(done),
        }
    }

    async fn point(&self) {
        let pass = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if pass.is_err() {
            self.reached.notify_one();
            std::future::pending::<()>().await;
        }
    }

    /// A call with a point before it, and one after it.
    async fn between<T>(&self, call: impl Future<Output = T>) -> T {
        self.point().await;
        let done = call.await;
        self.point().await;
        done
    }
}

#[async_trait]
impl Store for CutOff {
    async fn load(&self) -> Result<Loaded, LoadError> {
        self.between(self.inner.load()).await
    }
    async fn load_public(&self) -> Result<LoadedPublic, LoadError> {
        self.between(self.inner.load_public()).await
    }
    async fn salvage(&self) -> Result<Loaded, LoadError> {
        self.between(self.inner.salvage()).await
    }
    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError> {
        self.between(self.inner.compare_and_swap(commit)).await
    }
    fn watch(&self) -> watch::Receiver<u64> {
        self.inner.watch()
    }
    async fn report(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        self.between(self.inner.report(report)).await
    }
    async fn replicas(&self) -> Result<Vec<ReplicaReport>, StoreError> {
        self.between(self.inner.replicas()).await
    }
    async fn forget(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        self.between(self.inner.forget(replica)).await
    }
    async fn witness(&self) -> Result<Option<Manifest>, StoreError> {
        self.between(self.inner.witness()).await
    }
    async fn write_witness(&self, manifest: &Manifest) -> Result<(), StoreError> {
        self.between(self.inner.write_witness(manifest)).await
    }
    async fn occupancy(&self) -> Result<Occupancy, StoreError> {
        self.between(self.inner.occupancy()).await
    }
    async fn read_key_set(&self) -> Result<KeySet, LoadError> {
        self.between(self.inner.read_key_set()).await
    }
    async fn mirror(&self) -> Result<Mirror, StoreError> {
        self.between(self.inner.mirror()).await
    }
    async fn repair_mirror(&self) -> Result<Mirror, CommitError> {
        self.between(self.inner.repair_mirror()).await
    }
    async fn clean(&self) -> Result<Vec<String>, CommitError> {
        self.between(self.inner.clean()).await
    }
    fn describe(&self) -> String {
        self.inner.describe()
    }
}
