//! How the parts of a gateway hang together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use keystile_kubernetes::Api;
use keystile_store::Store;
use keystile_system::{Clock, Entropy};
use keystile_token::Audience;
use prometheus_client::registry::Registry;
use tokio::sync::mpsc;

use crate::admin::Admin;
use crate::audit::Audit;
use crate::bootstrap::ServiceAccounts;
use crate::config::Config;
use crate::gatekeeper::Gatekeeper;
use crate::grpc::{Health, ReflectionError, Services};
use crate::http::{self, Answers};
use crate::metrics::{self, Metrics, View};
use crate::mint::Mint;
use crate::rate::ExtensionLimit;
use crate::report::{Census, Identity, Reporter, Sighting};
use crate::server::{Admission, Listener, Server};
use crate::tarpit::Tarpit;
use crate::tls::Tls;
use keystile_replica::{Held, Replica};

/// What everything that serves shares.
pub(super) struct Parts {
    pub(super) replica: Arc<Replica>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) census: Arc<Census>,
    pub(super) gatekeeper: Arc<Gatekeeper>,
}

/// Of the requests worked on at a time, one in so many may be an answer that is held back.
const HELD_BACK: usize = 4;

impl Parts {
    /// The parts around the keyring that was loaded first; what shows the metrics; what waits for the
    /// census to be kept.
    pub(super) fn around(
        first: Held,
        clock: Arc<dyn Clock>,
        config: &Config,
    ) -> (Self, Registry, mpsc::Receiver<Sighting>) {
        let (counted, mut registry) = Metrics::new();
        let metrics = Arc::new(counted);
        let replica = Arc::new(Replica::new(clock, first, config.limits.remembered_signatures.0 as usize));
        metrics::show(&mut registry, View(Arc::clone(&replica)));
        let (census, queue) = Census::new();
        let gatekeeper = Arc::new(Gatekeeper {
            replica: Arc::clone(&replica),
            metrics: Arc::clone(&metrics),
            audit: Audit::new(),
            census: Arc::clone(&census),
            tarpit: Tarpit::new(config.limits.requests as usize / HELD_BACK),
        });
        (Self { replica, metrics, census, gatekeeper }, registry, queue)
    }

    /// What callers reach.
    pub(super) fn public(
        &self,
        config: &Config,
        entropy: Arc<dyn Entropy>,
        services: BTreeMap<String, Audience>,
        cluster: Option<Arc<Api>>,
    ) -> Result<(Answers, Health), ReflectionError> {
        let gatekeeper = || Arc::clone(&self.gatekeeper);
        let mint = Mint { gatekeeper: gatekeeper(), entropy, services, limit: ExtensionLimit::default() };
        let services = Services {
            gatekeeper: gatekeeper(),
            mint: Arc::new(mint),
            certificate_bootstrap: config.certificate_bootstrap,
            service_accounts: cluster.map(|api| ServiceAccounts::new(api, &config.bootstrap)),
            body_bytes: config.limits.body_bytes.0 as usize,
        };
        let (router, health) = services.over(http::routes(&self.replica, config.scheme()))?;
        Ok((Answers::of(router).with_forward_auth(gatekeeper()), health))
    }

    /// What operators reach.
    pub(super) fn admin(
        &self,
        identity: Identity,
        registry: Registry,
        tls: Option<Arc<Tls>>,
        store: &dyn Store,
    ) -> Answers {
        let (replica, census) = (Arc::clone(&self.replica), Arc::clone(&self.census));
        Answers::of(Admin { replica, census, identity, registry, tls, store: store.describe() }.routes())
    }

    /// What the store is told.
    pub(super) fn reporter(
        &self,
        config: &Config,
        identity: Identity,
        tls: Option<Arc<Tls>>,
        store: Arc<dyn Store>,
    ) -> Reporter {
        Reporter {
            store,
            replica: Arc::clone(&self.replica),
            census: Arc::clone(&self.census),
            identity,
            tls,
            interval: config.report_interval,
            metrics: Arc::clone(&self.metrics),
            failing: AtomicBool::new(false),
        }
    }

    /// A listener that serves `answers` within the limits.
    pub(super) fn server<L: Listener>(
        &self,
        config: &Config,
        listener: L,
        tls: Option<Arc<Tls>>,
        answers: Answers,
    ) -> Server<L> {
        Server {
            listener,
            tls,
            answers,
            admission: Admission::new(&config.limits, Arc::clone(&self.metrics)),
            limits: config.limits.clone(),
            metrics: Arc::clone(&self.metrics),
        }
    }
}
