//! `keystile revoke`: refuse a key's tokens from now on, for ever.

use keystile_keyring::Kid;
use keystile_keyring::plan::{Plan, Verb};

use crate::app::App;
use crate::change::{Asked, How, carry_out, manifest};
use crate::failure::Failure;
use crate::kids;
use crate::picture::Labels;
use crate::when::When;

/// Options of `revoke`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "It does not ask: look first with --dry-run. A revocation is final. If the key signs, another \
    one signs in its place in the same change. Example: keystile revoke 4cbaf5c0 --descendants --reason \"found on a \
    laptop\""
)]
pub(crate) struct Args {
    /// The key: a kid, or at least 4 characters of its beginning; keystile status shows them
    #[arg(value_name = "KID")]
    kid: String,

    /// Refuse also every token whose chain of refreshes began while the key was good
    #[arg(long)]
    descendants: bool,

    #[command(flatten)]
    asked: Asked,
}

/// Revokes the key.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let kid = kids::resolve(&manifest(app).await?, &args.kid)?;
    let verb = Verb::Revoke { kid: kid.clone(), descendants: args.descendants };
    let request = args.asked.request(app, verb);
    let said = |plan: &Plan, labels: &Labels, when: &When| said(plan, labels, when, &kid);
    carry_out(app, &request, How::once(dry_run), &said).await
}

fn said(plan: &Plan, labels: &Labels, when: &When, kid: &Kid) -> String {
    let signer = plan.next.active_at(when.now()).map(|key| labels.get(&key.kid)).unwrap_or_default();
    format!(
        "Revoked {}; {signer} signs. A replica refuses it once it holds generation {}: keystile status\n",
        labels.get(kid),
        plan.next.generation
    )
}
