//! HTTP on the gateway's port: published keys, forward-auth, health.

mod health;
mod verify;
mod well_known;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Limited;
use hyper::body::Incoming;
use tower::ServiceExt;

use crate::gatekeeper::Gatekeeper;
use crate::server::Peer;
use keystile_replica::{Replica, Viewer, is_grpc};

pub(crate) use health::Told;

/// Where forward-auth is asked.
pub(crate) const VERIFY: &str = "/verify";

/// What a listener answers.
#[derive(Clone)]
pub(crate) struct Answers {
    /// Asked at each call of each sandbox, and so before the router: the way through that takes longer than the verification
    /// of a token that is remembered.
    forward_auth: Option<Arc<Gatekeeper>>,
    /// All the rest.
    pub(crate) router: Router,
}

impl Answers {
    /// What `router` answers.
    pub(crate) fn of(router: Router) -> Self {
        Self { forward_auth: None, router }
    }

    /// The same, and forward-auth.
    pub(crate) fn with_forward_auth(self, gatekeeper: Arc<Gatekeeper>) -> Self {
        Self { forward_auth: Some(gatekeeper), ..self }
    }

    /// The answer to `peer`. Nobody looks at the body of a question to forward-auth.
    pub(crate) async fn answer(&self, request: Request<Limited<Incoming>>, peer: &Peer) -> Response {
        if let Some(gatekeeper) = self.forward_auth.as_ref().filter(|_| request.uri().path() == VERIFY) {
            return verify::verify(gatekeeper, request.headers(), peer).await;
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer.clone());
        let Ok(response) = self.router.clone().oneshot(request).await;
        response
    }
}

/// The routes that do not depend on gRPC.
pub(crate) fn routes(replica: &Arc<Replica>, scheme: &'static str) -> Router {
    let well_known = Router::new()
        .route("/.well-known/jwks.json", get(well_known::jwks))
        .route("/.well-known/openid-configuration", get(well_known::discovery))
        .with_state(well_known::Published { replica: Arc::clone(replica), scheme });
    let told = Told { replica: Arc::clone(replica), viewer: Viewer::Everybody };
    well_known.merge(health_routes(told)).fallback(nothing_here)
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
