//! What is open is counted, and no more than may be.

use http::StatusCode;
use keystile_tower::Limits;

use crate::web::*;
use crate::world::*;

#[tokio::test]
async fn a_stream_that_a_client_lets_go_of_is_forgotten() {
    let world = World::begun().await;
    let verifier = world.verifier().await;
    let (addr, mut seen) = serve(verifier.layer()).await;
    let token = world.token().await;
    let (stream, id) = events(addr, &token).await;
    assert_eq!(verifier.open_streams(), 1);
    drop(stream);
    assert_eq!(soon("the service's end", seen.recv()).await, Some(Seen::Dropped));
    until("no stream is open", || verifier.open_streams() == 0).await;
    assert_eq!(renew_with(addr, &id, &token).await.0, StatusCode::NOT_FOUND);
    assert_eq!(verifier.open_streams(), 0, "a request is over with its answer");
}

#[tokio::test]
async fn the_number_of_open_streams_is_bounded() {
    let world = World::begun().await;
    let verifier = world.verifier_within(Limits { streams: 2, ..Limits::default() }).await;
    let (addr, _) = serve(verifier.layer()).await;
    let token = world.token().await;
    let (first, _) = events(addr, &token).await;
    let (_second, _) = events(addr, &token).await;
    let refused = open(addr, "/hello", &token).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "1");
    drop(first);
    until("one is closed", || verifier.open_streams() == 1).await;
    assert_eq!(code(addr, &token).await, StatusCode::OK);
}
