//! A store that cannot be read, and one that says nothing of its changes.

use http::StatusCode;
use keystile_testkit::Fault;
use keystile_tower::{FollowError, Limits, ReadError, Verifier};

use crate::web::*;
use crate::world::*;

#[tokio::test]
async fn what_cannot_be_confirmed_is_unavailable_and_ends_streams() {
    let world = World::with(soon_stale()).await;
    let verifier = world.verifier().await;
    let (addr, _) = serve(verifier.layer()).await;
    world.store.fail(Fault::Unreachable);
    // By a clock that a token of the last minute is good by.
    world.manual.advance(3590);
    let token = world.token().await;
    let (stream, _) = events(addr, &token).await;
    world.manual.advance(11);
    let answer = open(addr, "/hello", &token).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert!(!verifier.readiness().ready);
    broken_off(stream).await;
    world.store.heal();
    until("ready", || verifier.readiness().ready).await;
    assert_eq!(code(addr, &token).await, StatusCode::OK);
}

#[tokio::test]
async fn a_token_of_a_key_that_nobody_told_of_is_accepted_after_a_read() {
    let world = World::begun().await;
    let store = world.silent_store();
    let verifier = world.verifier_on(store.clone(), Limits::default()).await;
    let (addr, _) = serve(verifier.layer()).await;
    assert_eq!(code(addr, &world.token().await).await, StatusCode::OK);
    let before = store.loads();
    world.rotate().await;
    assert_eq!(code(addr, &world.token().await).await, StatusCode::OK);
    assert!(store.loads() > before, "it was read again");
    assert_eq!(verifier.readiness().generation, 2);
}

#[tokio::test]
async fn the_witness_alone_is_enough_and_no_private_key_is_read() {
    let world = World::begun().await;
    let token = world.token().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let witness = world.directory.path().join("keyring.witness.json");
    std::fs::copy(witness, elsewhere.path().join("keyring.witness.json")).unwrap();
    let copy = keystile_store::DirectoryStore::new(elsewhere.path().join("keyring"), world.clock.clone());
    let verifier = world.verifier_on(std::sync::Arc::new(copy.unwrap()), Limits::default()).await;
    let (addr, _) = serve(verifier.layer()).await;
    assert_eq!(code(addr, &token).await, StatusCode::OK);
}

#[tokio::test]
async fn where_no_keyring_is_none_is_made() {
    let place = tempfile::tempdir().unwrap();
    let error = Verifier::of_directory(place.path().join("none")).await.expect_err("there is none");
    assert!(matches!(error, FollowError::Keyring(ReadError::Load(_))), "{error:?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}
