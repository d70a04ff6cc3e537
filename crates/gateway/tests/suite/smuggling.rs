//! A request that two readers could read in two ways is not accepted in either.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::frames::*;
use crate::world::*;

/// The status of each answer to these bytes, until the gateway closes the connection.
async fn answers(gateway: &Running, bytes: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(gateway.addr).await.expect("it listens");
    stream.write_all(bytes).await.expect("it reads");
    stream.shutdown().await.expect("no more is sent");
    let mut text = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut text))
        .await
        .expect("it closes");
    let text = String::from_utf8_lossy(&text).into_owned();
    let codes =
        text.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).and_then(|code| code.parse().ok()));
    codes.collect::<Option<_>>().expect("codes")
}

/// A request to `/verify` with these lines.
fn request(lines: &str) -> String {
    format!("GET /verify HTTP/1.1\r\nhost: x\r\n{lines}\r\n")
}

#[tokio::test]
async fn only_one_header_of_one_good_bearer_is_accepted() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let token = world.token().await;
    let accepted = request(&format!("authorization: Bearer {token}\r\n"));
    assert_eq!(answers(&gateway, accepted.as_bytes()).await, [200], "the control");
    let padded = request(&format!("AUTHORIZATION:\t Bearer {token} \t\r\n"));
    assert_eq!(answers(&gateway, padded.as_bytes()).await, [200], "blanks around a value are none of it");
    let refused = [
        format!("authorization: Bearer {token}\r\nauthorization: Bearer {token}\r\n"),
        format!("authorization: Bearer {token}\r\nAuthorization: Basic YTpi\r\n"),
        format!("authorization: Basic YTpi\r\nauthorization: Bearer {token}\r\n"),
        format!("authorization: Bearer {token}\r\nauthorization:\r\n"),
        format!("authorization: Bearer {token}, Bearer {token}\r\n"),
        format!("authorization: Bearer {token},Bearer x\r\n"),
        format!("authorization: Basic YTpi, Bearer {token}\r\n"),
        format!("authorization: Bearer  {token}\r\n"),
        format!("authorization: Bearer\t{token}\r\n"),
        format!("authorization: Bearer {token} x\r\n"),
        format!("authorization: Bearer {token};\r\n"),
        format!("authorization: Bearer \"{token}\"\r\n"),
        format!("authorization: Bearer token={token}\r\n"),
        format!("authorization: bearer {token}\r\n"),
        format!("authorization: BEARER {token}\r\n"),
        format!("authorization: Bearer{token}\r\n"),
        format!("authorization: {token}\r\n"),
        format!("authorization: Bearer {}\r\n", token.replace('.', "%2e")),
        format!("authorization: Bearer {token}=\r\n"),
        format!("proxy-authorization: Bearer {token}\r\n"),
        format!("x-forwarded-authorization: Bearer {token}\r\n"),
        format!("authorization_: Bearer {token}\r\n"),
        format!("cookie: authorization=Bearer {token}\r\n"),
        format!("sec-websocket-protocol: Bearer, {token}\r\n"),
    ];
    for lines in &refused {
        assert_eq!(answers(&gateway, request(lines).as_bytes()).await, [401], "{lines}");
    }
    let query = format!("GET /verify?access_token={token} HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(answers(&gateway, query.as_bytes()).await, [401]);
    let body = format!("access_token={token}");
    let form = format!(
        "POST /verify HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(answers(&gateway, form.as_bytes()).await, [401]);
    let trailer = format!(
        "POST /verify HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ntrailer: authorization\r\n\r\n\
         0\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    assert_eq!(answers(&gateway, trailer.as_bytes()).await, [401]);
}

/// In a header line that is none, an attacker's value could hide, or a second request.
#[tokio::test]
async fn malformed_requests_are_refused_and_nothing_behind_them_is_read() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let bearer = format!("Bearer {}", world.token().await);
    let hidden = request(&format!("authorization: {bearer}\r\n"));
    let refused = [
        format!("authorization : {bearer}\r\n"),
        format!(" authorization: {bearer}\r\n"),
        format!("x: y\r\n authorization: {bearer}\r\n"),
        format!("authorization:\r\n {bearer}\r\n"),
        format!("authorization: {bearer}\0\r\n"),
        format!("authorization: {bearer}\rx: y\r\n"),
        format!("author\u{131}zation: {bearer}\r\n"),
        "content-length: 5\r\ncontent-length: 6\r\n".to_owned(),
        "content-length: 5, 6\r\n".to_owned(),
        "content-length: +5\r\n".to_owned(),
        "content-length: -1\r\n".to_owned(),
        "content-length: 99999999999999999999999\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding: xchunked\r\n".to_owned(),
    ];
    for lines in &refused {
        let bytes = request(lines) + &hidden;
        assert_eq!(answers(&gateway, bytes.as_bytes()).await, [400], "{lines}");
    }
    // Both lengths: whoever went by the shorter would see a second request in the body.
    let both = format!("content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}");
    let codes = answers(&gateway, format!("POST /verify HTTP/1.1\r\nhost: x\r\n{both}").as_bytes()).await;
    assert!(matches!(codes[..], [400 | 401]), "{codes:?}");
    let body =
        format!("POST /verify HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{hidden}", hidden.len());
    assert_eq!(answers(&gateway, body.as_bytes()).await, [401], "a request in a body is none");
}

#[tokio::test]
async fn in_http_2_several_authorization_fields_are_refused() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let bearer = format!("Bearer {}", world.token().await);
    let field = ("authorization", bearer.as_str());
    let cases: [(&[(&str, &str)], u16); 4] = [
        (&[field], 200),
        (&[field, field], 401),
        (&[field, ("authorization", "")], 401),
        (&[("authorization", "Bearer x"), field], 401),
    ];
    for (headers, expected) in cases {
        let mut raw = Raw::open(gateway.addr).await;
        raw.send(&[Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, &block("GET", "/verify", headers))])
            .await;
        let answer = raw.next_of(HEADERS).await.expect("an answer");
        assert_eq!(answer.status(), expected, "{headers:?}");
    }
    // Names in capitals and values with line ends do not exist in HTTP/2.
    for wrong in [("Authorization", bearer.as_str()), ("x", "y\r\nauthorization: z")] {
        let mut raw = Raw::open(gateway.addr).await;
        let header = block("GET", "/verify", &[field, wrong]);
        raw.send(&[Frame::new(HEADERS, END_HEADERS | END_STREAM, 1, &header)]).await;
        let refused = loop {
            match raw.next().await.expect("an answer") {
                frame if frame.kind == SETTINGS || frame.kind == WINDOW_UPDATE => {}
                frame => break frame,
            }
        };
        assert!(matches!(refused.kind, RST_STREAM | GOAWAY), "{wrong:?} {refused:?}");
    }
}
