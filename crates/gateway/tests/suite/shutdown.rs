//! Stopping: what is in flight ends, what comes later is refused.

use std::time::Duration;

use http::StatusCode;
use keystile_gateway::Config;
use keystile_testkit::forger::{Forger, ForgingKey};
use tokio::task::JoinHandle;

use crate::client::*;
use crate::world::*;

/// A request that waits for a read of the store, which does not end.
async fn in_flight(world: &World, gateway: &Running) -> JoinHandle<Answer> {
    let key = world.private_key(&world.active().await).await;
    let now = world.clock_now().0;
    let token =
        Forger::sandbox(&key, SANDBOX, now, now + 60).header("kid", "unknown").signed(&ForgingKey::of(&key));
    until("the first reads are over", || async { (world.store.reads() >= 3).then_some(()) }).await;
    world.store.hold(true);
    let addr = gateway.addr;
    let asking = tokio::spawn(async move { verify(addr, &token).await });
    until("the request waits for a read", || async {
        (metric(gateway.admin, "keystile_rereads_total").await >= Some(1.0)).then_some(())
    })
    .await;
    asking
}

#[tokio::test]
async fn a_graceful_stop_lets_what_is_in_flight_end_and_takes_no_more() {
    let world = World::begun().await;
    let mut gateway = world.gateway().await;
    let asking = in_flight(&world, &gateway).await;
    gateway.ask_to_stop();
    until("the listener is closed", || async { tokio::net::TcpStream::connect(gateway.addr).await.err() })
        .await;
    assert!(!asking.is_finished(), "it still waits");
    world.store.hold(false);
    assert_eq!(asking.await.expect("it is answered").code, StatusCode::UNAUTHORIZED);
    assert!(gateway.stopped().await, "everything ended in time");
}

#[tokio::test]
async fn a_graceful_stop_does_not_wait_for_ever() {
    let world = World::begun().await;
    let grace = Config { shutdown_grace: Duration::from_millis(50), ..config() };
    let gateway = world.gateway_with(grace).await.expect("it starts");
    let asking = in_flight(&world, &gateway).await;
    assert!(!gateway.stopped().await, "something did not end");
    assert!(asking.await.is_err(), "its connection was cut");
}
