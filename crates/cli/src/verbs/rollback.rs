//! `keystile rollback`: go back to the former key, or drop a prepared one.

use keystile_keyring::plan::{Plan, Verb};

use crate::app::App;
use crate::change::{Asked, How, carry_out, manifest};
use crate::failure::Failure;
use crate::kids;
use crate::picture::Labels;
use crate::verbs::activate;
use crate::when::When;

/// Options of `rollback`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// The key to go back to: a kid, or at least 4 characters of its beginning [default: the one that signed before]
    #[arg(long, value_name = "KID")]
    to: Option<String>,

    #[command(flatten)]
    asked: Asked,
}

/// Goes back.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let before = manifest(app).await?;
    let to = args.to.as_ref().map(|given| kids::resolve(&before, given)).transpose()?;
    let drops = before.operation.is_some();
    let request = args.asked.request(app, Verb::Rollback { to });
    let said = |plan: &Plan, labels: &Labels, when: &When| said(plan, labels, when, drops);
    carry_out(app, &request, How::once(dry_run), &said).await
}

fn said(plan: &Plan, labels: &Labels, when: &When, drops: bool) -> String {
    if !drops {
        return format!("Rolled back. {}", activate::said(plan, labels, when));
    }
    let signs = plan.next.last_signer().map(|kid| labels.get(kid)).unwrap_or_default();
    format!("Rolled back: the prepared key is dropped, {signs} goes on signing.\n")
}
