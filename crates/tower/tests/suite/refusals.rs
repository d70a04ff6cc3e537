//! Who is not let in, and what he is told.

use http::StatusCode;
use keystile_testkit::forger::{Forger, ForgingKey};
use keystile_tower::{GraceTooLong, MAX_GRACE};
use std::time::Duration;

use crate::web::*;
use crate::world::*;

#[tokio::test]
async fn a_good_token_says_who_calls() {
    let world = World::begun().await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let answer = open(addr, "/hello", &world.token().await).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers().get("x-keystile-stream"), None, "an answer is no stream");
    assert_eq!(text(answer).await, "hello, sandbox-1");
}

#[tokio::test]
async fn whoever_presents_nothing_good_is_challenged_as_at_a_gateway() {
    let world = World::begun().await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let token = world.token().await;
    let (good, key) = (bearer(&token), ForgingKey::from_seed([9; 32]));
    let foreign = bearer(&Forger::empty().header("alg", "EdDSA").claim("iss", "other").signed(&key));
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[], "Bearer"),
        (&[("authorization", "Basic YQ==")], "Bearer"),
        (&[("authorization", &good), ("authorization", &good)], "Bearer error=\"invalid_request\""),
        (&[("authorization", &foreign)], "Bearer error=\"invalid_token\""),
        (&[("authorization", &forged)], "Bearer error=\"invalid_token\""),
        (&[("authorization", "Bearer x")], "Bearer error=\"invalid_token\""),
    ];
    for (headers, challenge) in cases {
        let answer = get_with(addr, "/hello", headers).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{headers:?}");
        assert_eq!(answer.headers()["www-authenticate"], challenge, "{headers:?}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(text(answer).await, "");
    }
}

#[tokio::test]
async fn grpc_over_http_is_refused_with_trailers_only() {
    let world = World::begun().await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let answer = get_with(addr, "/hello", &[("content-type", "application/grpc")]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["grpc-status"], "16");
    assert_eq!(answer.headers()["grpc-message"], "missing authorization header");
    assert_eq!(answer.headers()["content-type"], "application/grpc");
}

#[tokio::test]
async fn a_grace_has_an_upper_bound() {
    let layer = World::begun().await.verifier().await.layer();
    assert!(layer.clone().grace(MAX_GRACE).is_ok());
    let error = layer.grace(MAX_GRACE + Duration::from_secs(1)).expect_err("too long");
    assert_eq!(error, GraceTooLong(Duration::from_secs(301)));
    assert!(error.to_string().contains("301 s is too long; the longest is 300 s"), "{error}");
}
