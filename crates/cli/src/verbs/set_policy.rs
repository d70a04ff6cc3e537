//! `keystile set-policy`: change the rules.

use keystile_keyring::plan::{Plan, PolicyChange, Verb};

use crate::app::App;
use crate::change::{Asked, How, carry_out};
use crate::failure::Failure;
use crate::picture::Labels;
use crate::policy;
use crate::when::When;

/// Options of `set-policy`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = policy::members())]
pub(crate) struct Args {
    /// A rule and its value: token_ttl=2h, rotate_every=30d, rotate_every=none
    #[arg(required = true, value_name = "NAME=VALUE", value_parser = policy::assignment)]
    assignments: Vec<policy::Assignment>,

    #[command(flatten)]
    asked: Asked,
}

/// Changes them.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let change = PolicyChange(args.assignments.iter().cloned().collect());
    let request = args.asked.request(app, Verb::SetPolicy(change));
    carry_out(app, &request, How::once(dry_run), &said).await
}

fn said(plan: &Plan, _: &Labels, _: &When) -> String {
    let lines = plan.impact.steps.iter().map(|step| format!("  {}\n", step.what));
    format!("Policy changed:\n{}", lines.collect::<String>())
}
