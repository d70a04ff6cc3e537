//! What an operator does, through the operator's own library.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::manifest::Operation as InFlight;
use keystile_keyring::plan::{Mode, Plan, Planned, Request, Verb};
use keystile_keyring::{Fleet, Gate, KeyState, Kid, Manifest, UnixTime};
use keystile_operator::{OperateError, Outcome, Progress, Reconcile, Rotation};

use super::probe::Probe;
use crate::event::{Event, Order, StepEvent};
use crate::moment::Moment;
use crate::script::{KeyName, Operation};
use crate::stage::{ACTOR, Stage};
use keystile_picture::briefly;

/// How long a rotation may wait for its gate.
const GATE: Duration = Duration::from_mins(1);

/// Does it; how it went.
pub(super) async fn operate(stage: &Arc<Stage>, step: usize, operation: &Operation) -> StepEvent {
    let done = match operation {
        Operation::Rotate { emergency } => rotate(stage, step, *emergency).await,
        Operation::Rollback => rollback(stage, step).await,
        Operation::Revoke { key, descendants } => {
            end(stage, step, key, Ending::Revoke { descendants: *descendants }).await
        }
        Operation::Retire { key, force: true } => end(stage, step, key, Ending::Retire).await,
        Operation::Retire { key, force: false } => retire(stage, step, key).await,
        Operation::Prune => prune(stage, step).await,
        Operation::Reconcile => reconcile(stage, step).await,
    };
    done.unwrap_or_else(|failure| failure)
}

fn plain(did: &str) -> StepEvent {
    StepEvent::Done { did: did.to_owned(), measured: String::new() }
}

fn failed(error: &OperateError) -> StepEvent {
    if let OperateError::Refused(refusal) = error {
        return StepEvent::Refused { code: refusal.code.as_str().to_owned(), found: refusal.found.clone() };
    }
    let chain = std::iter::successors(Some(error as &(dyn Error + 'static)), |error| (*error).source());
    StepEvent::Failed(chain.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

fn request(verb: Verb) -> Request {
    Request { verb, actor: ACTOR.to_owned(), reason: Some("rehearsal".to_owned()), request_id: None }
}

/// Tells the steps of an operation as they happen, and remembers when generations were committed.
struct Teller<'a> {
    stage: &'a Stage,
    step: usize,
    waits_for: Option<String>,
    committed: Vec<(Moment, Manifest)>,
}

impl<'a> Teller<'a> {
    fn new(stage: &'a Stage, step: usize) -> Self {
        Self { stage, step, waits_for: None, committed: Vec::new() }
    }

    fn tell(&self, what: String) {
        self.stage.tell_step(self.step, StepEvent::Told(what));
    }

    /// The newest generation that it heard of.
    fn newest(&self) -> Option<&Manifest> {
        self.committed.last().map(|(_, manifest)| manifest)
    }
}

impl Progress for Teller<'_> {
    fn committed(&mut self, plan: &Plan) {
        self.stage.committed(&plan.next);
        self.committed.push((self.stage.field.clock.moment(), plan.next.clone()));
        self.tell(format!("generation {} committed: {}", plan.next.generation, plan.verb));
    }

    fn waiting(&mut self, _: &InFlight, gate: &Gate, _: UnixTime) {
        let waits_for = match gate {
            Gate::Unattended => "a live replica".to_owned(),
            Gate::Replicas { behind, live } => {
                let names: Vec<_> = behind.iter().map(ToString::to_string).collect();
                format!("{} of {live} replicas: {}", behind.len(), names.join(", "))
            }
            Gate::Caches { .. } => "outside verifiers' caches".to_owned(),
            Gate::Open { .. } => return,
        };
        if self.waits_for.as_ref() != Some(&waits_for) {
            self.tell(format!("waits for {waits_for}"));
            self.waits_for = Some(waits_for);
        }
    }

    fn did(&mut self, what: &str) {
        self.tell(what.to_owned());
    }
}

async fn change(stage: &Arc<Stage>, step: usize, verb: Verb) -> Result<Option<Manifest>, StepEvent> {
    let mut teller = Teller::new(stage, step);
    let outcome = stage.operator.apply(&request(verb), &mut teller).await;
    match outcome.map_err(|error| failed(&error))? {
        Outcome::Committed(_) => Ok(teller.newest().cloned()),
        Outcome::Done(_) => Ok(None),
        Outcome::Nothing(why) => {
            teller.tell(why);
            Ok(None)
        }
    }
}

async fn rotate(stage: &Arc<Stage>, step: usize, emergency: bool) -> Result<StepEvent, StepEvent> {
    let mode = if emergency { Mode::Emergency } else { Mode::Gated(Fleet::Reporting) };
    let request = request(Verb::Rotate { mode, no_rollback: false });
    let from = signer(stage).await;
    let began = stage.field.clock.moment();
    let mut teller = Teller::new(stage, step);
    let rotation = Rotation { no_wait: false, timeout: Some(GATE) };
    stage.operator.rotate(&request, rotation, &mut teller).await.map_err(|error| failed(&error))?;
    let newest = teller.newest().cloned();
    let gate = match (teller.committed.first(), teller.committed.last()) {
        (Some((prepared, _)), Some((activated, _))) => activated.since(*prepared),
        _ => Duration::ZERO,
    };
    let to = wait_for_signer(stage, newest.as_ref()).await;
    let signs = stage.field.clock.moment().since(began);
    let gate = if emergency { String::new() } else { format!("gate {}, ", briefly(gate)) };
    let measured = format!("{gate}signs after {}", briefly(signs));
    Ok(StepEvent::Done { did: format!("{} → {}", short(from.as_ref()), short(to.as_ref())), measured })
}

async fn rollback(stage: &Arc<Stage>, step: usize) -> Result<StepEvent, StepEvent> {
    let from = signer(stage).await;
    let began = stage.field.clock.moment();
    let newest = change(stage, step, Verb::Rollback { to: None }).await?;
    let to = wait_for_signer(stage, newest.as_ref()).await;
    let signs = stage.field.clock.moment().since(began);
    let did = format!("{} → {}", short(from.as_ref()), short(to.as_ref()));
    Ok(StepEvent::Done { did, measured: format!("signs again after {}", briefly(signs)) })
}

async fn retire(stage: &Arc<Stage>, step: usize, key: &KeyName) -> Result<StepEvent, StepEvent> {
    let kid = resolve(stage, key).await?;
    change(stage, step, Verb::Retire { kid: kid.clone(), at: None, force: false }).await?;
    Ok(plain(kid.short()))
}

async fn prune(stage: &Arc<Stage>, step: usize) -> Result<StepEvent, StepEvent> {
    let before = newest(stage).await?.keys.len();
    let after = change(stage, step, Verb::Prune).await?;
    Ok(match after {
        Some(after) => {
            plain(&format!("{} of {before} keys are gone", before.saturating_sub(after.keys.len())))
        }
        None => plain("nothing to do"),
    })
}

async fn reconcile(stage: &Arc<Stage>, step: usize) -> Result<StepEvent, StepEvent> {
    let rotation = Rotation { no_wait: false, timeout: Some(GATE) };
    let how = Reconcile { actor: ACTOR.to_owned(), rotation, accept: None };
    let mut teller = Teller::new(stage, step);
    let did = stage.operator.reconcile(&how, &mut teller).await.map_err(|error| failed(&error))?;
    Ok(StepEvent::Done { did: format!("{} things were due", did.len()), measured: did.join("; ") })
}

/// How good tokens are ended.
#[derive(Clone, Copy)]
enum Ending {
    Revoke { descendants: bool },
    Retire,
}

impl Ending {
    fn verb(self, kid: Kid) -> Verb {
        match self {
            Self::Revoke { descendants } => Verb::Revoke { kid, descendants },
            Self::Retire => Verb::Retire { kid, at: None, force: true },
        }
    }

    fn order(self, kid: Kid) -> Order {
        match self {
            Self::Revoke { descendants } => Order::Revoke { kid, descendants },
            Self::Retire => Order::Retire { kid },
        }
    }
}

/// Ends a key's tokens, measures when each replica refuses them, and gives those supervisors new files who
/// cannot help themselves.
async fn end(stage: &Arc<Stage>, step: usize, key: &KeyName, ending: Ending) -> Result<StepEvent, StepEvent> {
    let kid = resolve(stage, key).await?;
    let verb = ending.verb(kid.clone());
    // What is refused must not let the oracle expect refusals of tokens.
    let planned = stage.operator.preview(&request(verb.clone())).await.map_err(|error| failed(&error))?;
    if !matches!(planned, Planned::Change(_)) {
        return Ok(plain("nothing to do"));
    }
    let probe = probe(stage, &kid).await;
    let at = stage.field.clock.stamp();
    stage.field.tell(Event::Order { at, order: ending.order(kid.clone()) });
    let limit =
        Duration::from_secs(stage.settings.policy.verify_staleness + stage.settings.policy.max_skew + 5);
    let watching = probe.map(|probe| {
        stage.field.tell(Event::Probed { step });
        probe.watch(stage, step, at.moment, limit)
    });
    change(stage, step, verb).await?;
    let files = match ending {
        Ending::Revoke { .. } => {
            stage.write_files().await.map_err(|error| StepEvent::Failed(error.to_string()))?
        }
        Ending::Retire => 0,
    };
    let mut measured = match watching {
        Some(watching) => match watching.last().await {
            Some(last) => format!("the last replica refused after {}", briefly(last)),
            None => format!("not every replica refused within {}", briefly(limit)),
        },
        None => "no token of it could be good any more".to_owned(),
    };
    if files > 0 {
        measured = format!("{measured}; {files} token files written anew");
    }
    stage.steal().await;
    let replacement =
        signer(stage).await.filter(|signer| *signer != kid && matches!(ending, Ending::Revoke { .. }));
    let did = replacement.map_or_else(
        || kid.short().to_owned(),
        |replacement| format!("{} ⇒ {}", kid.short(), replacement.short()),
    );
    Ok(StepEvent::Done { did, measured })
}

async fn probe(stage: &Arc<Stage>, kid: &Kid) -> Option<Probe> {
    stage.steal().await;
    let token = stage.arsenal.read().await.probe(kid, stage.field.clock.stamp().wall)?;
    Probe::of(stage, &token).await
}

async fn newest(stage: &Stage) -> Result<Manifest, StepEvent> {
    let loaded = stage.operator.store().load_public().await;
    loaded.map(|loaded| loaded.manifest).map_err(|error| failed(&OperateError::from(error)))
}

/// The key that signs now.
async fn signer(stage: &Stage) -> Option<Kid> {
    let manifest = newest(stage).await.ok()?;
    manifest.active_at(stage.field.clock.stamp().wall).map(|key| key.kid.clone())
}

/// Waits until the activation that `manifest` committed last has come; the key that signs then.
async fn wait_for_signer(stage: &Stage, manifest: Option<&Manifest>) -> Option<Kid> {
    let activation = manifest?.timeline.last()?;
    while stage.field.clock.stamp().wall < activation.from {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Some(activation.kid.clone())
}

/// The key that a script means.
async fn resolve(stage: &Stage, key: &KeyName) -> Result<Kid, StepEvent> {
    let now = stage.field.clock.stamp().wall;
    let manifest = newest(stage).await?;
    let found = match key {
        KeyName::Active => manifest.active_at(now).map(|key| key.kid.clone()),
        KeyName::VerifyOnly => {
            let verifying =
                manifest.keys.iter().filter(|key| manifest.state_of(key, now) == KeyState::VerifyOnly);
            verifying
                .max_by_key(|key| key.superseded.map(|superseded| superseded.at))
                .map(|key| key.kid.clone())
        }
        KeyName::Numbered(number) => stage.key_number(*number),
    };
    found.ok_or_else(|| StepEvent::Failed(format!("the keyring has no key {key} now")))
}

fn short(kid: Option<&Kid>) -> String {
    kid.map_or_else(|| "?".to_owned(), |kid| kid.short().to_owned())
}
