//! A store that cannot be read: minting stops first, verifying last.

use http::StatusCode;
use tonic::Code;

use crate::client::*;
use crate::world::*;

#[tokio::test]
async fn minting_stops_after_max_staleness_and_verifying_goes_on() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let token = world.token().await;
    world.store.fail(true);
    world.clock.advance(300);
    refresh(&channel, Some(&token)).await.expect("on the last second of max_staleness");
    world.clock.advance(1);
    let status = refresh(&channel, Some(&token)).await.expect_err("nobody knows the newest keyring");
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.metadata().get("retry-after-ms").is_some(), "{status:?}");
    assert_eq!(verify(gateway.addr, &token).await.code, StatusCode::OK);
    let ready = get(gateway.addr, "/readyz").await;
    assert_eq!(ready.code, StatusCode::OK, "an outage of the store does not take the fleet down");
    assert_eq!(ready.json()["mints"], false);
    assert!(ready.body.contains("minting has stopped"), "{}", ready.body);
    let label = "keystile_mint_refusals_total{reason=\"unconfirmed\"}";
    assert_eq!(metric(gateway.admin, label).await, Some(1.0));
    world.store.fail(false);
    refresh(&channel, Some(&token)).await.expect("the store is read again for the request");
}

#[tokio::test]
async fn verifying_ends_after_verify_staleness_with_unavailable() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    world.store.fail(true);
    world.clock.advance(3600);
    let token = world.token().await;
    assert_eq!(verify(gateway.addr, &token).await.code, StatusCode::OK, "on the last second");
    world.clock.advance(1);
    let answer = verify(gateway.addr, &token).await;
    assert_eq!(answer.code, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.header("retry-after"), Some("1"));
    let status = whoami(&channel, Some(&token)).await.expect_err("nobody knows");
    assert_eq!(status.code(), Code::Unavailable);
    let keys = get(gateway.addr, "/.well-known/jwks.json").await;
    assert_eq!(keys.code, StatusCode::SERVICE_UNAVAILABLE, "never an empty set");
    assert_eq!(get(gateway.addr, "/readyz").await.code, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(get(gateway.addr, "/healthz").await.code, StatusCode::OK, "a restart would not help");
    assert_eq!(get(gateway.admin, "/readyz").await.code, StatusCode::SERVICE_UNAVAILABLE);
    world.store.fail(false);
    until("ready", || async { (get(gateway.addr, "/readyz").await.code == StatusCode::OK).then_some(()) })
        .await;
    assert_eq!(verify(gateway.addr, &token).await.code, StatusCode::OK);
}

#[tokio::test]
async fn a_quiet_store_is_still_confirmed() {
    let world = World::with(quick()).await;
    world.store.silence();
    let gateway = world.gateway().await;
    let before = world.store.reads();
    world.clock.advance(50);
    let seen = until("a confirmation", || async {
        let status = status(gateway.admin).await;
        (status.confirmed_seconds_ago == 0).then_some(status)
    })
    .await;
    assert!(seen.mints && seen.problems.is_empty(), "{seen:?}");
    assert!(world.store.reads() > before);
}
