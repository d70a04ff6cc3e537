//! The peers that are programs of this crate: small servers, each doing one thing the usual way.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use clap::ValueEnum;
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::header::AUTHORIZATION;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use keystile_proto::openshell::v1::open_shell_server::{OpenShell, OpenShellServer};
use keystile_proto::openshell::v1::{
    IssueSandboxTokenRequest, IssueSandboxTokenResponse, RefreshSandboxTokenRequest,
    RefreshSandboxTokenResponse,
};
use keystile_system::{Clock, SystemClock};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tonic::Status;

use crate::error::{BenchError, because};
use crate::world::{ISSUER, TTL};

/// Which server to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Peer {
    /// hyper; answers 200 and checks nothing.
    Hyper,
    /// hyper; checks the bearer with `jsonwebtoken`, as OpenShell's gateway does.
    HyperJsonwebtoken,
    /// tonic; checks nothing and answers the same token always.
    Tonic,
    /// tonic; checks nothing and mints with `jsonwebtoken`.
    TonicMints,
    /// tonic; refreshes tokens with `jsonwebtoken`, as OpenShell's gateway does.
    TonicJsonwebtoken,
}

impl Peer {
    /// Whether it speaks gRPC and nothing else.
    pub(crate) fn is_grpc(self) -> bool {
        matches!(self, Self::Tonic | Self::TonicMints | Self::TonicJsonwebtoken)
    }
}

/// The claims of a sandbox token, all of them required.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    sandbox_id: String,
}

/// Checks tokens the way that OpenShell's gateway does: one key parsed once, a fresh header each time.
struct Checker {
    key: DecodingKey,
    validation: Validation,
    kid: String,
}

impl Checker {
    fn read(directory: &Path) -> Result<Self, BenchError> {
        let file = |name: &str| std::fs::read(directory.join(name)).map_err(because("read the key set"));
        let key = DecodingKey::from_ed_pem(&file("public.pem")?).map_err(because("parse public.pem"))?;
        let kid = String::from_utf8_lossy(&file("kid")?).trim().to_owned();
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[ISSUER]);
        Ok(Self { key, validation, kid })
    }

    fn check(&self, headers: &HeaderMap) -> Option<Claims> {
        let token = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")?;
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.kid.as_deref() != Some(&self.kid) {
            return None;
        }
        jsonwebtoken::decode(token, &self.key, &self.validation).ok().map(|data| data.claims)
    }
}

/// Serves on `address` until the process is ended.
pub(crate) async fn serve(peer: Peer, address: SocketAddr, keys: &Path) -> Result<(), BenchError> {
    match peer {
        Peer::Hyper => http(address, |_| true).await,
        Peer::HyperJsonwebtoken => {
            let checker = Checker::read(keys)?;
            http(address, move |headers| checker.check(headers).is_some()).await
        }
        Peer::Tonic | Peer::TonicMints | Peer::TonicJsonwebtoken => grpc(peer, address, keys).await,
    }
}

async fn http(
    address: SocketAddr,
    check: impl Fn(&HeaderMap) -> bool + Send + Sync + 'static,
) -> Result<(), BenchError> {
    let listener = TcpListener::bind(address).await.map_err(because("listen"))?;
    let check = Arc::new(check);
    loop {
        let (stream, _) = listener.accept().await.map_err(because("accept a connection"))?;
        let _ = stream.set_nodelay(true);
        let check = Arc::clone(&check);
        tokio::spawn(async move {
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let good = check(request.headers());
                async move { Ok::<_, Infallible>(answer(good)) }
            });
            let connection = hyper::server::conn::http1::Builder::new();
            // A connection that the load generator cuts off at its end is no error.
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn answer(good: bool) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    if !good {
        *response.status_mut() = StatusCode::UNAUTHORIZED;
    }
    response
}

/// Mints the way that OpenShell's gateway does.
struct Minter {
    key: EncodingKey,
    kid: String,
    clock: SystemClock,
}

impl Minter {
    fn mint(&self, claims: Claims) -> Result<RefreshSandboxTokenResponse, Status> {
        let now = i64::try_from(self.clock.now().0).unwrap_or(i64::MAX);
        let ttl = i64::try_from(TTL).unwrap_or(i64::MAX);
        let claims = Claims { iat: now, exp: now.saturating_add(ttl), ..claims };
        let header = Header { kid: Some(self.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        let token = jsonwebtoken::encode(&header, &claims, &self.key);
        let token = token.map_err(|error| Status::internal(error.to_string()))?;
        Ok(RefreshSandboxTokenResponse {
            token,
            expires_at_ms: claims.exp.saturating_mul(1000),
            extension_credentials: Vec::new(),
        })
    }
}

/// Claims of a caller that nobody checks.
fn anybody() -> Claims {
    let sandbox_id = "5a4db0f0-0000-4000-8000-000000000000".to_owned();
    let issuer = || ISSUER.to_owned();
    Claims {
        sub: format!("spiffe://openshell/sandbox/{sandbox_id}"),
        iss: issuer(),
        aud: issuer(),
        iat: 0,
        exp: 0,
        sandbox_id,
    }
}

struct Refresher {
    /// Absent: nothing is checked.
    checker: Option<Checker>,
    minter: Minter,
    /// If present, what everybody is answered.
    answer: Option<RefreshSandboxTokenResponse>,
}

#[tonic::async_trait]
impl OpenShell for Refresher {
    async fn issue_sandbox_token(
        &self,
        _: tonic::Request<IssueSandboxTokenRequest>,
    ) -> Result<tonic::Response<IssueSandboxTokenResponse>, Status> {
        Err(Status::unimplemented("this peer only refreshes"))
    }

    async fn refresh_sandbox_token(
        &self,
        request: tonic::Request<RefreshSandboxTokenRequest>,
    ) -> Result<tonic::Response<RefreshSandboxTokenResponse>, Status> {
        if let Some(answer) = &self.answer {
            return Ok(tonic::Response::new(answer.clone()));
        }
        let claims = match &self.checker {
            Some(checker) => checker.check(request.metadata().as_ref()),
            None => Some(anybody()),
        };
        let claims = claims.ok_or_else(|| Status::unauthenticated("invalid token"))?;
        self.minter.mint(claims).map(tonic::Response::new)
    }
}

async fn grpc(peer: Peer, address: SocketAddr, keys: &Path) -> Result<(), BenchError> {
    let pem = std::fs::read(keys.join("signing.pem")).map_err(because("read signing.pem"))?;
    let key = EncodingKey::from_ed_pem(&pem).map_err(because("parse signing.pem"))?;
    let checker = Checker::read(keys)?;
    let minter = Minter { key, kid: checker.kid.clone(), clock: SystemClock::default() };
    let answer = match peer {
        Peer::Tonic => Some(minter.mint(anybody()).map_err(because("mint a token"))?),
        _ => None,
    };
    let checker = (peer == Peer::TonicJsonwebtoken).then_some(checker);
    let service = OpenShellServer::new(Refresher { checker, minter, answer });
    let server = tonic::transport::Server::builder().add_service(service);
    server.serve(address).await.map_err(because("serve"))
}
