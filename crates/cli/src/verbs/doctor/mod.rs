//! `keystile doctor`: is everything in order? Changes nothing.

mod cluster;
mod fleet;
mod keys;
mod rules;
mod surroundings;

use keystile_store::{Occupancy, Store};
use serde::Serialize;

use crate::app::App;
use crate::console::{Hue, harmless};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::health::{Problem, Severity};

/// Options of `doctor`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Exit 3 if a check fails; warnings do not count.")]
pub(crate) struct Args {}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    /// In order.
    Ok,
    /// Should be looked at.
    Warn,
    /// Must be mended.
    Fail,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
struct Check {
    /// What was checked.
    name: &'static str,
    /// How it came out.
    level: Level,
    /// What was found.
    found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, level: Level::Ok, found: found.into(), remedy: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, level: Level::Warn, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, level: Level::Fail, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// A check that an error answers; the error says what to do.
    fn error(name: &'static str, error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = std::iter::successors(Some(error), |error: &&(dyn std::error::Error + 'static)| {
            (*error).source()
        });
        let found: Vec<String> = chain.map(ToString::to_string).collect();
        Self { name, level: Level::Fail, found: found.join(": "), remedy: None }
    }

    fn of(name: &'static str, problem: &Problem) -> Self {
        let level = if problem.severity == Severity::Fail { Level::Fail } else { Level::Warn };
        Self { name, level, found: problem.found.clone(), remedy: Some(problem.remedy.clone()) }
    }
}

/// Every check. Schema `keystile/doctor/v1`.
#[derive(Debug, Serialize)]
struct Report {
    /// The worst level.
    level: Level,
    /// The checks, in the order they were made.
    checks: Vec<Check>,
}

/// Makes every check.
pub(crate) async fn run(app: &App, _: &Args) -> Result<(), Failure> {
    let checks = checks(app).await?;
    let level = checks.iter().map(|check| check.level).max().unwrap_or(Level::Ok);
    let report = Report { level, checks };
    app.answer("keystile/doctor/v1", &report, || text(app, &report))?;
    if level == Level::Fail { Err(Failure::silent(Exit::Refused)) } else { Ok(()) }
}

async fn checks(app: &App) -> Result<Vec<Check>, Failure> {
    let (store, place) = (app.store()?, app.place()?);
    let (first, keyring) = occupancy(store.as_ref()).await;
    let mut checks = vec![first];
    if !keyring {
        checks.extend(keys::single(store.as_ref()).await);
        return Ok(checks);
    }
    checks.extend(surroundings::directory(&place));
    checks.extend(cluster::checks(app, &place).await);
    checks.extend(keys::loaded(store.as_ref(), app.now()).await);
    if let Ok(loaded) = store.load_public().await {
        checks.extend(surroundings::beside(store.as_ref(), &loaded).await);
        checks.extend(rules::policy(&loaded.manifest.policy));
        checks.extend(fleet::checks(store.as_ref(), &loaded, app.now()).await);
    }
    Ok(checks)
}

/// What the store holds, and whether it is a keyring.
async fn occupancy(store: &dyn Store) -> (Check, bool) {
    let place = store.describe();
    match store.occupancy().await {
        Ok(Occupancy::Keyring) => (Check::ok("store", format!("{place} holds a keyring")), true),
        Ok(Occupancy::OpenShellKeySet(kid)) => {
            let found = format!("{place} holds an OpenShell key set with kid {kid}");
            (Check::warn("store", found, "take it over: keystile adopt"), false)
        }
        Ok(other) => {
            let found = format!("{place} holds no keyring: {other}");
            let remedy = "name the right store; for a new keyring: keystile init";
            (Check::fail("store", found, remedy), false)
        }
        Err(error) => (Check::error("store", &error), false),
    }
}

fn text(app: &App, report: &Report) -> String {
    let paint = app.paint(&app.world.stdout);
    let mut text = String::new();
    for check in &report.checks {
        let word = match check.level {
            Level::Ok => paint.paint(Hue::Green, "ok  "),
            Level::Warn => paint.paint(Hue::Yellow, "warn"),
            Level::Fail => paint.paint(Hue::Red, "FAIL"),
        };
        text.push_str(&format!("{word}  {:<10} {}\n", check.name, harmless(&check.found)));
        if let Some(remedy) = &check.remedy {
            text.push_str(&format!("      {:<10} do: {}\n", "", harmless(remedy)));
        }
    }
    let count = |level| report.checks.iter().filter(|check| check.level == level).count();
    let (fails, warns) = (count(Level::Fail), count(Level::Warn));
    let checks = if report.checks.len() == 1 {
        "1 check".to_owned()
    } else {
        format!("{} checks", report.checks.len())
    };
    text.push_str(&match (fails, warns) {
        (0, 0) => format!("{checks}, all in order\n"),
        _ => format!("{checks}: {fails} failed, {warns} to look at\n"),
    });
    text
}
