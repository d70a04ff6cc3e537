//! HTTP on the gateway's port: published keys, forward-auth, health.

mod health;
mod verify;
mod well_known;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use http::{HeaderMap, StatusCode};

use crate::gatekeeper::Gatekeeper;
use keystile_replica::{Viewer, is_grpc};

pub(crate) use health::Told;

/// The routes that do not depend on gRPC.
pub(crate) fn routes(gatekeeper: Arc<Gatekeeper>, scheme: &'static str) -> Router {
    let well_known = Router::new()
        .route("/.well-known/jwks.json", get(well_known::jwks))
        .route("/.well-known/openid-configuration", get(well_known::discovery))
        .with_state(well_known::Published { replica: Arc::clone(&gatekeeper.replica), scheme });
    let replica = Arc::clone(&gatekeeper.replica);
    Router::new()
        .route("/verify", any(verify::verify))
        .with_state(gatekeeper)
        .merge(well_known)
        .merge(health_routes(Told { replica, viewer: Viewer::Everybody }))
        .fallback(nothing_here)
}

/// Liveness and readiness, which both listeners answer.
pub(crate) fn health_routes(told: Told) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .with_state(told)
}

/// An unknown path: each protocol is told so in its own way.
async fn nothing_here(headers: HeaderMap) -> Response {
    if is_grpc(&headers) {
        return tonic::Status::unimplemented("no such method on this gateway").into_http();
    }
    StatusCode::NOT_FOUND.into_response()
}
