//! gRPC `RefreshSandboxToken` over HTTP/2, one call at a time on each connection.

use std::net::SocketAddr;

use h2::client::{SendRequest, handshake};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, TE};
use hyper::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::{Answer, Tally, Until};
use crate::call::{Call, EMPTY_MESSAGE};
use crate::error::{BenchError, because};

/// Statuses of gRPC.
const OK: &[u8] = b"0";
const UNAUTHENTICATED: &[u8] = b"16";

/// Agrees on HTTP/2, and makes a request with each of `tokens`.
pub(super) async fn connect(
    stream: TcpStream,
    address: SocketAddr,
    tokens: &[&str],
) -> Result<(SendRequest<Bytes>, Vec<Request<()>>), BenchError> {
    let (sender, connection) = handshake(stream).await.map_err(because("agree on HTTP/2"))?;
    // That it ends with an error shows in the requests.
    tokio::spawn(connection);
    let request = |token: &&str| {
        Request::post(format!("http://{address}{}", Call::Refresh.path()))
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .body(())
            .map_err(because("make a request"))
    };
    let requests = tokens.iter().map(request).collect::<Result<_, _>>()?;
    Ok((sender, requests))
}

/// Asks and waits for the answer, again and again.
pub(super) async fn ask(mut connection: SendRequest<Bytes>, requests: &[Request<()>], until: Until) -> Tally {
    let mut tally = Tally::default();
    for request in until.turns(requests) {
        let began = Instant::now();
        let (answer, ready) = match call(connection, request.clone()).await {
            Ok((answer, connection)) => (answer, Some(connection)),
            Err(_) => (Answer::Broken, None),
        };
        let goes_on = tally.note(answer, began.elapsed());
        match ready {
            Some(ready) if goes_on => connection = ready,
            _ => break,
        }
    }
    tally
}

async fn call(
    connection: SendRequest<Bytes>,
    request: Request<()>,
) -> Result<(Answer, SendRequest<Bytes>), h2::Error> {
    let mut connection = connection.ready().await?;
    let (response, mut body) = connection.send_request(request, false)?;
    body.send_data(Bytes::from_static(&EMPTY_MESSAGE), true)?;
    Ok((answer(response.await?).await?, connection))
}

async fn answer(response: Response<h2::RecvStream>) -> Result<Answer, h2::Error> {
    let (head, mut body) = response.into_parts();
    let mut bytes = 0;
    while let Some(chunk) = body.data().await {
        let length = chunk?.len();
        body.flow_control().release_capacity(length)?;
        bytes += length;
    }
    let trailers = body.trailers().await?;
    let status = |headers: &HeaderMap| headers.get("grpc-status").map(|status| status.as_bytes().to_vec());
    let status = trailers.as_ref().and_then(status).or_else(|| status(&head.headers));
    Ok(match status.as_deref() {
        // An empty message has no token in it.
        Some(OK) if bytes > EMPTY_MESSAGE.len() => Answer::Good,
        Some(UNAUTHENTICATED) => Answer::Refused,
        _ => Answer::Broken,
    })
}
