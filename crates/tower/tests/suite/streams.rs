//! Streams that are open when their token goes bad.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::{TokioExecutor, TokioIo};
use keystile_keyring::Policy;
use keystile_tower::{Ended, Reason};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::web::*;
use crate::world::*;

#[tokio::test]
async fn a_revocation_ends_a_stream_of_events_as_soon_as_the_store_says_so() {
    let world = World::begun().await;
    let verifier = world.verifier().await;
    let (addr, mut seen) = serve(verifier.layer()).await;
    let token = world.token().await;
    let (stream, _) = events(addr, &token).await;
    let revoked = Instant::now();
    world.revoke().await;
    broken_off(stream).await;
    let took = revoked.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}: not by the read that comes every 5 s");
    assert_eq!(soon("the service's end", seen.recv()).await, Some(Seen::Dropped));
    until("no stream is open", || verifier.open_streams() == 0).await;
    assert_eq!(code(addr, &token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_rotation_ends_no_stream() {
    let world = World::begun().await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let token = world.token().await;
    let (mut stream, id) = events(addr, &token).await;
    world.rotate().await;
    // The verifier has seen the new key when it knows its tokens, and the stream is under one now.
    assert_eq!(renew_with(addr, &id, &world.token().await).await.0, StatusCode::NO_CONTENT);
    let more = tokio::time::timeout(Duration::from_millis(200), stream.frame()).await;
    assert!(more.is_err(), "it goes on: {more:?}");
}

#[tokio::test]
async fn expiry_ends_a_stream_by_a_timer() {
    let policy = Policy { token_ttl: 2, leeway: 0, ..policy() };
    let world = World::in_real_time(policy).await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let opened = Instant::now();
    let (stream, _) = events(addr, &world.token().await).await;
    broken_off(stream).await;
    let lived = opened.elapsed();
    assert!(lived >= Duration::from_secs(1) && lived < Duration::from_secs(8), "{lived:?}");
}

#[tokio::test]
async fn a_clock_that_jumps_past_expiry_ends_a_stream() {
    let world = World::with(quick()).await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let (stream, _) = events(addr, &world.token().await).await;
    world.manual.advance(3661);
    broken_off(stream).await;
}

#[tokio::test]
async fn a_body_that_never_pauses_is_ended_too() {
    let world = World::begun().await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let mut stream = open(addr, "/chatter", &world.token().await).await;
    stream.frame().await.expect("a frame").expect("no error");
    world.revoke().await;
    let rest = async { while let Some(Ok(_)) = stream.frame().await {} };
    soon("the end of the stream", rest).await;
}

#[tokio::test]
async fn over_http_2_a_stream_is_reset_and_its_connection_goes_on() {
    let world = World::begun().await;
    let (addr, _) = serve(world.verifier().await.layer()).await;
    let connection = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), connection);
    let (mut sender, driver) = handshake.await.unwrap();
    tokio::spawn(driver);
    let asked = |path: &str, token: &str| {
        let request = Request::builder().uri(format!("http://{addr}{path}"));
        request.header("authorization", bearer(token)).body(Full::<Bytes>::default()).unwrap()
    };
    let mut stream = sender.send_request(asked("/events", &world.token().await)).await.unwrap();
    stream.frame().await.expect("a frame").expect("no error");
    world.revoke().await;
    broken_off(stream).await;
    let answer = sender.send_request(asked("/hello", &world.token().await)).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_request_body_ends_with_its_token() {
    let world = World::begun().await;
    let (addr, mut seen) = serve(world.verifier().await.layer()).await;
    let (upload, body) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let body = StreamBody::new(ReceiverStream::new(body));
    let bearer = bearer(&world.token().await);
    let request = request(addr, "/upload", &[("authorization", &bearer)]).method("POST").body(body).unwrap();
    let answer = tokio::spawn(send(addr, request));
    upload.send(Ok(Frame::data(Bytes::from_static(b"some")))).await.unwrap();
    world.revoke().await;
    let end = soon("the service's end", seen.recv()).await;
    assert_eq!(end, Some(Seen::Upload(Some(Ended::Rejected(Reason::RevokedKey)))));
    drop(upload);
    assert_eq!(answer.await.unwrap().status(), StatusCode::OK, "what the service says to it is its own");
}

#[tokio::test]
async fn a_connection_that_was_taken_over_is_told_of_the_end() {
    let world = World::begun().await;
    let verifier = world.verifier().await;
    let (addr, mut seen) = serve(verifier.layer()).await;
    let mut connection = upgraded(addr, &world.token().await).await;
    assert_eq!(verifier.open_streams(), 1);
    world.revoke().await;
    let end = soon("the service's end", seen.recv()).await;
    assert_eq!(end, Some(Seen::Upgraded(Ended::Rejected(Reason::RevokedKey))));
    assert_eq!(soon("the connection's end", connection.read_to_end(&mut Vec::new())).await.unwrap(), 0);
    until("no stream is open", || verifier.open_streams() == 0).await;
}
