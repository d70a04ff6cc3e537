//! `keystile serve`: a gateway replica.

mod flags;

use std::collections::BTreeMap;
use std::sync::Arc;

use keystile_gateway::config::{Config, ConfigError, Loaded, SettingDocument, Sources};
use keystile_gateway::{Gateway, StartError};
use keystile_keyring::{GatewayId, Policy, ReplicaId};
use keystile_kubernetes::{Access, Api};
use keystile_operator::{First, Operator};
use keystile_store::{Occupancy, Store};
use serde::Serialize;

use crate::app::App;
use crate::change;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::Place;
use crate::teller::Teller;
use crate::{logs, signals};

pub(crate) use flags::Args;

/// Where a replica listens. Schema `keystile/serve/v1`; one line, written once it does.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// The name that it reports under.
    replica: &'a ReplicaId,
    /// Its process.
    pid: u32,
    /// The generation that it has loaded.
    generation: u64,
    /// Where gRPC and HTTP are served.
    url: String,
    /// Where metrics and status are served.
    admin_url: String,
}

/// The settings. Schema `keystile/config/v1`.
#[derive(Debug, Serialize)]
struct ConfigReport {
    /// By their names.
    settings: BTreeMap<&'static str, SettingDocument>,
}

/// Serves until it is told to stop.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let loaded = load(app, args)?;
    if args.print_config {
        let report = ConfigReport { settings: loaded.document() };
        return app.answer("keystile/config/v1", &report, || loaded.print());
    }
    let config = loaded.config;
    let _journal = (app.world.logs)(logs::of_gateway(&config, app.global.verbose));
    guard_memory(app);
    let place = place(&config)?;
    let clock = (app.world.shifted)(config.clock_shift);
    let store = app.open(&place, Arc::clone(&clock))?;
    if args.init {
        init(app, &store).await?;
    }
    let stop = signals::stop()?;
    let scheme = config.scheme();
    let cluster = config.service_account_bootstrap.then(|| {
        let access = Access::of(app.world.environment.as_ref());
        Arc::new(Api::new(access, Arc::clone(&clock)))
    });
    let gateway = Gateway::bind(config, store, clock, Arc::clone(&app.world.entropy), cluster).await;
    let gateway = gateway.map_err(|error| not_started(&error))?;
    announce(app, &gateway, scheme)?;
    if gateway.run(stop).await {
        return Ok(());
    }
    Err(Failure::new(Exit::Other, "requests in flight were cut off at shutdown")
        .remedy("give a longer --shutdown-grace"))
}

/// Before the first private key is read.
fn guard_memory(app: &App) {
    let guarded = (app.world.guard_memory)();
    let word = |yes| if yes { "no" } else { "possible" };
    let (core_dumps, swap) = (word(guarded.from_dumps), word(guarded.from_swap));
    if guarded.from_swap {
        tracing::info!(core_dumps, swap, "memory is guarded");
    } else {
        let remedy = "turn swap off or encrypt it, or let the process lock memory (ulimit -l unlimited)";
        tracing::info!(core_dumps, swap, remedy, "memory may be swapped out");
    }
}

fn load(app: &App, args: &Args) -> Result<Loaded, Failure> {
    let mut flags = args.flags.clone();
    let witness = app.global.witness.as_ref().map(|path| path.display().to_string());
    let global = [("store", app.global.store.clone()), ("witness", witness)];
    flags.extend(global.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    let sources = Sources {
        flags,
        file: args.config.clone(),
        environment: app.world.environment.as_ref(),
        other_variables: &[keystile_supervisor::TOKEN_FILE_VARIABLE],
    };
    Config::load(&sources).map_err(|error| misconfigured(&error))
}

fn misconfigured(error: &ConfigError) -> Failure {
    Failure::of(Exit::Usage, error)
        .remedy("keystile serve --print-config shows every setting and where it comes from")
}

fn place(config: &Config) -> Result<Place, Failure> {
    match Place::named(config.store.as_deref(), config.witness.clone())? {
        Place::Secret { name, .. } => Ok(Place::Secret { name, witness_only: config.verify_only }),
        directory @ Place::Directory { .. } => Ok(directory),
    }
}

/// Makes a keyring, only where there never was one.
async fn init(app: &App, store: &Arc<dyn Store>) -> Result<(), Failure> {
    let occupancy = store.occupancy().await.map_err(|error| Failure::of(Exit::Unreachable, &error))?;
    if occupancy != Occupancy::Empty {
        return Ok(());
    }
    let gateway_id = GatewayId::new("openshell").map_err(|error| Failure::of(Exit::Other, &error))?;
    let first = First { gateway_id, policy: Policy::default(), actor: app.actor(), adopt: None };
    let (clock, entropy) = (Arc::clone(&app.world.clock), Arc::clone(&app.world.entropy));
    let operator = Operator::new(Arc::clone(store), clock, entropy);
    let begun = operator.begin(&first, &mut Teller::of_steps(app)).await;
    begun.map(|_| ()).map_err(|error| change::failure(&error, app))
}

fn not_started(error: &StartError) -> Failure {
    let exit = match error {
        StartError::Config(_) | StartError::Audience { .. } => Exit::Usage,
        StartError::Keyring(_) => Exit::Unreachable,
        _ => Exit::Other,
    };
    Failure::of(exit, error)
}

fn announce(app: &App, gateway: &Gateway, scheme: &str) -> Result<(), Failure> {
    let report = Report {
        replica: gateway.replica_id(),
        pid: std::process::id(),
        generation: gateway.generation(),
        url: format!("{scheme}://{}", gateway.addr),
        admin_url: format!("http://{}", gateway.admin_addr),
    };
    app.announce("keystile/serve/v1", &report, || {
        format!(
            "{} serves generation {} on {} (admin: {})\n",
            report.replica, report.generation, report.url, report.admin_url
        )
    })
}
