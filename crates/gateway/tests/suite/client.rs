//! Real clients: tonic for gRPC, hyper for HTTP.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use keystile_gateway::Status;
use keystile_proto::keystile::v1::keystile_client::KeystileClient;
use keystile_proto::keystile::v1::{WhoAmIRequest, WhoAmIResponse};
use keystile_proto::openshell::v1::open_shell_client::OpenShellClient;
use keystile_proto::openshell::v1::{
    IssueSandboxTokenRequest, IssueSandboxTokenResponse, RefreshSandboxTokenRequest,
    RefreshSandboxTokenResponse,
};
use tonic::transport::{Channel, Endpoint};

/// What HTTP answered.
#[derive(Debug)]
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

pub async fn get(addr: SocketAddr, path: &str) -> Answer {
    get_with(addr, path, &[]).await
}

pub async fn get_with(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut request = Request::builder().method(Method::GET).uri(format!("http://{addr}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(client.request(request.body(Empty::new()).expect("a request")).await.expect("an answer")).await
}

/// A body over HTTP/2, with this token.
pub async fn post(
    addr: SocketAddr,
    path: &str,
    token: &str,
    headers: &[(&str, &str)],
    body: Bytes,
) -> Answer {
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<Full<Bytes>>();
    let mut request = Request::builder().method(Method::POST).uri(format!("http://{addr}{path}"));
    request = request.header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    answer(client.request(request.body(Full::new(body)).expect("a request")).await.expect("an answer")).await
}

async fn answer(response: http::Response<hyper::body::Incoming>) -> Answer {
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    Answer { code: head.status, headers: head.headers, body: String::from_utf8_lossy(&body).into_owned() }
}

/// Forward-auth with this token.
pub async fn verify(addr: SocketAddr, token: &str) -> Answer {
    get_with(addr, "/verify", &[("authorization", &format!("Bearer {token}"))]).await
}

pub async fn status(admin: SocketAddr) -> Status {
    serde_json::from_str(&get(admin, "/status").await.body).expect("a status document")
}

/// The value of a metric with these labels, as printed.
pub async fn metric(admin: SocketAddr, line: &str) -> Option<f64> {
    let text = get(admin, "/metrics").await.body;
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' ').map(str::to_owned));
    value.and_then(|value| value.parse().ok())
}

pub async fn channel(addr: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{addr}"))
        .expect("a URI")
        .connect()
        .await
        .expect("the gateway listens")
}

fn with_token<T>(message: T, token: Option<&str>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().expect("ASCII");
        request.metadata_mut().insert("authorization", value);
    }
    request
}

pub async fn issue(
    channel: &Channel,
    token: Option<&str>,
) -> Result<IssueSandboxTokenResponse, tonic::Status> {
    let mut client = OpenShellClient::new(channel.clone());
    let answer = client.issue_sandbox_token(with_token(IssueSandboxTokenRequest {}, token)).await;
    answer.map(tonic::Response::into_inner)
}

pub async fn refresh(
    channel: &Channel,
    token: Option<&str>,
) -> Result<RefreshSandboxTokenResponse, tonic::Status> {
    refresh_with(channel, token, &[]).await
}

pub async fn refresh_with(
    channel: &Channel,
    token: Option<&str>,
    services: &[&str],
) -> Result<RefreshSandboxTokenResponse, tonic::Status> {
    let extension_service_names = services.iter().map(|name| (*name).to_owned()).collect();
    let message = RefreshSandboxTokenRequest { extension_service_names };
    let answer =
        OpenShellClient::new(channel.clone()).refresh_sandbox_token(with_token(message, token)).await;
    answer.map(tonic::Response::into_inner)
}

pub async fn whoami(channel: &Channel, token: Option<&str>) -> Result<WhoAmIResponse, tonic::Status> {
    let answer = KeystileClient::new(channel.clone()).who_am_i(with_token(WhoAmIRequest {}, token)).await;
    answer.map(tonic::Response::into_inner)
}

/// Asks again and again until `ask` gives something; fails the test after a while.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking).await.unwrap_or_else(|_| panic!("not seen: {what}"))
}

/// Waits until the gateway holds this generation.
pub async fn until_generation(admin: SocketAddr, generation: u64) {
    until(&format!("generation {generation}"), || async {
        (status(admin).await.generation == generation).then_some(())
    })
    .await;
}
