//! What the witness remembers, no restored backup undoes.

use http::StatusCode;
use keystile_gateway::{Config, ReadError, StartError};
use keystile_keyring::plan::Verb;

use crate::client::*;
use crate::world::*;

#[tokio::test]
async fn a_gateway_does_not_start_from_a_store_that_is_older_than_its_witness() {
    let world = World::begun().await;
    world.backup("old");
    world.rotate().await;
    world.restore("old");
    let reports = world.store.record_reports();
    let said_before = reports.lock().expect("not poisoned").len();
    let refused = world.gateway_with(config()).await.err().expect("it went back");
    assert!(matches!(refused, StartError::Keyring(ReadError::Fault(_))), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("generation 1, its witness at 2") && text.contains("keystile reconcile"), "{text}");
    // Nor did it say anything: in Kubernetes it could not take that back.
    assert_eq!(reports.lock().expect("not poisoned").len(), said_before, "who never served holds up nobody");
}

#[tokio::test]
async fn i8_a_revocation_reaches_a_replica_through_the_witness_alone() {
    let world = World::with(quick()).await;
    world.store.silence();
    let gateway = world.gateway().await;
    let token = world.token().await;
    world.backup("old");
    let kid = world.active().await;
    // Revoked, and the store restored from a backup before this replica has read it.
    world.store.fail(true);
    world.apply_on_disk(Verb::Revoke { kid, descendants: false }).await;
    world.restore("old");
    world.store.fail(false);
    until("the witness is read", || async {
        (verify(gateway.addr, &token).await.code == StatusCode::UNAUTHORIZED).then_some(())
    })
    .await;
    assert_eq!(status(gateway.admin).await.generation, 1, "the store has nothing newer");
    let minted = refresh(&channel(gateway.addr).await, Some(&token)).await.expect_err("refused");
    assert_eq!(minted.code(), tonic::Code::Unauthenticated);
    let keys = get(gateway.addr, "/.well-known/jwks.json").await;
    assert_eq!(
        keys.code,
        StatusCode::SERVICE_UNAVAILABLE,
        "its only key is revoked, and a set is never empty"
    );
}

#[tokio::test]
async fn a_witness_that_cannot_be_read_is_shown_and_no_process_starts_beside_it() {
    let world = World::with(quick()).await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    std::fs::write(world.path("keyring.witness.json"), b"not a manifest").expect("it is overwritten");
    let seen = until("the problem", || async {
        let status = status(gateway.admin).await;
        (!status.problems.is_empty()).then_some(status)
    })
    .await;
    assert!(seen.problems[0].contains("witness"), "{seen:?}");
    world.clock.advance(100);
    until("confirmation", || async {
        (status(gateway.admin).await.confirmed_seconds_ago == 0).then_some(())
    })
    .await;
    refresh(&channel(gateway.addr).await, Some(&token)).await.expect("the store itself is in order");
    let refused = world.gateway_with(config()).await.err().expect("nobody knows what was revoked");
    assert!(matches!(refused, StartError::Keyring(ReadError::Witness(_))), "{refused:?}");
}

#[tokio::test]
async fn a_replica_that_only_verifies_needs_no_private_key_and_mints_nothing() {
    let world = World::begun().await;
    let token = world.token().await;
    for file in std::fs::read_dir(world.path("keyring/..data")).expect("the generation") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            std::fs::remove_file(path).expect("private keys go");
        }
    }
    let verifier = world.gateway_with(Config { verify_only: true, ..config() }).await.expect("it starts");
    assert_eq!(verify(verifier.addr, &token).await.code, StatusCode::OK);
    let status = refresh(&channel(verifier.addr).await, Some(&token)).await.expect_err("it cannot mint");
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert_eq!(status.message(), "sandbox JWT minting is not configured on this gateway");
    let ready = get(verifier.addr, "/readyz").await;
    assert_eq!((ready.code, &ready.json()["mints"]), (StatusCode::OK, &serde_json::Value::Bool(false)));
}

#[tokio::test]
async fn a_replica_that_only_verifies_believes_the_witness_over_a_store_that_went_back() {
    let world = World::begun().await;
    world.backup("old");
    let new = world.rotate().await;
    let token = world.token().await;
    world.restore("old");
    let verifier = world.gateway_with(Config { verify_only: true, ..config() }).await.expect("it starts");
    let answer = verify(verifier.addr, &token).await;
    assert_eq!(answer.code, StatusCode::OK);
    assert_eq!(answer.header("x-keystile-kid"), Some(new.as_str()));
}
