//! `keystile prepare`: publish a new key that does not sign yet.

use keystile_keyring::plan::{Plan, Verb};

use crate::app::App;
use crate::change::{Asked, How, carry_out};
use crate::failure::Failure;
use crate::picture::Labels;
use crate::when::When;

/// Options of `prepare`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Give up the old private key as soon as the new one signs
    #[arg(long)]
    no_rollback: bool,

    #[command(flatten)]
    asked: Asked,
}

/// Publishes the key.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let request = args.asked.request(app, Verb::Prepare { no_rollback: args.no_rollback });
    carry_out(app, &request, How::once(dry_run), &said).await
}

/// Also what a rotation says that does not wait.
pub(crate) fn said(plan: &Plan, labels: &Labels, _: &When) -> String {
    let kid = plan.next.operation.as_ref().map(|operation| labels.get(&operation.to_kid)).unwrap_or_default();
    format!(
        "Published {kid}; it does not sign yet. Next: keystile activate, or keystile rotate, which waits\n"
    )
}
