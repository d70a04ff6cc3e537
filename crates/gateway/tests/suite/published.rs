//! What outside verifiers fetch.

use http::StatusCode;
use keystile_keyring::plan::Verb;

use crate::client::*;
use crate::world::*;

const JWKS: &str = "/.well-known/jwks.json";
const DISCOVERY: &str = "/.well-known/openid-configuration";

fn kids(answer: &Answer) -> Vec<String> {
    let keys = answer.json()["keys"].as_array().expect("keys").clone();
    keys.iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

#[tokio::test]
async fn t43_the_jwk_set_holds_every_kid_whose_tokens_can_be_alive() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let first = world.active().await;
    world.apply(Verb::Prepare { no_rollback: false }, None).await;
    until_generation(gateway.admin, 2).await;
    let prepared = kids(&get(gateway.addr, JWKS).await);
    assert_eq!(prepared.len(), 2, "a prepared key is published before it signs");
    let second = world.rotate().await;
    until_generation(gateway.admin, 3).await;
    let rotated = kids(&get(gateway.addr, JWKS).await);
    assert!(rotated.contains(&first.to_string()) && rotated.contains(&second.to_string()), "{rotated:?}");
    world.apply(Verb::Revoke { kid: first.clone(), descendants: false }, Some("stolen")).await;
    until_generation(gateway.admin, 4).await;
    let revoked = kids(&get(gateway.addr, JWKS).await);
    assert!(!revoked.contains(&first.to_string()) && revoked.contains(&second.to_string()), "{revoked:?}");
}

#[tokio::test]
async fn t44_the_jwk_set_may_be_kept_for_half_of_the_verifiers_cache_and_its_tag_changes() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let before = get(gateway.addr, JWKS).await;
    assert_eq!(before.header("cache-control"), Some("public, max-age=150"), "verifier_cache is 300 s");
    assert_eq!(before.header("content-type"), Some("application/json"));
    let tag = before.header("etag").expect("a tag").to_owned();
    let same = get_with(gateway.addr, JWKS, &[("if-none-match", &format!("\"other\", W/{tag}"))]).await;
    assert_eq!((same.code, same.body.as_str()), (StatusCode::NOT_MODIFIED, ""));
    assert_eq!(same.header("etag"), Some(tag.as_str()));
    world.apply(Verb::Prepare { no_rollback: false }, None).await;
    until_generation(gateway.admin, 2).await;
    let after = get_with(gateway.addr, JWKS, &[("if-none-match", &tag)]).await;
    assert_eq!(after.code, StatusCode::OK);
    assert_ne!(after.header("etag"), Some(tag.as_str()));
}

#[tokio::test]
async fn the_tag_changes_when_a_key_retires_by_itself() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    world.rotate().await;
    until_generation(gateway.admin, 2).await;
    let before = get(gateway.addr, JWKS).await;
    world.clock.advance(3 * 3600);
    until("confirmation", || async {
        (status(gateway.admin).await.confirmed_seconds_ago == 0).then_some(())
    })
    .await;
    let after = get(gateway.addr, JWKS).await;
    assert_eq!((kids(&before).len(), kids(&after).len()), (2, 1));
    assert_ne!(before.header("etag"), after.header("etag"));
}

#[tokio::test]
async fn the_discovery_document_names_the_host_that_was_asked() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let plain = get(gateway.addr, DISCOVERY).await;
    assert_eq!(plain.json()["jwks_uri"], format!("http://{}{JWKS}", gateway.addr));
    assert_eq!(plain.header("vary"), Some("host, x-forwarded-proto"));
    assert_eq!(plain.json()["issuer"], "openshell-gateway:openshell");
    let proxied = [("host", "gw.example:8443"), ("x-forwarded-proto", "https, http")];
    let proxied = get_with(gateway.addr, DISCOVERY, &proxied).await;
    assert_eq!(proxied.json()["jwks_uri"], format!("https://gw.example:8443{JWKS}"));
    let odd = [("x-forwarded-proto", "javascript"), ("host", "user@evil")];
    assert_eq!(get_with(gateway.addr, DISCOVERY, &odd).await.code, StatusCode::BAD_REQUEST);
}
