//! Presents tokens to one replica, and says what came of it.

mod answer;
mod gauges;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderValue, Request, header};
use http_body_util::BodyExt as _;
use keystile_proto::keystile::v1::WhoAmIRequest;
use keystile_proto::keystile::v1::keystile_client::KeystileClient;
use serde::Deserialize;
use tonic::body::Body;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tower::{Service as _, ServiceExt as _};

use crate::error::RehearsalError;
use crate::event::{NoAnswer, Outcome, Via};

pub(crate) use gauges::Gauges;

/// Connections to each replica.
const CONNECTIONS: usize = 4;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(1);
/// The most bytes of an answer that are read.
const MOST_BYTES: usize = 64 * 1024;

/// Connections to one replica. They are made when first used, and again whenever they break.
pub(crate) struct Wire {
    channels: Vec<Channel>,
    next: AtomicUsize,
}

/// What a replica says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Readiness {
    /// Whether requests should be sent there.
    pub(crate) ready: bool,
    /// The generation that it holds.
    pub(crate) generation: u64,
}

impl Wire {
    /// Connections to the gateway at `address`, which the authority has certified.
    pub(crate) fn to(address: SocketAddr, authority: &str) -> Result<Self, RehearsalError> {
        let connect = || {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
            let endpoint = Endpoint::from_shared(format!("https://{address}"))?.tls_config(tls)?;
            Ok(endpoint.connect_timeout(CONNECT).tcp_nodelay(true).connect_lazy())
        };
        let channels: Result<_, tonic::transport::Error> = (0..CONNECTIONS).map(|_| connect()).collect();
        let channels = channels.map_err(RehearsalError::Connect)?;
        Ok(Self { channels, next: AtomicUsize::new(0) })
    }

    /// Presents `bearer`, the whole value of an authorization header.
    pub(crate) async fn present(&self, via: Via, bearer: HeaderValue, patience: Duration) -> Outcome {
        let Some(channel) = self.channel() else {
            return Outcome::NoAnswer(NoAnswer::Other);
        };
        let presented = async {
            match via {
                Via::WhoAmI => who_am_i(channel, bearer).await,
                Via::Verify => verify(channel, bearer).await,
            }
        };
        let answered = tokio::time::timeout(patience, presented).await;
        answered.unwrap_or(Outcome::NoAnswer(NoAnswer::Late))
    }

    /// What the replica says of itself; `None` if it does not answer.
    pub(crate) async fn readiness(&self, patience: Duration) -> Option<Readiness> {
        let channel = self.channel()?;
        let asked = async {
            let response = call(channel, "/readyz", None).await.ok()?;
            let body = http_body_util::Limited::new(response.into_body(), MOST_BYTES);
            let body = body.collect().await.ok()?.to_bytes();
            serde_json::from_slice(&body).ok()
        };
        tokio::time::timeout(patience, asked).await.ok().flatten()
    }

    fn channel(&self) -> Option<Channel> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.channels.get(next % self.channels.len().max(1)).cloned()
    }
}

async fn who_am_i(channel: Channel, bearer: HeaderValue) -> Outcome {
    let mut request = tonic::Request::new(WhoAmIRequest {});
    request.metadata_mut().as_mut().insert(header::AUTHORIZATION, bearer);
    match KeystileClient::new(channel).who_am_i(request).await {
        Ok(response) => Outcome::Accepted { generation: Some(response.into_inner().generation) },
        Err(status) => answer::of_status(&status),
    }
}

async fn verify(channel: Channel, bearer: HeaderValue) -> Outcome {
    match call(channel, "/verify", Some(bearer)).await {
        Ok(response) => answer::of_response(response.status(), response.headers()),
        Err(_) => Outcome::NoAnswer(NoAnswer::Unreachable),
    }
}

/// `GET path`, over the connection that also carries gRPC.
async fn call(
    mut channel: Channel,
    path: &'static str,
    bearer: Option<HeaderValue>,
) -> Result<http::Response<Body>, tonic::transport::Error> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static(path);
    if let Some(bearer) = bearer {
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    channel.ready().await?.call(request).await
}
