//! The admin listener: metrics and status, for people and machines that operate the gateway.

mod page;
mod status;

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prometheus_client::registry::Registry;

use crate::http::{Told, health_routes};
use crate::report::{Census, Identity};
use crate::tls::Tls;
use keystile_replica::{Replica, Viewer};

pub use status::{KeyStatus, NextEvent, Status};

/// `OpenMetrics` text, version 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin listener shows.
pub(crate) struct Admin {
    pub(crate) replica: Arc<Replica>,
    pub(crate) census: Arc<Census>,
    pub(crate) identity: Identity,
    pub(crate) registry: Registry,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) store: String,
}

impl Admin {
    pub(crate) fn routes(self) -> Router {
        let health = Told { replica: Arc::clone(&self.replica), viewer: Viewer::Operators };
        Router::new()
            .route("/metrics", get(metrics))
            .route("/status", get(show))
            .route("/", get(page))
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

/// JSON, or the page for whoever prefers one: a browser says so, `curl` does not.
async fn show(state: State<Arc<Admin>>, headers: HeaderMap) -> Response {
    if wants_page(&headers) {
        return page(state).await;
    }
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    let vary = [(header::VARY, HeaderValue::from_static("accept"))];
    (no_store, vary, Json(Status::of(&state))).into_response()
}

async fn page(State(admin): State<Arc<Admin>>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::VARY, "accept"),
        (header::CONTENT_SECURITY_POLICY, page::POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, page::html(&Status::of(&admin))).into_response()
}

/// Whether HTML is named before JSON in `Accept`.
fn wants_page(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut ranges =
        values.flat_map(|value| value.split(',')).map(|range| range.split(';').next().unwrap_or(range));
    let first = ranges.find(|range| matches!(range.trim(), "text/html" | "application/json"));
    first.is_some_and(|range| range.trim() == "text/html")
}
