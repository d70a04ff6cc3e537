//! A store that breaks under a running gateway: the last good keyring stays.

use std::path::Path;

use http::StatusCode;
use keystile_gateway::Status;
use keystile_keyring::plan::{Mode, Verb};

use crate::client::*;
use crate::world::*;

const MANIFEST: &str = "keyring/..data/keyring.json";

async fn until_problem(gateway: &Running, what: &str) -> Status {
    until(what, || async {
        let status = status(gateway.admin).await;
        status.problems.iter().any(|problem| problem.contains(what)).then_some(status)
    })
    .await
}

async fn serves(gateway: &Running, token: &str) {
    let refreshed = refresh(&channel(gateway.addr).await, Some(token)).await.expect("minting goes on");
    assert_eq!(verify(gateway.addr, &refreshed.token).await.code, StatusCode::OK);
    let keys = get(gateway.addr, "/.well-known/jwks.json").await.json();
    assert!(!keys["keys"].as_array().expect("keys").is_empty());
}

/// Replaces the stored manifest in place, as no commit does.
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).expect("the manifest is replaced");
}

#[tokio::test]
async fn t04_garbage_in_the_store_keeps_the_last_good_keyring() {
    let world = World::with(quick()).await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    let path = world.path(MANIFEST);
    let good = std::fs::read(&path).expect("a manifest");
    let half = &good[..good.len() / 2];
    for bytes in [b"".as_slice(), b"{}", half, b"{\"keys\":[]}"] {
        overwrite(&path, bytes);
        until_problem(&gateway, "no usable manifest").await;
        serves(&gateway, &token).await;
        overwrite(&path, &good);
        until("order", || async { status(gateway.admin).await.problems.is_empty().then_some(()) }).await;
    }
    let failures = metric(gateway.admin, "keystile_reload_failures_total{cause=\"load\"}").await;
    assert!(failures >= Some(4.0), "{failures:?}");
    assert_eq!(status(gateway.admin).await.generation, 1);
}

#[tokio::test]
async fn t52_a_bad_new_generation_shows_as_degraded_and_the_process_serves_on() {
    let world = World::with(quick()).await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    // A new generation whose private key is lost before any replica has read it.
    world.store.fail(true);
    world.apply_on_disk(Verb::Rotate { mode: Mode::Emergency, no_rollback: false }).await;
    let kid = world.manifest().await.keys.last().expect("the new key").kid.clone();
    let files = std::fs::read_dir(world.path("keyring/..data")).expect("the generation");
    let mut files = files.map(|file| file.expect("a file").path());
    let key = files.find(|path| path.to_string_lossy().contains(kid.as_str()));
    std::fs::remove_file(key.expect("the key's file")).expect("it goes");
    world.store.fail(false);
    let degraded = until_problem(&gateway, "the private key of").await;
    assert_eq!((degraded.ready, degraded.mints, degraded.generation), (true, true, 1));
    serves(&gateway, &token).await;
    assert!(world.gateway_with(config()).await.is_err(), "a process that starts refuses it whole");
    let (inside, outside) =
        (get(gateway.admin, "/readyz").await.body, get(gateway.addr, "/readyz").await.body);
    assert!(inside.contains(kid.as_str()), "{inside}");
    assert!(outside.contains("not in order") && !outside.contains(kid.as_str()), "{outside}");
    let reports = world.store.inner_reports().await;
    let mine = reports.iter().find(|report| report.replica == gateway.replica).expect("it reports");
    assert!(format!("{:?}", mine.condition).contains("Degraded"), "{:?}", mine.condition);
    assert_eq!(metric(gateway.admin, "keystile_degraded").await, Some(1.0));
}

#[tokio::test]
async fn t08_a_store_that_went_back_is_reported_and_the_gateway_serves_on() {
    let world = World::with(quick()).await;
    let gateway = world.gateway().await;
    world.backup("old");
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    let token = world.token().await;
    world.restore("old");
    let degraded = until_problem(&gateway, "went back").await;
    assert_eq!((degraded.ready, degraded.mints, degraded.generation), (true, true, 2));
    serves(&gateway, &token).await;
    // The witness remembers what is held as the newest: that confirms it, whatever the store says.
    world.clock.advance(400);
    until("confirmation", || async {
        (status(gateway.admin).await.confirmed_seconds_ago == 0).then_some(())
    })
    .await;
    serves(&gateway, &token).await;
    let regressions = metric(gateway.admin, "keystile_reload_failures_total{cause=\"regression\"}").await;
    assert!(regressions >= Some(1.0), "{regressions:?}");
}

#[tokio::test]
async fn without_a_witness_a_store_that_went_back_confirms_nothing() {
    let world = World::with(quick()).await;
    let gateway = world.gateway().await;
    world.backup("old");
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    std::fs::remove_file(world.path("keyring.witness.json")).expect("there is a witness");
    world.restore("old");
    until_problem(&gateway, "offers generation 1, this replica holds 2").await;
    let token = world.token_of(&gateway).await;
    world.clock.advance(2);
    let status = refresh(&channel(gateway.addr).await, Some(&token)).await.expect_err("not confirmed");
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let regressions = metric(gateway.admin, "keystile_reload_failures_total{cause=\"regression\"}").await;
    assert!(regressions >= Some(1.0), "{regressions:?}");
}

#[tokio::test]
async fn i5_another_content_of_the_same_generation_is_refused_as_forked() {
    let world = World::with(quick()).await;
    world.backup("fork");
    let other = world.rotate_backup("fork").await;
    let gateway = world.gateway().await;
    let kid = world.rotate().await;
    until_generation(gateway.admin, 2).await;
    let token = world.token().await;
    std::fs::remove_file(world.path("keyring.witness.json")).expect("there is a witness");
    world.restore("fork");
    assert_ne!(kid, other);
    let forked = until_problem(&gateway, "forked").await;
    assert_eq!(forked.generation, 2);
    assert_eq!(verify(gateway.addr, &token).await.code, StatusCode::OK, "the generation held stays in force");
    let count = metric(gateway.admin, "keystile_reload_failures_total{cause=\"forked\"}").await;
    assert!(count >= Some(1.0), "{count:?}");
}
