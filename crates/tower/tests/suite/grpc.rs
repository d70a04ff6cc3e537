//! Tonic services behind the layer.

use std::net::SocketAddr;

use keystile_testkit::Fault;
use keystile_tower::VerifyLayer;
use tokio::net::TcpListener;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::{ServerReflectionRequest, ServerReflectionResponse};

use crate::world::*;

/// Health, whose watch goes on for ever, and reflection, which is asked in a stream and answers in one.
async fn serve(layer: VerifyLayer) -> (SocketAddr, Channel) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .unwrap();
    let server = Server::builder().layer(layer).add_service(health).add_service(reflection);
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Endpoint::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
    (addr, channel)
}

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

async fn check(channel: &Channel, token: &str) -> Result<(), Status> {
    let asked = with_token(HealthCheckRequest::default(), token);
    HealthClient::new(channel.clone()).check(asked).await.map(|_| ())
}

/// The service's health as it changes, after the first word.
async fn watch(channel: &Channel, token: &str) -> Streaming<HealthCheckResponse> {
    let asked = with_token(HealthCheckRequest::default(), token);
    let mut watch = HealthClient::new(channel.clone()).watch(asked).await.unwrap().into_inner();
    watch.message().await.unwrap().expect("the first word");
    watch
}

#[tokio::test]
async fn a_caller_is_let_in_or_told_why_not() {
    let world = World::with(soon_stale()).await;
    let (_, channel) = serve(world.verifier().await.layer()).await;
    let token = world.token().await;
    check(&channel, &token).await.expect("a good token");
    let refused = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "missing authorization header"));
    let refused = check(&channel, "a.b.c").await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::Unauthenticated, "invalid token"));
    world.store.fail(Fault::Unreachable);
    world.manual.advance(3601);
    let refused = check(&channel, &token).await.unwrap_err();
    let again = refused.metadata().get("retry-after-ms").expect("when to come again");
    assert_eq!((refused.code(), again.to_str().unwrap()), (Code::Unavailable, "1000"));
}

#[tokio::test]
async fn a_revocation_ends_a_server_stream_with_a_status() {
    let world = World::begun().await;
    let verifier = world.verifier().await;
    let (_, channel) = serve(verifier.layer()).await;
    let mut stream = watch(&channel, &world.token().await).await;
    world.revoke().await;
    let end = soon("the end of the stream", stream.message()).await.unwrap_err();
    assert_eq!((end.code(), end.message()), (Code::Unauthenticated, "signing key not accepted"));
    until("no stream is open", || verifier.open_streams() == 0).await;
    let fresh = world.token().await;
    check(&channel, &fresh).await.expect("the connection itself goes on");
}

#[tokio::test]
async fn expiry_ends_a_server_stream_with_a_status() {
    let world = World::with(quick()).await;
    let (_, channel) = serve(world.verifier().await.layer()).await;
    let mut stream = watch(&channel, &world.token().await).await;
    world.manual.advance(3661);
    let end = soon("the end of the stream", stream.message()).await.unwrap_err();
    assert_eq!((end.code(), end.message()), (Code::Unauthenticated, "invalid token: ExpiredSignature"));
}

#[tokio::test]
async fn a_revocation_ends_a_stream_of_questions_and_answers() {
    let world = World::begun().await;
    let verifier = world.verifier().await;
    let (_, channel) = serve(verifier.layer()).await;
    let (questions, asked) = tokio::sync::mpsc::channel(4);
    let question = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    questions.send(question.clone()).await.unwrap();
    let asked = with_token(tokio_stream::wrappers::ReceiverStream::new(asked), &world.token().await);
    let mut client = ServerReflectionClient::new(channel.clone());
    let mut answers: Streaming<ServerReflectionResponse> =
        client.server_reflection_info(asked).await.unwrap().into_inner();
    answers.next().await.expect("an answer").expect("no error");
    world.revoke().await;
    let end = soon("the end of the stream", answers.message()).await.unwrap_err();
    assert_eq!((end.code(), end.message()), (Code::Unauthenticated, "signing key not accepted"));
    until("no stream is open", || verifier.open_streams() == 0).await;
}
