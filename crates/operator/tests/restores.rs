//! Every order of a few backups, restores and changes: a revoked key never comes back (I8).
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{NO_WAIT, START, World, first};
use keystile_keyring::plan::{Mode, PolicyChange, Verb};
use keystile_keyring::{Code, Kid};
use keystile_operator::{OperateError, Reconcile, Silent};
use keystile_store::{DirectoryStore, Store};
use keystile_testkit::ManualClock;
use keystile_token::{BootstrapMethod, Keyring, SandboxGrant, SandboxId};

/// What can happen between two looks. A copy is taken of the store and of the witness at the very begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Revoke,
    RestoreStore,
    RestoreWitness,
    SetPolicy,
    Reconcile,
    Accept,
    Emergency,
}

const STEPS: [Step; 7] = [
    Step::Revoke,
    Step::RestoreStore,
    Step::RestoreWitness,
    Step::SetPolicy,
    Step::Reconcile,
    Step::Accept,
    Step::Emergency,
];

/// A keyring on disk with two keys, copies of it, and what is known to be revoked.
struct Place {
    directory: tempfile::TempDir,
    world: World,
    revoked: BTreeSet<Kid>,
    changes: u64,
}

impl Place {
    async fn begin() -> Self {
        // In memory where the machine can: hundreds of keyrings are made, and durability is not asked of them.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let clock = ManualClock::at(START);
        let store = DirectoryStore::new(directory.path().join("ring"), Arc::new(clock.clone())).unwrap();
        let world = World::on(clock, Arc::new(store) as Arc<dyn Store>);
        world.operator.begin(&first(), &mut Silent).await.unwrap();
        world.clock.advance(100);
        world.replace_now().await;
        let place = Self { directory, world, revoked: BTreeSet::new(), changes: 0 };
        for name in ["ring", "ring.witness.json"] {
            copy(&place.path(name), &place.path(&format!("{name}.backup")));
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn restore(&self, name: &str) {
        let path = self.path(name);
        let _ = std::fs::remove_dir_all(&path);
        let _ = std::fs::remove_file(&path);
        copy(&self.path(&format!("{name}.backup")), &path);
    }

    /// Takes the step. Whether it was refused does not matter; what holds afterwards does.
    async fn take(&mut self, step: Step) {
        self.world.clock.advance(1);
        match step {
            Step::Revoke => self.revoke().await,
            Step::RestoreStore => {
                self.restore("ring");
                self.forget().await;
            }
            Step::RestoreWitness => {
                self.restore("ring.witness.json");
                self.forget().await;
            }
            Step::SetPolicy => {
                self.changes += 1;
                let leeway = ("leeway".to_owned(), Some(self.changes));
                let change = Verb::SetPolicy(PolicyChange(BTreeMap::from([leeway])));
                let _ = self.world.apply(change, None).await;
            }
            Step::Reconcile => drop(self.reconcile(false).await),
            Step::Accept => drop(self.reconcile(true).await),
            Step::Emergency => {
                let verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
                let request = common::request(verb, Some("a test"), None);
                let _ = self.world.operator.rotate(&request, NO_WAIT, &mut Silent).await;
            }
        }
    }

    /// Of what neither store nor witness remembers any more nothing can be asked.
    async fn forget(&mut self) {
        let store = self.world.manifest().await;
        let witness = self.world.store.witness().await.unwrap();
        let known: BTreeSet<_> = [Some(store), witness]
            .iter()
            .flatten()
            .flat_map(|manifest| manifest.revoked_kids().cloned().collect::<Vec<_>>())
            .collect();
        self.revoked.retain(|kid| known.contains(kid));
    }

    async fn revoke(&mut self) {
        let kid = self.world.active().await;
        let verb = Verb::Revoke { kid: kid.clone(), descendants: false };
        if self.world.apply(verb, Some("stolen")).await.is_ok() {
            self.revoked.insert(kid);
        }
    }

    async fn reconcile(&self, accepting: bool) -> Result<Vec<String>, OperateError> {
        let digest = self.world.store.load_public().await.unwrap().digest;
        let how =
            Reconcile { actor: "test".to_owned(), rotation: NO_WAIT, accept: accepting.then_some(digest) };
        self.world.operator.reconcile(&how, &mut Silent).await
    }

    /// No revoked key is good in a store that anything may be built on, and whatever signs is not revoked.
    async fn check(&self, life: &[Step]) {
        let Ok(loaded) = self.world.operator.newest().await else {
            return;
        };
        let good = loaded.manifest.keys.iter().filter(|key| key.revoked.is_none());
        let back: Vec<_> = good.filter(|key| self.revoked.contains(&key.kid)).map(|key| &key.kid).collect();
        assert_eq!(back, Vec::<&Kid>::new(), "{life:?}: a revoked key is good again");
        let now = keystile_system::Clock::now(&self.world.clock);
        let keyring =
            Keyring::open(loaded.manifest, loaded.digest, loaded.private).expect("it can be opened");
        let sandbox = SandboxId::new("demo").unwrap();
        let grant = SandboxGrant::bootstrap(sandbox, BootstrapMethod::TokenFile, now);
        let minted = keyring.mint(&grant, now).expect("something signs");
        assert!(!self.revoked.contains(&minted.kid), "{life:?}: a revoked key signs");
    }
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

/// All lives of three steps after a revocation, and of four that begin with a restored store.
#[tokio::test]
async fn i8_no_order_of_restores_brings_a_revoked_key_back() {
    let mut lives = 0;
    for first in STEPS {
        for second in STEPS {
            for third in STEPS {
                for head in [&[Step::Revoke][..], &[Step::Revoke, Step::RestoreStore]] {
                    let mut place = Place::begin().await;
                    let life: Vec<_> = head.iter().copied().chain([first, second, third]).collect();
                    for (number, step) in life.iter().enumerate() {
                        place.take(*step).await;
                        place.check(&life[..=number]).await;
                    }
                    lives += 1;
                }
            }
        }
    }
    assert_eq!(lives, 2 * STEPS.len().pow(3));
}

/// Two manifests of one generation: the store restored and gone on with, the witness from before.
#[tokio::test]
async fn i8_a_fork_is_refused_and_then_repaired() {
    let mut place = Place::begin().await;
    place.take(Step::Revoke).await;
    let revoked = place.revoked.first().unwrap().clone();
    let remembered = std::fs::read(place.path("ring.witness.json")).unwrap();
    for name in ["ring", "ring.witness.json"] {
        place.restore(name);
    }
    place.take(Step::SetPolicy).await;
    std::fs::write(place.path("ring.witness.json"), remembered).unwrap();

    let change = Verb::SetPolicy(PolicyChange(BTreeMap::from([("leeway".to_owned(), Some(9))])));
    let error = place.world.apply(change, None).await.unwrap_err();
    let OperateError::Refused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!(refusal.code, Code::StoreForked);
    assert!(place.world.operator.newest().await.is_err(), "nothing is minted with it");

    let did = place.reconcile(false).await.unwrap();
    assert!(did.iter().any(|line| line.contains("different manifests of generation 3")), "{did:?}");
    let loaded = place.world.operator.newest().await.unwrap();
    assert!(loaded.manifest.revoked_kids().any(|kid| *kid == revoked));
    assert_eq!(loaded.manifest.generation, 4);
    assert_eq!(place.world.store.witness().await.unwrap(), Some(loaded.manifest));
}

/// Store and witness were both restored, and a replica goes on with what it holds.
#[tokio::test]
async fn a_replica_that_is_ahead_is_named_and_given_up_only_when_told() {
    let mut place = Place::begin().await;
    place.take(Step::SetPolicy).await;
    place.take(Step::SetPolicy).await;
    place.world.report("gateway-1").await;
    let report = place.world.store.replicas().await.unwrap().remove(0);
    for name in ["ring", "ring.witness.json"] {
        place.restore(name);
    }
    place.world.store.report(&report).await.unwrap();

    let refused = |error: OperateError| match error {
        OperateError::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    };
    let rotate = common::rotate(None);
    let error = place.world.operator.rotate(&rotate, NO_WAIT, &mut Silent).await.unwrap_err();
    let refusal = refused(error);
    assert_eq!(refusal.code, Code::ReplicaAhead);
    assert!(refusal.found.contains("replica gateway-1 holds generation 4, the store 2"), "{refusal}");
    let refusal = refused(place.reconcile(false).await.unwrap_err());
    assert_eq!(refusal.code, Code::ReplicaAhead);
    assert!(refusal.remedy.contains("--accept"), "{}", refusal.remedy);

    place.reconcile(true).await.unwrap();
    assert_eq!(place.world.manifest().await.generation, 5, "above what the replica holds");
    assert!(place.reconcile(false).await.unwrap().is_empty(), "idempotent");
}

/// Store and witness were both restored from before a revocation that a living replica remembers: going on from
/// them does not take the key back.
#[tokio::test]
async fn i8_a_revocation_that_only_a_replica_remembers_stays() {
    let mut place = Place::begin().await;
    let active = place.world.active().await;
    let verb = Verb::Revoke { kid: active.clone(), descendants: true };
    place.world.apply(verb, Some("stolen")).await.unwrap();
    place.world.report("gateway-1").await;
    let report = place.world.store.replicas().await.unwrap().remove(0);
    for name in ["ring", "ring.witness.json"] {
        place.restore(name);
    }
    place.world.store.report(&report).await.unwrap();
    assert!(place.world.manifest().await.revoked_kids().next().is_none(), "the store forgot");

    place.reconcile(true).await.unwrap();
    let manifest = place.world.operator.newest().await.unwrap().manifest;
    assert_eq!(manifest.revoked_kids().collect::<Vec<_>>(), [&active]);
    assert_eq!(manifest.lineage_floor, report.lineage_floor);
    place.revoked.insert(active);
    place.world.clock.advance(1);
    place.check(&[]).await;
}

/// A restored store was gone on with before a replica could say what it holds: one number, two contents.
#[tokio::test]
async fn a_replica_with_another_generation_of_the_stores_number_is_named_and_passed() {
    let mut place = Place::begin().await;
    place.take(Step::SetPolicy).await;
    place.world.report("gateway-1").await;
    let mut report = place.world.store.replicas().await.unwrap().remove(0);
    report.digest = Some(place.world.store.load_public().await.unwrap().digest);
    for name in ["ring", "ring.witness.json"] {
        place.restore(name);
    }
    place.take(Step::SetPolicy).await;
    assert_eq!(place.world.manifest().await.generation, report.generation);
    place.world.store.report(&report).await.unwrap();

    let change = Verb::SetPolicy(PolicyChange(BTreeMap::from([("leeway".to_owned(), Some(9))])));
    for error in
        [place.world.apply(change, None).await.unwrap_err(), place.reconcile(false).await.unwrap_err()]
    {
        let OperateError::Refused(refusal) = error else { panic!("{error:?}") };
        assert_eq!(refusal.code, Code::ReplicaAhead);
        assert!(refusal.found.contains("gateway-1 holds another generation 3"), "{refusal}");
    }
    // What mint, verify and jwks begin with.
    let ahead = |error| matches!(error, OperateError::Refused(refusal) if refusal.code == Code::ReplicaAhead);
    assert!(ahead(place.world.operator.newest().await.unwrap_err()));
    assert!(ahead(place.world.operator.newest_public().await.unwrap_err()));
    place.reconcile(true).await.unwrap();
    assert_eq!(place.world.manifest().await.generation, 4, "above what the replica holds");
    assert!(place.reconcile(false).await.unwrap().is_empty(), "idempotent");
}

/// A store that was gone on with from a backup, further than the witness: no key of the witness is lost.
#[tokio::test]
async fn a_store_that_went_on_from_a_backup_past_the_witness_keeps_the_witnesss_keys() {
    let mut place = Place::begin().await;
    place.world.replace_now().await;
    let kid = place.world.active().await;
    let remembered = std::fs::read(place.path("ring.witness.json")).unwrap();
    for name in ["ring", "ring.witness.json"] {
        place.restore(name);
    }
    place.take(Step::SetPolicy).await;
    place.take(Step::SetPolicy).await;
    std::fs::write(place.path("ring.witness.json"), remembered).unwrap();
    assert!(place.world.manifest().await.key(&kid).is_none());

    let error = place.world.operator.newest().await.unwrap_err();
    let OperateError::Refused(refusal) = error else { panic!("{error:?}") };
    assert_eq!(refusal.code, Code::StoreForked);
    place.reconcile(false).await.unwrap();
    let manifest = place.world.operator.newest().await.unwrap().manifest;
    let now = keystile_system::Clock::now(&place.world.clock);
    let key = manifest.key(&kid).expect("the witness's key is kept");
    assert!(manifest.state_of(key, now).published(), "its tokens are good");
}
