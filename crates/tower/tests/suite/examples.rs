//! The examples, as they are.

use http::StatusCode;
use http_body_util::BodyExt;
use keystile_proto::keystile::v1::WhoAmIRequest;
use keystile_proto::keystile::v1::keystile_client::KeystileClient;
use keystile_tower::Verifier;
use tokio::net::TcpListener;
use tonic::transport::Endpoint;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::web::{broken_off, get_with, open, renew_with, text};
use crate::world::*;

#[allow(dead_code, clippy::print_stdout, reason = "it is an example")]
#[path = "../../examples/axum.rs"]
mod axum_example;

#[allow(dead_code, clippy::print_stdout, reason = "it is an example")]
#[path = "../../examples/tonic.rs"]
mod tonic_example;

async fn verifier(world: &World) -> Verifier {
    Verifier::of_directory(world.directory.path().join("keyring")).await.expect("there is a keyring")
}

#[tokio::test]
async fn the_axum_example_streams_until_its_token_is_revoked() {
    let world = World::in_real_time(policy()).await;
    let app = axum_example::app(&verifier(&world).await).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    assert_eq!(get_with(addr, "/readyz", &[]).await.status(), StatusCode::OK);
    assert_eq!(get_with(addr, "/whoami", &[]).await.status(), StatusCode::UNAUTHORIZED);
    let token = world.token().await;
    assert_eq!(text(open(addr, "/whoami", &token).await).await, "sandbox-1\n");
    let mut stream = open(addr, "/events", &token).await;
    let first = soon("the first event", stream.frame()).await.expect("a frame").expect("no error");
    assert_eq!(first.into_data().unwrap(), "data: 0\n\n");
    let id = stream.headers()["x-keystile-stream"].to_str().unwrap().to_owned();
    assert_eq!(renew_with(addr, &id, &world.token().await).await.0, StatusCode::NO_CONTENT);
    world.revoke().await;
    broken_off(stream).await;
}

#[tokio::test]
async fn the_tonic_example_renews_a_watch_until_its_token_is_revoked() {
    let world = World::in_real_time(policy()).await;
    let verifier = verifier(&world).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { tonic_example::serve(&verifier, listener).await });
    let channel = Endpoint::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
    let bearer = format!("Bearer {}", world.token().await);
    let mut asked = Request::new(HealthCheckRequest::default());
    asked.metadata_mut().insert("authorization", bearer.parse().unwrap());
    let mut watch = HealthClient::new(channel.clone()).watch(asked).await.unwrap();
    let id = watch.metadata().get("x-keystile-stream").expect("its id").clone();
    watch.get_mut().message().await.unwrap().expect("the first word");
    let mut client = KeystileClient::new(channel);
    let who = |token: String| {
        let mut asked = Request::new(WhoAmIRequest::default());
        asked.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        asked.metadata_mut().insert("x-keystile-stream", id.clone());
        asked
    };
    let other = client.who_am_i(who(world.token_of("sandbox-2").await)).await.unwrap_err();
    assert_eq!(other.code(), Code::FailedPrecondition);
    let renewed = client.who_am_i(who(world.token().await)).await.unwrap().into_inner();
    assert_eq!(renewed.sandbox_id, "sandbox-1");
    world.revoke().await;
    let end = soon("the end of the stream", watch.get_mut().message()).await.unwrap_err();
    assert_eq!((end.code(), end.message()), (Code::Unauthenticated, "signing key not accepted"));
}
