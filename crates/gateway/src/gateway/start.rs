//! What must be there before a gateway serves, and why it does not start.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use keystile_keyring::{ReplicaId, ReplicaReport};
use keystile_kubernetes::Api;
use keystile_store::Store;
use keystile_system::{Entropy, EntropyError};
use keystile_token::{Audience, AudienceError};
use tokio::net::TcpListener;

use crate::config::{Config, ConfigError};
use crate::grpc::ReflectionError;
use crate::report::Identity;
use crate::server::Listener;
use crate::tls::TlsError;
use keystile_replica::chain;
use keystile_replica::{Held, ReadError, Reader};

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings do not go together.
    #[error("the configuration is not usable")]
    Config(#[from] ConfigError),
    /// An extension service's audience is none.
    #[error("extension_services: the audience of {name:?} is not usable")]
    Audience {
        /// The service.
        name: String,
        /// Why.
        source: AudienceError,
    },
    /// ServiceAccount tokens are to be checked, and there is no cluster that could.
    #[error(
        "service_account_bootstrap is on, and no Kubernetes cluster is known; turn it off or run in a cluster"
    )]
    NoCluster,
    /// The TLS files are not usable.
    #[error("TLS cannot be served")]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// There is no keyring to serve from. None is created.
    #[error(transparent)]
    Keyring(#[from] ReadError),
    /// No random bytes for the replica's name.
    #[error("no name for this replica can be made; set replica")]
    Name(#[from] EntropyError),
    /// A bug.
    #[error(transparent)]
    Reflection(#[from] ReflectionError),
}

pub(super) async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

/// The address that `listener` listens on, where `asked` was asked for.
pub(super) fn bound(listener: &impl Listener, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.address().map_err(|source| StartError::Listen { address: asked, source })
}

pub(super) fn audiences(config: &Config) -> Result<BTreeMap<String, Audience>, StartError> {
    let audience = |(name, text): (&String, &String)| match Audience::new(text.as_str()) {
        Ok(audience) => Ok((name.clone(), audience)),
        Err(source) => Err(StartError::Audience { name: name.clone(), source }),
    };
    config.extension_services.iter().map(audience).collect()
}

/// The cluster that is asked about ServiceAccount tokens, if they bootstrap anybody.
pub(super) fn cluster(config: &Config, cluster: Option<Arc<Api>>) -> Result<Option<Arc<Api>>, StartError> {
    match cluster {
        None if config.service_account_bootstrap => Err(StartError::NoCluster),
        cluster => Ok(cluster.filter(|_| config.service_account_bootstrap)),
    }
}

/// The name from the settings, else one that no other process has.
pub(super) fn replica_id(config: &Config, entropy: &dyn Entropy) -> Result<ReplicaId, EntropyError> {
    if let Some(replica) = &config.replica {
        return Ok(replica.clone());
    }
    let mut random = [0; 4];
    entropy.fill(&mut random)?;
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.chars().filter(char::is_ascii_graphic).take(64).collect();
    let host = if host.is_empty() { "gateway" } else { &host };
    let name = format!("{host}-{}-{:08x}", std::process::id(), u32::from_be_bytes(random));
    ReplicaId::new(name).map_err(|_| EntropyError)
}

/// Reports, then loads: an operation that waits for the fleet waits for this replica from here on. One that could not
/// load says nothing, and holds up nobody, however often it is started again.
pub(super) async fn load(reader: &Reader, identity: &Identity) -> Result<Held, ReadError> {
    let store = reader.store.as_ref();
    // Only whether it can: what is held is read after the report, or a change before it would have waited for nobody.
    reader.first(None).await?;
    let predecessor = predecessor(store, &identity.replica).await;
    if let Err(error) = store.report(&identity.loading(reader.clock.now())).await {
        let why = chain(&error);
        tracing::error!(%why, "the first report was not written: a rotation's gate does not see this replica");
    }
    let first = reader.first(predecessor.as_ref()).await;
    if first.is_err() {
        // Between the two reads the store has changed for the worse. What an earlier one of this name said stands. In
        // Kubernetes a replica may not remove its report: that one counts until it is stale.
        let _ = match &predecessor {
            Some(report) => store.report(report).await,
            None => store.forget(&identity.replica).await,
        };
    }
    first
}

/// The last report of an earlier process of this name that has served.
async fn predecessor(store: &dyn Store, replica: &ReplicaId) -> Option<ReplicaReport> {
    let reports = store.replicas().await.ok()?;
    reports.into_iter().find(|report| report.replica == *replica && report.generation > 0)
}
