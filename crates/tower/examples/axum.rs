//! An axum service that only sandboxes reach, with a stream that ends with its token.
//!
//! ```sh
//! keystile init && keystile mint demo --out demo.jwt
//! cargo run -p keystile-tower --example axum -- ~/keystile 127.0.0.1:8080
//! curl -N -H "Authorization: Bearer $(cat demo.jwt)" http://127.0.0.1:8080/events
//! keystile revoke KID          # and the stream breaks off
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::routing::{get, post};
use axum::{Extension, Router};
use keystile_tower::{GraceTooLong, Lease, SandboxId, StreamId, Verifier};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt, iter};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(directory), Some(listen)) = (args.next(), args.next()) else {
        return Err("expected the keyring's directory and an address to listen on".into());
    };
    let verifier = Verifier::of_directory(directory).await?;
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app(&verifier)?).await?;
    Ok(())
}

/// The service. Readiness is outside the layer: whoever asks for it has no token.
pub fn app(verifier: &Verifier) -> Result<Router, GraceTooLong> {
    let readiness = verifier.clone();
    let readyz = move || async move {
        if readiness.readiness().ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    };
    Ok(Router::new()
        .route("/whoami", get(whoami))
        .route("/events", get(events))
        .route("/streams/{id}", post(renew))
        .layer(verifier.layer().grace(Duration::from_secs(30))?)
        .route("/readyz", get(readyz)))
}

async fn whoami(Extension(sandbox): Extension<SandboxId>) -> String {
    format!("{sandbox}\n")
}

/// Ticks for ever: the layer ends it.
async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = iter(0_u64..).map(|tick| Ok(Event::default().data(tick.to_string())));
    Sse::new(ticks.throttle(Duration::from_secs(1)))
}

/// A request with a fresh token lets a stream of the same sandbox go on under it. The stream's id is in its answer's
/// header `x-keystile-stream`.
async fn renew(Extension(fresh): Extension<Lease>, Path(id): Path<String>) -> (StatusCode, String) {
    let Ok(id) = id.parse::<StreamId>() else {
        return (StatusCode::BAD_REQUEST, "no stream id\n".to_owned());
    };
    match fresh.renew(id).await {
        Ok(()) => (StatusCode::NO_CONTENT, String::new()),
        Err(error) => (error.http_status(), format!("{error}\n")),
    }
}
