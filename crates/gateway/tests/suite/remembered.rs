//! Signatures that a gateway remembers: found again, forgotten with their key, and bounded.

use keystile_gateway::config::{ByteCount, Config};
use keystile_keyring::plan::Verb;

use crate::client::*;
use crate::world::*;

async fn count(gateway: &Running, name: &str) -> Option<f64> {
    metric(gateway.admin, &format!("keystile_remembered_{name}")).await
}

#[tokio::test]
async fn t51_a_remembered_token_is_refused_once_its_keys_revocation_is_loaded() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    for _ in 0..3 {
        assert_eq!(verify(gateway.addr, &token).await.code, 200);
    }
    assert_eq!(
        (count(&gateway, "hits_total").await, count(&gateway, "tokens").await),
        (Some(2.0), Some(1.0))
    );
    assert!(count(&gateway, "bytes").await > Some(f64::from(u32::try_from(token.len()).unwrap())));

    let kid = world.active().await;
    world.apply(Verb::Revoke { kid, descendants: false }, Some("stolen")).await;
    until_generation(gateway.admin, 2).await;
    assert_eq!(verify(gateway.addr, &token).await.code, 401);
    until("nothing remembered", || async { (count(&gateway, "tokens").await == Some(0.0)).then_some(()) })
        .await;
    assert_eq!(count(&gateway, "bytes").await, Some(0.0));
}

#[tokio::test]
async fn a_rotation_forgets_nothing() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    assert_eq!(verify(gateway.addr, &token).await.code, 200);
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    assert_eq!(verify(gateway.addr, &token).await.code, 200);
    assert_eq!(
        (count(&gateway, "hits_total").await, count(&gateway, "misses_total").await),
        (Some(1.0), Some(1.0))
    );
}

#[tokio::test]
async fn bad_tokens_take_no_memory() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let good = world.token().await;
    let (input, signature) = good.rsplit_once('.').expect("three segments");
    for number in 0..50 {
        let mut bad = signature.to_owned();
        let other = if bad.as_bytes()[number] == b'A' { "B" } else { "A" };
        bad.replace_range(number..=number, other);
        assert_eq!(verify(gateway.addr, &format!("{input}.{bad}")).await.code, 401);
    }
    assert_eq!((count(&gateway, "tokens").await, count(&gateway, "bytes").await), (Some(0.0), Some(0.0)));
    assert_eq!(count(&gateway, "misses_total").await, Some(50.0));
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let world = World::begun().await;
    let mut off: Config = config();
    off.limits.remembered_signatures = ByteCount(0);
    let gateway = world.gateway_with(off).await.expect("the gateway starts");
    let token = world.token().await;
    for _ in 0..2 {
        assert_eq!(verify(gateway.addr, &token).await.code, 200);
    }
    assert_eq!(
        (count(&gateway, "hits_total").await, count(&gateway, "tokens").await),
        (Some(0.0), Some(0.0))
    );
}
