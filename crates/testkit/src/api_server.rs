//! An API server of Kubernetes that answers as a test says, and notes what it was asked.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a fake for tests: it asserts")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode};
pub use axum::response::Response;
use serde_json::{Value, json};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;

/// What was asked.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: Method,
    /// The path.
    pub path: String,
    /// The query.
    pub query: String,
    /// What kind of answer is accepted.
    pub accept: String,
}

impl Asked {
    /// Whether it asks for a watch.
    pub fn is_watch(&self) -> bool {
        self.query.contains("watch=true")
    }
}

/// A server on loopback, and what it was asked.
pub struct ApiServer {
    kubeconfig: tempfile::NamedTempFile,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl ApiServer {
    /// A server that answers what `answer` says; what it does not, is not found.
    pub async fn start(answer: impl Fn(&Asked, &Value) -> Option<Response> + Send + Sync + 'static) -> Self {
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

    /// Its kubeconfig.
    pub fn kubeconfig(&self) -> &std::path::Path {
        self.kubeconfig.path()
    }

    /// What it was asked so far and `is`.
    pub fn asked(&self, is: impl Fn(&Asked) -> bool) -> Vec<Asked> {
        self.asked.lock().unwrap().iter().filter(|asked| is(asked)).cloned().collect()
    }
}

/// A `Status` of that code.
pub fn status(code: u16) -> Response {
    let body = json!({"kind": "Status", "code": code, "reason": "Scripted", "message": "as told"});
    answer(code, body.to_string())
}

/// An answer with that body.
pub fn answer(code: u16, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    response
}

/// These lines, and then silence, which for a watch that `ends` is over after a good second.
pub fn lines(lines: &[Value], ends: bool) -> Response {
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
pub fn broken() -> Response {
    let begun = [Ok(Bytes::from("{")), Err(std::io::Error::other("broken off"))];
    answer(200, Body::from_stream(tokio_stream::iter(begun)))
}
