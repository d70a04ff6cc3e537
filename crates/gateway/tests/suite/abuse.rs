//! Peers that keep to no protocol, or to every letter of it, cost one connection and a bounded amount of work.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use keystile_gateway::Config;
use keystile_gateway::config::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::client::*;
use crate::frames::*;
use crate::world::*;

const WHOLE: u8 = END_HEADERS | END_STREAM;

async fn limited(world: &World, limits: Limits) -> Running {
    world.gateway_with(Config { limits, ..config() }).await.expect("it starts")
}

async fn serves(gateway: &Running) {
    assert_eq!(get(gateway.addr, "/healthz").await.code, StatusCode::OK);
}

#[tokio::test]
async fn http_2_settings_tell_the_limits() {
    let world = World::begun().await;
    let gateway = limited(&world, Limits { streams: 7, ..Limits::default() }).await;
    let frame = Raw::open(gateway.addr).await.next_of(SETTINGS).await.expect("settings");
    let settings: Vec<(u16, u32)> = frame
        .payload
        .chunks(6)
        .map(|one| {
            let (id, value) = one.split_at(2);
            let id = u16::from_be_bytes(id.try_into().expect("two bytes"));
            (id, u32::from_be_bytes(value.try_into().expect("four bytes")))
        })
        .collect();
    let told = |id| settings.iter().find(|(found, _)| *found == id).map(|(_, value)| *value);
    // Concurrent streams, window of a stream, size of a frame, size of a header list; no CONNECT protocol.
    assert_eq!([3, 4, 5, 6].map(told), [Some(7), Some(65_536), Some(16_384), Some(32_768)]);
    assert_eq!(told(8), None);
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused() {
    let world = World::begun().await;
    let gateway = limited(&world, Limits { streams: 2, ..Limits::default() }).await;
    let mut raw = Raw::open(gateway.addr).await;
    let path = "/keystile.v1.Keystile/WhoAmI";
    let open = block("POST", path, &[("content-type", "application/grpc"), ("te", "trailers")]);
    raw.send(&[1, 3, 5].map(|stream| Frame::new(HEADERS, END_HEADERS, stream, &open))).await;
    let refused = raw.next_of(RST_STREAM).await.expect("one is refused");
    assert_eq!((refused.stream, refused.reason()), (5, REFUSED_STREAM));
}

/// CVE-2023-44487: requests that are cancelled as soon as they are made.
#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let mut raw = Raw::open(gateway.addr).await;
    let request = block("GET", "/healthz", &[]);
    let frames: Vec<Frame> = (0..500)
        .map(|number| 2 * number + 1)
        .flat_map(|stream| {
            [Frame::new(HEADERS, WHOLE, stream, &request), Frame::new(RST_STREAM, 0, stream, &[0, 0, 0, 8])]
        })
        .collect();
    raw.send(&frames).await;
    let goodbye = raw.next_of(GOAWAY).await.expect("it is told why");
    assert_eq!(goodbye.reason(), ENHANCE_YOUR_CALM);
    assert_eq!(raw.closed().await, None);
    serves(&gateway).await;
}

/// CVE-2025-8671: requests in which the peer makes the server reset the stream.
#[tokio::test]
async fn streams_that_are_reset_for_mistakes_end_the_connection() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let mut raw = Raw::open(gateway.addr).await;
    let request = block("POST", "/verify", &[]);
    let mut resets = 0;
    for number in 0..1000 {
        let stream = 2 * number + 1;
        let mistake = Frame::new(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff]);
        raw.send(&[Frame::new(HEADERS, END_HEADERS, stream, &request), mistake]).await;
        let answer = loop {
            match raw.next().await {
                Some(frame) if frame.kind != RST_STREAM && frame.kind != GOAWAY => {}
                answer => break answer,
            }
        };
        match answer {
            Some(frame) if frame.kind == RST_STREAM => resets += 1,
            Some(frame) => {
                assert_eq!(frame.reason(), ENHANCE_YOUR_CALM);
                break;
            }
            None => break,
        }
    }
    assert!((1..=110).contains(&resets), "{resets} streams");
    serves(&gateway).await;
}

/// CVE-2024-27316: a header that never ends, in frames that are each within limits.
#[tokio::test]
async fn continuation_without_end_ends_the_connection() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let mut long = block("GET", "/healthz", &[]);
    literal(&mut long, 0x00, "x-long", &"a".repeat(16_000));
    let mut more = Vec::new();
    literal(&mut more, 0x00, "x-long", &"a".repeat(16_000));
    for (first, next) in [(&long, more.as_slice()), (&block("GET", "/healthz", &[]), &[])] {
        let mut raw = Raw::open(gateway.addr).await;
        raw.send(&[Frame::new(HEADERS, 0, 1, first)]).await;
        raw.send(&vec![Frame::new(CONTINUATION, 0, 1, next); 200]).await;
        // A peer that sends on when it was told to go is reset, and may not see the last word.
        let last = raw.closed().await.filter(|frame| frame.kind == GOAWAY);
        assert!(last.is_none_or(|frame| frame.reason() != 0));
        serves(&gateway).await;
    }
}

/// A small block that stands for a large list: the limit is on what comes out.
#[tokio::test]
async fn a_header_list_that_unpacks_beyond_the_limit_is_refused() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let mut raw = Raw::open(gateway.addr).await;
    let mut bomb = block("GET", "/verify", &[]);
    literal(&mut bomb, 0x40, "x-long", &"a".repeat(3000));
    // 0xbe is entry 62, the one that was just added to the table (RFC 7541 section 2.3.3): 9,000 times 3,000 bytes.
    bomb.extend(std::iter::repeat_n(0xbe, 9000));
    raw.send(&[Frame::new(HEADERS, WHOLE, 1, &bomb)]).await;
    match raw.next_of(GOAWAY).await {
        Some(frame) => assert_eq!(frame.reason(), ENHANCE_YOUR_CALM),
        None => panic!("it is told nothing"),
    }
    let mut raw = Raw::open(gateway.addr).await;
    let mut large = block("GET", "/verify", &[]);
    literal(&mut large, 0x40, "x-long", &"a".repeat(3000));
    large.extend(std::iter::repeat_n(0xbe, 11));
    raw.send(&[Frame::new(HEADERS, WHOLE, 1, &large)]).await;
    assert_eq!(raw.next_of(HEADERS).await.expect("an answer").status(), 431);
}

/// A gateway unpacks nothing: a message that is said to be packed is refused unread, whatever is in it.
#[tokio::test]
async fn what_is_packed_is_not_unpacked() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    let packed = Bytes::from([&[0x1f, 0x8b, 8, 0], &[0; 60][..]].concat());
    for call in ["/keystile.v1.Keystile/WhoAmI", "/openshell.v1.OpenShell/RefreshSandboxToken"] {
        for encoding in ["gzip", "deflate", "zstd"] {
            let message = [&[1, 0, 0, 0, 64], &packed[..]].concat();
            let headers =
                [("content-type", "application/grpc"), ("te", "trailers"), ("grpc-encoding", encoding)];
            let answer = post(gateway.addr, call, &token, &headers, message.into()).await;
            assert_eq!(
                answer.header("grpc-status"),
                Some("12"),
                "unimplemented: {call} {encoding}: {answer:?}"
            );
        }
    }
    let answer = post(gateway.addr, "/verify", &token, &[("content-encoding", "gzip")], packed).await;
    assert_eq!(answer.code, StatusCode::OK, "its body is nobody's business: {answer:?}");
}

/// Where a header is arriving, a peer cannot answer pings, so that its bytes do not keep the connection.
#[tokio::test]
async fn a_header_in_http_2_that_trickles_in_is_cut_off() {
    let world = World::begun().await;
    let idle_timeout = Duration::from_secs(1);
    let gateway = limited(&world, Limits { idle_timeout, ..Limits::default() }).await;
    let mut raw = Raw::open(gateway.addr).await;
    let mut header = block("GET", "/healthz", &[]);
    literal(&mut header, 0x00, "x-long", &"a".repeat(10_000));
    raw.send(&[Frame::new(HEADERS, WHOLE, 1, &header)]).await;
    assert!(raw.next_of(HEADERS).await.is_some(), "whole, it is answered");
    let bytes = Frame::new(HEADERS, WHOLE, 3, &header).bytes();
    let (mut reader, mut writer) = raw.0.into_split();
    let trickle = tokio::spawn(async move {
        for byte in bytes {
            if writer.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut answer = Vec::new();
    let cut = tokio::time::timeout(idle_timeout * 10, reader.read_to_end(&mut answer)).await;
    trickle.abort();
    assert!(cut.is_ok(), "it holds its connection");
}

/// A peer that asks and asks and never reads: nothing is heaped up for it, and it loses its connection.
#[tokio::test]
async fn a_peer_that_does_not_read_is_dropped() {
    let world = World::begun().await;
    let limits = Limits {
        idle_timeout: Duration::from_millis(500),
        request_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let gateway = limited(&world, limits).await;
    let pings: Vec<u8> = vec![Frame::new(PING, 0, 0, &[7; 8]); 1000].iter().flat_map(Frame::bytes).collect();
    let requests = "GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000).into_bytes();
    for (http_2, flood) in [(false, requests), (true, pings)] {
        let mut stream = if http_2 {
            Raw::open(gateway.addr).await.0
        } else {
            TcpStream::connect(gateway.addr).await.expect("it listens")
        };
        let flooding = async { while stream.write_all(&flood).await.is_ok() {} };
        let dropped = tokio::time::timeout(Duration::from_secs(20), flooding).await;
        assert!(dropped.is_ok(), "HTTP/2: {http_2}");
    }
    serves(&gateway).await;
}

#[tokio::test]
async fn more_headers_than_any_request_needs_are_refused() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    for (count, expected) in [(98, "HTTP/1.1 200"), (200, "HTTP/1.1 431")] {
        let mut stream = TcpStream::connect(gateway.addr).await.expect("it listens");
        let headers = "x-y: z\r\n".repeat(count);
        let request = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = vec![0; 12];
        stream.read_exact(&mut answer).await.expect("it answers");
        assert_eq!(String::from_utf8_lossy(&answer), expected, "{count} headers");
    }
}

/// A body that nobody wants is not waited for, and not taken in.
#[tokio::test]
async fn a_body_that_is_not_wanted_is_not_read() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let mut stream = TcpStream::connect(gateway.addr).await.expect("it listens");
    let head = "POST /verify HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.expect("it answers at once");
    assert_eq!(answer, b"HTTP/1.1 401");
    let body = vec![b'a'; 64 * 1024];
    let mut taken = 0usize;
    let sending = async {
        while stream.write_all(&body).await.is_ok() {
            taken += body.len();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), sending).await.expect("it closes");
    assert!(taken < 50_000_000, "{taken} bytes");
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let world = World::begun().await;
    let limits = Limits { connections: 8, connections_per_address: Some(3), ..Limits::default() };
    let gateway = limited(&world, limits).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = Raw::open(gateway.addr).await;
        assert!(stream.next().await.is_some(), "it is served");
        held.push(stream);
    }
    let mut fourth = TcpStream::connect(gateway.addr).await.expect("it listens");
    let end = tokio::time::timeout(Duration::from_secs(20), fourth.read(&mut [0; 1])).await.expect("it ends");
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    assert_eq!(metric(gateway.admin, "keystile_connections_refused_total").await, Some(1.0));
    // Another address is served, and this one again as soon as it has a place.
    let other = tokio::net::TcpSocket::new_v4().expect("a socket");
    other.bind(([127, 0, 0, 9], 0).into()).expect("loopback has many addresses");
    let mut other = other.connect(gateway.addr).await.expect("it listens");
    other.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it reads");
    let mut answer = vec![0; 12];
    other.read_exact(&mut answer).await.expect("it answers");
    assert_eq!(answer, b"HTTP/1.1 200");
    held.clear();
    until("a place is free", || async {
        let mut stream = Raw::open(gateway.addr).await;
        stream.next().await
    })
    .await;
}
