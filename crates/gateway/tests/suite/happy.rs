//! What is asked for every day.

use http::StatusCode;
use keystile_token::inspect;

use crate::client::*;
use crate::world::*;

#[tokio::test]
async fn a_token_is_refreshed_shown_and_verified() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let channel = channel(gateway.addr).await;
    let token = world.token().await;
    world.clock.advance(600);

    let refreshed = refresh(&channel, Some(&token)).await.expect("a good token is refreshed");
    let now = START.plus(1600);
    assert_eq!(refreshed.expires_at_ms, i64::try_from(now.plus(3600).0 * 1000).expect("small"));
    assert_ne!(refreshed.token, token);

    let who = whoami(&channel, Some(&refreshed.token)).await.expect("a good token says whose it is");
    assert_eq!(who.sandbox_id, SANDBOX);
    assert_eq!(who.kid, world.active().await.to_string());
    assert_eq!((who.key_state.as_str(), who.generation), ("active", 1));
    assert_eq!(who.expires_at, i64::try_from(now.plus(3600).0).expect("small"));
    assert_eq!(who.renew_by, i64::try_from(now.plus(2880).0).expect("small"));

    let verified = verify(gateway.addr, &refreshed.token).await;
    assert_eq!(verified.code, StatusCode::OK);
    assert_eq!(verified.header("x-sandbox-id"), Some(SANDBOX));
    assert_eq!(verified.header("x-keystile-kid"), Some(who.kid.as_str()));
    assert_eq!(verified.header("x-keystile-key-state"), Some("active"));
    assert!(inspect(refreshed.token.as_bytes()).is_ok());
}

#[tokio::test]
async fn a_new_generation_is_loaded_by_itself() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    assert!(gateway.stopped().await, "nothing was in flight");
}
