//! Credentials for extension services.

use keystile_gateway::Config;
use keystile_token::inspect;
use tonic::Code;

use crate::client::*;
use crate::world::*;

const AUDIENCE: &str = "urn:openshell:extension:middleware:scan";

fn with_services() -> Config {
    let services = [("scan", AUDIENCE), ("log", "urn:openshell:extension:interceptor:log")];
    let extension_services = services.map(|(name, audience)| (name.to_owned(), audience.to_owned())).into();
    Config { extension_services, ..config() }
}

#[tokio::test]
async fn credentials_come_with_a_refresh_in_the_order_of_their_names() {
    let world = World::begun().await;
    let gateway = world.gateway_with(with_services()).await.expect("it starts");
    let channel = channel(gateway.addr).await;
    let token = world.token().await;
    let answer = refresh_with(&channel, Some(&token), &["scan", "log"]).await.expect("both are configured");
    let names: Vec<_> =
        answer.extension_credentials.iter().map(|found| found.service_name.as_str()).collect();
    assert_eq!(names, ["scan", "log"]);
    let credential = &answer.extension_credentials[0];
    let seen = inspect(credential.token.as_bytes()).expect("a token");
    assert_eq!(seen.header["typ"], "openshell-ext+jwt");
    assert_eq!(seen.claims["aud"], AUDIENCE);
    assert_eq!(seen.claims["caller_kind"], "supervisor");
    assert_eq!(seen.claims["sandbox_id"], SANDBOX);
    assert_eq!(credential.expires_at_ms, answer.expires_at_ms, "3,600 s is the longest for either");
    let minted = metric(gateway.admin, "keystile_mints_total{operation=\"extension\"}").await;
    assert_eq!(minted, Some(2.0));
}

#[tokio::test]
async fn names_are_checked_in_openshells_order() {
    let world = World::begun().await;
    let gateway = world.gateway_with(with_services()).await.expect("it starts");
    let channel = channel(gateway.addr).await;
    let token = world.token().await;
    let many: Vec<String> = (0..65).map(|number| format!("s{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let cases: [(&[&str], Code, &str); 5] = [
        (&many, Code::InvalidArgument, "at most 64 extension services may be named"),
        (&["scan", " "], Code::InvalidArgument, "an extension service name has 1 to 256 bytes"),
        (&["scan", "scan"], Code::InvalidArgument, "an extension service is named twice"),
        (&["mail"], Code::PermissionDenied, "extension service 'mail' is not selected by the sandbox policy"),
        (
            &["a\nb"],
            Code::PermissionDenied,
            "extension service 'a\\nb' is not selected by the sandbox policy",
        ),
    ];
    for (names, code, text) in cases {
        let status = refresh_with(&channel, Some(&token), names).await.expect_err(text);
        assert_eq!((status.code(), status.message()), (code, text));
    }
}

#[tokio::test]
async fn ten_requests_in_a_minute_and_plain_refreshes_are_not_counted() {
    let world = World::begun().await;
    let gateway = world.gateway_with(with_services()).await.expect("it starts");
    let channel = channel(gateway.addr).await;
    let token = world.token().await;
    for _ in 0..10 {
        refresh_with(&channel, Some(&token), &["scan"]).await.expect("within the limit");
    }
    let status = refresh_with(&channel, Some(&token), &["scan"]).await.expect_err("the eleventh");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(status.message(), "extension credential minting rate limit exceeded for this sandbox");
    refresh(&channel, Some(&token)).await.expect("a plain refresh");
    world.clock.advance(60);
    refresh_with(&channel, Some(&token), &["scan"]).await.expect("a minute later");
}
