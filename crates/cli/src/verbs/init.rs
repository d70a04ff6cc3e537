//! `keystile init`: a keyring in a place that was never used.

use keystile_keyring::manifest::Lifetime;
use keystile_keyring::plan::{Adoption, Plan, PolicyChange};
use keystile_keyring::{Code, GatewayId, Policy};
use keystile_operator::First;
use keystile_store::Occupancy;

use crate::app::App;
use crate::change;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::picture::Labels;
use crate::policy;
use crate::teller::Teller;
use crate::verbs::adopt;

/// Options of `init`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) beginning: Beginning,

    /// Leave a keyring that is there alone, adopt an OpenShell key set, create one only where nothing is
    #[arg(long)]
    ensure: bool,

    /// The longest lifetime of an adopted key's tokens: a duration, or "unbounded"
    #[arg(long, value_name = "DURATION", default_value = "unbounded", value_parser = adopt::lifetime,
        requires = "ensure")]
    longest_token: Lifetime,
}

/// What every first generation needs.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Beginning {
    /// The gateway identity: `iss` and `aud` of its tokens are openshell-gateway:NAME
    #[arg(long, value_name = "NAME", default_value = "openshell")]
    gateway_id: GatewayId,

    /// A rule that differs from the default; may be repeated. See keystile set-policy
    #[arg(long = "policy", value_name = "NAME=VALUE", value_parser = policy::assignment)]
    policy: Vec<policy::Assignment>,
}

impl Beginning {
    /// The first generation that it asks for; `adopt` is filled in by the caller.
    pub(crate) fn first(&self, app: &App) -> Result<First, Failure> {
        let change = PolicyChange(self.policy.iter().cloned().collect());
        let policy = change.apply(&Policy::default())?;
        Ok(First { gateway_id: self.gateway_id.clone(), policy, actor: app.actor(), adopt: None })
    }
}

/// Makes the keyring.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let mut first = args.beginning.first(app)?;
    let store = app.store()?;
    let place = store.describe();
    if args.ensure {
        match store.occupancy().await.map_err(|error| Failure::of(Exit::Unreachable, &error))? {
            Occupancy::Keyring => return leave_alone(app, &first, &place).await,
            Occupancy::OpenShellKeySet(_) => {
                first.adopt = Some(Adoption { longest_token: args.longest_token });
                return begin(app, &first, dry_run, &adopt::said).await;
            }
            Occupancy::Empty | Occupancy::Remains(_) => {}
        }
    }
    begin(app, &first, dry_run, &|plan, labels, _| said(plan, labels, &place)).await
}

/// A keyring of another identity is not the one that was asked for: its tokens are another gateway's.
async fn leave_alone(app: &App, first: &First, place: &str) -> Result<(), Failure> {
    let found = change::manifest(app).await?.gateway_id;
    if found == first.gateway_id {
        return change::nothing(app, "init", format!("{place} holds keyring {found}; it is left as it is"));
    }
    Err(Failure::refused(Code::NotEmpty, format!("{place} holds keyring {found}"))
        .expected(format!("keyring {}", first.gateway_id))
        .remedy(format!("keep its identity: --gateway-id {found}; or name another place")))
}

/// Plans or makes a first generation, and answers.
pub(crate) async fn begin(
    app: &App,
    first: &First,
    dry_run: bool,
    said: change::Said<'_>,
) -> Result<(), Failure> {
    let operator = app.operator()?;
    if dry_run {
        let plan = operator.preview_first(first).await.map_err(|error| change::failure(&error, app))?;
        return change::show_plan(app, &plan);
    }
    let mut teller = Teller::of_one_step(app);
    let committed = operator.begin(first, &mut teller).await.map_err(|error| change::failure(&error, app))?;
    change::tell(app, &committed, teller.last(), said)
}

fn said(plan: &Plan, labels: &Labels, place: &str) -> String {
    let kid = plan.next.last_signer().map(|kid| labels.get(kid)).unwrap_or_default();
    format!("Created keyring {} in {place}: key {kid} signs. Next: keystile serve\n", plan.next.gateway_id)
}
