//! The admin listener: metrics and status, for people and machines that operate the gateway.

mod status;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderValue, StatusCode, header};
use prometheus_client::registry::Registry;

use crate::http::{Told, health_routes};
use crate::replica::{Replica, Viewer};
use crate::report::{Census, Identity};

pub use status::{KeyStatus, NextEvent, Status};

/// `OpenMetrics` text, version 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin listener shows.
pub(crate) struct Admin {
    pub(crate) replica: Arc<Replica>,
    pub(crate) census: Arc<Census>,
    pub(crate) identity: Identity,
    pub(crate) registry: Registry,
    pub(crate) store: String,
}

impl Admin {
    pub(crate) fn routes(self) -> Router {
        let health = Told { replica: Arc::clone(&self.replica), viewer: Viewer::Operators };
        Router::new()
            .route("/metrics", get(metrics))
            .route("/status", get(show))
            .with_state(Arc::new(self))
            .merge(health_routes(health))
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &admin.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS))], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn show(State(admin): State<Arc<Admin>>) -> Response {
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (no_store, Json(Status::of(&admin))).into_response()
}
