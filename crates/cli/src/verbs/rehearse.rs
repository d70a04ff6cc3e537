//! `keystile rehearse`: a fleet on this machine, under load, while its keys are changed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystile_keyring::{Manifest, Policy};
use keystile_rehearsal::view::{Ink, Lines, Live, View, Writer};
use keystile_rehearsal::{Means, Options, RehearsalError, Rehearsed, rehearse, report, script};

use crate::app::App;
use crate::console::{Paint, Stream};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::{files, parse, signals};

/// Options of `rehearse`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Without --policy, the policy of the keyring in --store is rehearsed if there is one, else the \
        default. Its durations are scaled to --ttl. Exit code 3 means that the verdict is FAIL. The language of \
        scripts: keystile rehearse --dry-run."
)]
pub(crate) struct Args {
    /// How many gateway processes
    #[arg(long, value_name = "N", default_value_t = 3)]
    gateways: usize,

    /// How many supervisors
    #[arg(long, value_name = "N", default_value_t = 100)]
    supervisors: usize,

    /// A policy, or a whole manifest, as JSON; members that are not there have their defaults
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Lifetime of a token in the rehearsal; everything else is scaled with it [default: 6s]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    ttl: Option<u64>,

    /// Put the gateways' clocks so far apart: at most the run's max_skew, which is scaled to 1s by default
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, default_value = "0s")]
    skew: u64,

    /// Add a fault: kill, restart, freeze, hide-store, restart-all, or a step such as "at 9s freeze gateway-1 for
    /// 2s"; may be repeated
    #[arg(long, value_name = "FAULT")]
    fault: Vec<String>,

    /// Instead of the usual script, go on for so long, 10s to 24h, with operations and faults that the seed draws;
    /// and see whether memory and descriptors stay as they are
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, conflicts_with_all = ["script", "fault"])]
    soak: Option<u64>,

    /// Play this script instead of the usual one
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,

    /// Where to write the report [default: ./keystile-rehearsal/report.html, or the system's temporary directory]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Makes choices repeatable
    #[arg(long, value_name = "NUMBER", default_value_t = 1729)]
    seed: u64,

    /// Also put the same load on the old way: delete the key, restart every gateway
    #[arg(long)]
    baseline: bool,

    /// Keep keyring, certificates and token files of the run
    #[arg(long)]
    keep: bool,

    /// Show the script and the policy that would be rehearsed, explain the language, and start nothing
    #[arg(long)]
    dry_run: bool,
}

/// The directory of the report, if nobody says.
const USUAL: &str = "keystile-rehearsal";

/// The largest file that is read.
const MOST_BYTES: u64 = 256 * 1024;

/// Rehearses.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let options = options(app, args).await?;
    let settings = options.settle().map_err(|error| failure(&error))?;
    if args.dry_run {
        let plan = report::plan(&settings);
        return app.answer("keystile/rehearsal-plan/v1", &plan, || script::explained(&settings.script));
    }
    let place = Place::of(args.report.as_deref())?;
    let means = means(app, &place)?;
    let mut view = view(app);
    let stop = signals::stop()?;
    let rehearsed = tokio::select! {
        rehearsed = rehearse(&options, &means, view.as_mut()) => rehearsed.map_err(|error| failure(&error))?,
        () = stop => return Err(Failure::new(Exit::Other, "the rehearsal was interrupted; everything it started is stopped")),
    };
    files::write_page(&place.report, report::html(&rehearsed, &command_line()))?;
    answer(app, &rehearsed, &place)
}

/// The command that repeats this run.
pub(super) fn command_line() -> String {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    std::iter::once("keystile".to_owned()).chain(arguments).collect::<Vec<_>>().join(" ")
}

fn answer(app: &App, rehearsed: &Rehearsed, place: &Place) -> Result<(), Failure> {
    let shown = place.report.display().to_string();
    let document = report::document(rehearsed, &shown);
    app.answer("keystile/rehearsal/v1", &document, || {
        report::text(rehearsed, &shown, ink(app, &app.world.stdout))
    })?;
    if rehearsed.verdict.pass { Ok(()) } else { Err(Failure::silent(Exit::Refused)) }
}

fn ink(app: &App, stream: &Stream) -> Ink {
    Ink::new(app.paint(stream) != Paint::default())
}

/// Progress is part of the answer, unless that is a document.
fn view(app: &App) -> Box<dyn View + '_> {
    let stream = if app.json() { &app.world.stderr } else { &app.world.stdout };
    let ink = ink(app, stream);
    let write: Writer<'_> = Box::new(|text| {
        let _ = stream.write(text);
    });
    match stream.columns() {
        Some(columns) if ink != Ink::default() => Box::new(Live::new(write, ink, usize::from(columns))),
        _ => Box::new(Lines::new(write, ink)),
    }
}

/// Where what is left of a rehearsal goes.
struct Place {
    report: PathBuf,
    logs: PathBuf,
}

impl Place {
    fn of(report: Option<&Path>) -> Result<Self, Failure> {
        let usual = || {
            let here = Path::new(USUAL).join("report.html");
            let elsewhere = std::env::temp_dir().join(USUAL).join("report.html");
            Self::make(&here).or_else(|_| Self::make(&elsewhere))
        };
        report.map_or_else(usual, Self::make)
    }

    /// The logs lie beside the report, in a directory of its name.
    fn make(report: &Path) -> Result<Self, Failure> {
        let logs = report.with_extension("logs");
        files::make_directory(&logs, files::Entry::Usual)?;
        Ok(Self { report: report.to_owned(), logs })
    }
}

fn means(app: &App, place: &Place) -> Result<Means, Failure> {
    let binary = std::env::current_exe().map_err(|error| Failure::of(Exit::Other, &error))?;
    Ok(Means {
        clock: Arc::clone(&app.world.clock),
        entropy: Arc::clone(&app.world.entropy),
        binary,
        temporary: std::env::temp_dir(),
        logs: place.logs.clone(),
        variables: app.world.environment.names("KEYSTILE_"),
    })
}

fn failure(error: &RehearsalError) -> Failure {
    let failure = Failure::of(if error.is_usage() { Exit::Usage } else { Exit::Other }, error);
    match error {
        RehearsalError::Skew { most, .. } => failure.expected(format!("--skew {most}s at most")).remedy(
            "rehearse a smaller skew, or give a longer --ttl or a policy with a larger max_skew: it is scaled with \
             the tokens' lifetime, to whole seconds",
        ),
        RehearsalError::Soak { least, .. } => failure.expected(format!("--soak {least}s to --soak 24h")).remedy(
            "give another --soak; with a shorter --ttl, or a policy with a shorter verifier_cache, a rotation takes less",
        ),
        _ => failure,
    }
}

async fn options(app: &App, args: &Args) -> Result<Options, Failure> {
    let script = match &args.script {
        Some(path) => {
            let text = files::read_text(path, MOST_BYTES)?;
            Some(
                script::parse(&text)
                    .map_err(|error| Failure::usage(format!("{}: {error}", path.display())))?,
            )
        }
        None => None,
    };
    Ok(Options {
        gateways: args.gateways,
        supervisors: args.supervisors,
        policy: policy(app, args.policy.as_deref()).await?,
        ttl: args.ttl,
        skew: args.skew,
        seed: args.seed,
        script,
        soak: args.soak,
        faults: args.fault.clone(),
        baseline: args.baseline,
        keep: args.keep,
    })
}

/// The policy of the file, of the store, or the default.
pub(super) async fn policy(app: &App, file: Option<&Path>) -> Result<Policy, Failure> {
    if let Some(path) = file {
        return read_policy(path);
    }
    let named = app.global.store.is_some() || app.world.environment.get("KEYSTILE_STORE").is_some();
    match app.store()?.load_public().await {
        Ok(loaded) => Ok(loaded.manifest.policy),
        Err(error) if named => Err(Failure::of(Exit::Unreachable, &error)),
        Err(_) => Ok(Policy::default()),
    }
}

/// A policy whose absent members have their defaults, or a manifest's.
fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let bytes = files::read(path, MOST_BYTES)?;
    let wrong = |error: &(dyn std::error::Error + 'static)| {
        Failure::usage(format!("{} is no policy", path.display()))
            .because(Some(error))
            .expected("a policy such as {\"token_ttl\": 3600, \"max_staleness\": 300}, or a manifest")
    };
    let members: serde_json::Map<_, _> = serde_json::from_slice(&bytes).map_err(|error| wrong(&error))?;
    if members.contains_key("schema") {
        return Manifest::from_json(&bytes).map(|manifest| manifest.policy).map_err(|error| wrong(&error));
    }
    let mut whole = serde_json::to_value(Policy::default()).map_err(|error| wrong(&error))?;
    if let Some(whole) = whole.as_object_mut() {
        whole.extend(members);
    }
    let policy: Policy = serde_json::from_value(whole).map_err(|error| wrong(&error))?;
    policy.check().map_err(|error| wrong(&error))?;
    Ok(policy)
}
