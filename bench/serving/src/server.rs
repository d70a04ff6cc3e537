//! One server process on a processor of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::error::{BenchError, because};
use crate::peers::Peer;
use crate::usage::Usage;
use crate::world::{ISSUER, World};

/// The server's processor; the load has the other one.
const PROCESSOR: &str = "0";
/// How long a server may take until it answers.
const START: Duration = Duration::from_secs(20);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// `keystile serve`; `audited`: with a line for each token that it mints, as by default.
    Keystile { audited: bool },
    /// Envoy's `jwt_authn` filter, with or without its cache of tokens.
    Envoy { cache: bool },
    /// One of this crate's.
    Peer(Peer),
}

impl Kind {
    /// What it is called.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keystile { audited: false } => "keystile serve",
            Self::Keystile { audited: true } => "keystile serve, its audit lines written to a file",
            Self::Envoy { cache: false } => "Envoy jwt_authn",
            Self::Envoy { cache: true } => "Envoy jwt_authn, jwt_cache_config",
            Self::Peer(Peer::Hyper) => "hyper that checks nothing",
            Self::Peer(Peer::HyperJsonwebtoken) => "hyper + jsonwebtoken",
            Self::Peer(Peer::Tonic) => "tonic that neither checks nor mints",
            Self::Peer(Peer::TonicMints) => "tonic that mints with jsonwebtoken and checks nothing",
            Self::Peer(Peer::TonicJsonwebtoken) => "tonic that checks and mints with jsonwebtoken",
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) keystile: PathBuf,
    pub(crate) envoy: PathBuf,
    pub(crate) itself: PathBuf,
}

/// A server that runs; ended when dropped.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    started_in: Duration,
}

impl Server {
    /// Starts one and waits until it answers.
    pub(crate) async fn start(kind: Kind, world: &World, programs: &Programs) -> Result<Self, BenchError> {
        let address = free_address()?;
        let log = File::create(world.path("server.log")).map_err(because("create the server's log"))?;
        let mut command = Command::new("taskset");
        command.args(["-c", PROCESSOR]);
        match kind {
            Kind::Keystile { audited } => keystile(&mut command, world, programs, address, audited),
            Kind::Envoy { cache } => envoy(&mut command, world, programs, address, cache).await?,
            Kind::Peer(peer) => itself(&mut command, world, programs, address, peer),
        }
        let output = log.try_clone().map_err(because("share the server's log"))?;
        command.stdin(Stdio::null()).stdout(output).stderr(log);
        let began = Instant::now();
        let child = command.spawn().map_err(because(format!("start {}", kind.name())))?;
        let mut server = Self { child, address, started_in: Duration::ZERO };
        server.wait(kind, &world.path("server.log")).await?;
        server.started_in = began.elapsed();
        Ok(server)
    }

    async fn wait(&mut self, kind: Kind, log: &Path) -> Result<(), BenchError> {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if self.answers(kind) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                return Err(BenchError::new(format!("start {}", kind.name()), format!("{status}\n{said}")));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Err(BenchError::new(format!("start {}", kind.name()), format!("no answer within {START:?}")))
    }

    /// Whether it is ready: a gateway says so itself, others when they answer at all.
    fn answers(&self, kind: Kind) -> bool {
        let ask = || -> std::io::Result<Vec<u8>> {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(Duration::from_secs(1)))?;
            if matches!(kind, Kind::Peer(peer) if peer.is_grpc()) {
                return Ok(b"HTTP".to_vec());
            }
            stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")?;
            let mut answer = vec![0; 12];
            stream.read_exact(&mut answer)?;
            Ok(answer)
        };
        match ask() {
            Ok(answer) if matches!(kind, Kind::Keystile { .. }) => answer.starts_with(b"HTTP/1.1 200"),
            Ok(answer) => answer.starts_with(b"HTTP"),
            Err(_) => false,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From the start of the process to its first good answer.
    pub(crate) fn started_in(&self) -> Duration {
        self.started_in
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage, BenchError> {
        Usage::of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that a kill could spoil.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> Result<SocketAddr, BenchError> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_err(because("find a free port"))
}

fn keystile(command: &mut Command, world: &World, programs: &Programs, address: SocketAddr, audited: bool) {
    let level = if audited { "info" } else { "warn" };
    command
        .arg(&programs.keystile)
        .arg("serve")
        .arg(format!("--store=dir:{}", world.keyring().display()))
        .arg(format!("--listen={address}"))
        .args(["--admin-listen=127.0.0.1:0", "--replica=bench"])
        .arg(format!("--log-level={level}"));
}

fn itself(command: &mut Command, world: &World, programs: &Programs, address: SocketAddr, peer: Peer) {
    let name = clap::ValueEnum::to_possible_value(&peer).map(|value| value.get_name().to_owned());
    command
        .arg(&programs.itself)
        .arg("peer")
        .arg(name.unwrap_or_default())
        .arg(address.to_string())
        .arg(world.keyring());
}

async fn envoy(
    command: &mut Command,
    world: &World,
    programs: &Programs,
    address: SocketAddr,
    cache: bool,
) -> Result<(), BenchError> {
    let config = envoy_config(address, &world.jwks().await?, cache);
    let path = world.path("envoy.json");
    std::fs::write(&path, config.to_string()).map_err(because("write Envoy's configuration"))?;
    command.arg(&programs.envoy).arg("-c").arg(path).args([
        "--concurrency",
        "1",
        "--log-level",
        "error",
        "--disable-hot-restart",
    ]);
    Ok(())
}

fn envoy_config(address: SocketAddr, jwks: &str, cache: bool) -> serde_json::Value {
    let kind = |name: &str| format!("type.googleapis.com/envoy.extensions.filters.{name}");
    let mut provider = json!({
        "issuer": ISSUER,
        "audiences": [ISSUER],
        "local_jwks": {"inline_string": jwks},
    });
    if cache {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": 20_000, "jwt_max_token_size": 4096});
    }
    let checked = json!({"match": {"prefix": "/"}, "requires": {"provider_name": "keystile"}});
    let filters = json!([
        {"name": "jwt", "typed_config": {
            "@type": kind("http.jwt_authn.v3.JwtAuthentication"),
            "providers": {"keystile": provider}, "rules": [checked]}},
        {"name": "router", "typed_config": {"@type": kind("http.router.v3.Router")}},
    ]);
    let route = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
    let manager = json!({
        "@type": kind("network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "verify",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": filters,
    });
    let socket = json!({"address": address.ip().to_string(), "port_value": address.port()});
    let chain = json!({"filters": [{"name": "http", "typed_config": manager}]});
    let listener = json!({"name": "verify", "address": {"socket_address": socket}, "filter_chains": [chain]});
    json!({"static_resources": {"listeners": [listener]}})
}
