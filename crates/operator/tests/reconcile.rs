//! Reconcile: mends what is broken, resumes what is in flight, does what is due; idempotent.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;

use common::{NO_WAIT, START, World, first, policy, request, rotate};
use keystile_keyring::KeyState;
use keystile_keyring::plan::{Mode, PolicyChange, Verb};
use keystile_operator::{OperateError, Outcome, Reconcile, Silent};
use keystile_store::{DirectoryStore, MemoryStore, Store};
use keystile_system::Clock;
use keystile_testkit::{Fault, FaultyStore, ManualClock};

fn how() -> Reconcile {
    Reconcile { actor: "test".to_owned(), rotation: NO_WAIT, accept: None }
}

async fn on_disk() -> (tempfile::TempDir, World) {
    let place = tempfile::tempdir().expect("a place for a store");
    let clock = ManualClock::at(START);
    let store = DirectoryStore::new(place.path().join("ring"), Arc::new(clock.clone())).expect("a fit place");
    let world = World::on(clock, Arc::new(store) as Arc<dyn Store>);
    world.operator.begin(&first(), &mut Silent).await.expect("an empty place takes a keyring");
    world.clock.advance(100);
    (place, world)
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(status.success());
}

#[tokio::test]
async fn reconcile_of_a_healthy_keyring_does_nothing() {
    let world = World::begun().await;
    assert_eq!(world.operator.reconcile(&how(), &mut Silent).await.expect("healthy"), Vec::<String>::new());
    assert_eq!(world.manifest().await.generation, 1);
}

#[tokio::test]
async fn t38_a_rotation_whose_operator_died_is_finished() {
    let world = World::begun().await;
    let old = world.active().await;
    world.report("gateway-1").await;
    let _ = world.operator.rotate(&rotate(Some("nov")), NO_WAIT, &mut Silent).await;
    world.clock.advance(1);
    world.report("gateway-1").await;
    world.clock.advance(policy().verifier_cache);
    world.operator.reconcile(&how(), &mut Silent).await.expect("the gate is open");
    world.clock.advance(policy().activation_lead);
    assert_ne!(world.active().await, old);
    assert_eq!(world.manifest().await.requests.len(), 1, "the request of the one who died is done");
}

#[tokio::test]
async fn rotate_every_begins_a_rotation_and_a_second_run_resumes_it() {
    let world = World::begun().await;
    let change = PolicyChange(BTreeMap::from([("rotate_every".to_owned(), Some(500))]));
    world.apply(Verb::SetPolicy(change), None).await.expect("within its range");
    world.report("gateway-1").await;
    assert!(world.operator.reconcile(&how(), &mut Silent).await.expect("not due").is_empty());
    world.clock.advance(500);
    world.report("gateway-1").await;
    let held = world.operator.reconcile(&how(), &mut Silent).await;
    assert!(matches!(held, Err(OperateError::Held { .. })), "{held:?}");
    world.clock.advance(1);
    world.report("gateway-1").await;
    world.clock.advance(policy().verifier_cache);
    let did = world.operator.reconcile(&how(), &mut Silent).await.expect("open");
    assert_eq!(did.len(), 1, "{did:?}");
}

#[tokio::test]
async fn a_restored_backup_is_repaired_and_keeps_its_revocations() {
    let (place, world) = on_disk().await;
    let ring = place.path().join("ring");
    world.replace_now().await;
    let backup = place.path().join("backup");
    copy(&ring, &backup);
    let stolen = world.active().await;
    world
        .apply(Verb::Revoke { kid: stolen.clone(), descendants: false }, Some("leaked"))
        .await
        .expect("revoked");
    let replacement = world.active().await;
    let newest = world.manifest().await.generation;

    std::fs::remove_dir_all(&ring).expect("the store is lost");
    copy(&backup, &ring);
    assert!(world.manifest().await.generation < newest, "the backup is older");
    let did = world.operator.reconcile(&how(), &mut Silent).await.expect("repaired");
    assert!(did.iter().any(|line| line.contains("repaired")), "{did:?}");
    let repaired = world.manifest().await;
    let now = world.clock.now();
    assert!(repaired.generation > newest);
    assert_eq!(repaired.state_at(&stolen, now), Some(KeyState::Revoked), "revoked is final");
    assert_eq!(repaired.state_at(&replacement, now), Some(KeyState::VerifyOnly), "its tokens are good again");
    let signer = world.active().await;
    assert!(signer != stolen && signer != replacement, "the only private key left that may sign: {signer}");
    assert!(world.operator.reconcile(&how(), &mut Silent).await.expect("healthy").is_empty(), "idempotent");
}

#[tokio::test]
async fn c17_a_private_key_that_came_back_with_a_backup_and_was_revoked_never_signs() {
    let (place, world) = on_disk().await;
    let ring = place.path().join("ring");
    let backup = place.path().join("backup");
    copy(&ring, &backup);
    let stolen = world.active().await;
    world
        .apply(Verb::Revoke { kid: stolen.clone(), descendants: false }, Some("leaked"))
        .await
        .expect("revoked");
    std::fs::remove_dir_all(&ring).expect("the store is lost");
    copy(&backup, &ring);
    let error = world.operator.reconcile(&how(), &mut Silent).await.expect_err("no private key may sign");
    let OperateError::Refused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!(refusal.code, keystile_keyring::Code::NoSigner);
    assert!(refusal.remedy.contains("rotate --emergency"), "{}", refusal.remedy);

    // The way out that the refusal names works.
    let emergency = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
    let request = request(emergency, Some("the store was lost"), None);
    world.operator.rotate(&request, NO_WAIT, &mut Silent).await.expect("a fresh key signs");
    let repaired = world.manifest().await;
    assert_eq!(repaired.state_at(&stolen, world.clock.now()), Some(KeyState::Revoked));
    assert_ne!(world.active().await, stolen);
}

#[tokio::test]
async fn a_lost_private_key_is_marked_destroyed_and_another_signs() {
    let (place, world) = on_disk().await;
    let old = world.active().await;
    world.replace_now().await;
    let lost = world.active().await;
    let file = place.path().join("ring/..data").join(keystile_store::members::private_key(&lost));
    std::fs::remove_file(&file).expect("the private key is lost");
    assert!(world.store.load().await.is_err(), "a gateway would not start");
    world.operator.reconcile(&how(), &mut Silent).await.expect("repaired");
    assert_eq!(world.active().await, old, "the other private key signs");
    assert!(world.store.load().await.is_ok(), "a gateway starts");
}

/// A rotation that nobody can go on with is no reason to leave the witness behind.
#[tokio::test]
async fn the_witness_is_told_also_where_a_rotation_cannot_go_on() {
    let clock = ManualClock::at(START);
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let store = Arc::new(FaultyStore::new(memory));
    let world = World::on(clock, store.clone());
    world.operator.begin(&first(), &mut Silent).await.expect("an empty place takes a keyring");
    store.fail(Fault::WitnessFails);
    let error = world.apply(Verb::Prepare { no_rollback: false }, None).await.expect_err("half done");
    assert!(matches!(error, OperateError::Witness { generation: 2, .. }), "{error}");
    store.heal();
    let error = world.operator.reconcile(&how(), &mut Silent).await.expect_err("nobody reports");
    assert!(error.to_string().contains("no live replica reports"), "{error}");
    assert_eq!(world.store.witness().await.expect("readable"), Some(world.manifest().await));
}

/// A change that was cut off before its witness knew is finished by the same command, which changes nothing more.
#[tokio::test]
async fn a_verb_run_again_tells_the_witness_what_the_first_run_could_not() {
    let clock = ManualClock::at(START);
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
    let store = Arc::new(FaultyStore::new(memory));
    let world = World::on(clock, store.clone());
    world.operator.begin(&first(), &mut Silent).await.expect("an empty place takes a keyring");
    let emergency = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
    let revoke = Verb::Revoke { kid: world.active().await, descendants: false };
    for (verb, generation) in [(emergency, 2), (revoke, 3)] {
        let request = request(verb, Some("a test"), Some(&format!("request-{generation}")));
        store.fail(Fault::WitnessFails);
        let error = world.operator.apply(&request, &mut Silent).await.expect_err("half done");
        assert!(matches!(error, OperateError::Witness { .. }), "{error}");
        store.heal();
        let again = world.operator.apply(&request, &mut Silent).await.expect("done before");
        assert!(!matches!(again, Outcome::Committed(_)), "{again:?}");
        let manifest = world.manifest().await;
        assert_eq!(manifest.generation, generation);
        assert_eq!(world.store.witness().await.expect("readable"), Some(manifest));
    }
}
