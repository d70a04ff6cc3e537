//! A gateway that answers as a test's script says, and clocks and dice that a test controls.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper_util::rt::TokioIo;
use keystile_keyring::UnixTime;
use keystile_proto::openshell::v1::open_shell_server::{OpenShell, OpenShellServer};
use keystile_proto::openshell::v1::{
    IssueSandboxTokenRequest, IssueSandboxTokenResponse, RefreshSandboxTokenRequest,
    RefreshSandboxTokenResponse,
};
use keystile_supervisor::{Config, Endpoint, RETRY_AFTER, Source, State, Supervisor, Timing, Token};
use keystile_system::{Clock, Entropy, EntropyError};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::transport::{Server, ServerTlsConfig};
use tonic::{Code, Request, Response, Status};

/// A clock that follows tokio's, which a test may pause.
#[derive(Clone, Copy)]
pub struct TestClock {
    begin: Instant,
    /// How far its wall clock is ahead.
    pub shift: i64,
}

/// What wall clocks say when a test begins.
pub const BEGIN: u64 = 1_700_000_000;

impl TestClock {
    pub fn new() -> Self {
        Self { begin: Instant::now(), shift: 0 }
    }

    pub fn shifted(self, shift: i64) -> Self {
        Self { shift, ..self }
    }

    /// Since the test began.
    pub fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }
}

impl Clock for TestClock {
    fn now(&self) -> UnixTime {
        UnixTime((BEGIN + self.elapsed().as_secs()).saturating_add_signed(self.shift))
    }

    fn uptime(&self) -> Duration {
        Duration::from_secs(1000) + self.elapsed()
    }
}

/// Dice that fall the same way in every run (splitmix64).
pub struct Seeded(AtomicU64);

impl Seeded {
    pub fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(seed)))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^= z >> 31;
            let length = chunk.len();
            chunk.copy_from_slice(&z.to_le_bytes()[..length]);
        }
        Ok(())
    }
}

/// A token as OpenShell's look, with a signature that is none. `life` 0 means `exp` 0.
pub fn jws(kid: &str, issued_at: u64, life: u64) -> String {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let exp = if life == 0 { 0 } else { issued_at + life };
    let header = format!(r#"{{"typ":"JWT","alg":"EdDSA","kid":"{kid}"}}"#);
    let claims = format!(r#"{{"iat":{issued_at},"exp":{exp},"sandbox_id":"s-1","n":{serial}}}"#);
    let signature = format!("signature-{serial}");
    [header.as_str(), &claims, &signature].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Issue,
    Refresh,
}

/// A call as the gateway saw it.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// What followed `Bearer `.
    pub bearer: Option<String>,
    /// The client's certificate in DER.
    pub certificate: Option<Vec<u8>>,
    /// Since the test began.
    pub at: Duration,
    /// How many calls came before.
    pub number: usize,
}

pub enum Answer {
    /// A token by this kid that lives so many seconds (0: for ever).
    Token(&'static str, u64),
    /// This token, whatever it is.
    Text(String, i64),
    Fail(Code, String),
    /// With a hint in milliseconds.
    Wait(Code, u64),
    /// None, ever.
    Silence,
}

impl Answer {
    pub fn fail(code: Code) -> Self {
        Self::Fail(code, "scripted".to_owned())
    }
}

type Script = dyn Fn(&Call) -> Answer + Send + Sync;

#[derive(Clone)]
pub struct Gateway {
    script: Arc<Script>,
    clock: TestClock,
    calls: Arc<Mutex<Vec<Call>>>,
    count: Arc<watch::Sender<usize>>,
}

impl Gateway {
    pub fn new(clock: TestClock, script: impl Fn(&Call) -> Answer + Send + Sync + 'static) -> Self {
        let count = Arc::new(watch::channel(0).0);
        Self { script: Arc::new(script), clock, calls: Arc::default(), count }
    }

    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// Waits until there were so many calls; returns them.
    pub async fn after_calls(&self, count: usize) -> Vec<Call> {
        self.count.subscribe().wait_for(|seen| *seen >= count).await.unwrap();
        self.calls()
    }

    /// Serves over pipes in memory: with tokio's clock paused, time passes only while everybody waits.
    pub fn pipe(&self) -> Endpoint {
        let (sender, receiver) = mpsc::unbounded_channel();
        let incoming = UnboundedReceiverStream::new(receiver).map(Ok::<_, std::io::Error>);
        tokio::spawn(
            Server::builder().add_service(OpenShellServer::new(self.clone())).serve_with_incoming(incoming),
        );
        let connector = tower::service_fn(move |_| {
            let sender = sender.clone();
            async move {
                let (near, far) = tokio::io::duplex(64 * 1024);
                sender.send(far).map_err(std::io::Error::other)?;
                Ok::<_, std::io::Error>(TokioIo::new(near))
            }
        });
        let channel =
            tonic::transport::Endpoint::from_static("http://pipe").connect_with_connector_lazy(connector);
        Endpoint::channel("pipe", channel)
    }

    /// Serves on a loopback port.
    pub async fn listen(&self) -> (Endpoint, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = OpenShellServer::new(self.clone());
        let server = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
        (Endpoint::url(&url).unwrap(), server)
    }

    /// Serves with TLS on a loopback port; returns the port.
    pub async fn listen_tls(&self, tls: ServerTlsConfig) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = Server::builder().tls_config(tls).unwrap();
        let router = server.add_service(OpenShellServer::new(self.clone()));
        tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));
        port
    }

    async fn answer<T>(&self, method: Method, request: Request<T>) -> Result<(String, i64), Status> {
        let header = request.metadata().get("authorization").map(|value| value.to_str().unwrap().to_owned());
        let call = {
            let mut calls = self.calls.lock().unwrap();
            let call = Call {
                method,
                bearer: header.map(|value| value.strip_prefix("Bearer ").unwrap().to_owned()),
                certificate: request.peer_certs().and_then(|chain| Some(chain.first()?.to_vec())),
                at: self.clock.elapsed(),
                number: calls.len(),
            };
            calls.push(call.clone());
            call
        };
        let answer = (self.script)(&call);
        self.count.send_modify(|count| *count += 1);
        match answer {
            Answer::Token(kid, life) => {
                let now = self.clock.now().0;
                let expires_at_ms = if life == 0 { 0 } else { i64::try_from((now + life) * 1000).unwrap() };
                Ok((jws(kid, now, life), expires_at_ms))
            }
            Answer::Text(text, expires_at_ms) => Ok((text, expires_at_ms)),
            Answer::Fail(code, message) => Err(Status::new(code, message)),
            Answer::Wait(code, milliseconds) => {
                let mut status = Status::new(code, "later");
                status.metadata_mut().insert(RETRY_AFTER, milliseconds.to_string().parse().unwrap());
                Err(status)
            }
            Answer::Silence => std::future::pending().await,
        }
    }
}

#[tonic::async_trait]
impl OpenShell for Gateway {
    async fn issue_sandbox_token(
        &self,
        request: Request<IssueSandboxTokenRequest>,
    ) -> Result<Response<IssueSandboxTokenResponse>, Status> {
        let (token, expires_at_ms) = self.answer(Method::Issue, request).await?;
        Ok(Response::new(IssueSandboxTokenResponse { token, expires_at_ms }))
    }

    async fn refresh_sandbox_token(
        &self,
        request: Request<RefreshSandboxTokenRequest>,
    ) -> Result<Response<RefreshSandboxTokenResponse>, Status> {
        let (token, expires_at_ms) = self.answer(Method::Refresh, request).await?;
        Ok(Response::new(RefreshSandboxTokenResponse { token, expires_at_ms, extension_credentials: vec![] }))
    }
}

pub fn config(endpoints: Vec<Endpoint>, sources: Vec<Source>) -> Config {
    Config { endpoints, sources, tls: None, allow_plaintext: false, output: None, timing: Timing::default() }
}

pub fn given(text: &str) -> Source {
    Source::Token(Token::new(text).unwrap())
}

pub fn start(config: Config, clock: TestClock) -> Supervisor {
    Supervisor::start(config, Arc::new(clock), Seeded::new(1729)).unwrap()
}

/// Waits for a state that `wanted` accepts; returns it.
pub async fn reach(supervisor: &Supervisor, wanted: impl FnMut(&State) -> bool) -> State {
    supervisor.state().wait_for(wanted).await.unwrap().clone()
}

/// The seconds from each call to the next.
pub fn waits(calls: &[Call]) -> Vec<f64> {
    calls.windows(2).map(|pair| pair[1].at.as_secs_f64() - pair[0].at.as_secs_f64()).collect()
}

/// How many calls fell into each whole second.
pub fn per_second(instants: impl IntoIterator<Item = Duration>) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for instant in instants {
        *counts.entry(instant.as_secs()).or_default() += 1;
    }
    counts
}
