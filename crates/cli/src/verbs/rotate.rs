//! `keystile rotate`: prepare, wait, activate. The one verb that most operators need.

use std::time::Duration;

use keystile_keyring::plan::{Mode, Plan, Verb};
use keystile_operator::Rotation;

use crate::app::App;
use crate::change::{Asked, How, carry_out};
use crate::failure::Failure;
use crate::parse;
use crate::picture::Labels;
use crate::verbs::{activate, prepare};
use crate::when::When;

/// Options of `rotate`.
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
#[command(after_help = "It can be stopped and resumed at any point: run again, it goes on where it was.")]
pub(crate) struct Args {
    /// Commit everything at once, to take effect after so long, such as 1h, where no replica can report
    #[arg(long, value_name = "DURATION", value_parser = parse::duration, conflicts_with_all = ["emergency", "offline"])]
    schedule: Option<u64>,

    /// Skip the waits, never the integrity checks: who has not read the new key yet may refuse its tokens
    #[arg(long, conflicts_with = "offline")]
    emergency: bool,

    /// Say that no gateway runs, so that none has to report
    #[arg(long)]
    offline: bool,

    /// Give up the old private key as soon as the new one signs
    #[arg(long)]
    no_rollback: bool,

    /// Take the next step only; exit 3 while the gate is closed
    #[arg(long, conflicts_with = "timeout")]
    no_wait: bool,

    /// Wait no longer than this, such as 10m, for the gate; then exit 3, with the rotation still in flight [default: no
    /// limit]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    timeout: Option<u64>,

    #[command(flatten)]
    asked: Asked,
}

impl Args {
    fn mode(&self) -> Mode {
        match self.schedule {
            Some(lead) => Mode::Scheduled(lead),
            None if self.emergency => Mode::Emergency,
            None => Mode::Gated(activate::fleet(self.offline)),
        }
    }
}

/// Rotates.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let verb = Verb::Rotate { mode: args.mode(), no_rollback: args.no_rollback };
    let request = args.asked.request(app, verb);
    let timeout = args.timeout.map(Duration::from_secs);
    let rotation = Rotation { no_wait: args.no_wait, timeout };
    let how = if dry_run { How::Dry } else { How::Rotation(rotation) };
    carry_out(app, &request, how, &said).await
}

fn said(plan: &Plan, labels: &Labels, when: &When) -> String {
    if plan.next.operation.is_some() {
        return prepare::said(plan, labels, when);
    }
    format!("Rotated. {}", activate::said(plan, labels, when))
}
