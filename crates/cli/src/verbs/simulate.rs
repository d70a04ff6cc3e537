//! `keystile simulate`: a fleet of any size in virtual time, while its keys are changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use keystile_picture::{Ink, briefly, grouped};
use keystile_simulation::script::{self, Step};
use keystile_simulation::{Measured, Mix, Options, Settings, Simulated, Spread, report, simulate};

use super::rehearse::{command_line, policy};
use crate::app::App;
use crate::console::Paint;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{files, input, parse};

/// Options of `simulate`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Without --policy, that of the keyring in --store is simulated if there is one, else the default. The \
        same options always give the same answer. Exit code 3 means that the verdict is FAIL. The language of \
        scripts: keystile simulate --dry-run."
)]
pub(crate) struct Args {
    /// How many sandboxes
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    sandboxes: u32,

    /// How many gateway replicas share their calls
    #[arg(long, value_name = "N", default_value_t = 10)]
    replicas: u32,

    /// A policy, or a whole manifest, as JSON; members that are not there have their defaults
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Play this script instead of the usual one
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,

    /// An outage of the store and the API server, as start and length, such as 50m+8m; may be repeated
    #[arg(long, value_name = "START+LENGTH", value_parser = script::parse_outage)]
    outage: Vec<Step>,

    /// Standard deviation of the replicas' clocks in seconds, or a file of measured offsets, one a line; none is off by
    /// more than half of max_skew
    #[arg(long, value_name = "SECONDS|FILE", default_value = "2")]
    skew: String,

    /// Median of the time from a change to a replica that has read it, in seconds, log-normal; or a file of measured
    /// times, one a line; at most max_staleness
    #[arg(long, value_name = "SECONDS|FILE", default_value = "1")]
    watch_delay: String,

    /// How often a sandbox calls; 0: only with a fresh token, and near a token's end
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = "10m")]
    call_every: u64,

    /// Percentages of sandboxes that bootstrap by client certificate, ServiceAccount and token file
    #[arg(long, value_name = "A,B,C", value_parser = mix, default_value = "60,30,10")]
    bootstrap: Mix,

    /// The most bootstraps that a replica answers in a second; it puts off the rest
    #[arg(long, value_name = "N", default_value_t = 200)]
    bootstrap_rate: u32,

    /// Within what time of a revocation new token files are written
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = "10m")]
    rewrite_files: u64,

    /// Makes choices: another seed, other choices
    #[arg(long, value_name = "NUMBER", default_value_t = 1729)]
    seed: u64,

    /// Also write the answer as a page with pictures
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Show the script that would be played, explain the language, and simulate nothing
    #[arg(long)]
    dry_run: bool,
}

/// The largest script, or file of measurements, that is read.
const MOST_BYTES: u64 = 256 * 1024;

/// Simulates.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let settings = settings(app, args).await?;
    if args.dry_run {
        let plan = report::plan(&settings);
        return app.answer("keystile/simulation-plan/v1", &plan, || script::explained(&settings.script));
    }
    let began = app.world.clock.uptime();
    let simulated = simulate(settings);
    let took = app.world.clock.uptime().saturating_sub(began);
    if let Some(path) = &args.report {
        files::write_page(path, report::html(&simulated, &command_line()))?;
    }
    answer(app, &simulated, took, args.report.as_deref())
}

async fn settings(app: &App, args: &Args) -> Result<Settings, Failure> {
    let script = match &args.script {
        Some(path) => {
            let read = script::parse(&files::read_text(path, MOST_BYTES)?);
            Some(read.map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?)
        }
        None => None,
    };
    let options = Options {
        sandboxes: args.sandboxes,
        replicas: args.replicas,
        policy: policy(app, args.policy.as_deref()).await?,
        script,
        outages: args.outage.clone(),
        skew: spread(&args.skew)?,
        watch: spread(&args.watch_delay)?,
        call_every: args.call_every,
        mix: args.bootstrap,
        bootstrap_rate: args.bootstrap_rate,
        rewrite: args.rewrite_files,
        seed: args.seed,
        broken: None,
    };
    options.settle().map_err(|error| Failure::of(Exit::Usage, &error))
}

fn answer(app: &App, simulated: &Simulated, took: Duration, page: Option<&Path>) -> Result<(), Failure> {
    app.answer("keystile/simulation/v1", &report::document(simulated), || {
        let ink = Ink::new(app.paint(&app.world.stdout) != Paint::default());
        let mut text = report::text(simulated, ink);
        text.push_str(&format!("\n  {} events in {}\n", grouped(simulated.tally.events), briefly(took)));
        if let Some(page) = page {
            text.push_str(&format!("  report: {}\n", page.display()));
        }
        text
    })?;
    if simulated.verdict.pass { Ok(()) } else { Err(Failure::silent(Exit::Refused)) }
}

/// A number, or else the name of a file of them.
fn spread(given: &str) -> Result<Spread, Failure> {
    if let Ok(number) = given.parse() {
        return Ok(Spread::Modelled(number));
    }
    if !Path::new(given).is_file() {
        return Err(input::no_file(given, "a number of seconds"));
    }
    let measured = Measured::parse(&files::read_text(Path::new(given), MOST_BYTES)?);
    measured.map(Spread::Measured).map_err(|error| Failure::usage(format!("{given}: {error}")))
}

/// `60,30,10`.
fn mix(text: &str) -> Result<Mix, String> {
    let parts: Result<Vec<u32>, _> = text.split(',').map(str::parse).collect();
    match parts.as_deref() {
        Ok(&[certificate, service_account, file]) => Ok(Mix { certificate, service_account, file }),
        _ => Err("expected three percentages, such as 60,30,10".to_owned()),
    }
}
