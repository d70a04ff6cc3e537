//! The store in a Kubernetes Secret.
//!
//! ```text
//! Secret NAME            keyring.json                      the manifest
//!                        key-<kid>-<hash>.pem              one for each private key that is present
//!                        signing.pem public.pem kid        what a single-key gateway reads
//! Secret NAME-witness    keyring.json                      the witness: the newest manifest, no key
//! Lease  keystile-<replica>-<hash>                         one report for each replica
//! ```
//!
//! etcd is the one coordinator: a change is one request that takes effect only if the Secret still has
//! the `resourceVersion` that was read. All members of a generation come and go together, so nobody
//! sees a mixture, and a change that was cut off leaves nothing behind. Members, labels and annotations
//! that others put there stay.
//!
//! A read that answers "confirmed" is one without a `resourceVersion`: etcd's quorum was asked. A watch
//! only says that it is time to read.

mod commit;
mod examine;
mod leases;
mod occupancy;
mod secret;
mod watch;
mod witness;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use keystile_keyring::{Digest, Manifest, ReplicaId, ReplicaReport};
use keystile_kubernetes::{Api, ObjectName};
use keystile_store::parts::{read_present, read_private};
use keystile_store::{
    Commit, CommitError, Freshness, KeySet, LoadError, Loaded, LoadedPublic, Mirror, Occupancy, Store,
    StoreError,
};
use keystile_system::{Clock, Entropy, SystemEntropy};
use tokio::sync::watch as channel;

pub use examine::Examined;
use secret::{Found, newest};
use watch::Watch;

/// How often an operation that waits looks.
const PACE: Duration = Duration::from_secs(1);

/// How a store works.
#[derive(Clone)]
pub struct Options {
    /// Only the witness is read, for replicas that only verify: they need no right to the Secret.
    pub witness_only: bool,
    /// The pod that this process runs in, for its report.
    pub pod: Option<Pod>,
    /// Where the spread of waiting times comes from.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for Options {
    fn default() -> Self {
        Self { witness_only: false, pod: None, entropy: Arc::new(SystemEntropy) }
    }
}

/// A pod, as it is known to the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its namespace and name.
    pub name: ObjectName,
    /// What tells it from a later one of its name.
    pub uid: String,
}

/// A keyring in a Secret.
pub struct KubeStore {
    root: Arc<Root>,
    watch: OnceLock<Watch>,
}

struct Root {
    api: Arc<Api>,
    clock: Arc<dyn Clock>,
    secret: ObjectName,
    witness: ObjectName,
    options: Options,
    /// Whether a keyring was seen here, so that a report is none of a place that was never used.
    used: AtomicBool,
    /// Pods whose UID was found to be the one that a report names, and when.
    pods: Mutex<BTreeMap<(String, String), Duration>>,
}

impl KubeStore {
    /// The store in the Secret `secret` of the cluster that `api` talks to. Nothing is called yet.
    pub fn new(api: Arc<Api>, secret: ObjectName, clock: Arc<dyn Clock>, options: Options) -> Self {
        let witness = secret.beside("-witness");
        let (used, pods) = (AtomicBool::new(false), Mutex::default());
        let root = Root { api, clock, secret, witness, options, used, pods };
        Self { root: Arc::new(root), watch: OnceLock::new() }
    }

    async fn read<T>(
        &self,
        read: impl FnOnce(&Found, LoadedPublic) -> Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        let read_began = self.root.clock.uptime();
        let found = self.root.read().await?;
        let (found, (manifest, digest)) = newest(&self.root, found.as_ref())?;
        read(found, LoadedPublic { manifest, digest, read_began, freshness: Freshness::Confirmed })
    }
}

#[async_trait]
impl Store for KubeStore {
    async fn load(&self) -> Result<Loaded, LoadError> {
        self.read(|found, public| {
            let private = read_private(&found.members, &public.manifest)?;
            Ok(public.with(private))
        })
        .await
    }

    async fn load_public(&self) -> Result<LoadedPublic, LoadError> {
        if self.root.options.witness_only {
            return witness::load(&self.root).await;
        }
        self.read(|_, public| Ok(public)).await
    }

    async fn salvage(&self) -> Result<Loaded, LoadError> {
        self.read(|found, public| {
            let private = read_present(&found.members, &public.manifest)?;
            Ok(public.with(private))
        })
        .await
    }

    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError> {
        commit::compare_and_swap(&self.root, &commit).await
    }

    fn watch(&self) -> channel::Receiver<u64> {
        self.watch.get_or_init(|| Watch::start(&self.root)).ticks()
    }

    async fn report(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        leases::write(&self.root, report).await
    }

    async fn replicas(&self) -> Result<Vec<ReplicaReport>, StoreError> {
        leases::read(&self.root).await
    }

    async fn forget(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        leases::forget(&self.root, replica).await
    }

    async fn witness(&self) -> Result<Option<Manifest>, StoreError> {
        Ok(witness::read(&self.root).await?.map(|witness| witness.manifest))
    }

    async fn write_witness(&self, manifest: &Manifest) -> Result<(), StoreError> {
        witness::write(&self.root, manifest).await
    }

    async fn occupancy(&self) -> Result<Occupancy, StoreError> {
        let found = self.root.read().await?;
        occupancy::occupancy(&self.root, found.as_ref()).await
    }

    async fn read_key_set(&self) -> Result<KeySet, LoadError> {
        let found = self.root.read().await?;
        let set = found.as_ref().map(|found| KeySet::read(&found.members)).transpose()?;
        set.flatten().ok_or_else(|| LoadError::Missing {
            place: self.root.place(),
            found: format!("none of {}", keystile_store::members::MIRROR.join(", ")),
        })
    }

    async fn mirror(&self) -> Result<Mirror, StoreError> {
        let now = self.root.clock.now();
        let judge = |found: &Found, public: LoadedPublic| {
            Ok(Mirror::judge(KeySet::read(&found.members), &public.manifest, now))
        };
        Ok(self.read(judge).await?)
    }

    async fn repair_mirror(&self) -> Result<Mirror, CommitError> {
        commit::repair_mirror(&self.root).await
    }

    async fn clean(&self) -> Result<Vec<String>, CommitError> {
        commit::clean(&self.root).await
    }

    /// Each look asks the API server several things; replicas report every few seconds.
    fn pace(&self) -> Duration {
        PACE
    }

    fn describe(&self) -> String {
        self.root.place()
    }
}
