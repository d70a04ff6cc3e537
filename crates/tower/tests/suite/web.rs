//! An axum service behind the layer, and an HTTP/1.1 client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Path, Request as Incoming};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response as Reply};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use keystile_tower::{Ended, Lease, SandboxId, StreamEnded, VerifyLayer};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;

use crate::world::soon;

/// What the service saw.
#[derive(Debug, PartialEq, Eq)]
pub enum Seen {
    /// A stream of events was dropped.
    Dropped,
    /// The body of an upload ended like this.
    Upload(Option<Ended>),
    /// A connection that was taken over ended.
    Upgraded(Ended),
}

struct TellOnDrop(mpsc::UnboundedSender<Seen>);

impl Drop for TellOnDrop {
    fn drop(&mut self) {
        let _ = self.0.send(Seen::Dropped);
    }
}

/// The service, and what it sees.
pub async fn serve(layer: VerifyLayer) -> (SocketAddr, mpsc::UnboundedReceiver<Seen>) {
    let (seen, observed) = mpsc::unbounded_channel();
    let (of_events, of_uploads, of_upgrades) = (seen.clone(), seen.clone(), seen);
    let events = move || async move {
        let guard = TellOnDrop(of_events.clone());
        let hello = Ok::<_, Infallible>(Event::default().data("hello"));
        let events = tokio_stream::iter([hello]).chain(tokio_stream::pending());
        Sse::new(events.map(move |event| {
            let _kept = &guard;
            event
        }))
    };
    let app = Router::new()
        .route("/hello", any(|Extension(id): Extension<SandboxId>| async move { format!("hello, {id}") }))
        .route("/headers", get(|headers: HeaderMap| async move { format!("{headers:?}") }))
        .route("/events", get(events))
        .route("/chatter", get(chatter))
        .route("/upload", post(move |request| upload(request, of_uploads.clone())))
        .route(
            "/upgrade",
            get(move |lease, request| std::future::ready(upgrade(lease, request, of_upgrades.clone()))),
        )
        .route("/streams/{id}", post(renew))
        .layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (addr, observed)
}

/// A body that always has one more frame.
struct Chatter;

impl http_body::Body for Chatter {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more\n")))))
    }
}

async fn chatter() -> Body {
    Body::new(Chatter)
}

async fn upload(request: Incoming, seen: mpsc::UnboundedSender<Seen>) -> StatusCode {
    let mut body = request.into_body();
    let mut end = None;
    while let Some(frame) = body.frame().await {
        if let Err(error) = frame {
            end = ended(&error);
            break;
        }
    }
    seen.send(Seen::Upload(end)).unwrap();
    StatusCode::OK
}

/// What ended a body, from its error's sources.
fn ended(error: &(dyn std::error::Error + 'static)) -> Option<Ended> {
    let mut error = Some(error);
    while let Some(inner) = error {
        if let Some(StreamEnded(ended)) = inner.downcast_ref() {
            return Some(*ended);
        }
        error = inner.source();
    }
    None
}

fn upgrade(
    Extension(lease): Extension<Lease>,
    mut request: Incoming,
    seen: mpsc::UnboundedSender<Seen>,
) -> Reply {
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut connection = BufReader::new(TokioIo::new(upgrading.await.expect("the client upgrades")));
        connection.write_all(b"hello\n").await.unwrap();
        let mut end = std::pin::pin!(lease.ended());
        loop {
            let mut token = String::new();
            tokio::select! {
                ended = &mut end => break seen.send(Seen::Upgraded(ended)).unwrap(),
                read = connection.read_line(&mut token) => drop(read.unwrap()),
            }
            let renewed = lease.renew_with(token.trim_end().as_bytes()).await;
            let answer = renewed.map_or_else(|error| error.to_string(), |()| "renewed".to_owned());
            connection.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
        }
    });
    (StatusCode::SWITCHING_PROTOCOLS, [("connection", "upgrade"), ("upgrade", "test")]).into_response()
}

async fn renew(Extension(fresh): Extension<Lease>, Path(id): Path<String>) -> Reply {
    let Ok(id) = id.parse() else { return StatusCode::BAD_REQUEST.into_response() };
    match fresh.renew(id).await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (error.http_status(), error.to_string()).into_response(),
    }
}

/// An answer whose body has not been read.
pub type Open = Response<hyper::body::Incoming>;

pub fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Sends a request on a connection of its own.
pub async fn send<B>(addr: SocketAddr, request: Request<B>) -> Open
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static,
{
    let stream = TcpStream::connect(addr).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let answer = sender.send_request(request).await.expect("an answer");
    // The connection stays for as long as the answer's body does.
    tokio::spawn(async move {
        let _ = sender.ready().await;
    });
    answer
}

pub fn request(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> http::request::Builder {
    let mut request = Request::builder().uri(path).header("host", addr.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

pub async fn get_with(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Open {
    send(addr, request(addr, path, headers).body(Full::<Bytes>::default()).unwrap()).await
}

pub async fn open(addr: SocketAddr, path: &str, token: &str) -> Open {
    get_with(addr, path, &[("authorization", &bearer(token))]).await
}

pub async fn code(addr: SocketAddr, token: &str) -> StatusCode {
    open(addr, "/hello", token).await.status()
}

/// A stream of events after its first, and its id.
pub async fn events(addr: SocketAddr, token: &str) -> (Open, String) {
    let mut answer = open(addr, "/events", token).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let id = answer.headers()["x-keystile-stream"].to_str().unwrap().to_owned();
    let first = soon("the first event", answer.frame()).await.expect("a frame").expect("no error");
    assert_eq!(first.into_data().unwrap(), "data: hello\n\n");
    (answer, id)
}

/// Renews a stream with a token.
pub async fn renew_with(addr: SocketAddr, id: &str, token: &str) -> (StatusCode, String) {
    let headers = [("authorization", &*bearer(token))];
    let request = request(addr, &format!("/streams/{id}"), &headers).method("POST");
    let answer = send(addr, request.body(Full::<Bytes>::default()).unwrap()).await;
    let status = answer.status();
    (status, text(answer).await)
}

pub async fn text(answer: Open) -> String {
    String::from_utf8(answer.collect().await.expect("a whole body").to_bytes().to_vec()).unwrap()
}

/// A connection that the service takes over, after its first word.
pub async fn upgraded(addr: SocketAddr, token: &str) -> BufReader<TcpStream> {
    let mut connection = BufReader::new(TcpStream::connect(addr).await.unwrap());
    let head = format!(
        "GET /upgrade HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: test\r\nauthorization: {}\r\n\r\n",
        bearer(token)
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    while line(&mut connection).await != "hello" {}
    connection
}

/// The next line; empty lines are of no account.
pub async fn line(connection: &mut BufReader<TcpStream>) -> String {
    let mut text = String::new();
    let read = soon("a line", connection.read_line(&mut text)).await.unwrap();
    assert_ne!(read, 0, "the connection goes on");
    text.trim_end().to_owned()
}

/// Waits until the answer breaks off.
pub async fn broken_off(answer: Open) {
    let outcome = soon("the end of the stream", answer.collect()).await;
    outcome.map(|_| ()).expect_err("it breaks off, and is not whole");
}
