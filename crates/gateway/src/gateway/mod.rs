//! One gateway process: bound, loaded, run, stopped.

mod parts;
mod run;
mod start;

use std::net::SocketAddr;
use std::sync::Arc;

use keystile_keyring::ReplicaId;
use keystile_kubernetes::Api;
use keystile_store::Store;
use keystile_system::{Clock, Entropy};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::config::Config;
use crate::grpc::Health;
use crate::report::{Identity, Reporter, Sighting};
use crate::server::{Listener, Server};
use crate::tls::{Tls, TlsFiles};
use keystile_replica::{Reader, Reloader};
use parts::Parts;

pub use start::StartError;

/// A gateway that holds a keyring and listens, and serves once it is [`run`](Gateway::run).
pub struct Gateway<L = TcpListener> {
    /// Where gRPC and HTTP are served.
    pub addr: SocketAddr,
    /// Where metrics and status are served.
    pub admin_addr: SocketAddr,
    config: Config,
    parts: Parts,
    pub(crate) main: Server<L>,
    pub(crate) admin: Server<L>,
    health: Health,
    reloader: Reloader,
    reporter: Reporter,
    sightings: mpsc::Receiver<Sighting>,
    tls: Option<Arc<Tls>>,
}

impl Gateway {
    /// Listens, reads the keyring, reports that it is loading, reads it again, reports what it holds. `cluster` is
    /// asked about ServiceAccount tokens, where the configuration lets them bootstrap.
    pub async fn bind(
        config: Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        cluster: Option<Arc<Api>>,
    ) -> Result<Self, StartError> {
        config.check()?;
        let listeners = Listeners {
            main: start::listen(config.listen).await?,
            admin: start::listen(config.admin_listen).await?,
        };
        Self::bind_on(listeners, config, store, clock, entropy, cluster).await
    }
}

/// What a gateway listens on.
#[derive(Debug)]
pub struct Listeners<L> {
    /// Where gRPC and HTTP are served.
    pub main: L,
    /// Where metrics and status are served.
    pub admin: L,
}

impl<L: Listener> Gateway<L> {
    /// As [`bind`](Gateway::bind), on listeners that the caller made. The addresses of the configuration are not
    /// listened on; they count for what the configuration permits.
    pub async fn bind_on(
        listeners: Listeners<L>,
        config: Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        cluster: Option<Arc<Api>>,
    ) -> Result<Self, StartError> {
        config.check()?;
        let cluster = start::cluster(&config, cluster)?;
        let services = start::audiences(&config)?;
        let tls = TlsFiles::of(&config).map(Tls::open).transpose()?.map(Arc::new);
        let addr = start::bound(&listeners.main, config.listen)?;
        let admin_addr = start::bound(&listeners.admin, config.admin_listen)?;
        let replica = start::replica_id(&config, entropy.as_ref())?;
        let identity = Identity { replica, started_at: clock.now() };
        let reader =
            Reader { store: Arc::clone(&store), clock: Arc::clone(&clock), verify_only: config.verify_only };
        let first = start::load(&reader, &identity).await?;
        let (parts, registry, sightings) = Parts::around(first, clock, &config);
        let (public, health) = parts.public(&config, entropy, services, cluster)?;
        let admin = parts.admin(identity.clone(), registry, tls.clone(), store.as_ref());
        let reporter = parts.reporter(&config, identity, tls.clone(), store);
        reporter.report().await;
        Ok(Self {
            addr,
            admin_addr,
            main: parts.server(&config, listeners.main, tls.clone(), public),
            admin: parts.server(&config, listeners.admin, None, admin),
            health,
            reloader: Reloader {
                reader,
                replica: Arc::clone(&parts.replica),
                tally: Arc::clone(&parts.metrics) as _,
            },
            reporter,
            sightings,
            tls,
            parts,
            config,
        })
    }

    /// The name that this replica reports under.
    pub fn replica_id(&self) -> &ReplicaId {
        &self.reporter.identity.replica
    }

    /// The generation that it holds.
    pub fn generation(&self) -> u64 {
        self.parts.replica.held().generation()
    }
}
