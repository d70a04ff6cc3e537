//! One store, and each host's own view of it: late, away, behind or of unknown outcome.
//!
//! What is committed, witnessed and reported is a real [`MemoryStore`]. Reads are answered from the record of what
//! was committed when, so that one can be answered as of an earlier instant.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use keystile_keyring::manifest::PrivateState;
use keystile_keyring::{Digest, Kid, Manifest, ReplicaId, ReplicaReport};
use keystile_store::{
    Commit, CommitError, FileError, Freshness, KeySet, LoadError, Loaded, LoadedPublic, MemoryStore, Mirror,
    Occupancy, Store, StoreError,
};
use keystile_system::Clock as _;
use keystile_token::{PrivateKey, PrivateKeys, PrivatePem};
use tokio::sync::watch;

use super::chance::Chance;
use super::host::Host;
use super::time::{HostClock, Time};
use crate::oracle::Oracle;
use crate::weakness::Weakness;

/// How long a call waits for a store that is away before it fails.
const AWAY: Duration = Duration::from_secs(2);

/// A generation that was committed.
pub struct Generation {
    pub manifest: Manifest,
    pub digest: Digest,
    pub committed: Duration,
    /// When the witness was told of it.
    pub witnessed: Option<Duration>,
}

/// What is true of the store.
pub struct Truth {
    pub time: Time,
    inner: MemoryStore,
    generations: Mutex<Vec<Arc<Generation>>>,
    pems: Mutex<BTreeMap<Kid, PrivatePem>>,
    views: Mutex<Vec<Weak<View>>>,
}

impl Truth {
    pub fn new(time: Time) -> Self {
        let clock = Arc::new(HostClock::new(time, 0));
        let inner = MemoryStore::new(clock);
        Self { time, inner, generations: Mutex::default(), pems: Mutex::default(), views: Mutex::default() }
    }

    pub fn generations(&self) -> MutexGuard<'_, Vec<Arc<Generation>>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn newest(&self) -> Option<Arc<Generation>> {
        self.generations().last().cloned()
    }

    /// The newest generation as of `at`, and the newest that the witness knew then.
    fn as_of(&self, at: Duration) -> (Option<Arc<Generation>>, Option<Arc<Generation>>) {
        let generations = self.generations();
        let newest = |when: fn(&Generation) -> Option<Duration>| {
            generations.iter().rev().find(|one| when(one).is_some_and(|when| when <= at)).cloned()
        };
        // The first was always there.
        let first = || generations.first().cloned();
        (newest(|one| Some(one.committed)).or_else(first), newest(|one| one.witnessed).or_else(first))
    }

    /// A private key that was ever committed, whatever became of it.
    pub fn private_key(&self, kid: &Kid) -> Option<PrivateKey> {
        let pems = self.pems.lock().unwrap_or_else(PoisonError::into_inner);
        pems.get(kid).and_then(|pem| PrivateKey::from_pem(pem.as_bytes()).ok())
    }

    /// Every key that was ever committed.
    pub fn kids(&self) -> Vec<Kid> {
        self.pems.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    fn private_keys(&self, manifest: &Manifest) -> PrivateKeys {
        let mut keys = PrivateKeys::new();
        let present = manifest.keys.iter().filter(|key| key.private == PrivateState::Present);
        for kid in present.map(|key| key.kid.clone()) {
            if let Some(key) = self.private_key(&kid) {
                keys.insert(kid, key).expect("each kid once");
            }
        }
        keys
    }

    async fn commit(&self, commit: Commit) -> Result<Arc<Generation>, CommitError> {
        let manifest = commit.manifest.clone();
        {
            let mut pems = self.pems.lock().unwrap_or_else(PoisonError::into_inner);
            for (kid, key) in commit.private.iter() {
                pems.entry(kid.clone()).or_insert_with(|| key.to_pem());
            }
        }
        let digest = self.inner.compare_and_swap(commit).await?;
        let generation =
            Arc::new(Generation { manifest, digest, committed: self.time.now(), witnessed: None });
        self.generations().push(Arc::clone(&generation));
        self.announce();
        Ok(generation)
    }

    /// Something was committed or witnessed: everybody who looks is told.
    fn announce(&self) {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        views.retain(|view| view.upgrade().is_some_and(|view| !view.gone.load(Ordering::SeqCst)));
        views.iter().filter_map(Weak::upgrade).for_each(|view| view.changed());
    }

    fn witnessed(&self, number: u64) {
        let now = self.time.now();
        let mut generations = self.generations();
        if let Some(one) = generations.iter_mut().find(|one| one.manifest.generation == number) {
            let Generation { manifest, digest, committed, witnessed } = &**one;
            let witnessed = Some(witnessed.unwrap_or(now));
            *one = Arc::new(Generation {
                manifest: manifest.clone(),
                digest: *digest,
                committed: *committed,
                witnessed,
            });
        }
        drop(generations);
        self.announce();
    }
}

/// What ails a host's view of the store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ailment {
    /// How many faults have taken it away just now.
    pub away: u32,
    /// What every call takes longer, at most, in milliseconds.
    pub slow: u64,
    /// Generations are read as of so long ago; the witness is read as it is.
    pub behind: Option<Duration>,
    /// The witness is read as of so long ago; generations are read as they are.
    pub witness_behind: Option<Duration>,
    /// Both are read as of so long ago, and said to be confirmed: no store may do that.
    pub lies: Option<Duration>,
    /// Half of the changes get no answer, whether they happened or not.
    pub loses_answers: bool,
}

/// What one process sees of the store.
pub struct View {
    pub host: Arc<Host>,
    truth: Arc<Truth>,
    oracle: Arc<Oracle>,
    chance: Mutex<Chance>,
    /// Set once the process is gone: what is left of it reaches nothing.
    gone: AtomicBool,
    tick: watch::Sender<u64>,
    /// The generation that the witness was last seen at.
    witness_seen: Mutex<u64>,
    /// The process of the gateway that looks, if one does.
    process: Option<usize>,
    born: Duration,
    /// Whether what is committed now must have passed the gate.
    pub gated: AtomicBool,
}

impl View {
    pub fn new(
        host: &Arc<Host>,
        truth: &Arc<Truth>,
        oracle: &Arc<Oracle>,
        process: Option<usize>,
    ) -> Arc<Self> {
        let number = process.unwrap_or_default();
        let view = Arc::new(Self {
            chance: Mutex::new(host.chance.stream("store", number)),
            host: Arc::clone(host),
            truth: Arc::clone(truth),
            oracle: Arc::clone(oracle),
            gone: AtomicBool::new(false),
            tick: watch::Sender::new(0),
            witness_seen: Mutex::new(0),
            process,
            born: truth.time.now(),
            gated: AtomicBool::new(false),
        });
        truth.views.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&view));
        view
    }

    /// The process is gone.
    pub fn vanish(&self) {
        self.gone.store(true, Ordering::SeqCst);
    }

    /// A moment later this host is told, if its store is there.
    fn changed(self: &Arc<Self>) {
        let this = Arc::clone(self);
        let late = this.draw(|chance| chance.millis(1, 200));
        tokio::spawn(async move {
            tokio::time::sleep(late).await;
            if this.ailment().away == 0 {
                this.tick.send_modify(|count| *count += 1);
            }
        });
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut Chance) -> T) -> T {
        draw(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ailment(&self) -> Ailment {
        self.host.ailment()
    }

    fn failed(doing: &'static str) -> FileError {
        FileError::new(doing, "the store", io::Error::new(io::ErrorKind::TimedOut, "no answer in time"))
    }

    /// One way to the store or back.
    async fn travels(&self, doing: &'static str) -> Result<(), FileError> {
        self.host.awake().await;
        let slow = self.ailment().slow;
        let takes = self.draw(|chance| chance.millis(1, 5) + chance.millis(0, slow));
        tokio::time::sleep(takes).await;
        if self.ailment().away > 0 {
            tokio::time::sleep(AWAY).await;
            if self.ailment().away > 0 {
                return Err(Self::failed(doing));
            }
        }
        self.host.awake().await;
        if self.gone.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    /// The generation that this host reads now.
    fn generation(&self) -> Option<Arc<Generation>> {
        let (now, ailment) = (self.truth.time.now(), self.ailment());
        if self.is_restored() {
            return self.truth.generations().first().cloned();
        }
        if let Some(lag) = self.lies(&ailment) {
            return self.truth.as_of(now.saturating_sub(lag)).0;
        }
        let newest = self.truth.newest();
        let Some(lag) = ailment.behind else { return newest };
        let behind = self.truth.as_of(now.saturating_sub(lag)).0;
        // A read that a witness does not show to be behind would be one that lies.
        let seen = *self.witness_seen.lock().unwrap_or_else(PoisonError::into_inner);
        behind.filter(|behind| behind.manifest.generation < seen).or(newest)
    }

    /// Whether what it sees is a backup without a witness: a weakness of processes that start late.
    fn is_restored(&self) -> bool {
        self.is_weak(Weakness::StartsFromABackup) && self.born > Duration::from_secs(1)
    }

    /// Whether this is the view of a gateway that is weakened so.
    fn is_weak(&self, weakness: Weakness) -> bool {
        self.process.is_some() && self.oracle.weakness == weakness
    }

    /// How long ago what is read, and said to be confirmed, was the newest.
    fn lies(&self, ailment: &Ailment) -> Option<Duration> {
        let brings_nothing = self.is_weak(Weakness::RereadBringsNothing) && self.host.name == "gateway-1";
        ailment.lies.or(brings_nothing.then_some(Duration::from_secs(4)))
    }

    fn missing() -> LoadError {
        LoadError::Missing { place: "the store".to_owned(), found: "nothing".to_owned() }
    }

    fn shown(&self, generation: &Generation, read_began: Duration) -> LoadedPublic {
        let mut manifest = generation.manifest.clone();
        if self.is_weak(Weakness::ForgetsRevocations) {
            Weakness::without_revocations(&mut manifest);
        }
        LoadedPublic { manifest, digest: generation.digest, read_began, freshness: Freshness::Confirmed }
    }
}

#[async_trait]
impl Store for View {
    async fn load(&self) -> Result<Loaded, LoadError> {
        let began = self.host.clock.uptime();
        self.travels("read").await?;
        let found = self.generation();
        self.travels("read").await?;
        let found = found.ok_or_else(Self::missing)?;
        if let Some(process) = self.process {
            self.oracle.loaded(process, found.manifest.generation);
        }
        let private = self.truth.private_keys(&found.manifest);
        Ok(self.shown(&found, began).with(private))
    }

    async fn load_public(&self) -> Result<LoadedPublic, LoadError> {
        let began = self.host.clock.uptime();
        self.travels("read").await?;
        let found = self.generation();
        self.travels("read").await?;
        found.map(|found| self.shown(&found, began)).ok_or_else(Self::missing)
    }

    async fn salvage(&self) -> Result<Loaded, LoadError> {
        self.load().await
    }

    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError> {
        self.travels("write").await?;
        let loses = self.ailment().loses_answers;
        if loses && self.draw(|chance| chance.percent(25)) {
            return Err(CommitError::Unknown(Self::failed("write")));
        }
        let generation = self.truth.commit(commit).await?;
        self.oracle.committed(&generation, self.gated.load(Ordering::SeqCst));
        if self.travels("write").await.is_err() || loses && self.draw(|chance| chance.percent(33)) {
            return Err(CommitError::Unknown(Self::failed("write")));
        }
        Ok(generation.digest)
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.tick.subscribe()
    }

    async fn report(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        self.travels("write").await?;
        self.truth.inner.report(report).await?;
        if let Some(process) = self.process {
            self.oracle.reported(process);
        }
        Ok(self.travels("write").await?)
    }

    async fn replicas(&self) -> Result<Vec<ReplicaReport>, StoreError> {
        self.travels("read").await?;
        let mut reports = self.truth.inner.replicas().await;
        if let (Ok(reports), Weakness::GateIsBlind) = (&mut reports, self.oracle.weakness) {
            Weakness::blind(reports, &self.truth);
        }
        self.travels("read").await?;
        reports
    }

    async fn forget(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        self.travels("write").await?;
        self.truth.inner.forget(replica).await
    }

    async fn witness(&self) -> Result<Option<Manifest>, StoreError> {
        let seen = |number| *self.witness_seen.lock().unwrap_or_else(PoisonError::into_inner) = number;
        seen(0);
        self.travels("read").await?;
        let (now, ailment) = (self.truth.time.now(), self.ailment());
        let lag = self.lies(&ailment).or(ailment.witness_behind).unwrap_or_default();
        let found = self.truth.as_of(now.saturating_sub(lag)).1;
        self.travels("read").await?;
        if ailment.witness_behind.is_none() {
            seen(found.as_ref().map_or(0, |found| found.manifest.generation));
        }
        if self.is_restored() || self.is_weak(Weakness::ForgetsRevocations) {
            return Ok(None);
        }
        Ok(found.map(|found| found.manifest.clone()))
    }

    async fn write_witness(&self, manifest: &Manifest) -> Result<(), StoreError> {
        self.travels("write").await?;
        self.truth.inner.write_witness(manifest).await?;
        self.truth.witnessed(manifest.generation);
        Ok(self.travels("write").await?)
    }

    async fn occupancy(&self) -> Result<Occupancy, StoreError> {
        self.truth.inner.occupancy().await
    }

    async fn read_key_set(&self) -> Result<KeySet, LoadError> {
        self.truth.inner.read_key_set().await
    }

    async fn mirror(&self) -> Result<Mirror, StoreError> {
        self.travels("read").await?;
        self.truth.inner.mirror().await
    }

    async fn repair_mirror(&self) -> Result<Mirror, CommitError> {
        self.travels("write").await?;
        self.truth.inner.repair_mirror().await
    }

    async fn clean(&self) -> Result<Vec<String>, CommitError> {
        self.travels("write").await?;
        self.truth.inner.clean().await
    }

    fn pace(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn describe(&self) -> String {
        format!("the store as {} sees it", self.host.name)
    }
}
