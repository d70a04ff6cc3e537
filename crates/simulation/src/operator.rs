//! What an operator does: the script's steps, one at a time, by the keyring's own plans.

use std::collections::VecDeque;
use std::time::Duration;

use keystile_keyring::manifest::Origin;
use keystile_keyring::plan::{Candidate, Context, Mode, Plan, Planned, Request, Verb, plan};
use keystile_keyring::{
    Fleet, KeyState, Kid, Manifest, NameError, PublicKey, Refusal, ReplicaReport, UnixTime,
};

use crate::archive::Archive;
use crate::moment::Moment;
use crate::script::{Action, KeyName, Script, Step};
use crate::settings::Broken;
use crate::tally::StepDone;

/// How often the operator looks again at a rotation that waits.
const LOOK: Duration = Duration::from_secs(1);

/// How long the operator waits before trying again while the store is out of reach.
const AGAIN: Duration = Duration::from_secs(10);

/// Who it is, for the keyring's history.
const ACTOR: &str = "simulation";

/// Plays the script's operations.
pub(crate) struct Operator {
    steps: VecDeque<Step>,
    running: Option<(Step, Moment)>,
    broken: Option<Broken>,
    pub(crate) done: Vec<StepDone>,
}

/// What came of a look.
pub(crate) enum Next {
    /// Nothing is left to do.
    Idle,
    /// The operator looks again then.
    At(Moment),
    /// This is committed; the operator looks again then.
    Commit { action: Action, plan: Box<Plan>, then: Moment },
}

/// What the operator can see.
pub(crate) struct Outlook<'a> {
    pub(crate) now: Moment,
    pub(crate) archive: &'a Archive,
    /// The replicas' reports; `None` while the store cannot be read.
    pub(crate) reports: Option<Vec<ReplicaReport>>,
}

impl Operator {
    pub(crate) fn new(script: &Script, broken: Option<Broken>) -> Self {
        let operations = script.steps.iter().filter(|step| !matches!(step.action, Action::Outage(_)));
        Self { steps: operations.cloned().collect(), running: None, broken, done: Vec::new() }
    }

    /// When the next step begins.
    pub(crate) fn first(&self) -> Option<Moment> {
        self.steps.front().map(|step| step.at)
    }

    /// Does the next thing that there is to do.
    pub(crate) fn look(&mut self, outlook: &Outlook<'_>) -> Next {
        let now = outlook.now;
        if self.running.is_none() {
            match self.steps.front() {
                None => return Next::Idle,
                Some(step) if step.at > now => return Next::At(step.at),
                Some(_) => self.running = self.steps.pop_front().map(|step| (step, now)),
            }
        }
        let (Some(reports), Some((step, began))) = (&outlook.reports, self.running.clone()) else {
            return Next::At(now.plus(AGAIN));
        };
        let manifest = outlook.archive.manifest(outlook.archive.newest());
        let planned = self.plan(manifest, &step.action, reports, outlook);
        match planned {
            Ok(Planned::Change(plan)) => {
                if plan.next.operation.is_none() {
                    self.finish(&step, began, now, format!("generation {}", plan.next.generation));
                }
                Next::Commit { action: step.action, plan, then: now.plus(LOOK) }
            }
            Ok(Planned::Wait { .. }) => Next::At(now.plus(LOOK)),
            Ok(Planned::Done(_)) => self.over(&step, began, now, "done before".to_owned()),
            Ok(Planned::Nothing(why)) => self.over(&step, began, now, why),
            Err(refusal) => {
                let as_expected = step.expect == Some(refusal.code);
                let did = format!("refused [{}]: {}", refusal.code, refusal.found);
                self.note(&step, began, now, did, as_expected);
                Next::At(now.plus(LOOK))
            }
        }
    }

    fn over(&mut self, step: &Step, began: Moment, now: Moment, did: String) -> Next {
        self.finish(step, began, now, did);
        Next::At(now.plus(LOOK))
    }

    fn finish(&mut self, step: &Step, began: Moment, now: Moment, did: String) {
        self.note(step, began, now, did, step.expect.is_none());
    }

    fn note(&mut self, step: &Step, began: Moment, ended: Moment, did: String, as_expected: bool) {
        self.running = None;
        self.done.push(StepDone { step: step.action.to_string(), began, ended, did, as_expected });
    }

    /// Ends with the simulation: what did not come to its end did not go as written.
    pub(crate) fn close(&mut self, end: Moment) {
        if let Some((step, began)) = self.running.clone() {
            self.note(&step, began, end, "not over when the simulation ended".to_owned(), false);
        }
        while let Some(step) = self.steps.pop_front() {
            self.note(
                &step,
                end,
                end,
                "never begun: the operator does one thing at a time".to_owned(),
                false,
            );
        }
    }

    fn plan(
        &self,
        manifest: &Manifest,
        action: &Action,
        reports: &[ReplicaReport],
        outlook: &Outlook<'_>,
    ) -> Result<Planned, Refusal> {
        let now = outlook.now.wall(0);
        let candidate = candidate(outlook.archive.kids().len()).ok();
        let Some(verb) = self.verb(manifest, action, now) else {
            return Ok(Planned::Nothing("no key of the keyring is meant".to_owned()));
        };
        let request =
            Request { verb, actor: ACTOR.to_owned(), reason: Some("simulated".to_owned()), request_id: None };
        let candidate = candidate.filter(|_| request.verb.may_take_a_key());
        let digest = Archive::digest(outlook.archive.newest());
        plan(manifest, &request, &Context { now, digest, reports, candidate: candidate.as_ref() })
    }

    fn verb(&self, manifest: &Manifest, action: &Action, now: UnixTime) -> Option<Verb> {
        let hasty = self.broken == Some(Broken::NoGate);
        Some(match action {
            Action::Rotate { emergency } => {
                let mode = if *emergency || hasty { Mode::Emergency } else { Mode::Gated(Fleet::Reporting) };
                Verb::Rotate { mode, no_rollback: false }
            }
            Action::Rollback => Verb::Rollback { to: None },
            Action::Revoke { key, descendants } => {
                Verb::Revoke { kid: named(manifest, *key, now)?, descendants: *descendants }
            }
            Action::Retire { key, force } => {
                Verb::Retire { kid: named(manifest, *key, now)?, at: None, force: *force }
            }
            Action::Prune | Action::Outage(_) => Verb::Prune,
        })
    }
}

/// The kid of the key with this number, from 1.
fn kid_of(number: usize) -> Result<Kid, NameError> {
    Kid::new(format!("key-{number}"))
}

/// The public part of the next key: `held` is how many there were before. No signature is ever made with it.
pub(crate) fn candidate(held: usize) -> Result<Candidate, NameError> {
    let mut public_key = [0; 32];
    let number = u64::try_from(held + 1).unwrap_or(u64::MAX).to_be_bytes();
    public_key.iter_mut().zip(number).for_each(|(byte, of)| *byte = of);
    Ok(Candidate { kid: kid_of(held + 1)?, public_key: PublicKey(public_key), origin: Origin::Generated })
}

/// The key that a script means. A number that no key has is refused by the plan.
fn named(manifest: &Manifest, name: KeyName, now: UnixTime) -> Option<Kid> {
    match name {
        KeyName::Active => manifest.active_at(now).map(|key| key.kid.clone()),
        KeyName::VerifyOnly => manifest
            .keys
            .iter()
            .filter(|key| manifest.state_of(key, now) == KeyState::VerifyOnly)
            .max_by_key(|key| key.superseded.map(|superseded| superseded.at))
            .map(|key| key.kid.clone()),
        KeyName::Numbered(number) => kid_of(usize::from(number)).ok(),
    }
}
