//! A proxy in front of the API server that lets one fault befall one request.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use keystile_kubernetes::{Access, Api};
use keystile_system::Clock;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::json;
use tokio::net::TcpListener;

/// What befalls a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection breaks before the request has arrived.
    Cut,
    /// It arrives, and the connection breaks before an answer.
    CutAfter,
    /// It arrives, and the answer breaks off in the middle.
    BrokenOff,
    /// The connection breaks, and the request arrives late: after the next one, or when all is over.
    Late,
    /// It waits on its way until somebody else has changed the object.
    Overtaken,
    /// It arrives twice, and the first answer is given.
    Twice,
    /// It arrives twice, and the second answer is given.
    TwiceSecond,
    /// It does not arrive, and this is answered.
    Refused(u16),
    /// It arrives, and this is answered all the same.
    Lied(u16),
}

impl Fault {
    /// What can befall a change.
    pub(crate) const OF_CHANGES: [Self; 15] = [
        Self::Cut,
        Self::CutAfter,
        Self::BrokenOff,
        Self::Late,
        Self::Overtaken,
        Self::Twice,
        Self::TwiceSecond,
        Self::Refused(409),
        Self::Refused(429),
        Self::Refused(500),
        Self::Refused(504),
        Self::Lied(409),
        Self::Lied(429),
        Self::Lied(500),
        Self::Lied(504),
    ];
    /// What can befall a question: nothing hangs on whether it arrives.
    pub(crate) const OF_QUESTIONS: [Self; 4] =
        [Self::Cut, Self::BrokenOff, Self::Refused(429), Self::Refused(500)];
}

/// The API server behind the proxies of a test.
#[derive(Clone)]
pub(crate) struct Upstream(kube::Client);

impl Upstream {
    pub(crate) async fn of(kubeconfig: &Path) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        config.default_retry = false;
        Self(kube::Client::try_from(config).unwrap())
    }

    async fn deliver(&self, asked: &Asked) -> Answer {
        let request = Request::builder().method(asked.method.clone()).uri(&asked.uri);
        let mut request = request.body(asked.body.clone().into()).unwrap();
        for name in [header::ACCEPT, header::CONTENT_TYPE] {
            if let Some(value) = asked.headers.get(&name) {
                request.headers_mut().insert(name, value.clone());
            }
        }
        let answer = self.0.send(request).await.unwrap();
        let (status, date) = (answer.status(), answer.headers().get(header::DATE).cloned());
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Answer { status, date, retry_after: false, body }
    }
}

/// A request that has reached the proxy.
struct Asked {
    method: Method,
    uri: String,
    headers: HeaderMap,
    body: Bytes,
}

/// The API server's answer, or the proxy's own.
struct Answer {
    status: StatusCode,
    date: Option<http::HeaderValue>,
    retry_after: bool,
    body: Bytes,
}

impl Answer {
    fn own(code: u16) -> Self {
        let status = StatusCode::from_u16(code).unwrap();
        let body = json!({
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
            "reason": status.canonical_reason(), "message": "injected by a test",
        });
        Self { status, date: None, retry_after: code == 429, body: body.to_string().into() }
    }

    fn response(self, whole: bool) -> Response<BoxBody<Bytes, Broken>> {
        let body = if whole {
            Full::new(self.body).map_err(|never: Infallible| match never {}).boxed()
        } else {
            let half = self.body.slice(..self.body.len() / 2);
            StreamBody::new(tokio_stream::iter([Ok(Frame::data(half)), Err(Broken)])).boxed()
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        if let Some(date) = self.date {
            headers.insert(header::DATE, date);
        }
        if self.retry_after {
            headers.insert(header::RETRY_AFTER, http::HeaderValue::from_static("1"));
        }
        response
    }
}

/// The connection ends here.
#[derive(Debug)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken by a test")
    }
}

impl std::error::Error for Broken {}

/// A proxy on loopback. It ends with the test's runtime.
pub(crate) struct Proxy {
    kubeconfig: PathBuf,
    state: Arc<State>,
    _directory: tempfile::TempDir,
}

struct State {
    upstream: Upstream,
    /// Which request, counted from 0, and what befalls it.
    fault: Option<(usize, Fault)>,
    /// Whether each request so far was to change something.
    changes: Mutex<Vec<bool>>,
    held: Mutex<Option<Asked>>,
}

impl Proxy {
    pub(crate) async fn start(upstream: Upstream, fault: Option<(usize, Fault)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State { upstream, fault, changes: Mutex::default(), held: Mutex::default() });
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                let state = Arc::clone(&serving);
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(Arc::clone(&state), request));
                    let connection = TokioIo::new(connection);
                    // An error is a connection that was broken on purpose.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(connection, service)
                        .await;
                });
            }
        });
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = directory.path().join("kubeconfig");
        let text = json!({
            "clusters": [{"name": "c", "cluster": {"server": url}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        });
        std::fs::write(&kubeconfig, text.to_string()).unwrap();
        Self { kubeconfig, state, _directory: directory }
    }

    pub(crate) fn api(&self, clock: Arc<dyn Clock>) -> Arc<Api> {
        Arc::new(Api::new(Access::Kubeconfig(vec![self.kubeconfig.clone()]), clock))
    }

    /// Whether each request so far was to change something.
    pub(crate) fn changes(&self) -> Vec<bool> {
        self.state.changes.lock().unwrap().clone()
    }

    /// Lets a request arrive that was held back and that no other followed.
    pub(crate) async fn over(&self) {
        self.state.release().await;
    }
}

impl State {
    async fn release(&self) {
        let held = self.held.lock().unwrap().take();
        if let Some(held) = held {
            self.upstream.deliver(&held).await;
        }
    }

    /// Somebody else changes what `asked` is to change, if it is there.
    async fn overtake(&self, asked: &Asked) {
        let change = json!({"metadata": {"annotations": {"somebody": "was faster"}}});
        let headers =
            [(header::CONTENT_TYPE, http::HeaderValue::from_static("application/merge-patch+json"))];
        let uri = asked.uri.split('?').next().unwrap_or_default().to_owned();
        let (method, headers) = (Method::PATCH, headers.into_iter().collect());
        if asked.method == Method::PATCH {
            self.upstream.deliver(&Asked { method, uri, headers, body: change.to_string().into() }).await;
        }
    }
}

async fn answer(
    state: Arc<State>,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, Broken>>, Broken> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Broken)?.to_bytes();
    let asked = Asked { method: parts.method, uri: parts.uri.to_string(), headers: parts.headers, body };
    let number = {
        let mut changes = state.changes.lock().unwrap();
        changes.push(asked.method != Method::GET);
        changes.len() - 1
    };
    let fault = state.fault.filter(|(at, _)| *at == number).map(|(_, fault)| fault);
    let upstream = &state.upstream;
    let answer = match fault {
        Some(Fault::Cut) => return Err(Broken),
        Some(Fault::Late) => {
            *state.held.lock().unwrap() = Some(asked);
            return Err(Broken);
        }
        Some(Fault::CutAfter) => {
            upstream.deliver(&asked).await;
            return Err(Broken);
        }
        Some(Fault::BrokenOff) => return Ok(upstream.deliver(&asked).await.response(false)),
        Some(Fault::Overtaken) => {
            state.overtake(&asked).await;
            upstream.deliver(&asked).await
        }
        Some(Fault::Twice) => {
            let first = upstream.deliver(&asked).await;
            upstream.deliver(&asked).await;
            first
        }
        Some(Fault::TwiceSecond) => {
            upstream.deliver(&asked).await;
            upstream.deliver(&asked).await
        }
        Some(Fault::Refused(code)) => Answer::own(code),
        Some(Fault::Lied(code)) => {
            upstream.deliver(&asked).await;
            Answer::own(code)
        }
        None => {
            let answer = upstream.deliver(&asked).await;
            state.release().await;
            answer
        }
    };
    Ok(answer.response(true))
}
