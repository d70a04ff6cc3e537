//! The client.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt;
use keystile_keyring::UnixTime;
use keystile_system::Clock;
use kube::client::Body;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::error::harmless;
use crate::time::http_date;
use crate::{Access, ApiError, Call, Lines, Refusal};

/// How long a call may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of a refusal's body.
const REFUSAL: usize = 64 * 1024;

/// A client of one cluster. It connects at its first call.
pub struct Api {
    access: Access,
    clock: Arc<dyn Clock>,
    client: OnceCell<kube::Client>,
    told: Mutex<Option<Told>>,
}

/// What the server's clock showed, and what this process's uptime was then.
#[derive(Clone, Copy)]
struct Told {
    time: UnixTime,
    uptime: Duration,
}

impl Told {
    /// What it shows now: a Date leaves out the fraction of its second, half a second on average.
    fn at(self, uptime: Duration) -> UnixTime {
        let passed = uptime.saturating_sub(self.uptime);
        self.time.plus(passed.saturating_add(Duration::from_millis(500)).as_secs())
    }
}

impl Api {
    /// A client of the cluster that `access` leads to.
    pub fn new(access: Access, clock: Arc<dyn Clock>) -> Self {
        Self { access, clock, client: OnceCell::new(), told: Mutex::new(None) }
    }

    /// Sends `call` once and reads the answer whole.
    pub async fn call(&self, call: Call) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        let exchange = async {
            let limit = call.limit;
            let answer = self.send(call).await?;
            collect(answer.into_body(), limit).await
        };
        timeout(PATIENCE, exchange).await.map_err(|_| ApiError::Timeout(PATIENCE))?
    }

    /// The same for an answer that is JSON.
    pub async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, ApiError> {
        let body = self.call(call).await?;
        serde_json::from_slice(&body).map_err(|error| ApiError::Garbage(error.to_string()))
    }

    /// The same for an object that may not be there.
    pub async fn find<T: DeserializeOwned>(&self, call: Call) -> Result<Option<T>, ApiError> {
        match self.json(call).await {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.code() == Some(404) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends `call` and reads the answer line by line, for as long as it lasts.
    pub async fn lines(&self, call: Call) -> Result<Lines, ApiError> {
        let answer = timeout(PATIENCE, self.send(call)).await.map_err(|_| ApiError::Timeout(PATIENCE))??;
        Ok(Lines::new(answer.into_body()))
    }

    /// The server's clock, as its last answer told it and time has passed since; `None` before the first. It is a
    /// second off at most, and what the answer took on its way.
    pub fn time(&self) -> Option<UnixTime> {
        let told = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.map(|told| told.at(self.clock.uptime()))
    }

    async fn send(&self, call: Call) -> Result<Response<Body>, ApiError> {
        let client = self.client.get_or_try_init(|| self.access.client()).await?;
        let body = Bytes::from_owner(call.body.clone());
        let request = Request::builder()
            .method(call.method.clone())
            .uri(call.uri())
            .header(header::ACCEPT, call.accept)
            .header(header::CONTENT_TYPE, call.content_type)
            .body(Body::from(body))
            .map_err(|error| ApiError::Access(format!("the request cannot be made: {error}")))?;
        let answer = client.send(request).await.map_err(|error| unreachable(&error))?;
        self.note_date(answer.headers());
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let retry_after = retry_after(answer.headers());
        let body = collect(answer.into_body(), REFUSAL).await.unwrap_or_default();
        Err(Refusal::new(status, &body, retry_after).into())
    }

    fn note_date(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|date| date.to_str().ok()).and_then(http_date);
        if let Some(time) = date {
            let told = Told { time, uptime: self.clock.uptime() };
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn collect(mut body: Body, limit: usize) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    let mut whole = Zeroizing::new(Vec::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| unreachable(&error))?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > limit {
                return Err(ApiError::TooLarge(limit));
            }
            grow(&mut whole, &data);
        }
    }
    Ok(whole)
}

/// Appends, wiping what a move to a larger place would leave behind.
fn grow(whole: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    if whole.capacity() < whole.len() + data.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity((whole.len() + data.len()) * 2));
        larger.extend_from_slice(whole);
        *whole = larger;
    }
    whole.extend_from_slice(data);
}

/// No answer: says what happened at the bottom of it, and whether the request may have gone out.
pub(crate) fn unreachable(error: &kube::Error) -> ApiError {
    let mut sent = true;
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        if let Some(client) = source.downcast_ref::<hyper_util::client::legacy::Error>()
            && client.is_connect()
        {
            sent = false;
        }
        innermost = source;
    }
    ApiError::Unreachable { why: harmless(&innermost.to_string()), sent }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_clock_is_a_second_off_at_most() {
        for fraction in (0..1000).step_by(50) {
            let answered = 100_000 + fraction;
            let told = Told { time: UnixTime(answered / 1000), uptime: Duration::from_secs(7) };
            for passed in (0..3000).step_by(50) {
                let shown = told.at(Duration::from_millis(7000 + passed)).0;
                assert!(shown.abs_diff((answered + passed) / 1000) <= 1, "{fraction} ms, {passed} ms later");
            }
        }
    }
}
