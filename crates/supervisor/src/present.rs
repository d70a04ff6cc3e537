//! The token on outgoing calls, and the eye on their answers.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{Request, Response, StatusCode};
use tokio::sync::watch;
use tonic::{Code, Status};
use tower::{BoxError, Layer, Service};

use crate::supervisor::Supervisor;
use crate::token::Token;

/// Attaches the current token to the calls of a tonic client.
///
/// A call without a token is not sent: a gateway might take its sender for somebody else.
#[derive(Clone)]
pub struct Interceptor {
    slot: watch::Receiver<Option<Token>>,
}

impl Interceptor {
    pub(crate) fn new(slot: watch::Receiver<Option<Token>>) -> Self {
        Self { slot }
    }
}

impl tonic::service::Interceptor for Interceptor {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        let slot = self.slot.borrow();
        let token = slot.as_ref().ok_or_else(no_token)?;
        request.metadata_mut().insert("authorization", token.metadata()?);
        Ok(request)
    }
}

fn no_token() -> Status {
    Status::unavailable("the supervisor has no token yet")
}

/// Makes [`Present`] services.
#[derive(Clone)]
pub struct PresentLayer {
    supervisor: Supervisor,
}

impl PresentLayer {
    pub(crate) fn new(supervisor: Supervisor) -> Self {
        Self { supervisor }
    }
}

impl<S> Layer<S> for PresentLayer {
    type Service = Present<S>;

    fn layer(&self, inner: S) -> Present<S> {
        Present { inner, supervisor: self.supervisor.clone() }
    }
}

/// Attaches the current token to every request and reports the ones that are rejected: gRPC answers that begin with
/// UNAUTHENTICATED, HTTP answers with status 401. A stream that is ended with UNAUTHENTICATED after it began is for
/// its reader to report.
///
/// A request is not sent without a token: a gateway might take its sender for somebody else. It then fails with a
/// [`tonic::Status`] UNAVAILABLE.
#[derive(Clone)]
pub struct Present<S> {
    inner: S,
    supervisor: Supervisor,
}

impl<S, B, R> Service<Request<B>> for Present<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(token) = self.supervisor.token() else {
            return Box::pin(async { Err(no_token().into()) });
        };
        request.headers_mut().insert(AUTHORIZATION, token.header());
        let answer = self.inner.call(request);
        let supervisor = self.supervisor.clone();
        Box::pin(async move {
            let answer = answer.await.map_err(Into::into)?;
            if is_rejection(&answer) {
                supervisor.rejected(&token);
            }
            Ok(answer)
        })
    }
}

fn is_rejection<R>(answer: &Response<R>) -> bool {
    let grpc = Status::from_header_map(answer.headers());
    answer.status() == StatusCode::UNAUTHORIZED
        || grpc.is_some_and(|status| status.code() == Code::Unauthenticated)
}
