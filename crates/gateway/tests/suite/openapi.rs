//! The OpenAPI document of the HTTP surface: it has every route, and what is answered is as it says.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use keystile_gateway::Config;
use keystile_gateway::endpoints::HTTP;
use keystile_keyring::plan::Verb;
use serde_json::Value;

use crate::client::*;
use crate::validator::{resolve, validate};
use crate::world::*;

const EVERY_METHOD: [&str; 8] = ["delete", "get", "head", "options", "patch", "post", "put", "trace"];

fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/openapi.json");
    serde_json::from_slice(&std::fs::read(path).expect("the document is there")).expect("JSON")
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn every_route_is_described_and_no_other() {
    let document = document();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for operation in methods.as_object().expect("methods").values() {
            for tag in operation["tags"].as_array().expect("tags") {
                described.insert((tag == "admin", path.as_str()));
            }
        }
    }
    let listed: BTreeSet<_> = HTTP.iter().map(|endpoint| (endpoint.admin, endpoint.path)).collect();
    assert_eq!(described, listed);
    for endpoint in HTTP {
        let methods = keys(&document["paths"][endpoint.path]);
        let expected: &[&str] = if endpoint.any_method { &EVERY_METHOD } else { &["get"] };
        assert!(methods.into_iter().eq(expected.iter().copied()), "{}", endpoint.path);
    }
}

/// Asks, and fails unless the document describes the answer: its code, headers, type and body.
async fn asked(gateway: &Running, admin: bool, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let document = document();
    let addr = if admin { gateway.admin } else { gateway.addr };
    let method = Method::from_bytes(method.as_bytes()).expect("a method");
    let mut request = Request::builder().method(&method).uri(format!("http://{addr}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.request(request.body(Empty::new()).expect("a request")).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    let code = head.status.as_u16();
    let what = format!("{method} {path} {headers:?}: {code} {:?} {body:?}", head.headers);
    let operation = &document["paths"][path][method.as_str().to_ascii_lowercase()];
    let described = resolve(&operation["responses"][code.to_string()], &document);
    assert!(described.is_object(), "not described: {what}");
    for (name, header) in described["headers"].as_object().into_iter().flatten() {
        let header = resolve(header, &document);
        match head.headers.get(name) {
            Some(value) => {
                let value = Value::from(value.to_str().expect("ASCII"));
                assert_eq!(validate(&header["schema"], &document, &value), Ok(()), "{name} of {what}");
            }
            None => assert_ne!(header["required"], true, "{name} is missing: {what}"),
        }
    }
    let kind = head.headers.get("content-type").map(|kind| kind.to_str().expect("ASCII").to_owned());
    match (kind, described.get("content")) {
        (None, None) => assert!(body.is_empty(), "{what}"),
        // The one code that some answers have a body with, and some not.
        (None, Some(_)) if code == 503 => assert!(body.is_empty(), "{what}"),
        (Some(kind), Some(content)) => {
            let bare = kind.split(';').next().expect("a first part");
            let schema = &content[bare]["schema"];
            let text = std::str::from_utf8(&body).expect("text");
            let value = match bare {
                "application/json" => serde_json::from_str(text).expect("JSON"),
                _ => Value::from(text),
            };
            assert_eq!(validate(schema, &document, &value), Ok(()), "{what}");
        }
        (kind, content) => panic!("{kind:?} where {content:?} is described: {what}"),
    }
    code
}

#[tokio::test]
async fn what_is_answered_is_as_described() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let old = format!("Bearer {}", world.token().await);
    verify(gateway.addr, old.trim_start_matches("Bearer ")).await;
    world.rotate().await;
    world.apply(Verb::Prepare { no_rollback: false }, None).await;
    until_generation(gateway.admin, 3).await;
    let new = format!("Bearer {}", world.token().await);
    let ask =
        async |admin, path, headers: &[(&str, &str)]| asked(&gateway, admin, "GET", path, headers).await;
    for endpoint in HTTP.iter().filter(|endpoint| !endpoint.any_method) {
        assert_eq!(ask(endpoint.admin, endpoint.path, &[]).await, 200, "{endpoint:?}");
    }
    for method in EVERY_METHOD.map(str::to_ascii_uppercase) {
        for (headers, code) in [
            (vec![], 401),
            (vec![("authorization", "Bearer x")], 401),
            (vec![("authorization", "Bearer x"), ("authorization", "Bearer y")], 401),
            (vec![("authorization", old.as_str())], 200),
            (vec![("authorization", new.as_str())], 200),
        ] {
            assert_eq!(asked(&gateway, false, &method, "/verify", &headers).await, code, "{method}");
        }
    }
    assert_eq!(ask(true, "/status", &[("accept", "text/html")]).await, 200);
    let (jwks, discovery) = ("/.well-known/jwks.json", "/.well-known/openid-configuration");
    for path in [jwks, discovery] {
        assert_eq!(ask(false, path, &[("if-none-match", "*")]).await, 304);
    }
    assert_eq!(ask(false, discovery, &[("host", "user@evil")]).await, 400);
}

#[tokio::test]
async fn what_is_answered_when_nothing_is_confirmed_is_as_described() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    world.store.fail(true);
    world.clock.advance(3601);
    let token = format!("Bearer {}", world.token().await);
    let ask =
        async |admin, path, headers: &[(&str, &str)]| asked(&gateway, admin, "GET", path, headers).await;
    assert_eq!(ask(false, "/.well-known/jwks.json", &[]).await, 503);
    assert_eq!(ask(false, "/verify", &[("authorization", &token)]).await, 503);
    for admin in [false, true] {
        assert_eq!(ask(admin, "/readyz", &[]).await, 503);
    }
    assert_eq!(ask(true, "/status", &[]).await, 200);
}

#[tokio::test]
async fn what_is_answered_to_more_requests_than_are_served_is_as_described() {
    let world = World::begun().await;
    let mut config: Config = config();
    config.limits.requests = 0;
    let gateway = world.gateway_with(config).await.expect("it starts");
    for endpoint in HTTP {
        assert_eq!(asked(&gateway, endpoint.admin, "GET", endpoint.path, &[]).await, 503, "{endpoint:?}");
    }
}
