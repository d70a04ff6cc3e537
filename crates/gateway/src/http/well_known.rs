//! The published keys, for outside verifiers.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::Serialize;

use keystile_replica::RETRY_AFTER;
use keystile_replica::{Held, Replica};

/// What is published from.
#[derive(Clone)]
pub(super) struct Published {
    pub(super) replica: Arc<Replica>,
    pub(super) scheme: &'static str,
}

/// The JWK Set: every key whose tokens can be good.
pub(super) async fn jwks(State(published): State<Published>, headers: HeaderMap) -> Response {
    let (held, moment) = (published.replica.held(), published.replica.moment());
    if !held.fresh_to_verify(moment) {
        return unavailable();
    }
    let mut set = held.keyring.jwk_set(moment.now);
    set.keys.retain(|key| !held.overrule.revoked.iter().any(|kid| kid.as_str() == key.kid));
    if set.keys.is_empty() {
        // An empty set would tell verifiers to forget every key (invariant I9).
        return unavailable();
    }
    document(&set, &held, &headers)
}

/// The discovery document.
pub(super) async fn discovery(State(published): State<Published>, uri: Uri, headers: HeaderMap) -> Response {
    let held = published.replica.held();
    let host = headers.get(header::HOST).map(HeaderValue::to_str).and_then(Result::ok).map(str::parse);
    let authority: Option<Authority> = host.and_then(Result::ok).or_else(|| uri.authority().cloned());
    let Some(authority) = authority.filter(|authority| !authority.as_str().contains('@')) else {
        return (StatusCode::BAD_REQUEST, "the request names no host\n").into_response();
    };
    let base = format!("{}://{authority}", scheme(&headers, published.scheme));
    let mut response = document(&held.keyring.discovery(&base), &held, &headers);
    // A cache must not hand one host's document to the callers of another.
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("host, x-forwarded-proto"));
    response
}

/// The scheme that the caller used, which a proxy in front may know better.
fn scheme(headers: &HeaderMap, own: &'static str) -> &'static str {
    let forwarded = headers.get("x-forwarded-proto").and_then(|value| value.to_str().ok());
    match forwarded.and_then(|value| value.split(',').next()).map(str::trim) {
        Some("http") => "http",
        Some("https") => "https",
        _ => own,
    }
}

/// A JSON document with its validator. Verifiers may keep it for half of what policy lets them, since
/// a copy may be handed on by a cache that kept it as long.
fn document(content: &impl Serialize, held: &Held, headers: &HeaderMap) -> Response {
    let Ok(body) = serde_json::to_vec(content) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let digest = keystile_token::digest(&body).to_string();
    let tag = format!("\"{}-{}\"", held.generation(), digest.get(..16).unwrap_or_default());
    let max_age = held.keyring.manifest().policy.verifier_cache / 2;
    let (Ok(tag_value), Ok(cache)) =
        (HeaderValue::from_str(&tag), HeaderValue::from_str(&format!("public, max-age={max_age}")))
    else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let validators = [(header::ETAG, tag_value), (header::CACHE_CONTROL, cache)];
    if matches(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, validators).into_response();
    }
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (validators, json, body).into_response()
}

/// `If-None-Match`, by weak comparison (RFC 9110 section 13.1.2).
fn matches(headers: &HeaderMap, tag: &str) -> bool {
    let lists = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|given| given == "*" || given.trim_start_matches("W/") == tag)
}

fn unavailable() -> Response {
    let seconds = HeaderValue::from(RETRY_AFTER.as_secs().max(1));
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)]).into_response()
}
