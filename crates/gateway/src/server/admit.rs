//! What every request must pass: the number worked on at a time, its time and its size.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Limited;
use hyper::body::Incoming;
use keystile_replica::is_grpc;
use tokio::sync::Semaphore;

use crate::config::Limits;
use crate::metrics::Metrics;

/// The limits in force, shared by all connections of a listener.
pub(crate) struct Admission {
    slots: Semaphore,
    timeout: Duration,
    body_bytes: usize,
    metrics: Arc<Metrics>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits, metrics: Arc<Metrics>) -> Self {
        Self {
            slots: Semaphore::new(limits.requests as usize),
            timeout: limits.request_timeout,
            body_bytes: limits.body_bytes.0 as usize,
            metrics,
        }
    }

    /// What `answer` makes of `request`, within the limits. Not a layer of the router, which would cost each request
    /// several allocations more.
    pub(super) async fn admit<F>(
        &self,
        request: Request<Incoming>,
        answer: impl FnOnce(Request<Limited<Incoming>>) -> F,
    ) -> Response
    where
        F: Future<Output = Response>,
    {
        let grpc = is_grpc(request.headers());
        let Ok(_slot) = self.slots.try_acquire() else {
            self.metrics.overloaded.inc();
            let status =
                tonic::Status::resource_exhausted("this gateway works on as many requests as it may");
            return refuse(grpc, status, StatusCode::SERVICE_UNAVAILABLE);
        };
        let request = request.map(|body| Limited::new(body, self.body_bytes));
        if let Ok(response) = tokio::time::timeout(self.timeout, answer(request)).await {
            return response;
        }
        self.metrics.timed_out.inc();
        let status = tonic::Status::deadline_exceeded("this gateway gives a request no more time");
        refuse(grpc, status, StatusCode::SERVICE_UNAVAILABLE)
    }
}

fn refuse(grpc: bool, status: tonic::Status, code: StatusCode) -> Response {
    if grpc {
        return status.into_http();
    }
    let retry = [(header::RETRY_AFTER, HeaderValue::from_static("1"))];
    (code, retry, status.message().to_owned()).into_response()
}
