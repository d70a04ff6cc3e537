//! Crashes: the machine stops between any two calls that change the file system.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use keystile_keyring::Manifest;
use keystile_keyring::manifest::PrivateState;
use keystile_keyring::plan::Base;
use keystile_store::conformance::{KEY_SET, START, Sample};
use keystile_store::directory::{Call, Options, Steps};
use keystile_store::{CommitError, DirectoryStore, Mirror, Occupancy, Store, members};
use keystile_token::PrivateKey;

use crate::common::Directory;

/// Lets so many calls pass; then every further one fails, or only the next.
pub(crate) struct Failing {
    passed: AtomicUsize,
    at: usize,
    for_good: bool,
    kind: io::ErrorKind,
}

impl Failing {
    pub(crate) fn crash(at: usize) -> Arc<Self> {
        Arc::new(Self { passed: AtomicUsize::new(0), at, for_good: true, kind: io::ErrorKind::Other })
    }

    pub(crate) fn once(at: usize, kind: io::ErrorKind) -> Arc<Self> {
        Arc::new(Self { passed: AtomicUsize::new(0), at, for_good: false, kind })
    }

    /// Whether a call has failed.
    pub(crate) fn struck(&self) -> bool {
        self.passed.load(Ordering::SeqCst) > self.at
    }
}

impl Steps for Failing {
    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        let passed = self.passed.fetch_add(1, Ordering::SeqCst);
        if passed == self.at || (self.for_good && passed > self.at) {
            return Err(io::Error::new(self.kind, format!("{call:?} {}", path.display())));
        }
        Ok(())
    }
}

/// A change, and the place before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The first generation of an empty place.
    First,
    /// The first generation over an OpenShell key set.
    Adopt,
    /// One more key.
    Rotate,
    /// One private key less.
    Destroy,
    /// The mirror is written anew.
    Repair,
}

pub(crate) const CHANGES: [Change; 5] =
    [Change::First, Change::Adopt, Change::Rotate, Change::Destroy, Change::Repair];

/// A change that is about to be made.
pub(crate) struct Scene {
    pub(crate) directory: Directory,
    pub(crate) before: Option<Base>,
    sample: Sample,
    change: Change,
}

impl Scene {
    pub(crate) async fn new(change: Change) -> Self {
        let directory = Directory::new();
        let store = directory.store();
        let mut sample = Sample::new();
        let before = match change {
            Change::First => None,
            Change::Adopt => {
                directory.put_files(&KEY_SET);
                sample = Sample::adopted();
                None
            }
            Change::Rotate => {
                sample.create(&store).await;
                sample.change(&store, Sample::bump).await;
                let base = sample.base();
                sample.rotated(START);
                Some(base)
            }
            Change::Destroy => {
                let old = sample.signer();
                sample.create(&store).await;
                sample.change(&store, |sample| sample.rotated(START)).await;
                let base = sample.base();
                sample.destroyed(&old, START);
                Some(base)
            }
            Change::Repair => {
                sample.create(&store).await;
                sample.change(&store, |sample| sample.rotated(START.plus(1000))).await;
                directory.clock.set(START.plus(1000));
                Some(sample.base())
            }
        };
        Self { directory, before, sample, change }
    }

    pub(crate) fn store(&self, steps: Arc<dyn Steps>) -> DirectoryStore {
        self.directory.store_with(Options { steps, ..Options::default() })
    }

    pub(crate) async fn change(&self, store: &DirectoryStore) -> Result<(), CommitError> {
        match (self.change, self.before) {
            (Change::Repair, _) => store.repair_mirror().await.map(drop),
            (_, None) => store.compare_and_swap(self.sample.first()).await.map(drop),
            (_, Some(base)) => store.compare_and_swap(self.sample.on(base)).await.map(drop),
        }
    }

    /// What a reader finds: the old or the new, nothing else.
    pub(crate) async fn found(&self, why: &str) -> Option<Base> {
        let store = self.directory.store();
        let found = match store.load().await {
            Ok(loaded) => Some(loaded.base()),
            Err(error) => {
                assert_eq!(self.before, None, "{why}: {error}");
                None
            }
        };
        assert!(found == self.before || found == Some(self.sample.base()), "{why}: {found:?}");
        if found.is_none() {
            let occupancy = store.occupancy().await.unwrap();
            let expected = match self.change {
                Change::Adopt => Occupancy::OpenShellKeySet(self.sample.signer()),
                _ => Occupancy::Empty,
            };
            assert_eq!(occupancy, expected, "{why}");
        }
        self.single_key_reader(why);
        found
    }

    /// A gateway that opens the three files finds all or none, and all are of one key.
    fn single_key_reader(&self, why: &str) {
        let read = |name: &str| std::fs::read(self.directory.path().join(name)).ok();
        match (read("signing.pem"), read("public.pem"), read("kid")) {
            (None, None, None) => assert_eq!(self.change, Change::First, "{why}: the files are gone"),
            (Some(signing), Some(public), Some(kid)) => {
                let private = PrivateKey::from_pem(&signing).unwrap();
                let public = keystile_token::public_key_from_pem(&public).unwrap();
                assert_eq!(private.public_key(), public, "{why}");
                assert_eq!(keystile_token::kid_of(&public).as_str().as_bytes(), kid, "{why}");
            }
            found => panic!(
                "{why}: a part of the files: {:?}",
                [found.0.is_some(), found.1.is_some(), found.2.is_some()]
            ),
        }
    }

    /// Every private key in any file is one that the keyring calls present (I7).
    pub(crate) async fn no_orphans(&self, why: &str) {
        let present: Vec<_> = match self.directory.store().load_public().await {
            Ok(loaded) => {
                let keys = loaded.manifest.keys.into_iter();
                keys.filter(|key| key.private == PrivateState::Present).map(|key| key.public_key).collect()
            }
            Err(_) if self.change == Change::Adopt => {
                vec![PrivateKey::from_pem(KEY_SET[0].1).unwrap().public_key()]
            }
            Err(_) => Vec::new(),
        };
        for (path, bytes) in self.directory.files() {
            if let Ok(private) = PrivateKey::from_pem(&bytes) {
                assert!(present.contains(&private.public_key()), "{why}: orphan {}", path.display());
            }
        }
    }

    /// The change can be made after all, or was made; then all is as if nothing had happened.
    async fn completed(&self, found: Option<Base>, why: &str) {
        let store = self.directory.store();
        let again = self.change(&store).await;
        if found == self.before {
            again.unwrap_or_else(|error| panic!("{why}: {error:?}"));
        } else {
            let told = matches!(again, Err(CommitError::Conflict { .. } | CommitError::Occupied { .. }));
            assert!(told, "{why}: {again:?}");
        }
        assert_eq!(store.load().await.unwrap().base(), self.sample.base(), "{why}");
        assert!(matches!(store.mirror().await.unwrap(), Mirror::Current { .. }), "{why}");
        assert_eq!(store.clean().await.unwrap(), Vec::<String>::new(), "{why}");
        self.no_orphans(why).await;
    }
}

/// Nothing unfinished lies about.
fn tidy(directory: &Directory, why: &str) {
    if !directory.path().exists() {
        return;
    }
    let names = directory.names();
    let unfinished = ["..data_new", "..link_new", ".first"];
    assert!(!names.iter().any(|name| unfinished.contains(&name.as_str())), "{why}: {names:?}");
    assert!(directory.generations().len() <= 2, "{why}: {names:?}");
    for generation in directory.generations() {
        whole(&directory.path().join(&generation), &format!("{why}: {generation}"));
    }
}

/// A generation that is kept can be gone back to by hand: it has every file that it was written with.
fn whole(generation: &Path, why: &str) {
    let manifest = std::fs::read(generation.join(members::MANIFEST)).expect(why);
    let manifest = Manifest::from_json(&manifest).expect(why);
    let present = manifest.keys.iter().filter(|key| key.private == PrivateState::Present);
    let keys = present.map(|key| members::private_key(&key.kid));
    for name in keys.chain(members::MIRROR.map(str::to_owned)) {
        assert!(generation.join(&name).exists(), "{why}: {name} is gone");
    }
}

#[tokio::test]
async fn t35_a_crash_at_any_step_leaves_the_old_or_the_new() {
    for change in CHANGES {
        let mut step = 0;
        loop {
            let scene = Scene::new(change).await;
            let crash = Failing::crash(step);
            let outcome = scene.change(&scene.store(crash.clone())).await;
            let why = format!("{change:?}, crash at step {step}");
            if !crash.struck() {
                outcome.unwrap();
                break;
            }
            let found = scene.found(&why).await;
            match outcome.unwrap_err() {
                CommitError::Io(_) => assert_eq!(found, scene.before, "{why}"),
                CommitError::Unknown(_) => {}
                error => panic!("{why}: {error:?}"),
            }
            scene.directory.store().clean().await.unwrap();
            tidy(&scene.directory, &why);
            scene.no_orphans(&why).await;
            assert_eq!(scene.found(&why).await, found, "{why}: cleaning up changes no generation");
            scene.completed(found, &why).await;
            step += 1;
        }
        assert!(step >= 15, "{change:?} has {step} steps only: is every one seen?");
    }
}

/// Without `clean` in between, the next change does the same.
#[tokio::test]
async fn t35_the_next_change_clears_up_by_itself() {
    for change in CHANGES {
        let mut step = 0;
        loop {
            let scene = Scene::new(change).await;
            let crash = Failing::crash(step);
            let outcome = scene.change(&scene.store(crash.clone())).await;
            if !crash.struck() {
                outcome.unwrap();
                break;
            }
            let why = format!("{change:?}, crash at step {step}");
            let found = scene.found(&why).await;
            if found == scene.before {
                scene.completed(found, &why).await;
                tidy(&scene.directory, &why);
            }
            step += 1;
        }
    }
}

/// Cleaning up can crash too.
#[tokio::test]
async fn t35_a_crash_while_clearing_up_is_cleared_up() {
    for change in CHANGES {
        for crash in [4, 9, 14, 18] {
            let mut step = 0;
            loop {
                let scene = Scene::new(change).await;
                let _ = scene.change(&scene.store(Failing::crash(crash))).await;
                let why = format!("{change:?}, crash at {crash}, and at {step} of cleaning up");
                let found = scene.found(&why).await;
                let again = Failing::crash(step);
                let outcome = scene.store(again.clone()).clean().await;
                assert_eq!(scene.found(&why).await, found, "{why}");
                if !again.struck() {
                    outcome.unwrap();
                    tidy(&scene.directory, &why);
                    scene.no_orphans(&why).await;
                    break;
                }
                step += 1;
            }
        }
    }
}

/// An adoption that was cut off while it replaced the three files, then a rotation that is cut off too:
/// the files never show a part of each key.
#[tokio::test]
async fn t35_a_rotation_after_a_crash_in_an_adoption() {
    let (mut adoption, mut cut_off) = (0, 0);
    loop {
        let mut rotation = 0;
        loop {
            let scene = Scene::new(Change::Adopt).await;
            let first = Failing::crash(adoption);
            let outcome = scene.change(&scene.store(first.clone())).await;
            if !first.struck() {
                assert!(cut_off >= 5, "{cut_off} steps after the commit point");
                return;
            }
            if !matches!(outcome, Err(CommitError::Unknown(_))) {
                break;
            }
            let mut sample = scene.sample.copy();
            sample.rotated(START);
            let second = Failing::crash(rotation);
            let _ = scene.store(second.clone()).compare_and_swap(sample.on(scene.sample.base())).await;
            scene.single_key_reader(&format!(
                "crash at {adoption} of the adoption, {rotation} of the rotation"
            ));
            if !second.struck() {
                cut_off += 1;
                break;
            }
            rotation += 1;
        }
        adoption += 1;
    }
}

/// The witness is the old one or the new one.
#[tokio::test]
async fn t35_a_crash_while_the_witness_is_written() {
    let mut step = 0;
    loop {
        let directory = Directory::new();
        let store = directory.store();
        let mut sample = Sample::new();
        sample.create(&store).await;
        store.write_witness(&sample.manifest).await.unwrap();
        let old = sample.manifest.clone();
        sample.change(&store, Sample::bump).await;
        let crash = Failing::crash(step);
        let failing = directory.store_with(Options { steps: crash.clone(), ..Options::default() });
        let outcome = failing.write_witness(&sample.manifest).await;
        let found = store.witness().await.unwrap().unwrap();
        assert!(found == old || found == sample.manifest);
        store.write_witness(&sample.manifest).await.unwrap();
        assert_eq!(store.witness().await.unwrap().unwrap(), sample.manifest);
        let around = crate::common::names(directory.around());
        assert_eq!(around, ["ring", "ring.witness.json"], "nothing unfinished lies about");
        if !crash.struck() {
            outcome.unwrap();
            break;
        }
        step += 1;
    }
    assert!(step >= 4, "{step} steps");
}
