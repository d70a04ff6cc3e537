//! Rotate: prepare, wait, activate. Can be cut off and resumed anywhere.

use std::time::Duration;

use keystile_keyring::manifest::Operation;
use keystile_keyring::plan::{Mode, Plan, Planned, Request, Verb, nobody_reports};
use keystile_keyring::{Gate, Kid, Manifest};
use keystile_store::CommitError;
use keystile_token::PrivateKeys;

use crate::commit::Follows;
use crate::{OperateError, Operator, Outcome, Progress, committed};

/// How long a store that is away in the middle of a rotation is waited for.
const OUTAGE: Duration = Duration::from_mins(5);

/// How long a rotation may wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Take the next step and do not wait.
    pub no_wait: bool,
    /// Give up waiting after this long; the rotation stays in flight.
    pub timeout: Option<Duration>,
}

/// What one look at the store led to.
enum Step {
    /// A step was taken, by this run or another: look again.
    Taken,
    /// Nobody knows whether a step was taken that may be taken again.
    Unknown(OperateError),
    /// It waits for its gate.
    Waits {
        /// What it waits for.
        gate: Gate,
        /// The rotation.
        operation: Box<Operation>,
        /// The generation in which it stands.
        generation: u64,
    },
    /// There is nothing more to do.
    Over(Outcome),
}

impl Operator {
    /// Carries `request`, a [`Verb::Rotate`](keystile_keyring::plan::Verb), to its end.
    ///
    /// Dropping the future at any point is safe: the rotation stays in flight, and the same call
    /// resumes it. A store that goes away in between is waited for.
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
        let impatient =
            |waited: Duration| rotation.no_wait || rotation.timeout.is_some_and(|timeout| waited >= timeout);
        // When the store answered last, once it has.
        let mut answered = None;
        let mut followed = None;
        loop {
            let now = self.clock.uptime();
            let step = self.step(request, &mut followed, progress).await;
            let passing =
                matches!(step, Ok(Step::Unknown(_))) || step.as_ref().is_err_and(OperateError::may_pass);
            match step {
                Ok(Step::Over(outcome)) => return Ok(outcome),
                Ok(Step::Taken) => answered = Some(now),
                // A fleet may be away for a moment; one that nobody saw in this run may be for ever.
                Ok(Step::Waits { gate: Gate::Unattended, operation, .. }) if answered.is_none() => {
                    return Err(nobody_reports(&operation.to_kid).into());
                }
                Ok(Step::Waits { gate, operation, generation }) => {
                    answered = Some(now);
                    progress.waiting(&operation, &gate, self.clock.now());
                    if impatient(now.saturating_sub(began)) {
                        return Err(OperateError::Held { gate, operation, generation });
                    }
                    tokio::time::sleep(self.store.pace()).await;
                }
                Err(error) | Ok(Step::Unknown(error)) => {
                    // A store that never answered may be the wrong one: that is said at once.
                    let away = answered.map(|at| now.saturating_sub(at));
                    let waits =
                        away.is_some_and(|away| away < OUTAGE) && !impatient(now.saturating_sub(began));
                    if !waits || !passing {
                        return Err(error);
                    }
                    progress.interrupted(&error);
                    tokio::time::sleep(self.store.pace()).await;
                }
            }
        }
    }

    /// What is due now, if anything is.
    async fn step(
        &self,
        request: &Request,
        followed: &mut Option<Followed>,
        progress: &mut dyn Progress,
    ) -> Result<Step, OperateError> {
        let ready = self.read(true).await?;
        let generation = ready.loaded.manifest.generation;
        if let Some(followed) = &*followed
            && let Some(done) = followed.ended(&ready.loaded.manifest, request)?
        {
            return Ok(Step::Over(Outcome::Nothing(done)));
        }
        Followed::note(followed, &ready.loaded.manifest, request);
        match self.plan(&ready, request)? {
            Planned::Change(plan) => {
                let signs = plan.next.operation.is_none();
                let next = plan.next.clone();
                match self.commit(*plan, ready, progress).await {
                    // Another run of the same rotation took this step: go on from there.
                    Err(OperateError::Conflict { .. }) => Ok(Step::Taken),
                    // Whether it happened shows at the next look: either way the rotation goes on from there.
                    Err(error @ OperateError::Commit(CommitError::Unknown(_))) if !signs => {
                        Ok(Step::Unknown(error))
                    }
                    Err(error) => Err(error),
                    Ok(committed) if signs => Ok(Step::Over(Outcome::Committed(Box::new(committed)))),
                    Ok(_) => {
                        Followed::note(followed, &next, request);
                        Ok(Step::Taken)
                    }
                }
            }
            Planned::Wait { gate, operation } => {
                Ok(Step::Waits { gate, operation: Box::new(operation), generation })
            }
            Planned::Done(done) => {
                Ok(Step::Over(self.done_before(&ready.loaded, Outcome::Done(done)).await?))
            }
            Planned::Nothing(why) => {
                Ok(Step::Over(self.done_before(&ready.loaded, Outcome::Nothing(why)).await?))
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

/// The rotation that this run goes on with, as it was last seen in flight. Once it is not in flight any more this
/// run ends with it: to go on would be to rotate again.
struct Followed {
    operation: Operation,
    generation: u64,
}

impl Followed {
    /// Remembers what is in flight, if `request` goes on with it: an emergency does not.
    fn note(followed: &mut Option<Self>, manifest: &Manifest, request: &Request) {
        let joins = !matches!(request.verb, Verb::Rotate { mode: Mode::Emergency, .. });
        if let Some(operation) = manifest.operation.as_ref().filter(|_| joins) {
            *followed = Some(Self { operation: operation.clone(), generation: manifest.generation });
        }
    }

    /// That another run has carried it to its end, if so; an error if somebody dropped it.
    fn ended(&self, manifest: &Manifest, request: &Request) -> Result<Option<String>, OperateError> {
        let operation = &self.operation;
        if manifest.operation.as_ref().is_some_and(|now| now.id == operation.id) {
            return Ok(None);
        }
        if manifest.first_activation(&operation.to_kid).is_none() {
            let since: Vec<_> =
                manifest.history.iter().filter(|change| change.generation > self.generation).collect();
            let drops = since.iter().find(|change| change.verb == "rollback").or(since.last());
            let by = drops.map(|change| (change.verb.clone(), change.actor.clone()));
            return Err(OperateError::Dropped { operation: Box::new(operation.clone()), by });
        }
        // With a request id the keyring itself remembers what was done.
        let done = format!("{} is done: another run let {} sign", operation.id, operation.to_kid.short());
        Ok(request.request_id.is_none().then_some(done))
    }
}
