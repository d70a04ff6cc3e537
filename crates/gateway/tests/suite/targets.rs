//! What the fuzzers put inputs to: the one of these tests, and the one led by coverage in `fuzz/`.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use keystile_gateway::Config;
use keystile_gateway::config::{ConfigError, Loaded, Sources};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

use crate::world::*;

/// Stands for a token that the gateway accepts: no fuzzer would find one.
pub const TOKEN: &[u8] = b"{TOKEN}";

/// Longer than any time limit of the gateway that an ended connection could meet.
const PATIENCE: Duration = Duration::from_secs(20);

const METHODS: [&str; 5] = [
    "/openshell.v1.OpenShell/IssueSandboxToken",
    "/openshell.v1.OpenShell/RefreshSandboxToken",
    "/keystile.v1.Keystile/WhoAmI",
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

/// One gateway for all inputs.
struct Front {
    runtime: Runtime,
    gateway: Running,
    token: String,
    _world: World,
}

static FRONT: LazyLock<Front> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("threads");
    let (world, gateway, token) = runtime.block_on(async {
        let world = World::begun().await;
        let (gateway, token) = (world.gateway().await, world.token().await);
        (world, gateway, token)
    });
    Front { runtime, gateway, token, _world: world }
});

struct NoEnvironment;

impl keystile_system::Environment for NoEnvironment {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }

    fn names(&self, _prefix: &str) -> Vec<String> {
        Vec::new()
    }
}

fn load(toml: &[u8]) -> Result<Loaded, ConfigError> {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), toml).expect("the file is written");
    Config::load(&Sources {
        flags: Vec::new(),
        file: Some(file.path().to_owned()),
        environment: &NoEnvironment,
        other_variables: &[],
    })
}

/// An error or a configuration, and what that prints reads back as the same. Whether it was a configuration.
pub fn configuration(input: &[u8]) -> bool {
    let Ok(loaded) = load(input) else { return false };
    let printed = loaded.print();
    assert_eq!(load(printed.as_bytes()).expect("it was printed").config, loaded.config, "{printed}");
    true
}

/// The bytes of a connection: each answer is one that the gateway means to give, a sandbox is named only to who showed
/// its token, and the gateway goes on.
pub fn connection(input: &[u8]) {
    let front = &*FRONT;
    let shows_token = input.windows(TOKEN.len()).any(|window| window == TOKEN);
    let sent = input.split_at_checked(64 * 1024).map_or(input, |(most, _)| most);
    let answer = front.runtime.block_on(async {
        let mut stream = TcpStream::connect(front.gateway.addr).await.expect("it listens");
        // It may have closed already, having read enough.
        let _ = stream.write_all(&with_token(sent, &front.token)).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes");
        answer
    });
    let text = String::from_utf8_lossy(&answer).to_lowercase();
    assert!(shows_token || !text.contains("x-sandbox-id"), "{text}");
    for line in text.lines().filter(|line| line.starts_with("http/1.1 ")) {
        assert!(!line.starts_with("http/1.1 500"), "{text}");
    }
}

fn with_token(input: &[u8], token: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = input;
    while let Some(at) = rest.windows(TOKEN.len()).position(|window| window == TOKEN) {
        bytes.extend([&rest[..at], token.as_bytes()].concat());
        rest = &rest[at + TOKEN.len()..];
    }
    bytes.extend(rest);
    bytes
}

/// The body of a call; its first two bytes say which, and whether with a token. A status comes back, and nothing is
/// given to who shows no token.
pub fn call(input: &[u8]) {
    let [method, flags, body @ ..] = input else { return };
    let (front, method) = (&*FRONT, usize::from(*method) % METHODS.len());
    let mut request = Request::post(format!("http://{}{}", front.gateway.addr, METHODS[method]))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let with_token = flags & 1 != 0;
    if with_token {
        request = request.header("authorization", format!("Bearer {}", front.token));
    }
    if flags & 2 != 0 {
        request = request.header("grpc-encoding", "gzip");
    }
    let request = request.body(Full::new(Bytes::copy_from_slice(body))).expect("a request");
    let status = front.runtime.block_on(async {
        let answer = tokio::time::timeout(PATIENCE, send(front, request)).await.expect("an answer in time");
        status_of(answer).await
    });
    // OK, INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED (a sandbox asks for a first token), FAILED_PRECONDITION,
    // OUT_OF_RANGE, UNIMPLEMENTED, INTERNAL (what tonic calls bytes that are no message), UNAVAILABLE, UNAUTHENTICATED.
    let meant = matches!(status, 0 | 3 | 5 | 7 | 9 | 11 | 12 | 13 | 14 | 16);
    assert!(meant, "{} answers {status}", METHODS[method]);
    assert!(method >= 3 || with_token || status != 0, "{} without a token", METHODS[method]);
}

async fn send(front: &Front, request: Request<Full<Bytes>>) -> Response<Incoming> {
    let stream = TcpStream::connect(front.gateway.addr).await.expect("it listens");
    stream.set_nodelay(true).expect("a socket");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
    tokio::spawn(connection);
    sender.send_request(request).await.expect("an answer")
}

/// In the trailers, or in the headers where nothing else comes.
async fn status_of(answer: Response<Incoming>) -> u16 {
    assert_eq!(answer.status(), 200);
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a whole body");
    let status =
        body.trailers().and_then(|trailers| trailers.get("grpc-status")).or(head.headers.get("grpc-status"));
    status.expect("a status").to_str().expect("ASCII").parse().expect("a number")
}
