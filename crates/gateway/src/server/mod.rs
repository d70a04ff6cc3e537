//! The listener: connections in, requests out, within limits; and an orderly end.

mod addresses;
mod admit;
mod handshake;
mod listener;
mod pace;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::config::Limits;
use crate::http::Answers;
use crate::metrics::Metrics;
use crate::tls::{PeerCertificate, Tls};

use addresses::Addresses;
pub(crate) use admit::Admission;
use handshake::Failures;
pub use listener::Listener;
use pace::{Paced, Requests, Times};

/// How long a listener that cannot accept (out of file descriptors) waits before it tries again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most streams that a peer may reset before they were looked at ("rapid reset").
const RESETS_UNSEEN: usize = 20;

/// The most streams of one connection that may be reset for the peer's mistakes in them ("made you reset").
const RESETS_BY_ERROR: usize = 100;

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// What it proved with a certificate.
    pub(crate) certificate: PeerCertificate,
}

/// One listening port and what is served there.
pub(crate) struct Server<L> {
    pub(crate) listener: L,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) answers: Answers,
    pub(crate) admission: Admission,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
}

impl<L: Listener> Server<L> {
    /// Serves until `shutdown` is done, then lets requests in flight end for at most `grace`.
    /// Whether they all did.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>, grace: Duration) -> bool {
        let slots = Arc::new(Semaphore::new(self.limits.connections as usize));
        let addresses = Addresses::new(self.limits.per_address());
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let connection = Connection {
            builder: Arc::new(builder(&self.limits)),
            tls: self.tls,
            answers: self.answers,
            admission: Arc::new(self.admission),
            limits: self.limits,
            metrics: self.metrics,
            failures: Arc::new(Failures::new()),
        };
        tokio::pin!(shutdown);
        loop {
            let accept = async {
                let slot = Arc::clone(&slots).acquire_owned().await;
                (slot, self.listener.accept().await)
            };
            let (slot, accepted) = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = accept => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let Some(place) = addresses.place(address.ip(), &connection.metrics) else {
                        continue;
                    };
                    let serve = connection.clone().serve(stream, address, graceful.watcher());
                    connections.spawn(async move {
                        serve.await;
                        // In this order: who was waiting for the slot finds the place free.
                        drop(place);
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self.listener);
        let ended = tokio::time::timeout(grace, graceful.shutdown()).await.is_ok();
        connections.shutdown().await;
        ended
    }
}

fn builder(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let header_bytes = limits.header_bytes.0;
    builder
        // A request of more than 100 headers is refused: as the server does by itself.
        .http1()
        .timer(TokioTimer::new())
        // It runs between two requests too: a header that is arriving is timed by `Paced`.
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(header_bytes as usize)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .max_pending_accept_reset_streams(RESETS_UNSEEN)
        .max_local_error_reset_streams(RESETS_BY_ERROR)
        .max_header_list_size(header_bytes)
        .initial_stream_window_size(limits.body_bytes.0.max(65_535))
        .keep_alive_interval(limits.idle_timeout / 2)
        .keep_alive_timeout(limits.idle_timeout / 2);
    builder
}

#[derive(Clone)]
struct Connection {
    builder: Arc<auto::Builder<TokioExecutor>>,
    tls: Option<Arc<Tls>>,
    answers: Answers,
    admission: Arc<Admission>,
    limits: Limits,
    metrics: Arc<Metrics>,
    failures: Arc<Failures>,
}

/// What the requests of one connection have in common.
struct Talk {
    answers: Answers,
    admission: Arc<Admission>,
    peer: Peer,
    requests: Requests,
}

impl Connection {
    async fn serve<S>(self, stream: S, address: SocketAddr, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _open = self.metrics.connection();
        match self.tls.as_ref().map(|tls| tls.current()) {
            None => {
                let peer = Peer { address, certificate: PeerCertificate::Absent };
                self.converse(stream, peer, watcher).await;
            }
            Some(config) => {
                let handshake = TlsAcceptor::from(config).accept(stream);
                match tokio::time::timeout(self.limits.handshake_timeout, handshake).await {
                    Ok(Ok(stream)) => {
                        let certificate = PeerCertificate::of(stream.get_ref().1.peer_certificates());
                        self.converse(stream, Peer { address, certificate }, watcher).await;
                    }
                    Ok(Err(error)) => self.failures.failed(address, &error, &self.metrics),
                    Err(_) => {
                        self.failures.too_slow(address, self.limits.handshake_timeout, &self.metrics);
                    }
                }
            }
        }
    }

    async fn converse<S>(self, stream: S, peer: Peer, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let address = peer.address;
        let Limits { handshake_timeout: first, request_timeout: header, idle_timeout: taken, .. } =
            self.limits;
        let requests = Requests::default();
        let stream = Paced::new(stream, Times { first, header, taken }, requests.clone());
        // One for all: a request counts one reference.
        let talk = Arc::new(Talk { answers: self.answers, admission: self.admission, peer, requests });
        let service = hyper::service::service_fn(move |request: http::Request<Incoming>| {
            let talk = Arc::clone(&talk);
            talk.requests.begun();
            async move {
                let Talk { answers, admission, peer, requests } = talk.as_ref();
                let answer = admission.admit(request, |request| answers.answer(request, peer)).await;
                requests.answered();
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = self.builder.serve_connection(TokioIo::new(stream), service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(%address, %error, "a connection ended with an error");
        }
    }
}
