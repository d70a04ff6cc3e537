//! The first generation: a fresh keyring, or an OpenShell key set taken over in place.

use keystile_keyring::manifest::Origin;
use keystile_keyring::plan::{Adoption, Candidate, Plan, adopt, init};
use keystile_keyring::{Code, GatewayId, Policy, Refusal};
use keystile_store::{CommitError, Occupancy};
use keystile_token::{PrivateKey, PrivateKeys};

use crate::commit::Follows;
use crate::{Committed, OperateError, Operator, Progress, committed};

/// How a keyring begins.
#[derive(Clone, Debug)]
pub struct First {
    /// The gateway identity.
    pub gateway_id: GatewayId,
    /// Its rules.
    pub policy: Policy,
    /// Who begins it.
    pub actor: String,
    /// Take over the key set found there, with what is known of its past; else make a key.
    pub adopt: Option<Adoption>,
}

impl Operator {
    /// Plans the first generation and changes nothing.
    pub async fn preview_first(&self, first: &First) -> Result<Plan, OperateError> {
        self.plan_first(first).await.map(|(plan, _)| plan)
    }

    /// Makes the first generation.
    pub async fn begin(&self, first: &First, progress: &mut dyn Progress) -> Result<Committed, OperateError> {
        let (plan, key) = self.plan_first(first).await?;
        let kid = plan.next.keys.first().map(|key| key.kid.clone());
        let mut private = PrivateKeys::default();
        if let Some(kid) = kid.clone() {
            private.insert(kid, key).map_err(OperateError::KidTaken)?;
        }
        match self.write(&plan, private, Follows::Store).await {
            // Somebody else was first.
            Err(OperateError::Commit(CommitError::Occupied { occupancy, .. })) => {
                return Err(self.not_there(&occupancy, first.adopt.is_some()).into());
            }
            written => written?,
        };
        progress.committed(&plan);
        Ok(committed(&plan, kid))
    }

    async fn plan_first(&self, first: &First) -> Result<(Plan, PrivateKey), OperateError> {
        let occupancy = self.store.occupancy().await?;
        let now = self.clock.now();
        let (gateway_id, policy, actor) =
            (first.gateway_id.clone(), first.policy.clone(), first.actor.as_str());
        match (occupancy, first.adopt) {
            (Occupancy::Empty, None) => {
                let (candidate, key) = self.make_key()?;
                Ok((init(gateway_id, policy, &candidate, actor, now)?, key))
            }
            (Occupancy::OpenShellKeySet(_), Some(adoption)) => {
                let set = self.store.read_key_set().await?;
                let candidate = Candidate { kid: set.kid, public_key: set.public, origin: Origin::Adopted };
                Ok((adopt(gateway_id, policy, &candidate, adoption, actor, now)?, set.private))
            }
            (found, adoption) => Err(self.not_there(&found, adoption.is_some()).into()),
        }
    }

    fn not_there(&self, found: &Occupancy, adopt: bool) -> Refusal {
        let place = self.store.describe();
        let remedy = match (found, adopt) {
            (Occupancy::Empty, _) => "name the place of the key set; for a new keyring: keystile init",
            (Occupancy::OpenShellKeySet(_), _) => "take it over: keystile adopt; or name an empty place",
            (Occupancy::Keyring, _) => "it is ready to use: keystile status; or name an empty place",
            (Occupancy::Remains(_), _) => "restore what is missing from a backup; or name an empty place",
        };
        let wanted = if adopt { "an OpenShell key set" } else { "an empty place" };
        Refusal::new(Code::NotEmpty, format!("{place} holds {found}; expected {wanted}"), remedy)
    }
}
