//! Serving, until told to stop; then an orderly end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::Gateway;
use crate::audit::Audit;
use crate::grpc::Health;
use crate::server::Listener;
use crate::tls::keep_current;
use keystile_replica::{Replica, Viewer};

/// How often readiness is told to gRPC health checks.
const HEALTH_INTERVAL: Duration = Duration::from_millis(250);

/// How long the withdrawal of the report may take at shutdown.
const WITHDRAWAL: Duration = Duration::from_secs(2);

/// How long a question to the admin listener may take to end at shutdown.
const ADMIN_GRACE: Duration = Duration::from_millis(250);

/// A flag that is set once.
struct Flag(watch::Sender<bool>);

impl Flag {
    fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    fn set(&self) {
        self.0.send_replace(true);
    }

    /// Done once the flag is set, or gone.
    fn is_set(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut flag = self.0.subscribe();
        async move { drop(flag.wait_for(|set| *set).await) }
    }
}

impl<L: Listener> Gateway<L> {
    /// Serves until `shutdown` is done; then withdraws the report, accepts no more and lets requests
    /// in flight end. `false` if some did not within `shutdown_grace`, or if a part of the gateway failed.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> bool {
        let replica = Arc::clone(&self.parts.replica);
        let (addr, admin_addr, generation) = (self.addr, self.admin_addr, self.generation());
        let (mut background, serving) = self.spawn();
        tracing::info!(%addr, %admin_addr, generation, "serving");
        let whole = tokio::select! {
            () = shutdown => true,
            // Each runs for ever: one that ended has panicked, and without it the rest is not safe.
            _ = background.join_next() => false,
        };
        if !whole {
            tracing::error!("a part of the gateway stopped; stopping the rest");
        }
        tracing::info!("stopping");
        replica.stop();
        let ended = serving.stop().await;
        background.shutdown().await;
        tracing::info!(in_flight_ended = ended, "stopped");
        ended && whole
    }

    /// Starts everything: what runs for ever, and what ends in order.
    fn spawn(self) -> (JoinSet<()>, Serving) {
        let parts = self.parts;
        let replica = Arc::clone(&parts.replica);
        let horizon = move || {
            let leeway = replica.held().keyring.manifest().policy.leeway;
            replica.moment().now.minus(leeway)
        };
        let mut background = JoinSet::new();
        background.spawn(parts.census.keep(self.sightings, self.config.report_interval, horizon));
        background.spawn(self.reloader.run());
        background.spawn(tell(self.health, parts.replica));
        background.spawn(Audit::summarize(parts.gatekeeper));
        if let Some(tls) = self.tls {
            background.spawn(keep_current(tls, parts.metrics));
        }
        let [withdraw, close, close_admin] = [Flag::new(), Flag::new(), Flag::new()];
        let serving = Serving {
            reporter: tokio::spawn(self.reporter.run(withdraw.is_set())),
            main: tokio::spawn(self.main.run(close.is_set(), self.config.shutdown_grace)),
            admin: tokio::spawn(self.admin.run(close_admin.is_set(), ADMIN_GRACE)),
            withdraw,
            close,
            close_admin,
        };
        (background, serving)
    }
}

/// What ends in order.
struct Serving {
    reporter: JoinHandle<()>,
    main: JoinHandle<bool>,
    admin: JoinHandle<bool>,
    withdraw: Flag,
    close: Flag,
    close_admin: Flag,
}

impl Serving {
    /// First the fleet is told, then callers are let go, operators last. Whether every request ended.
    async fn stop(self) -> bool {
        self.withdraw.set();
        if tokio::time::timeout(WITHDRAWAL, self.reporter).await.is_err() {
            tracing::warn!("the report was not withdrawn; it counts until it is stale");
        }
        self.close.set();
        let ended = self.main.await.unwrap_or(false);
        self.close_admin.set();
        let _ = self.admin.await;
        ended
    }
}

async fn tell(health: Health, replica: Arc<Replica>) {
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
