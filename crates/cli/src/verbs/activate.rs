//! `keystile activate`: let the prepared key sign, behind the gate.

use keystile_keyring::plan::{Plan, Verb};
use keystile_keyring::{Fleet, Manifest};

use crate::app::App;
use crate::change::{Asked, How, carry_out};
use crate::failure::Failure;
use crate::picture::Labels;
use crate::when::When;

/// Options of `activate`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Say that no gateway runs, so that none has to report
    #[arg(long)]
    offline: bool,

    /// Give up the old private key as soon as the new one signs
    #[arg(long)]
    no_rollback: bool,

    #[command(flatten)]
    asked: Asked,
}

/// Whether gateways run.
pub(crate) fn fleet(offline: bool) -> Fleet {
    if offline { Fleet::Offline } else { Fleet::Reporting }
}

/// Lets the key sign.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let verb = Verb::Activate { fleet: fleet(args.offline), no_rollback: args.no_rollback };
    let request = args.asked.request(app, verb);
    carry_out(app, &request, How::once(dry_run), &said).await
}

/// What holds once a switch of the signing key is committed.
pub(crate) fn said(plan: &Plan, labels: &Labels, when: &When) -> String {
    let Some(last) = plan.next.timeline.last() else {
        return String::new();
    };
    let signs = format!("{} signs from {}.", labels.get(&last.kid), when.both(last.from));
    format!("{signs}{}\nWatch: keystile status --watch\n", former(&plan.next, labels, when))
}

/// ` 8b98b466 verifies until 14:32:10.` for the key that signed before the last one.
fn former(manifest: &Manifest, labels: &Labels, when: &When) -> String {
    let last = manifest.last_signer();
    let before = manifest.timeline.iter().rev().find(|activation| Some(&activation.kid) != last);
    let Some(key) = before.and_then(|activation| manifest.key(&activation.kid)) else {
        return String::new();
    };
    let kid = labels.get(&key.kid);
    match (&key.revoked, key.superseded.and_then(|superseded| superseded.accept_until)) {
        (Some(_), _) => format!(" {kid} is refused."),
        (None, Some(until)) => format!(" {kid} verifies until {}.", when.both(until)),
        (None, None) => format!(" {kid} verifies until you set an end: keystile retire {kid} --at INSTANT."),
    }
}
