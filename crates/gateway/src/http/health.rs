//! Liveness and readiness.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use keystile_replica::{Replica, Viewer};

/// Who is told how which replica is.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) replica: Arc<Replica>,
    pub(crate) viewer: Viewer,
}

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether requests should be sent here, and what is wrong.
pub(super) async fn readyz(State(Told { replica, viewer }): State<Told>) -> Response {
    let readiness = replica.readiness(&replica.held(), replica.moment(), viewer);
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (code, no_store, Json(readiness)).into_response()
}
