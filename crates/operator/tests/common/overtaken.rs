//! A store in which somebody else's change lands just before the first one that is offered, or just after it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use keystile_keyring::plan::Request;
use keystile_keyring::{Digest, Manifest, ReplicaId, ReplicaReport};
use keystile_operator::{Operator, Silent};
use keystile_store::{
    Commit, CommitError, KeySet, LoadError, Loaded, LoadedPublic, Mirror, Occupancy, Store, StoreError,
};
use tokio::sync::watch;

pub struct Overtaken {
    pub inner: Arc<dyn Store>,
    pub rival: Operator,
    pub request: Request,
    /// After the commit, before its witness is told.
    pub late: bool,
    pub done: AtomicBool,
}

impl Overtaken {
    async fn rival_acts(&self, late: bool) {
        if self.late == late && !self.done.swap(true, Ordering::SeqCst) {
            self.rival.apply(&self.request, &mut Silent).await.expect("nothing refuses the rival");
        }
    }
}

#[async_trait]
impl Store for Overtaken {
    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError> {
        self.rival_acts(false).await;
        self.inner.compare_and_swap(commit).await
    }
    async fn load(&self) -> Result<Loaded, LoadError> {
        self.inner.load().await
    }
    async fn load_public(&self) -> Result<LoadedPublic, LoadError> {
        self.inner.load_public().await
    }
    async fn salvage(&self) -> Result<Loaded, LoadError> {
        self.inner.salvage().await
    }
    fn watch(&self) -> watch::Receiver<u64> {
        self.inner.watch()
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
        self.rival_acts(true).await;
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
