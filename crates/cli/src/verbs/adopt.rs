//! `keystile adopt`: take over an OpenShell key set where it lies.

use keystile_keyring::manifest::Lifetime;
use keystile_keyring::plan::{Adoption, Plan};

use crate::app::App;
use crate::failure::Failure;
use crate::parse;
use crate::picture::Labels;
use crate::verbs::init::{self, Beginning};
use crate::when::When;

/// Options of `adopt`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    beginning: Beginning,

    /// The longest lifetime of the tokens already out: a duration, or "unbounded"
    #[arg(long, value_name = "DURATION", default_value = "unbounded", value_parser = lifetime)]
    longest_token: Lifetime,
}

fn lifetime(text: &str) -> Result<Lifetime, parse::ParseError> {
    match text {
        "unbounded" => Ok(Lifetime::Unbounded),
        _ => parse::duration(text).map(Lifetime::Bounded),
    }
}

/// Takes the key set over.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let mut first = args.beginning.first(app)?;
    first.adopt = Some(Adoption { longest_token: args.longest_token });
    init::begin(app, &first, dry_run, &said).await
}

fn said(plan: &Plan, labels: &Labels, _: &When) -> String {
    let kid = plan.next.last_signer().map(|kid| labels.get(kid)).unwrap_or_default();
    format!(
        "Adopted key {kid} as keyring {}: it goes on signing, and tokens already out stay valid.\n\
         Next: keystile serve, then keystile rotate\n",
        plan.next.gateway_id
    )
}
