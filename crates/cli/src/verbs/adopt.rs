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

/// A longer lifetime would be a slip of the pen, seconds.
const LONGEST: u64 = 3650 * 24 * 3600;

/// A lifetime as it is written on the command line.
pub(crate) fn lifetime(text: &str) -> Result<Lifetime, String> {
    match text {
        "unbounded" => Ok(Lifetime::Unbounded),
        _ => match parse::duration(text).map_err(|error| error.to_string())? {
            // OpenShell's ttl_secs = 0 means tokens without an end, and this would mean tokens without a life.
            0 => Err("no token lives 0 s; tokens that never expire (ttl_secs = 0) are: unbounded".to_owned()),
            seconds if seconds > LONGEST => {
                Err("more than ten years (3650d); for tokens without a known end: unbounded".to_owned())
            }
            seconds => Ok(Lifetime::Bounded(seconds)),
        },
    }
}

/// Takes the key set over.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let mut first = args.beginning.first(app)?;
    first.adopt = Some(Adoption { longest_token: args.longest_token });
    init::begin(app, &first, dry_run, &said).await
}

/// What is said once it is done.
pub(crate) fn said(plan: &Plan, labels: &Labels, _: &When) -> String {
    let kid = plan.next.last_signer().map(|kid| labels.get(kid)).unwrap_or_default();
    format!(
        "Adopted key {kid} as keyring {}: it goes on signing, and tokens already out stay valid.\n\
         Next: keystile serve, then keystile rotate\n",
        plan.next.gateway_id
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_lifetime_is_a_duration_or_unbounded_and_never_0() {
        assert_eq!(lifetime("unbounded"), Ok(Lifetime::Unbounded));
        assert_eq!(lifetime("1h"), Ok(Lifetime::Bounded(3600)));
        assert_eq!(lifetime("3650d"), Ok(Lifetime::Bounded(LONGEST)));
        assert!(lifetime("3651d").unwrap_err().contains("unbounded"));
        for nothing in ["0", "0s", "0h"] {
            assert!(lifetime(nothing).unwrap_err().contains("unbounded"), "{nothing}");
        }
    }
}
