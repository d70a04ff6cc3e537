//! The gRPC services: OpenShell's token calls, Keystile's own, health and reflection.

mod keystile;
mod openshell;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use keystile_proto::keystile::v1::keystile_server::KeystileServer;
use keystile_proto::openshell::v1::open_shell_server::OpenShellServer;
use keystile_token::{Answer, GrpcCode};
use tonic::metadata::MetadataValue;
use tonic::service::Routes;
use tonic::{Code, Request, Status};
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::bootstrap::ServiceAccounts;
use crate::gatekeeper::Gatekeeper;
use crate::mint::Mint;
use crate::server::Peer;
use keystile_replica::RETRY_AFTER;

/// The services whose health is told, besides the whole ("").
const SERVICES: [&str; 3] = ["", "openshell.v1.OpenShell", "keystile.v1.Keystile"];

/// Metadata that tells a caller when to try again, in milliseconds.
const RETRY_AFTER_MS: &str = "retry-after-ms";

/// What the gRPC services are made of.
pub(crate) struct Services {
    pub(crate) gatekeeper: Arc<Gatekeeper>,
    pub(crate) mint: Arc<Mint>,
    pub(crate) certificate_bootstrap: bool,
    pub(crate) service_accounts: Option<ServiceAccounts>,
    pub(crate) body_bytes: usize,
}

/// The services were described wrongly: a bug.
#[derive(Debug, thiserror::Error)]
#[error("gRPC reflection cannot be served")]
pub struct ReflectionError(#[source] tonic_reflection::server::Error);

impl Services {
    /// Adds the services to the HTTP routes, and gives what health is told to.
    pub(crate) fn over(self, http: Router) -> Result<(Router, Health), ReflectionError> {
        let (reporter, health) = health_reporter();
        let openshell = openshell::Service {
            gatekeeper: Arc::clone(&self.gatekeeper),
            mint: self.mint,
            certificate_bootstrap: self.certificate_bootstrap,
            cluster: self.service_accounts,
        };
        let keystile = keystile::Service { gatekeeper: self.gatekeeper };
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(keystile_proto::FILE_DESCRIPTOR_SET)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let routes = Routes::from(http)
            .add_service(OpenShellServer::new(openshell).max_decoding_message_size(self.body_bytes))
            .add_service(KeystileServer::new(keystile).max_decoding_message_size(self.body_bytes))
            .add_service(health)
            .add_service(reflection().build_v1().map_err(ReflectionError)?)
            .add_service(reflection().build_v1alpha().map_err(ReflectionError)?);
        Ok((routes.into_axum_router(), Health(reporter)))
    }
}

/// Tells gRPC health checks whether the replica is ready.
pub(crate) struct Health(HealthReporter);

impl Health {
    pub(crate) async fn tell(&self, ready: bool) {
        let status = if ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in SERVICES {
            self.0.set_service_status(service, status).await;
        }
    }
}

/// The status that says what `answer` says.
fn status(answer: &Answer) -> Status {
    let status = Status::new(Code::from_i32(answer.grpc as i32), answer.text.clone());
    if answer.grpc == GrpcCode::Unavailable { try_again(status, RETRY_AFTER) } else { status }
}

/// The same with a word on when to come again.
fn try_again(mut status: Status, after: Duration) -> Status {
    let millis = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    status.metadata_mut().insert(RETRY_AFTER_MS, MetadataValue::from(millis));
    status
}

/// Who is at the other end. Every connection says so.
fn peer<T>(request: &Request<T>) -> Result<Peer, Status> {
    let peer = request.extensions().get::<Peer>().cloned();
    peer.ok_or_else(|| Status::internal("the connection does not say who is at its end"))
}
