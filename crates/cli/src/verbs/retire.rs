//! `keystile retire`: set the end of an unbounded window, or bring an end forward.

use keystile_keyring::plan::{Plan, Verb};

use crate::app::App;
use crate::change::{Asked, How, carry_out, manifest};
use crate::failure::Failure;
use crate::kids;
use crate::parse::Instant;
use crate::picture::Labels;
use crate::when::When;

/// Options of `retire`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The key: a kid, or at least 4 characters of its beginning; keystile status shows them
    #[arg(value_name = "KID")]
    kid: String,

    /// The last instant at which its tokens are accepted, for a key whose tokens may never expire: RFC 3339, or "in 2h"
    /// [default with --force: now]
    #[arg(long, value_name = "INSTANT")]
    at: Option<Instant>,

    /// End it even though tokens that are still good are cut off; needs --reason
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    asked: Asked,
}

/// Sets the end.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let kid = kids::resolve(&manifest(app).await?, &args.kid)?;
    let at = args.at.map(|at| at.resolve(app.now()));
    let request = args.asked.request(app, Verb::Retire { kid, at, force: args.force });
    carry_out(app, &request, How::once(dry_run), &said).await
}

fn said(plan: &Plan, labels: &Labels, when: &When) -> String {
    let end = plan.impact.steps.last();
    end.map_or_else(String::new, |step| {
        let at = step.at.map_or_else(String::new, |at| format!(" after {}", when.both(at)));
        format!("{}{at}.\n", labels.shorten(&step.what))
    })
}
