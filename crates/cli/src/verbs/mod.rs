//! One file per verb.

pub(crate) mod activate;
pub(crate) mod adopt;
pub(crate) mod certgen;
pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod jwks;
pub(crate) mod man;
pub(crate) mod mint;
pub(crate) mod prepare;
pub(crate) mod prune;
pub(crate) mod reconcile;
pub(crate) mod rehearse;
pub(crate) mod retire;
pub(crate) mod revoke;
pub(crate) mod rollback;
pub(crate) mod rotate;
pub(crate) mod serve;
pub(crate) mod set_policy;
pub(crate) mod simulate;
pub(crate) mod status;
pub(crate) mod supervise;
pub(crate) mod verify;

use crate::app::App;
use crate::args::{Change, Verb};
use crate::failure::Failure;

/// Runs a verb.
pub(crate) async fn run(app: &App, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Status(args) => status::run(app, &args).await,
        Verb::Change(change) => run_change(app, change, false).await,
        Verb::Plan { change } => run_change(app, change, true).await,
        Verb::Serve(args) => serve::run(app, &args).await,
        Verb::Supervise(args) => supervise::run(app, &args).await,
        Verb::Rehearse(args) => rehearse::run(app, &args).await,
        Verb::Simulate(args) => simulate::run(app, &args).await,
        Verb::Mint(writing) => mint::run(app, &writing.args, writing.dry_run).await,
        Verb::Verify(args) => verify::run(app, &args).await,
        Verb::Inspect(args) => inspect::run(app, &args).await,
        Verb::Jwks(args) => jwks::run(app, &args).await,
        Verb::Doctor(args) => doctor::run(app, &args).await,
        Verb::Certgen(writing) => certgen::run(app, &writing.args, writing.dry_run),
        Verb::Completions(args) => completions::run(app, &args),
        Verb::Man(args) => man::run(app, &args),
    }
}

/// Runs a change of the keyring, or only says what it would do.
async fn run_change(app: &App, change: Change, plan: bool) -> Result<(), Failure> {
    match change {
        Change::Init(writing) => init::run(app, &writing.args, plan || writing.dry_run).await,
        Change::Adopt(writing) => adopt::run(app, &writing.args, plan || writing.dry_run).await,
        Change::Rotate(writing) => rotate::run(app, &writing.args, plan || writing.dry_run).await,
        Change::Rollback(writing) => rollback::run(app, &writing.args, plan || writing.dry_run).await,
        Change::Revoke(writing) => revoke::run(app, &writing.args, plan || writing.dry_run).await,
        Change::Retire(writing) => retire::run(app, &writing.args, plan || writing.dry_run).await,
        Change::Prepare(writing) => prepare::run(app, &writing.args, plan || writing.dry_run).await,
        Change::Activate(writing) => activate::run(app, &writing.args, plan || writing.dry_run).await,
        Change::Prune(writing) => prune::run(app, &writing.args, plan || writing.dry_run).await,
        Change::Reconcile(writing) => reconcile::run(app, &writing.args, plan || writing.dry_run).await,
        Change::SetPolicy(writing) => set_policy::run(app, &writing.args, plan || writing.dry_run).await,
    }
}
