//! The directory store.
//!
//! ```text
//! DIR/..data -> ..g7-4f1c09aa31d2-0      renaming this link is the commit point
//! DIR/..g7-4f1c09aa31d2-0/               0700; one generation, never changed once it is linked
//!       keyring.json                     the manifest
//!       key-<kid>-<hash>.pem             0600; one for each private key that is present
//!       signing.pem public.pem kid       the mirror: what a single-key gateway reads
//! DIR/signing.pem -> ..data/signing.pem  so are public.pem, kid and keyring.json
//! DIR/replicas/<replica>-<hash>.json     the replicas' reports
//! DIR/.lock                              held while the store is being changed
//! DIR.witness.json                       the witness, beside the directory
//! ```
//!
//! This is the layout in which kubelet mounts a Secret, so a mounted Secret is read by the same code;
//! it cannot be changed through the mount.
//!
//! A generation and its private keys are removed when a later one has no use for them. They are
//! unlinked: what backups, snapshots and the disk itself keep is beyond this store.

mod commit;
mod generation;
mod lock;
mod mirror;
mod names;
mod occupancy;
mod place;
mod reports;
mod settle;
mod steps;
mod watch;
mod witness;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use keystile_keyring::{Digest, Manifest, ReplicaId, ReplicaReport};
use keystile_system::Clock;
use tokio::sync::watch as channel;

use crate::error::cut_off;
use crate::image::{Members, read_manifest, read_present, read_private};
use crate::{
    Commit, CommitError, FileError, KeySet, LoadError, Loaded, LoadedPublic, Mirror, Occupancy, Store,
    StoreError,
};
use generation::{Files, Generation, consistently};
use place::Place;
pub use steps::{Call, Steps, Undisturbed};

/// How a directory store works.
#[derive(Clone)]
pub struct Options {
    /// The witness file; beside the directory, with `.witness.json` appended to its name, if absent.
    /// Keep it where a restore of the directory does not reach it.
    pub witness: Option<PathBuf>,
    /// How often the directory is looked at where no notification comes.
    pub poll: Duration,
    /// How long a change waits for another one to end.
    pub lock_wait: Duration,
    /// Where a test interferes.
    pub steps: Arc<dyn Steps>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            witness: None,
            poll: Duration::from_secs(1),
            lock_wait: Duration::from_secs(2),
            steps: Arc::new(Undisturbed),
        }
    }
}

/// A keyring in a directory.
pub struct DirectoryStore {
    root: Arc<Root>,
    poll: Duration,
    watch: OnceLock<watch::Watch>,
}

/// What every call needs.
struct Root {
    path: PathBuf,
    witness: PathBuf,
    clock: Arc<dyn Clock>,
    lock_wait: Duration,
    steps: Arc<dyn Steps>,
    /// Held while this process writes a report.
    reporting: Mutex<()>,
}

impl DirectoryStore {
    /// The store at `path`, which need not exist. Touches no file.
    pub fn new(path: impl AsRef<Path>, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        Self::with(path, clock, Options::default())
    }

    /// The same with options.
    pub fn with(path: impl AsRef<Path>, clock: Arc<dyn Clock>, options: Options) -> Result<Self, StoreError> {
        let path = std::path::absolute(path.as_ref())
            .map_err(|error| FileError::new("name", path.as_ref().to_owned(), error))?;
        // `DIR` and `DIR/` are one store with one witness.
        let path: PathBuf = path.components().collect();
        let witness = match options.witness {
            Some(witness) => {
                std::path::absolute(&witness).map_err(|error| FileError::new("name", witness, error))?
            }
            None => beside(&real(&path))?,
        };
        if witness.file_name().is_none() || witness.starts_with(&path) || witness.starts_with(real(&path)) {
            return Err(StoreError::Place {
                path: witness,
                why: "a witness is a file outside the store's directory",
            });
        }
        let root = Root {
            path,
            witness,
            clock,
            lock_wait: options.lock_wait,
            steps: options.steps,
            reporting: Mutex::new(()),
        };
        Ok(Self { root: Arc::new(root), poll: options.poll, watch: OnceLock::new() })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.root.path
    }

    /// The witness file.
    pub fn witness_path(&self) -> &Path {
        &self.root.witness
    }

    /// Runs `call` on a thread where it may block; `None` if the runtime ends before it began.
    async fn blocking<T: Send + 'static>(&self, call: impl FnOnce(&Root) -> T + Send + 'static) -> Option<T> {
        let root = Arc::clone(&self.root);
        match tokio::task::spawn_blocking(move || call(&root)).await {
            Ok(outcome) => Some(outcome),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
        }
    }

    async fn loading<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Root) -> Result<T, LoadError> + Send + 'static,
    ) -> Result<T, LoadError> {
        let outcome = self.blocking(call).await;
        outcome.unwrap_or_else(|| Err(cut_off("read", &self.root.path).into()))
    }

    async fn committing<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Root) -> Result<T, CommitError> + Send + 'static,
    ) -> Result<T, CommitError> {
        let outcome = self.blocking(call).await;
        outcome.unwrap_or_else(|| Err(CommitError::Unknown(cut_off("change", &self.root.path))))
    }

    async fn calling<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Root) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let outcome = self.blocking(call).await;
        outcome.unwrap_or_else(|| Err(cut_off("use", &self.root.path).into()))
    }
}

impl Root {
    fn open(&self) -> Result<Place, FileError> {
        Place::open(&self.path, &self.steps)
    }

    /// The witness's directory and its name there.
    fn witness_place(&self) -> (&Path, &str) {
        let name = self.witness.file_name().and_then(OsStr::to_str).unwrap_or("witness.json");
        (self.witness.parent().unwrap_or(&self.witness), name)
    }
}

/// Where the path leads to, links and `..` followed: however a store is spelled, it has one witness. What does
/// not exist yet is taken as it is written.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        _ => path.to_owned(),
    }
}

fn beside(path: &Path) -> Result<PathBuf, StoreError> {
    match path.file_name().and_then(OsStr::to_str) {
        Some(name) => Ok(path.with_file_name(format!("{name}.witness.json"))),
        None => Err(StoreError::Place {
            path: path.to_owned(),
            why: "it has no name that a witness can be named after",
        }),
    }
}

fn load(generation: &Generation, place: &Place, read_began: Duration) -> Result<LoadedPublic, LoadError> {
    let (manifest, digest) = read_manifest(&generation.files())?
        .ok_or_else(|| LoadError::NotAdopted { place: place.path().display().to_string() })?;
    Ok(LoadedPublic { manifest, digest, read_began, freshness: generation.freshness })
}

#[async_trait]
impl Store for DirectoryStore {
    async fn load(&self) -> Result<Loaded, LoadError> {
        self.loading(|root| {
            let began = root.clock.uptime();
            consistently(root, |generation, place| {
                place.guarded()?;
                let public = load(generation, place, began)?;
                let private = read_private(&generation.files(), &public.manifest)?;
                Ok(public.with(private))
            })
        })
        .await
    }

    async fn load_public(&self) -> Result<LoadedPublic, LoadError> {
        self.loading(|root| {
            let began = root.clock.uptime();
            consistently(root, |generation, place| load(generation, place, began))
        })
        .await
    }

    async fn salvage(&self) -> Result<Loaded, LoadError> {
        self.loading(|root| {
            let began = root.clock.uptime();
            consistently(root, |generation, place| {
                place.guarded()?;
                let public = load(generation, place, began)?;
                let private = read_present(&generation.files(), &public.manifest)?;
                Ok(public.with(private))
            })
        })
        .await
    }

    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError> {
        self.committing(move |root| commit::compare_and_swap(root, &commit)).await
    }

    fn watch(&self) -> channel::Receiver<u64> {
        let start = || watch::Watch::start(self.root.path.clone(), self.root.witness.clone(), self.poll);
        self.watch.get_or_init(start).ticks()
    }

    async fn report(&self, report: &ReplicaReport) -> Result<(), StoreError> {
        let report = report.clone();
        self.calling(move |root| reports::write(root, &report)).await
    }

    async fn replicas(&self) -> Result<Vec<ReplicaReport>, StoreError> {
        self.calling(reports::read).await
    }

    async fn forget(&self, replica: &ReplicaId) -> Result<(), StoreError> {
        let replica = replica.clone();
        self.calling(move |root| reports::forget(root, &replica)).await
    }

    async fn witness(&self) -> Result<Option<Manifest>, StoreError> {
        self.calling(witness::read).await
    }

    async fn write_witness(&self, manifest: &Manifest) -> Result<(), StoreError> {
        let manifest = manifest.clone();
        self.calling(move |root| witness::write(root, &manifest)).await
    }

    async fn occupancy(&self) -> Result<Occupancy, StoreError> {
        self.calling(occupancy::occupancy).await
    }

    async fn read_key_set(&self) -> Result<KeySet, LoadError> {
        self.loading(|root| {
            let place = generation::open(root)?;
            if place.has(names::DATA)? {
                return consistently(root, |generation, place| {
                    found(KeySet::read(&generation.files())?, place)
                });
            }
            found(KeySet::read(&Files { place: &place, follow: true })?, &place)
        })
        .await
    }

    async fn mirror(&self) -> Result<Mirror, StoreError> {
        self.calling(|root| Ok(mirror::mirror(root)?)).await
    }

    async fn repair_mirror(&self) -> Result<Mirror, CommitError> {
        self.committing(mirror::repair).await
    }

    async fn clean(&self) -> Result<Vec<String>, CommitError> {
        self.committing(settle::clean).await
    }

    fn describe(&self) -> String {
        format!("directory {}", self.root.path.display())
    }
}

fn found(set: Option<KeySet>, place: &Place) -> Result<KeySet, LoadError> {
    set.ok_or_else(|| LoadError::Missing {
        place: Files { place, follow: true }.place(""),
        found: format!("none of {}", crate::members::MIRROR.join(", ")),
    })
}
