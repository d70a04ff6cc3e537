//! Starting: from what is there, or not at all.

use keystile_gateway::{Config, ReadError, StartError};
use keystile_store::{LoadError, Occupancy, Store as _};

use crate::client::*;
use crate::world::*;

#[tokio::test]
async fn t06_a_missing_keyring_is_an_error_with_its_remedy_and_none_is_made() {
    let world = World::empty();
    let refused = world.gateway_with(config()).await.err().expect("nothing to serve from");
    let StartError::Keyring(ReadError::Load(missing @ LoadError::Missing { .. })) = &refused else {
        panic!("expected a missing keyring, found {refused:?}");
    };
    assert!(missing.to_string().contains("keystile init"), "{missing}");
    assert_eq!(world.store.occupancy().await.expect("readable"), Occupancy::Empty, "the place is as it was");
    assert!(!world.path("keyring").exists());
}

#[tokio::test]
async fn t06_a_keyring_that_was_lost_is_not_made_anew() {
    let world = World::begun().await;
    std::fs::remove_dir_all(world.path("keyring")).expect("it goes");
    let refused = world.gateway_with(config()).await.err().expect("it was there once");
    assert!(matches!(refused, StartError::Keyring(_)), "{refused:?}");
    assert!(world.store.load_public().await.is_err());
}

#[tokio::test]
async fn t05_ten_restarts_change_nothing() {
    let world = World::begun().await;
    let before = world.manifest().await;
    let token = world.token().await;
    for _ in 0..10 {
        let gateway = world.gateway().await;
        assert_eq!(verify(gateway.addr, &token).await.code, http::StatusCode::OK);
        assert!(gateway.stopped().await);
    }
    assert_eq!(world.manifest().await, before);
}

#[tokio::test]
async fn plaintext_beyond_loopback_does_not_start() {
    let world = World::begun().await;
    let listen = "0.0.0.0:0".parse().expect("an address");
    let refused = world.gateway_with(Config { listen, ..config() }).await.err().expect("plaintext");
    assert!(matches!(refused, StartError::Config(_)), "{refused:?}");
    let asked = Config { listen, insecure_plaintext: true, ..config() };
    world.gateway_with(asked).await.expect("it was asked for");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let refused =
        world.gateway_with(Config { listen: gateway.addr, ..config() }).await.err().expect("in use");
    assert_eq!(refused.to_string(), format!("cannot listen on {}", gateway.addr));
}
