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
        return show(app, Frame::Once).await;
    }
    let mut frame = Frame::First;
    while !app.world.stdout.is_closed() {
        match show(app, frame).await {
            Err(failure) if failure.exit() == Exit::Unreachable => app.complain(&failure),
            other => other?,
        }
        frame = Frame::Next;
        tokio::time::sleep(Duration::from_secs(args.every.max(1))).await;
    }
    Ok(())
}

/// Which picture of a row it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Frame {
    Once,
    First,
    Next,
}

impl Frame {
    /// `picture` over the one before it on a terminal: without a blink, line by line.
    fn over(self, picture: &str) -> String {
        let before = if self == Self::First { "\x1b[2J\x1b[H" } else { "\x1b[H" };
        format!("{before}{}\x1b[J", picture.replace('\n', "\x1b[K\n"))
    }
}

async fn show(app: &App, frame: Frame) -> Result<(), Failure> {
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
    match app.world.stdout.columns() {
        _ if frame == Frame::Once => app.answer("keystile/status/v1", &document, || draw(&view)),
        // What moves the cursor is added to what cannot.
        Some(_) if !app.json() => app.print(&frame.over(&app.shown(&draw(&view)))),
        _ => app.announce("keystile/status/v1", &document, || draw(&view)),
    }
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
        broken @ Mirror::Broken { why, in_the_way, .. } => all.push(Problem::warn(
            "mirror-broken",
            format!("the single-key files cannot be used: {why}"),
            match in_the_way {
                Some(_) => broken.remedy(),
                None => "write them anew: keystile reconcile".to_owned(),
            },
        )),
    }
    if let Some(refusal) = survey.standing.refusal() {
        all.push(Problem::fail(refusal.code.as_str(), refusal.found, refusal.remedy));
    } else if survey.witness != Some(survey.manifest.generation) {
        all.push(Problem::warn(
            "witness-behind",
            "the witness does not remember the newest generation",
            "tell it: keystile reconcile",
        ));
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
