//! A fresh token in place of the one that a stream was opened with.

use std::time::Duration;

use http::StatusCode;
use keystile_testkit::forger::{Forger, ForgingKey};
use keystile_tower::{Ended, Reason};
use tokio::io::AsyncWriteExt;

use crate::web::*;
use crate::world::*;

const GRACE: Duration = Duration::from_secs(100);

#[tokio::test]
async fn a_stream_goes_on_under_a_fresh_token_and_ends_with_that() {
    let world = World::with(quick()).await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let (stream, id) = events(addr, &world.token().await).await;
    world.manual.advance(3000);
    assert_eq!(renew_with(addr, &id, &world.token().await).await, (StatusCode::NO_CONTENT, String::new()));
    // The first token is over, the second is not.
    world.manual.advance(3000);
    assert_eq!(renew_with(addr, &id, &world.token().await).await.0, StatusCode::NO_CONTENT);
    world.revoke().await;
    broken_off(stream).await;
    let (code, text) = renew_with(addr, &id, &world.token().await).await;
    assert!(matches!(code, StatusCode::NOT_FOUND | StatusCode::GONE), "{code} {text}");
}

#[tokio::test]
async fn a_fresh_token_within_the_stream_renews_it() {
    let world = World::with(quick()).await;
    let (addr, mut seen) = serve(world.verifier().await.layer()).await;
    let mut stream = upgraded(addr, &world.token().await).await;
    let mut renew = async |token: String| {
        stream.write_all(format!("{token}\n").as_bytes()).await.unwrap();
        line(&mut stream).await
    };
    assert_eq!(renew("x".to_owned()).await, "the fresh token is not good: invalid token");
    let foreign = Forger::empty().header("alg", "EdDSA").claim("iss", "other");
    let foreign = renew(foreign.signed(&ForgingKey::from_seed([9; 32]))).await;
    assert_eq!(foreign, "the fresh token is not good: it is another issuer's");
    let other = world.token_of("sandbox-2").await;
    assert!(renew(other).await.starts_with("the fresh token is another sandbox's"));
    world.manual.advance(3000);
    assert_eq!(renew(world.token().await).await, "renewed");
    // The first token is over, the second is not.
    world.manual.advance(3000);
    assert_eq!(renew(world.token().await).await, "renewed");
    world.manual.advance(3661);
    let end = soon("the service's end", seen.recv()).await;
    assert_eq!(end, Some(Seen::Upgraded(Ended::Rejected(Reason::Expired))));
}

#[tokio::test]
async fn another_sandbox_does_not_renew_a_stream() {
    let world = World::with(quick()).await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let (stream, id) = events(addr, &world.token().await).await;
    world.manual.advance(3000);
    let other = world.token_of("sandbox-2").await;
    let refused = renew_with(addr, &id, &other).await;
    let unknown = renew_with(addr, &format!("{id}0"), &other).await;
    assert_eq!(refused.0, StatusCode::NOT_FOUND);
    assert_eq!(refused, unknown, "whether there is one is nobody else's business");
    let elsewhere = format!("{:016x}-1", 1);
    assert_eq!(renew_with(addr, &elsewhere, &world.token().await).await.0, StatusCode::NOT_FOUND);
    assert_eq!(renew_with(addr, "x", &other).await.0, StatusCode::BAD_REQUEST);
    world.manual.advance(3000);
    broken_off(stream).await;
}

#[tokio::test]
async fn a_grace_waits_for_a_fresh_token_and_no_longer() {
    let world = World::with(quick()).await;
    let (addr, _) = serve(world.verifier().await.layer().grace(GRACE).unwrap()).await;
    let token = world.token().await;
    let (stream, id) = events(addr, &token).await;
    // An hour, the leeway, and all of the grace.
    world.manual.advance(3600 + 60 + 100);
    assert_eq!(code(addr, &token).await, StatusCode::UNAUTHORIZED, "a grace lets nobody in");
    let fresh = world.token().await;
    assert_eq!(renew_with(addr, &id, &fresh).await.0, StatusCode::NO_CONTENT);
    world.manual.advance(3600 + 60 + 101);
    broken_off(stream).await;
}

#[tokio::test]
async fn past_its_grace_a_stream_is_not_renewed() {
    let world = World::with(quick()).await;
    let (addr, _) = serve(world.verifier().await.layer().grace(GRACE).unwrap()).await;
    let (stream, id) = events(addr, &world.token().await).await;
    world.manual.advance(3600 + 60 + 101);
    // Whoever is first: the look of the stream, or the one before it is renewed.
    let (code, text) = renew_with(addr, &id, &world.token().await).await;
    assert!(matches!(code, StatusCode::GONE | StatusCode::NOT_FOUND), "{code} {text}");
    broken_off(stream).await;
}

#[tokio::test]
async fn a_revocation_has_no_grace() {
    let world = World::begun().await;
    let (addr, _) = serve(world.verifier().await.layer().grace(GRACE).unwrap()).await;
    let (stream, _) = events(addr, &world.token().await).await;
    world.revoke().await;
    broken_off(stream).await;
}

#[tokio::test]
async fn a_revocation_ends_a_stream_that_is_in_its_grace() {
    let world = World::with(quick()).await;
    let (addr, _) = serve(world.verifier().await.layer().grace(GRACE).unwrap()).await;
    let (mut stream, _) = events(addr, &world.token().await).await;
    world.manual.advance(3600 + 60 + 50);
    let more =
        tokio::time::timeout(Duration::from_secs(1), http_body_util::BodyExt::frame(&mut stream)).await;
    assert!(more.is_err(), "it goes on: {more:?}");
    world.revoke().await;
    broken_off(stream).await;
}
