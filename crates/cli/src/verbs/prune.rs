//! `keystile prune`: destroy what nothing needs any more.

use keystile_keyring::plan::{Plan, Verb};

use crate::app::App;
use crate::change::{Asked, How, carry_out};
use crate::failure::Failure;
use crate::picture::Labels;
use crate::when::When;

/// Options of `prune`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    asked: Asked,
}

/// Destroys it.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let request = args.asked.request(app, Verb::Prune);
    carry_out(app, &request, How::once(dry_run), &said).await
}

fn said(plan: &Plan, labels: &Labels, _: &When) -> String {
    let lines = plan.impact.steps.iter().map(|step| format!("  {}\n", labels.shorten(&step.what)));
    format!("Pruned:\n{}", lines.collect::<String>())
}
