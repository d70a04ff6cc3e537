//! A store in memory, for tests and for embedding. It forgets everything with the process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use keystile_keyring::manifest::limits::MANIFEST_BYTES;
use keystile_keyring::plan::Base;
use keystile_keyring::{Digest, Manifest, ReplicaId, ReplicaReport};
use keystile_system::Clock;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::image::{Members, read_manifest, read_present, read_private};
use crate::members::{self, limits};
use crate::{
    Commit, CommitError, Freshness, Image, KeySet, LoadError, Loaded, LoadedPublic, Mirror, Occupancy,
    Remembers, Secrecy, Store, StoreError, follows, key_set, remembers,
};

const PLACE: &str = "memory";

/// A keyring in memory. Share it in an [`Arc`]: every holder is a replica or operator of one store.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    tick: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    /// The newest generation.
    newest: Option<Files>,
    /// A key set that no keyring has adopted.
    key_set: Files,
    witness: Option<Manifest>,
    reports: BTreeMap<ReplicaId, ReplicaReport>,
}

/// Members by name.
#[derive(Default)]
struct Files(BTreeMap<String, Zeroizing<Vec<u8>>>);

impl MemoryStore {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, state: Mutex::default(), tick: watch::Sender::new(0) }
    }

    /// A store that holds what OpenShell wrote: members by name, such as `signing.pem`.
    pub fn with_key_set<'a>(
        clock: Arc<dyn Clock>,
        set: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Self {
        let store = Self::new(clock);
        let files = set.into_iter().map(|(name, bytes)| (name.to_owned(), Zeroizing::new(bytes.to_vec())));
        store.state().key_set = Files(files.collect());
        store
    }

    /// Loses the keyring, as an accident would; witness and reports stay.
    pub fn lose(&self) {
        self.state().newest = None;
        self.ticked();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below is one assignment, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ticked(&self) {
        self.tick.send_modify(|count| *count += 1);
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Files, LoadedPublic) -> Result<T, LoadError>,
    ) -> Result<T, LoadError> {
        let read_began = self.clock.uptime();
        let state = self.state();
        let (files, manifest, digest) = state.newest()?;
        read(files, LoadedPublic { manifest, digest, read_began, freshness: Freshness::Confirmed })
    }
}

impl State {
    fn newest(&self) -> Result<(&Files, Manifest, Digest), LoadError> {
        let missing = || match self.occupancy() {
            Ok(Occupancy::OpenShellKeySet(_)) => LoadError::NotAdopted { place: PLACE.to_owned() },
            Ok(found) => LoadError::Missing { place: PLACE.to_owned(), found: found.to_string() },
            Err(error) => LoadError::Missing { place: PLACE.to_owned(), found: error.to_string() },
        };
        let files = self.newest.as_ref().ok_or_else(missing)?;
        let (manifest, digest) = read_manifest(files)?.ok_or_else(missing)?;
        Ok((files, manifest, digest))
    }

    fn occupancy(&self) -> Result<Occupancy, StoreError> {
        if self.newest.is_some() {
            return Ok(Occupancy::Keyring);
        }
        if let Some(witness) = &self.witness {
            let what = format!("no keyring, but its witness remembers generation {}", witness.generation);
            return Ok(Occupancy::Remains(what));
        }
        if !self.reports.is_empty() {
            return Ok(Occupancy::Remains("reports of replicas that ran here".to_owned()));
        }
        match members::MIRROR.map(|name| self.key_set.0.contains_key(name)) {
            [false, false, false] => Ok(Occupancy::Empty),
            [true, true, true] => Ok(Occupancy::OpenShellKeySet(key_set::kid_only(&self.key_set)?)),
            there => Ok(Occupancy::Remains(key_set::partial(there))),
        }
    }

    fn base(&self) -> Result<Option<Base>, LoadError> {
        if self.newest.is_none() {
            return Ok(None);
        }
        self.newest().map(|(_, manifest, digest)| Some(Base { generation: manifest.generation, digest }))
    }

    /// Whether a first generation may take this place.
    fn free_for(&self, manifest: &Manifest) -> Result<bool, CommitError> {
        let Ok(Occupancy::OpenShellKeySet(_)) = self.occupancy() else {
            return Ok(self.occupancy().is_ok_and(|found| found == Occupancy::Empty));
        };
        let set = KeySet::read(&self.key_set).map_err(CommitError::Base)?;
        Ok(set.is_some_and(|set| manifest.key(&set.kid).is_some_and(|key| key.public_key == set.public)))
    }

    fn check(&self, commit: &Commit) -> Result<(), CommitError> {
        let found = self.base().map_err(CommitError::Base)?;
        match commit.expected {
            None if !self.free_for(&commit.manifest)? => {
                let occupancy =
                    self.occupancy().unwrap_or(Occupancy::Remains("an unusable key set".to_owned()));
                return Err(CommitError::Occupied { place: PLACE.to_owned(), occupancy });
            }
            Some(_) if found != commit.expected => {
                return Err(CommitError::Conflict { expected: commit.expected, found });
            }
            _ => {}
        }
        let store = self.newest().ok().map(|(_, manifest, _)| manifest);
        follows(commit, store.as_ref(), self.witness.as_ref())
    }
}

impl Members for Files {
    fn read(&self, name: &str, limit: usize, _: Secrecy) -> Result<Option<Zeroizing<Vec<u8>>>, LoadError> {
        match self.0.get(name) {
            Some(bytes) if bytes.len() > limit => Err(LoadError::TooLarge { place: self.place(name), limit }),
            found => Ok(found.cloned()),
        }
    }

    fn place(&self, name: &str) -> String {
        format!("{PLACE}/{name}")
    }
}

impl From<Image> for Files {
    fn from(image: Image) -> Self {
        Self(image.members.into_iter().map(|member| (member.name, member.bytes)).collect())
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self) -> Result<Loaded, LoadError> {
        self.read(|files, public| {
            let private = read_private(files, &public.manifest)?;
            Ok(public.with(private))
        })
    }

    async fn load_public(&self) -> Result<LoadedPublic, LoadError> {
        self.read(|_, public| Ok(public))
    }

    async fn salvage(&self) -> Result<Loaded, LoadError> {
        self.read(|files, public| {
            let private = read_present(files, &public.manifest)?;
            Ok(public.with(private))
        })
    }

    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError> {
        let image = Image::new(&commit.manifest, &commit.private, self.clock.now())?;
        let digest = image.digest;
        {
            let mut state = self.state();
            state.check(&commit)?;
            state.newest = Some(image.into());
            state.key_set = Files::default();
        }
        self.ticked();
        Ok(digest)
    }

    fn watch(&self) -> watch::Receiver<u64> {
        self.tick.subscribe()
    }

    async fn report(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        let found = serde_json::to_vec(report).map_or(usize::MAX, |bytes| bytes.len());
        if found > limits::REPORT_BYTES {
            let replica = report.replica.clone();
            return Err(StoreError::ReportTooLarge { replica, found, limit: limits::REPORT_BYTES });
        }
        let mut state = self.state();
        if state.newest.is_none() {
            state.newest()?;
        }
        let mut report = report.clone();
        let here = i64::try_from(self.clock.now().0).unwrap_or(i64::MAX);
        let there = i64::try_from(report.reported_at.0).unwrap_or(i64::MAX);
        report.clock_offset = Some(ReplicaReport::offset(there, here));
        state.reports.insert(report.replica.clone(), report);
        Ok(())
    }

    async fn replicas(&self) -> Result<Vec<ReplicaReport>, StoreError> {
        let now = self.clock.now();
        let state = self.state();
        let read = state.reports.values().take(limits::REPORTS).cloned();
        Ok(read.chain(members::beyond_the_limit(state.reports.len(), now)).collect())
    }

    async fn forget(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        self.state().reports.remove(replica);
        Ok(())
    }

    async fn witness(&self) -> Result<Option<Manifest>, StoreError> {
        Ok(self.state().witness.clone())
    }

    async fn write_witness(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let mut state = self.state();
        if remembers(state.witness.as_ref(), manifest)? == Remembers::Older {
            state.witness = Some(manifest.clone());
            drop(state);
            self.ticked();
        }
        Ok(())
    }

    async fn occupancy(&self) -> Result<Occupancy, StoreError> {
        self.state().occupancy()
    }

    async fn read_key_set(&self) -> Result<KeySet, LoadError> {
        let state = self.state();
        let set = KeySet::read(state.newest.as_ref().unwrap_or(&state.key_set))?;
        set.ok_or_else(|| LoadError::Missing {
            place: PLACE.to_owned(),
            found: format!("none of {}", members::MIRROR.join(", ")),
        })
    }

    async fn mirror(&self) -> Result<Mirror, StoreError> {
        let now = self.clock.now();
        let state = self.state();
        let (files, manifest, _) = state.newest()?;
        Ok(Mirror::judge(KeySet::read(files), &manifest, now))
    }

    async fn repair_mirror(&self) -> Result<Mirror, CommitError> {
        let now = self.clock.now();
        let mut state = self.state();
        let (files, manifest, _) = state.newest().map_err(CommitError::Base)?;
        let bytes =
            files.read(members::MANIFEST, MANIFEST_BYTES, Secrecy::Public).map_err(CommitError::Base)?;
        let private = read_private(files, &manifest).map_err(CommitError::Base)?;
        let image =
            Image::of_bytes(bytes.map(|bytes| bytes.to_vec()).unwrap_or_default(), &manifest, &private, now)?;
        let files = Files::from(image);
        let mirror = Mirror::judge(KeySet::read(&files), &manifest, now);
        state.newest = Some(files);
        Ok(mirror)
    }

    async fn clean(&self) -> Result<Vec<String>, CommitError> {
        Ok(Vec::new())
    }

    fn describe(&self) -> String {
        "store in memory".to_owned()
    }
}
