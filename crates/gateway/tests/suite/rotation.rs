//! Rotation as callers live through it.

use http::StatusCode;
use keystile_keyring::plan::{PolicyChange, Verb};
use keystile_testkit::ManualClock;
use keystile_testkit::forger::{Forger, ForgingKey};
use keystile_token::inspect;

use crate::client::*;
use crate::world::*;

fn kid_in(token: &str) -> String {
    inspect(token.as_bytes()).expect("a token").kid.expect("a kid").to_string()
}

#[tokio::test]
async fn t24_a_refreshed_token_is_signed_by_the_new_key() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let old_token = world.token().await;
    let new = world.rotate().await;
    until_generation(gateway.admin, 2).await;
    let refreshed = refresh(&channel, Some(&old_token)).await.expect("the old key still verifies");
    assert_eq!(kid_in(&refreshed.token), new.to_string());
    let who = whoami(&channel, Some(&refreshed.token)).await.expect("the new key verifies");
    assert_eq!((who.kid, who.key_state.as_str()), (new.to_string(), "active"));
    let who = whoami(&channel, Some(&old_token)).await.expect("both are good");
    assert_eq!(who.key_state, "verify-only");
}

#[tokio::test]
async fn a_lineage_is_carried_on_and_may_grow_too_old() {
    let policy = keystile_keyring::Policy { max_lineage_age: Some(1000), ..policy() };
    let world = World::with(policy).await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let began = world.clock_now();
    let mut token = world.token().await;
    for _ in 0..2 {
        world.clock.advance(500);
        until("confirmation", || async {
            (status(gateway.admin).await.confirmed_seconds_ago < 300).then_some(())
        })
        .await;
        token = refresh(&channel, Some(&token)).await.expect("within its age").token;
        let claims = inspect(token.as_bytes()).expect("a token").claims;
        assert_eq!(claims["keystile"]["began"], began.0);
        assert_eq!(claims["keystile"]["method"], "token-file");
    }
    world.clock.advance(1);
    let status = refresh(&channel, Some(&token)).await.expect_err("it must bootstrap again");
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    assert_eq!(status.message(), "token lineage too old: bootstrap again");
    assert_eq!(verify(gateway.addr, &token).await.code, StatusCode::OK, "only refresh is refused");
}

#[tokio::test]
async fn i3_a_replica_that_was_not_told_rejects_no_good_token() {
    let world = World::begun().await;
    world.store.silence();
    let gateway = world.gateway().await;
    world.rotate().await;
    // Signed by a key that the gateway has never heard of.
    let token = world.token().await;
    let answer = verify(gateway.addr, &token).await;
    assert_eq!(answer.code, StatusCode::OK, "the store was read again first");
    assert_eq!(status(gateway.admin).await.generation, 2);
}

#[tokio::test]
async fn i3_a_token_of_a_raised_lifetime_is_good_before_the_replica_was_told() {
    let world = World::begun().await;
    world.store.silence();
    let gateway = world.gateway().await;
    let longer = PolicyChange([("token_ttl".to_owned(), Some(7200))].into());
    world.apply(Verb::SetPolicy(longer), None).await;
    let token = world.token().await;
    assert_eq!(verify(gateway.addr, &token).await.code, StatusCode::OK, "the same key, a longer life");
    assert_eq!(status(gateway.admin).await.generation, 2);
}

#[tokio::test]
async fn t51_a_revocation_ends_what_the_gateway_itself_accepts() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    for _ in 0..3 {
        assert_eq!(verify(gateway.addr, &token).await.code, StatusCode::OK);
    }
    let kid = world.active().await;
    world.apply(Verb::Revoke { kid, descendants: false }, Some("stolen")).await;
    until_generation(gateway.admin, 2).await;
    assert_eq!(verify(gateway.addr, &token).await.code, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn revoking_with_descendants_reaches_tokens_of_other_keys() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let old = world.active().await;
    let token = world.token().await;
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    let descendant = refresh(&channel, Some(&token)).await.expect("good so far").token;
    world.apply(Verb::Revoke { kid: old, descendants: true }, Some("stolen")).await;
    until_generation(gateway.admin, 3).await;
    assert_eq!(verify(gateway.addr, &descendant).await.code, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn t32_clocks_that_differ_within_bounds_reject_no_fresh_token() {
    let world = World::begun().await;
    let now = world.clock_now();
    // Replicas 30 s apart: max_skew.
    let behind = world.gateway_at(ManualClock::at(now.minus(15))).await;
    let ahead = world.gateway_at(ManualClock::at(now.plus(15))).await;
    let token = world.token().await;
    for (minter, verifier) in [(&ahead, &behind), (&behind, &ahead)] {
        let minted = refresh(&channel(minter.addr).await, Some(&token)).await.expect("refreshed").token;
        assert_eq!(verify(verifier.addr, &minted).await.code, StatusCode::OK);
    }
    let world_ahead = ManualClock::at(now.plus(60));
    let beyond = world.gateway_at(world_ahead).await;
    let minted = refresh(&channel(beyond.addr).await, Some(&token)).await.expect("refreshed").token;
    assert_eq!(verify(behind.addr, &minted).await.code, StatusCode::UNAUTHORIZED, "75 s apart");
    let label = "keystile_rejections_total{reason=\"issued-in-future\"}";
    assert_eq!(metric(behind.admin, label).await, Some(1.0), "the operator sees why");
}

#[tokio::test]
async fn c14_a_replica_cut_off_during_the_lead_accepts_the_prepared_keys_token_by_its_iat() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    world.apply(Verb::Prepare { no_rollback: false }, None).await;
    until_generation(gateway.admin, 2).await;
    let manifest = world.manifest().await;
    let prepared = manifest.keys.last().expect("the prepared key").kid.clone();
    let key = world.private_key(&prepared).await;
    let now = world.clock_now().0;
    world.store.fail(true);
    let token = |iat: u64| Forger::sandbox(&key, SANDBOX, iat, iat + 600).signed(&ForgingKey::of(&key));
    assert_eq!(verify(gateway.addr, &token(now)).await.code, StatusCode::OK, "activated since, perhaps");
    let before = verify(gateway.addr, &token(now - 60)).await;
    assert_eq!(before.code, StatusCode::SERVICE_UNAVAILABLE, "not then: but nobody can know");
    world.store.fail(false);
    let read = verify(gateway.addr, &token(now)).await;
    assert_eq!(read.code, StatusCode::UNAUTHORIZED, "the store says that it was not activated");
    assert!(metric(gateway.admin, "keystile_alarms_total").await >= Some(1.0));
}
