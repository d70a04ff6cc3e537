//! One gateway process: bound, loaded, run, stopped.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use keystile_keyring::ReplicaId;
use keystile_store::Store;
use keystile_system::{Clock, Entropy, EntropyError};
use keystile_token::{Audience, AudienceError};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::audit::Audit;
use crate::chain::chain;
use crate::config::{Config, ConfigError};
use crate::gatekeeper::Gatekeeper;
use crate::grpc::{Health, ReflectionError, Services};
use crate::metrics::{Metrics, View};
use crate::mint::Mint;
use crate::rate::ExtensionLimit;
use crate::replica::{Held, ReadError, Reader, Reloader, Replica, Viewer};
use crate::report::{Census, Identity, Reporter, Sighting};
use crate::server::{Admission, Server};
use crate::tls::{Tls, TlsError, TlsFiles, keep_current};

/// How often readiness is told to gRPC health checks.
const HEALTH_INTERVAL: Duration = Duration::from_millis(250);

/// How long the withdrawal of the report may take at shutdown.
const WITHDRAWAL: Duration = Duration::from_secs(2);

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

/// A gateway that holds a keyring and listens, and serves once it is [`run`](Gateway::run).
pub struct Gateway {
    /// Where gRPC and HTTP are served.
    pub addr: SocketAddr,
    /// Where metrics and status are served.
    pub admin_addr: SocketAddr,
    config: Config,
    main: Server,
    admin: Server,
    health: Health,
    gatekeeper: Arc<Gatekeeper>,
    replica: Arc<Replica>,
    metrics: Arc<Metrics>,
    census: (Arc<Census>, mpsc::Receiver<Sighting>),
    reloader: Reloader,
    reporter: Reporter,
    tls: Option<Arc<Tls>>,
}

impl Gateway {
    /// Listens, reports that it is loading, loads the keyring, reports what it holds.
    pub async fn bind(
        config: Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StartError> {
        config.check()?;
        let services = audiences(&config)?;
        let tls = TlsFiles::of(&config).map(Tls::open).transpose()?.map(Arc::new);
        let (listener, addr) = listen(config.listen).await?;
        let (admin_listener, admin_addr) = listen(config.admin_listen).await?;
        let (metrics, mut registry) = Metrics::new();
        let metrics = Arc::new(metrics);

        let started_at = clock.now();
        let identity = Identity { replica: replica_id(&config, entropy.as_ref())?, started_at };
        let reader =
            Reader { store: Arc::clone(&store), clock: Arc::clone(&clock), verify_only: config.verify_only };
        let first = load_first(&reader, &identity).await?;
        let replica = Arc::new(Replica::new(clock, first));
        registry.register_collector(Box::new(View(Arc::clone(&replica))));

        let (census, queue) = Census::new();
        let gatekeeper = Arc::new(Gatekeeper {
            replica: Arc::clone(&replica),
            metrics: Arc::clone(&metrics),
            audit: Audit::new(),
            census: Arc::clone(&census),
        });
        let limit = ExtensionLimit::default();
        let mint = Mint { gatekeeper: Arc::clone(&gatekeeper), entropy, services, limit };
        let services = Services {
            gatekeeper: Arc::clone(&gatekeeper),
            mint: Arc::new(mint),
            certificate_bootstrap: config.certificate_bootstrap,
            body_bytes: config.limits.body_bytes.0 as usize,
        };
        let (router, health) =
            services.over(crate::http::routes(Arc::clone(&gatekeeper), config.scheme()))?;
        let admin = Admin {
            replica: Arc::clone(&replica),
            census: Arc::clone(&census),
            identity: identity.clone(),
            registry,
            store: store.describe(),
        };
        let reporter = Reporter {
            store,
            replica: Arc::clone(&replica),
            census: Arc::clone(&census),
            identity,
            interval: config.report_interval,
            metrics: Arc::clone(&metrics),
            failing: AtomicBool::new(false),
        };
        reporter.report().await;
        let server = |listener, tls, router| server(&config, &metrics, listener, tls, router);
        Ok(Self {
            addr,
            admin_addr,
            main: server(listener, tls.clone(), router),
            admin: server(admin_listener, None, admin.routes()),
            health,
            gatekeeper,
            reloader: Reloader { reader, replica: Arc::clone(&replica), metrics: Arc::clone(&metrics) },
            reporter,
            census: (census, queue),
            replica,
            metrics,
            tls,
            config,
        })
    }

    /// The name that this replica reports under.
    pub fn replica_id(&self) -> &ReplicaId {
        &self.reporter.identity.replica
    }

    /// The generation that was loaded.
    pub fn generation(&self) -> u64 {
        self.replica.held().generation()
    }

    /// Serves until `shutdown` is done; then withdraws the report, accepts no more and lets requests
    /// in flight end. `false` if some did not within `shutdown_grace`, or if a part of the gateway failed.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> bool {
        let (census, queue) = self.census;
        let replica = Arc::clone(&self.replica);
        let horizon = move || {
            let leeway = replica.held().keyring.manifest().policy.leeway;
            replica.moment().now.minus(leeway)
        };
        let mut background = JoinSet::new();
        background.spawn(census.keep(queue, self.config.report_interval, horizon));
        background.spawn(self.reloader.run());
        background.spawn(tell_health(self.health, Arc::clone(&self.replica)));
        background.spawn(Audit::summarize(self.gatekeeper));
        if let Some(tls) = self.tls {
            background.spawn(keep_current(tls, self.metrics));
        }
        let (stop, stopping) = watch::channel(false);
        let (close, closing) = watch::channel(false);
        let reporter = tokio::spawn(self.reporter.run(stopping.clone()));
        let grace = self.config.shutdown_grace;
        let main = tokio::spawn(self.main.run(set(closing.clone()), grace));
        let (stop_admin, admin_stopping) = watch::channel(false);
        let admin = tokio::spawn(self.admin.run(set(admin_stopping), HEALTH_INTERVAL));

        let (addr, admin_addr) = (self.addr, self.admin_addr);
        tracing::info!(%addr, %admin_addr, generation = self.replica.held().generation(), "serving");
        let whole = tokio::select! {
            () = shutdown => true,
            // Each runs for ever: one that ended has panicked, and without it the rest is not safe.
            _ = background.join_next() => false,
        };
        if !whole {
            tracing::error!("a part of the gateway stopped; stopping the rest");
        }
        tracing::info!("stopping");
        self.replica.stop();
        stop.send_replace(true);
        if tokio::time::timeout(WITHDRAWAL, reporter).await.is_err() {
            tracing::warn!("the report was not withdrawn; it counts until it is stale");
        }
        close.send_replace(true);
        let ended = main.await.unwrap_or(false);
        stop_admin.send_replace(true);
        let _ = admin.await;
        background.shutdown().await;
        tracing::info!(in_flight_ended = ended, "stopped");
        ended && whole
    }
}

async fn set(mut flag: watch::Receiver<bool>) {
    // A sender that is gone says the same as one that is set.
    let _ = flag.wait_for(|flag| *flag).await;
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn server(
    config: &Config,
    metrics: &Arc<Metrics>,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    router: Router,
) -> Server {
    let admission = Admission::new(&config.limits, Arc::clone(metrics));
    Server {
        listener,
        tls,
        router: router.layer(from_fn_with_state(admission, Admission::admit)),
        limits: config.limits.clone(),
        metrics: Arc::clone(metrics),
    }
}

fn audiences(config: &Config) -> Result<BTreeMap<String, Audience>, StartError> {
    let audience = |(name, text): (&String, &String)| match Audience::new(text.as_str()) {
        Ok(audience) => Ok((name.clone(), audience)),
        Err(source) => Err(StartError::Audience { name: name.clone(), source }),
    };
    config.extension_services.iter().map(audience).collect()
}

/// The name from the settings, else one that no other process has.
fn replica_id(config: &Config, entropy: &dyn Entropy) -> Result<ReplicaId, EntropyError> {
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

/// Reports, then loads: an operation that waits for the fleet waits for this replica from here on.
async fn load_first(reader: &Reader, identity: &Identity) -> Result<Held, ReadError> {
    // A place without a keyring is left as it was found: a report there would be a remnant.
    reader.expect_keyring().await?;
    let store = reader.store.as_ref();
    if let Err(error) = store.report(&identity.loading(reader.clock.now())).await {
        let why = chain(&error);
        tracing::error!(%why, "the first report was not written: a rotation's gate does not see this replica");
    }
    let first = reader.first().await;
    if first.is_err() {
        // A replica that never served holds up nobody.
        let _ = store.forget(&identity.replica).await;
    }
    first
}

async fn tell_health(health: Health, replica: Arc<Replica>) {
    let mut told = None;
    loop {
        let ready = replica.readiness(&replica.held(), replica.moment(), Viewer::Operators).ready;
        if told != Some(ready) {
            health.tell(ready).await;
            told = Some(ready);
        }
        tokio::time::sleep(HEALTH_INTERVAL).await;
    }
}
