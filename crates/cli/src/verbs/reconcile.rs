//! `keystile reconcile`: what a schedule runs. Mend what is broken, resume what is in flight, do what is due.

use std::time::Duration;

use keystile_keyring::Digest;
use keystile_operator::{Reconcile, Rotation};
use serde::Serialize;

use crate::app::App;
use crate::change;
use crate::failure::Failure;
use crate::parse;
use crate::teller::Teller;

/// Options of `reconcile`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Due may be: a rotation to go on with, one that rotate_every asks for, keys to destroy, a store that went \
    back to repair, single-key files or a witness to write anew, reports of replicas that left long ago."
)]
pub(crate) struct Args {
    /// Trust keys that the witness never saw, if the store's manifest has this digest
    #[arg(long, value_name = "DIGEST")]
    accept: Option<Digest>,

    /// Take the next step of a rotation only; exit 3 while its gate is closed
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,

    /// Wait no longer than this, such as 10m, for a rotation's gate; then exit 3 [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    timeout: Option<u64>,
}

/// What `reconcile` did, or would do. Schema `keystile/reconcile/v1`.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether nothing was changed.
    dry_run: bool,
    /// What was, or would be, done: a sentence each.
    did: Vec<String>,
}

/// Does it.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let operator = app.operator()?;
    let rotation = Rotation { no_wait: args.no_wait, timeout: args.timeout.map(Duration::from_secs) };
    let how = Reconcile { actor: app.actor(), rotation, accept: args.accept };
    let did = if dry_run {
        operator.preview_reconcile(&how).await
    } else {
        let mut teller = Teller::of_steps(app);
        let did = operator.reconcile(&how, &mut teller).await;
        teller.settle();
        did
    };
    let report = Report { dry_run, did: did.map_err(|error| change::failure(&error, app))? };
    app.answer("keystile/reconcile/v1", &report, || text(&report))
}

fn text(report: &Report) -> String {
    match (report.did.as_slice(), report.dry_run) {
        ([], _) => "Nothing to do.\n".to_owned(),
        (would, true) => {
            would.iter().map(|line| format!("{line}\n")).collect::<String>() + "Nothing was changed.\n"
        }
        (did, false) => format!("Done: {}.\n", did.join("; ")),
    }
}
