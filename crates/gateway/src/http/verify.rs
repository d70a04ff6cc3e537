//! `/verify`: forward-auth for nginx, Traefik and Caddy.
//!
//! The answer is made from nothing but the token: no header of the request comes back.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use keystile_replica::{Bearer, RETRY_AFTER, Refused};

use crate::gatekeeper::{Caller, Gatekeeper};
use crate::server::Peer;

const SANDBOX: HeaderName = HeaderName::from_static("x-sandbox-id");
const KID: HeaderName = HeaderName::from_static("x-keystile-kid");
const STATE: HeaderName = HeaderName::from_static("x-keystile-key-state");

/// Whether the bearer in the request's headers is good.
pub(super) async fn verify(gatekeeper: &Gatekeeper, headers: &HeaderMap, peer: &Peer) -> Response {
    let mut response = match gatekeeper.caller(headers, peer).await {
        Ok(caller) => accepted(&caller),
        Err(Refused::Unavailable) => {
            let seconds = HeaderValue::from(RETRY_AFTER.as_secs().max(1));
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, seconds)]).into_response()
        }
        Err(refused) => {
            let challenge = HeaderValue::from_static(refused.challenge(Bearer::of(headers)));
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response()
        }
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn accepted(caller: &Caller) -> Response {
    // Both were checked to be visible ASCII when they were read.
    let header = |text: &str| HeaderValue::from_str(text).ok();
    let accepted = &caller.accepted;
    let (Some(sandbox), Some(kid)) =
        (header(accepted.claims.sandbox_id.as_str()), header(accepted.kid.as_str()))
    else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let state = HeaderValue::from_static(accepted.state.as_str());
    (StatusCode::OK, [(SANDBOX, sandbox), (KID, kid), (STATE, state)]).into_response()
}
