//! A server that answers as a test says, and notes what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keystile_kubernetes::{Access, Api, ObjectName};
use keystile_store::conformance::{START, Sample};
use keystile_store_kube::{KubeStore, Options};
use keystile_testkit::ManualClock;
use serde_json::{Value, json};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// What was asked.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) accept: String,
}

impl Asked {
    pub(crate) fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }

    /// Whether it is of the store's Secret, not of the witness.
    pub(crate) fn is_of_store(&self) -> bool {
        self.path.ends_with("/keys") || self.query.contains("metadata.name%3Dkeys&")
    }
}

/// A server on loopback, and what it was asked.
pub(crate) struct Server {
    kubeconfig: tempfile::NamedTempFile,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// A server that answers what `answer` says; what it does not, is not found.
    pub(crate) async fn start(
        answer: impl Fn(&Asked, &Value) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let answer = Arc::new(answer);
        let router = Router::new().fallback(move |request: Request| {
            let (noted, answer) = (Arc::clone(&noted), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let accept = parts.headers.get("accept").map_or("", |accept| accept.to_str().unwrap());
                let asked = Asked {
                    method: parts.method,
                    path: parts.uri.path().to_owned(),
                    query: parts.uri.query().unwrap_or("").to_owned(),
                    accept: accept.to_owned(),
                };
                noted.lock().unwrap().push(asked.clone());
                let body = to_bytes(body, usize::MAX).await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                answer(&asked, &body).unwrap_or_else(|| status(404))
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let kubeconfig = tempfile::NamedTempFile::new().unwrap();
        let text = json!({
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        });
        std::fs::write(kubeconfig.path(), text.to_string()).unwrap();
        Self { kubeconfig, asked }
    }

    /// The store in the Secret `ns/keys` there.
    pub(crate) fn store(&self) -> KubeStore {
        let clock = Arc::new(ManualClock::at(START));
        let access = Access::Kubeconfig(vec![self.kubeconfig.path().to_owned()]);
        let api = Arc::new(Api::new(access, clock.clone()));
        KubeStore::new(api, ObjectName::new("ns", "keys").unwrap(), clock, Options::default())
    }

    /// What it was asked so far and `is`.
    pub(crate) fn asked(&self, is: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| is(asked)).cloned().collect()
    }
}

pub(crate) fn status(code: u16) -> Response {
    let body = json!({"kind": "Status", "code": code, "reason": "Scripted", "message": "as told"});
    answer(code, body.to_string())
}

pub(crate) fn answer(code: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

/// These lines, and then silence, which for a watch that `ends` is over after a good second.
pub(crate) fn lines(lines: &[Value], ends: bool) -> Response {
    let lines: Vec<_> =
        lines.iter().map(|line| Ok::<_, std::io::Error>(Bytes::from(format!("{line}\n")))).collect();
    let lines = tokio_stream::iter(lines);
    if ends {
        let (sender, silence) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(1);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1100)).await;
            drop(sender);
        });
        return answer(200, Body::from_stream(lines.chain(ReceiverStream::new(silence))));
    }
    answer(200, Body::from_stream(lines.chain(tokio_stream::pending())))
}

/// An answer that breaks off.
pub(crate) fn broken() -> Response {
    let begun = [Ok(Bytes::from("{")), Err(std::io::Error::other("broken off"))];
    answer(200, Body::from_stream(tokio_stream::iter(begun)))
}

/// The metadata of the store's Secret in that version.
pub(crate) fn metadata(version: &str) -> Value {
    json!({"metadata": {"name": "keys", "uid": "u1", "resourceVersion": version}})
}

/// The store's Secret with the generation that `sample` is at.
pub(crate) fn secret(sample: &Sample) -> Value {
    let image = sample.image(START);
    let data: serde_json::Map<_, _> = image
        .members
        .iter()
        .map(|member| (member.name.clone(), STANDARD.encode(&*member.bytes).into()))
        .collect();
    let mut secret = metadata("7");
    secret["data"] = data.into();
    secret
}
