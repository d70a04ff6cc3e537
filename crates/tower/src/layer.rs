//! The layer: in front of a service, who calls; around its streams, until when.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response, header};
use http_body::Body;
use keystile_replica::is_grpc;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::Live;
use crate::lease::Lease;
use crate::verifier::Verifier;

/// The header, or metadata, in which a response that goes on says its stream's id.
pub const STREAM: HeaderName = HeaderName::from_static("x-keystile-stream");

/// The longest grace.
pub const MAX_GRACE: Duration = Duration::from_mins(5);

/// A grace that is longer than [`MAX_GRACE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a grace of {} s is too long; the longest is {} s: give tokens a longer life instead", .0.as_secs(), MAX_GRACE.as_secs())]
pub struct GraceTooLong(pub Duration);

/// Puts [`Verify`] in front of a service.
#[derive(Clone, Debug)]
pub struct VerifyLayer {
    verifier: Verifier,
    grace: u64,
}

impl VerifyLayer {
    pub(crate) fn new(verifier: Verifier) -> Self {
        Self { verifier, grace: 0 }
    }

    /// How long a stream outlives the end of its token, in wait of a fresh one; none unless it is said. In whole
    /// seconds. Only for a token that has merely expired: a revocation has no grace, and no stream outlives its key.
    pub fn grace(self, grace: Duration) -> Result<Self, GraceTooLong> {
        if grace > MAX_GRACE {
            return Err(GraceTooLong(grace));
        }
        Ok(Self { grace: grace.as_secs(), ..self })
    }
}

impl<S> Layer<S> for VerifyLayer {
    type Service = Verify<S>;

    fn layer(&self, inner: S) -> Verify<S> {
        Verify { inner, layer: self.clone() }
    }
}

/// Lets requests through to a service that present a good token, and ends their streams with it.
#[derive(Clone, Debug)]
pub struct Verify<S> {
    inner: S,
    layer: VerifyLayer,
}

impl<S, B, R> Service<Request<B>> for Verify<S>
where
    S: Service<Request<Live<B>>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    R: Body,
{
    type Response = Response<Live<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let clone = self.inner.clone();
        // The one that is ready.
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let VerifyLayer { verifier, grace } = self.layer.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            let grpc = is_grpc(&head.headers);
            let (lease, accepted) = match verifier.admit(&head.headers, grace).await {
                Ok(admitted) => admitted,
                Err(refusal) if grpc => return Ok(refusal.grpc()),
                Err(refusal) => return Ok(refusal.http()),
            };
            if let Some(bearer) = head.headers.get_mut(header::AUTHORIZATION) {
                // Whatever prints the headers from here on leaves it out.
                bearer.set_sensitive(true);
            }
            head.extensions.insert(accepted.claims.sandbox_id.clone());
            head.extensions.insert(accepted);
            head.extensions.insert(lease.clone());
            let over = body.is_end_stream();
            let body = if over { Live::whole(body) } else { Live::broken_off(body, lease.clone()) };
            let response = inner.call(Request::from_parts(head, body)).await?;
            Ok(live(response, lease, grpc))
        })
    }
}

/// A response whose whole body is there is an answer; any other goes on, and ends with its lease.
fn live<R: Body>(response: Response<R>, lease: Lease, grpc: bool) -> Response<Live<R>> {
    let (mut head, body) = response.into_parts();
    if body.is_end_stream() || body.size_hint().exact().is_some() {
        return Response::from_parts(head, Live::whole(body));
    }
    if let Ok(id) = HeaderValue::from_str(&lease.id().to_string()) {
        head.headers.insert(STREAM, id);
    }
    let body = if grpc { Live::by_status(body, lease) } else { Live::broken_off(body, lease) };
    Response::from_parts(head, body)
}
