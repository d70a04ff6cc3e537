//! Limits on what comes from outside.

use std::time::Duration;

use http::StatusCode;
use keystile_gateway::Config;
use keystile_gateway::config::Limits;
use keystile_testkit::forger::{Forger, ForgingKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::client::*;
use crate::world::*;

async fn limited(world: &World, limits: Limits) -> Running {
    world.gateway_with(Config { limits, ..config() }).await.expect("it starts")
}

/// What the gateway answers to these bytes, until it closes the connection.
async fn exchange(gateway: &Running, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.addr).await.expect("it listens");
    stream.write_all(bytes).await.expect("it reads");
    let mut answer = Vec::new();
    // A connection that is cut has said all it had to say.
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer))
        .await
        .expect("it closes");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn headers_beyond_the_limit_are_refused() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let long = "a".repeat(40 * 1024);
    let answer =
        exchange(&gateway, format!("GET /verify HTTP/1.1\r\nhost: x\r\nx-long: {long}\r\n\r\n").as_bytes())
            .await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    // Within the limit for headers, beyond that for tokens.
    let token = "a".repeat(20 * 1024);
    let status = whoami(&channel(gateway.addr).await, Some(&token)).await.expect_err("too large");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "invalid token"));
    assert_eq!(metric(gateway.admin, "keystile_rejections_total{reason=\"too-large\"}").await, Some(1.0));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    let name = "a".repeat(100 * 1024);
    let status =
        refresh_with(&channel(gateway.addr).await, Some(&token), &[&name]).await.expect_err("too large");
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status:?}");
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_its_turn() {
    let world = World::begun().await;
    let gateway = limited(&world, Limits { connections: 1, ..Limits::default() }).await;
    let first = TcpStream::connect(gateway.addr).await.expect("it listens");
    until("the first is served", || async {
        (metric(gateway.admin, "keystile_connections_open").await >= Some(2.0)).then_some(())
    })
    .await;
    let second = tokio::spawn({
        let addr = gateway.addr;
        async move { get(addr, "/healthz").await.code }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(second.await.expect("it is served"), StatusCode::OK);
}

#[tokio::test]
async fn a_peer_that_says_nothing_is_dropped() {
    let world = World::begun().await;
    let limits = Limits { handshake_timeout: Duration::from_millis(100), ..Limits::default() };
    let gateway = limited(&world, limits).await;
    assert_eq!(exchange(&gateway, b"").await, "");
    assert_eq!(exchange(&gateway, b"PRI * HTTP/2").await, "");
}

/// A header that trickles in holds its connection no longer than a request may take; an idle one may wait.
#[tokio::test]
async fn a_slow_header_is_cut_off_and_an_idle_connection_is_not() {
    let world = World::begun().await;
    let request_timeout = Duration::from_millis(300);
    let gateway = limited(&world, Limits { request_timeout, ..Limits::default() }).await;
    let mut idle = TcpStream::connect(gateway.addr).await.expect("it listens");
    let mut ask = async || {
        idle.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it reads");
        let mut answer = vec![0; 12];
        idle.read_exact(&mut answer).await.expect("it answers");
        assert_eq!(answer, b"HTTP/1.1 200");
        // The rest of the answer.
        while tokio::time::timeout(Duration::from_millis(20), idle.read(&mut answer)).await.is_ok() {}
    };
    ask().await;

    let slow = TcpStream::connect(gateway.addr).await.expect("it listens");
    let (mut reader, mut writer) = slow.into_split();
    let trickle = tokio::spawn(async move {
        let mut bytes = b"GET /healthz HTTP/1.1\r\nx-long: ".iter().chain(std::iter::repeat(&b'a'));
        while let Some(byte) = bytes.next()
            && writer.write_all(&[*byte]).await.is_ok()
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut answer = Vec::new();
    let cut = tokio::time::timeout(request_timeout * 20, reader.read_to_end(&mut answer)).await;
    assert!(cut.is_ok(), "it holds its connection");
    trickle.abort();
    ask().await;
}

#[tokio::test]
async fn requests_beyond_the_limit_and_the_time_are_refused_in_the_callers_protocol() {
    let world = World::begun().await;
    let limits = Limits { requests: 1, request_timeout: Duration::from_millis(1500), ..Limits::default() };
    let gateway = limited(&world, limits).await;
    let key = world.private_key(&world.active().await).await;
    let now = world.clock_now().0;
    let unknown =
        Forger::sandbox(&key, SANDBOX, now, now + 60).header("kid", "unknown").signed(&ForgingKey::of(&key));
    until("the first reads are over", || async { (world.store.reads() >= 3).then_some(()) }).await;
    world.store.hold(true);
    let slow = tokio::spawn({
        let channel = channel(gateway.addr).await;
        async move { whoami(&channel, Some(&unknown)).await.expect_err("it takes too long") }
    });
    let good = world.token().await;
    let crowded = until("no room for a second request", || async {
        let answer = verify(gateway.addr, &good).await;
        (answer.code != StatusCode::OK).then_some(answer)
    })
    .await;
    assert_eq!((crowded.code, crowded.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    let status = whoami(&channel(gateway.addr).await, Some(&good)).await.expect_err("no room");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(slow.await.expect("it is answered").code(), Code::DeadlineExceeded);
    world.store.hold(false);
    assert_eq!(verify(gateway.addr, &good).await.code, StatusCode::OK);
}

/// What arrives of a body is no header: after it, a connection may idle.
#[tokio::test]
async fn a_body_that_comes_after_its_header_does_not_cut_the_connection_off() {
    let world = World::begun().await;
    let request_timeout = Duration::from_millis(300);
    let gateway = limited(&world, Limits { request_timeout, ..Limits::default() }).await;
    let mut stream = TcpStream::connect(gateway.addr).await.expect("it listens");
    for _ in 0..2 {
        // Over HTTP/1, which tonic answers too; its message is read whole.
        let head = "POST /keystile.v1.Keystile/WhoAmI HTTP/1.1\r\nhost: x\r\ncontent-type: application/grpc\r\n\
                    te: trailers\r\ncontent-length: 5\r\n\r\n";
        stream.write_all(head.as_bytes()).await.expect("it reads");
        tokio::time::sleep(Duration::from_millis(50)).await;
        stream.write_all(&[0; 5]).await.expect("it reads");
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.expect("it answers");
        assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 200");
        let until_idle = Duration::from_millis(50);
        while let Ok(Ok(1..)) = tokio::time::timeout(until_idle, stream.read(&mut answer)).await {}
        tokio::time::sleep(request_timeout * 2).await;
    }
}
