//! `keystile status`: the keyring and the fleet, as a picture or as data.

mod document;

use std::time::Duration;

use keystile_operator::Survey;
use keystile_store::{Freshness, Mirror};

use crate::app::App;
use crate::change;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::health::{Problem, problems};
use crate::parse;
use crate::picture::{View, draw};

/// Options of `status`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on showing it until interrupted
    #[arg(long)]
    watch: bool,

    /// How often it is looked at anew
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = parse::duration, requires = "watch")]
    every: u64,
}

/// Shows it, once or again and again.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    if !args.watch {
        return show(app, "").await;
    }
    // Clear the screen and go to its corner; a file gets one picture after the other.
    let clear = if app.world.stdout.columns().is_some() && !app.json() { "\x1b[2J\x1b[H" } else { "" };
    while !app.world.stdout.is_closed() {
        match show(app, clear).await {
            Err(failure) if failure.exit() == Exit::Unreachable => app.complain(&failure),
            other => other?,
        }
        tokio::time::sleep(Duration::from_secs(args.every.max(1))).await;
    }
    Ok(())
}

async fn show(app: &App, before: &str) -> Result<(), Failure> {
    let survey = app.operator()?.survey().await.map_err(|error| change::failure(&error, app))?;
    let problems = all_problems(&survey);
    let when = app.when_it_is(survey.now);
    let view = View {
        manifest: &survey.manifest,
        digest: survey.digest,
        reports: &survey.reports,
        problems: &problems,
        when: &when,
        width: app.width(),
        paint: app.paint(&app.world.stdout),
    };
    let document = document::Status::of(&view, &survey);
    app.answer("keystile/status/v1", &document, || format!("{before}{}", draw(&view)))
}

/// What is wrong with the keyring, the fleet and what lies beside them.
fn all_problems(survey: &Survey) -> Vec<Problem> {
    let mut all = problems(&survey.manifest, survey.digest, &survey.reports, survey.now);
    match &survey.mirror {
        Mirror::Current { .. } => {}
        Mirror::Stale { shown, expected } => all.push(Problem::warn(
            "mirror-stale",
            format!("the single-key files show {}; expected {}", shown.short(), expected.short()),
            "write them anew: keystile reconcile",
        )),
        Mirror::Broken { why, .. } => all.push(Problem::warn(
            "mirror-broken",
            format!("the single-key files cannot be used: {why}"),
            "write them anew: keystile reconcile",
        )),
    }
    match survey.witness {
        Some(generation) if generation == survey.manifest.generation => {}
        Some(generation) if generation > survey.manifest.generation => all.push(Problem::fail(
            "store-went-back",
            format!(
                "the witness remembers generation {generation}, the store holds {}",
                survey.manifest.generation
            ),
            "repair it: keystile reconcile",
        )),
        _ => all.push(Problem::warn(
            "witness-behind",
            "the witness does not remember the newest generation",
            "tell it: keystile reconcile",
        )),
    }
    if survey.freshness == Freshness::Asserted {
        all.push(Problem::warn(
            "copy",
            "this is a copy that somebody else keeps up to date: how old it may be is not known",
            "look at the original store",
        ));
    }
    all.sort_by_key(|problem| problem.severity);
    all
}
