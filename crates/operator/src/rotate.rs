//! Rotate: prepare, wait, activate. Can be cut off and resumed anywhere.

use std::time::Duration;

use keystile_keyring::Kid;
use keystile_keyring::plan::{Mode, Plan, Planned, Request, Verb};
use keystile_token::PrivateKeys;

use crate::commit::Follows;
use crate::{OperateError, Operator, Outcome, Progress, committed};

/// How often the fleet's reports are read while a rotation waits.
const POLL: Duration = Duration::from_millis(250);

/// How long a rotation may wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Take the next step and do not wait.
    pub no_wait: bool,
    /// Give up waiting after this long; the rotation stays in flight.
    pub timeout: Option<Duration>,
}

impl Operator {
    /// Carries `request`, a [`Verb::Rotate`](keystile_keyring::plan::Verb), to its end.
    ///
    /// Dropping the future at any point is safe: the rotation stays in flight, and the same call
    /// resumes it.
    pub async fn rotate(
        &self,
        request: &Request,
        rotation: Rotation,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, OperateError> {
        if let Some(outcome) = self.replace_lost_signer(request, progress).await? {
            return Ok(outcome);
        }
        let began = self.clock.uptime();
        loop {
            let ready = self.read(true).await?;
            match self.plan(&ready, request)? {
                Planned::Change(plan) => {
                    let signs = plan.next.operation.is_none();
                    let committed = match self.commit(*plan, ready, progress).await {
                        // Another run of the same rotation took this step: go on from there.
                        Err(OperateError::Conflict { .. }) => continue,
                        other => other?,
                    };
                    if signs {
                        return Ok(Outcome::Committed(Box::new(committed)));
                    }
                }
                Planned::Wait { gate, operation } => {
                    progress.waiting(&operation, &gate, self.clock.now());
                    let waited = self.clock.uptime().saturating_sub(began);
                    if rotation.no_wait || rotation.timeout.is_some_and(|timeout| waited >= timeout) {
                        return Err(OperateError::Held { gate, operation: Box::new(operation) });
                    }
                    tokio::time::sleep(POLL).await;
                }
                Planned::Done(done) => return Ok(Outcome::Done(done)),
                Planned::Nothing(why) => return Ok(Outcome::Nothing(why)),
            }
        }
    }

    async fn replace_lost_signer(
        &self,
        request: &Request,
        progress: &mut dyn Progress,
    ) -> Result<Option<Outcome>, OperateError> {
        let Some((plan, private, made)) = self.lost_signer_repair(request).await? else {
            return Ok(None);
        };
        self.write(&plan, private, Follows::StoreAndWitness).await?;
        progress.committed(&plan);
        Ok(Some(Outcome::Committed(Box::new(committed(&plan, Some(made))))))
    }

    /// `rotate --emergency` on a store that went back, or that lost private keys: the repair, with a
    /// fresh key that signs.
    pub(crate) async fn lost_signer_repair(
        &self,
        request: &Request,
    ) -> Result<Option<(Plan, PrivateKeys, Kid)>, OperateError> {
        let Verb::Rotate { mode: Mode::Emergency, .. } = request.verb else {
            return Ok(None);
        };
        let (candidate, key) = self.make_key()?;
        let Some((plan, loaded)) = self.repair_due(None, &request.actor, Some(&candidate)).await? else {
            return Ok(None);
        };
        let mut private = loaded.private;
        private.insert(candidate.kid.clone(), key).map_err(OperateError::KidTaken)?;
        Ok(Some((plan, private, candidate.kid)))
    }
}
