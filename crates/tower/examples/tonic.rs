//! A tonic service that only sandboxes reach, with streams that end with their token.
//!
//! ```sh
//! keystile init && keystile mint demo --out demo.jwt
//! cargo run -p keystile-tower --example tonic -- ~/keystile 127.0.0.1:8081
//! ```
//!
//! It serves gRPC's health, whose `Watch` goes on for ever until the layer ends it with `UNAUTHENTICATED`; and
//! `keystile.v1.Keystile/WhoAmI`, to which a caller presents a fresh token, and names the stream that is to go on under
//! it in the metadata `x-keystile-stream`.

use std::error::Error;

use keystile_proto::keystile::v1::keystile_server::{Keystile, KeystileServer};
use keystile_proto::keystile::v1::{WhoAmIRequest, WhoAmIResponse};
use keystile_tower::{Accepted, Lease, STREAM, StreamId, Verifier};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(directory), Some(listen)) = (args.next(), args.next()) else {
        return Err("expected the keyring's directory and an address to listen on".into());
    };
    let verifier = Verifier::of_directory(directory).await?;
    let listener = TcpListener::bind(listen).await?;
    println!("listening on {}", listener.local_addr()?);
    Ok(serve(&verifier, listener).await?)
}

/// Serves for ever.
pub async fn serve(verifier: &Verifier, listener: TcpListener) -> Result<(), tonic::transport::Error> {
    let (_, health) = tonic_health::server::health_reporter();
    Server::builder()
        .layer(verifier.layer())
        .add_service(health)
        .add_service(KeystileServer::new(WhoAmI))
        .serve_with_incoming(TcpListenerStream::new(listener))
        .await
}

struct WhoAmI;

#[tonic::async_trait]
impl Keystile for WhoAmI {
    async fn who_am_i(&self, request: Request<WhoAmIRequest>) -> Result<Response<WhoAmIResponse>, Status> {
        let extensions = request.extensions();
        let (Some(lease), Some(accepted)) = (extensions.get::<Lease>(), extensions.get::<Accepted>()) else {
            return Err(Status::internal("the service is not behind its layer"));
        };
        if let Some(stream) = request.metadata().get(STREAM.as_str()) {
            let id = stream.to_str().ok().and_then(|text| text.parse::<StreamId>().ok());
            let id = id.ok_or_else(|| Status::invalid_argument("x-keystile-stream is no stream id"))?;
            lease.renew(id).await.map_err(|error| Status::failed_precondition(error.to_string()))?;
        }
        Ok(Response::new(WhoAmIResponse {
            sandbox_id: accepted.claims.sandbox_id.to_string(),
            kid: accepted.kid.to_string(),
            key_state: accepted.state.as_str().to_owned(),
            ..WhoAmIResponse::default()
        }))
    }
}
