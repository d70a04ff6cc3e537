//! The token on other calls, and what their answers lead to.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::sync::Arc;
use std::sync::Mutex;

use common::{Answer, Gateway, TestClock, config, reach, start};
use http::header::{AUTHORIZATION, HeaderMap};
use http::{Request, Response, StatusCode};
use keystile_proto::keystile::v1::keystile_client::KeystileClient;
use keystile_proto::keystile::v1::keystile_server::{Keystile, KeystileServer};
use keystile_proto::keystile::v1::{WhoAmIRequest, WhoAmIResponse};
use keystile_supervisor::{Origin, Source, State, Supervisor};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};
use tower::{BoxError, Layer as _, ServiceExt as _};

async fn fresh_by(supervisor: &Supervisor, origin: Origin) {
    reach(supervisor, |state| matches!(state, State::Fresh(lease) if lease.origin == origin)).await;
}

/// Knows one token, and says so.
#[derive(Clone, Default)]
struct Peer {
    known: Arc<Mutex<String>>,
}

#[tonic::async_trait]
impl Keystile for Peer {
    async fn who_am_i(
        &self,
        request: tonic::Request<WhoAmIRequest>,
    ) -> Result<tonic::Response<WhoAmIResponse>, Status> {
        let presented = request.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
        if presented == format!("Bearer {}", self.known.lock().unwrap()) {
            return Ok(tonic::Response::new(WhoAmIResponse::default()));
        }
        Err(Status::unauthenticated("invalid token"))
    }
}

impl Peer {
    async fn listen(&self) -> Channel {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = KeystileServer::new(self.clone());
        tokio::spawn(
            Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)),
        );
        Endpoint::from_shared(url).unwrap().connect_lazy()
    }

    fn learn(&self, supervisor: &Supervisor) {
        self.known.lock().unwrap().replace_range(.., supervisor.token().unwrap().expose());
    }
}

#[tokio::test]
async fn the_layer_presents_the_token_and_reports_rejections() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    fresh_by(&supervisor, Origin::Issued).await;
    let peer = Peer::default();
    let mut client = KeystileClient::new(supervisor.layer().layer(peer.listen().await));

    peer.learn(&supervisor);
    client.who_am_i(WhoAmIRequest {}).await.unwrap();
    assert_eq!(supervisor.counters().forced, 0);

    peer.known.lock().unwrap().clear();
    let refused = client.who_am_i(WhoAmIRequest {}).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    fresh_by(&supervisor, Origin::Renewed).await;
    assert_eq!(supervisor.counters().forced, 1);

    peer.learn(&supervisor);
    client.who_am_i(WhoAmIRequest {}).await.unwrap();
}

#[tokio::test]
async fn the_interceptor_presents_the_token() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    supervisor.ready().await.unwrap();
    let peer = Peer::default();
    peer.learn(&supervisor);
    let mut client = KeystileClient::with_interceptor(peer.listen().await, supervisor.interceptor());
    client.who_am_i(WhoAmIRequest {}).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_sent() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Silence);
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let unreachable =
        tower::service_fn(|_: Request<()>| async { panic!("sent") as Result<Response<()>, BoxError> });
    let error = supervisor.layer().layer(unreachable).oneshot(Request::new(())).await.unwrap_err();
    assert_eq!(error.downcast::<Status>().unwrap().code(), Code::Unavailable);

    let mut interceptor = supervisor.interceptor();
    let error = tonic::service::Interceptor::call(&mut interceptor, tonic::Request::new(())).unwrap_err();
    assert_eq!(error.code(), Code::Unavailable);
}

/// What a plain HTTP service may answer, and whether that is a rejection.
#[tokio::test(start_paused = true)]
async fn rejections_are_told_from_other_answers() {
    let grpc = |code: &str| HeaderMap::from_iter([("grpc-status".parse().unwrap(), code.parse().unwrap())]);
    let cases = [
        (StatusCode::OK, HeaderMap::new(), false),
        (StatusCode::FORBIDDEN, HeaderMap::new(), false),
        (StatusCode::INTERNAL_SERVER_ERROR, HeaderMap::new(), false),
        (StatusCode::OK, grpc("0"), false),
        (StatusCode::OK, grpc("7"), false),
        (StatusCode::OK, grpc("14"), false),
        (StatusCode::OK, grpc("16"), true),
        (StatusCode::UNAUTHORIZED, HeaderMap::new(), true),
    ];
    for (status, headers, is_rejection) in cases {
        let clock = TestClock::new();
        let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
        let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
        let token = supervisor.ready().await.unwrap();
        fresh_by(&supervisor, Origin::Issued).await;
        let service = tower::service_fn(|request: Request<()>| {
            assert_eq!(request.headers().get_all(AUTHORIZATION).iter().count(), 1);
            assert_eq!(request.headers()[AUTHORIZATION], token.header());
            assert!(request.headers()[AUTHORIZATION].is_sensitive());
            let mut answer = Response::new(());
            *answer.status_mut() = status;
            *answer.headers_mut() = headers.clone();
            async { Ok::<_, BoxError>(answer) }
        });
        let mut request = Request::new(());
        request.headers_mut().insert(AUTHORIZATION, "Basic something".parse().unwrap());
        supervisor.layer().layer(service).oneshot(request).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_mins(1)).await;
        assert_eq!(supervisor.counters().forced, u64::from(is_rejection), "{status} {headers:?}");
    }
}
