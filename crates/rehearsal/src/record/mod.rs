//! What happened, as far as it matters for the view, the verdict and the report: a fold over the events.

mod footprints;
mod gaps;
mod latency;
mod rates;
mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::{Kid, Manifest, UnixTime};
use serde::Serialize;

use crate::adversary::Attack;
use crate::event::{Attacked, Call, Event, NoAnswer, Outcome, ReplicaEvent, StepEvent, Via};
use crate::moment::Moment;
use crate::oracle::{Oracle, Ruling};
use crate::replica::ReplicaName;
use crate::sandbox::SandboxName;
use crate::settings::{Bootstrap, Settings};

pub use footprints::{
    Footprints, GROWTH, Judged, LEAST, Process, SLACK_BYTES, SLACK_FDS, Sample, Series, Trend,
};
pub use gaps::{Cause, Gap, Gaps};
pub use latency::Latency;
pub use rates::{PER_SECOND, Rates};
pub use steps::{StepRecord, StepState};

/// What happened in one run.
#[derive(Clone, Debug)]
pub struct Record {
    /// What was asked for.
    pub settings: Settings,
    /// What the wall clock showed when the run began.
    pub epoch: UnixTime,
    /// Judges answers.
    pub oracle: Oracle,
    /// Honest calls.
    pub calls: Calls,
    /// Dishonest ones.
    pub attacks: BTreeMap<Attack, Attempts>,
    /// What must not happen, the first of it.
    pub mistakes: Vec<Mistake>,
    /// When the first and the last good token were refused.
    pub wrongly_rejected_at: Option<(Moment, Moment)>,
    /// Accepted calls per key.
    pub rates: Rates,
    /// How long answers took.
    pub latency: Latency,
    /// Each supervisor.
    pub supervisors: Vec<SupervisorRecord>,
    /// Each replica.
    pub replicas: Vec<ReplicaRecord>,
    /// Each step of the script.
    pub steps: Vec<StepRecord>,
    /// What every process takes of the machine, if that is measured.
    pub footprints: Footprints,
    /// Each generation; of a soak those that the pictures show.
    pub generations: Vec<(Moment, Arc<Manifest>)>,
    /// The keys, in the order in which they appeared; of a soak those of these generations.
    pub keys: Vec<Kid>,
    /// Token files that the operator minted.
    pub files: u64,
    /// The latest moment that is known of.
    pub now: Moment,
}

/// Sums over honest calls.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// Accepted over gRPC.
    pub accepted_grpc: u64,
    /// Accepted over HTTP.
    pub accepted_http: u64,
    /// Refused, by the text of the refusal and whether that was right.
    pub rejected: BTreeMap<(String, Ruling), u64>,
    /// Accepted though they must not be, by why not.
    pub wrongly_accepted: BTreeMap<Ruling, u64>,
    /// Without a verdict.
    pub no_answer: BTreeMap<NoAnswer, u64>,
}

/// Sums over attacks of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attempts {
    /// Refused.
    pub refused: u64,
    /// Accepted: must not be.
    pub accepted: u64,
    /// Without a verdict.
    pub no_answer: u64,
}

/// A wrong answer, or a supervisor that nobody's order left without a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mistake {
    /// When the answer was there; of a missing token, when one was wanted.
    pub at: Moment,
    /// Which replica gave it; none where there was no token to present.
    pub replica: Option<ReplicaName>,
    /// Whom it was given; none if that was an adversary.
    pub supervisor: Option<SandboxName>,
    /// What was wrong.
    pub what: String,
}

/// The most mistakes that are told one by one.
const MOST_MISTAKES: usize = 20;
/// The most refusals of the same kind of text that are told apart.
const MOST_TEXTS: usize = 64;

/// One supervisor.
#[derive(Clone, Debug)]
pub struct SupervisorRecord {
    /// How it gets its first token.
    pub bootstrap: Bootstrap,
    /// Its calls that were accepted.
    pub accepted: u64,
    /// Tokens that gateways gave it.
    pub obtained: u64,
    /// When it had no usable token.
    pub gaps: Gaps,
}

/// One replica.
#[derive(Clone, Debug)]
pub struct ReplicaRecord {
    /// Its name.
    pub name: ReplicaName,
    /// Seconds by which its clock is put forward.
    pub shift: i64,
    /// Calls that it answered with a verdict.
    pub answered: u64,
    /// The newest generation that it has shown.
    pub generation: u64,
    /// What befell it, the latest of it.
    pub events: VecDeque<(Moment, ReplicaEvent)>,
    /// How often it ended by itself.
    pub deaths: u64,
}

/// What befell a replica is kept so often.
const MOST_BEFELL: usize = 64;
/// The pictures of a soak show so much of its end.
const PICTURED: Duration = Duration::from_mins(3);
/// Of the steps of a soak that went as written so many keep what they told.
const DETAILED: usize = 100;

impl Record {
    /// The record of a run that begins.
    pub fn new(settings: Settings, epoch: UnixTime) -> Self {
        let shifts = settings.shifts();
        let supervisors = settings.bootstraps().into_iter();
        let supervisors = supervisors.map(|bootstrap| SupervisorRecord {
            bootstrap,
            accepted: 0,
            obtained: 0,
            gaps: Gaps::default(),
        });
        let replicas = settings.replicas().zip(&shifts).map(|(name, shift)| ReplicaRecord {
            name,
            shift: *shift,
            answered: 0,
            generation: 0,
            events: VecDeque::new(),
            deaths: 0,
        });
        Self {
            epoch,
            oracle: Oracle::new(settings.policy.leeway, shifts.clone()),
            calls: Calls::default(),
            attacks: BTreeMap::new(),
            mistakes: Vec::new(),
            wrongly_rejected_at: None,
            rates: Rates::default(),
            latency: Latency::default(),
            supervisors: supervisors.collect(),
            replicas: replicas.collect(),
            steps: settings.script.steps.iter().cloned().map(StepRecord::new).collect(),
            footprints: Footprints::default(),
            generations: Vec::new(),
            keys: Vec::new(),
            files: 0,
            now: Moment::default(),
            settings,
        }
    }

    /// Takes in one event.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Call(call) => self.call(call),
            Event::WithoutToken { supervisor, at } => self.without_token(*supervisor, at.moment),
            Event::Attacked(attacked) => self.attacked(attacked),
            Event::Generation { at, manifest } => self.generation(*at, manifest),
            Event::Order { at, order } => self.oracle.ordered(order, at.wall),
            Event::Probed { step } => {
                if let Some(step) = self.steps.get_mut(*step) {
                    step.probed = true;
                }
            }
            Event::Reached { step, replica, after } => {
                if let Some(step) = self.steps.get_mut(*step) {
                    step.reached.entry(*replica).or_insert(*after);
                }
            }
            Event::Replica { at, replica, what } => self.befell(*at, *replica, what),
            Event::Step { at, step, what } => self.step(*at, *step, what),
            Event::Measured { process, sample } => self.footprints.measured(*process, *sample),
            Event::Supply { obtained, files } => {
                for (supervisor, obtained) in self.supervisors.iter_mut().zip(obtained) {
                    supervisor.obtained = *obtained;
                }
                self.files = *files;
            }
            Event::Ended { at } => self.now = *at,
        }
    }

    fn befell(&mut self, at: Moment, replica: ReplicaName, what: &ReplicaEvent) {
        // What a process took is not told after its end; what came later anyhow ends with the next begin.
        if !matches!(what, ReplicaEvent::Frozen | ReplicaEvent::Thawed) {
            self.footprints.ended(Process::Gateway(replica));
        }
        let Some(record) = self.replicas.get_mut(replica.index()) else {
            return;
        };
        record.deaths += u64::from(matches!(what, ReplicaEvent::Died(_)));
        record.events.push_back((at, what.clone()));
        if record.events.len() > MOST_BEFELL {
            record.events.pop_front();
        }
    }

    fn step(&mut self, at: Moment, index: usize, what: &StepEvent) {
        if let Some(step) = self.steps.get_mut(index) {
            step.apply(at, what);
        }
        if self.settings.soak
            && let Some(earlier) = index.checked_sub(DETAILED).and_then(|index| self.steps.get_mut(index))
            && earlier.as_expected()
        {
            earlier.told = Vec::new();
        }
    }

    fn call(&mut self, call: &Call) {
        self.now = self.now.max(call.answered.moment);
        match &call.outcome {
            Outcome::NoAnswer(why) => *self.calls.no_answer.entry(*why).or_default() += 1,
            Outcome::Accepted { generation } => {
                self.answered(call);
                self.accepted(call);
                if let Some(generation) = generation {
                    self.showed(call.replica, *generation, call.answered.moment);
                }
            }
            Outcome::Rejected(text) => {
                self.answered(call);
                self.rejected(call, text);
            }
        }
    }

    fn answered(&mut self, call: &Call) {
        self.latency.count(call.answered.moment.since(call.sent.moment));
        if let Some(replica) = self.replicas.get_mut(call.replica.index()) {
            replica.answered += 1;
        }
    }

    fn accepted(&mut self, call: &Call) {
        match call.via {
            Via::WhoAmI => self.calls.accepted_grpc += 1,
            Via::Verify => self.calls.accepted_http += 1,
        }
        self.rates.count(&call.token.kid, call.answered.moment);
        if let Some(supervisor) = self.supervisors.get_mut(call.supervisor) {
            supervisor.accepted += 1;
            supervisor.gaps.accepted(call.answered.moment, &call.token);
        }
        if let Some(ruling) = self.oracle.accepted(call) {
            *self.calls.wrongly_accepted.entry(ruling).or_default() += 1;
            let what = format!("accepted a token of {}: {}", call.token.kid.short(), ruling.as_str());
            self.mistaken(call, what);
        }
    }

    fn rejected(&mut self, call: &Call, text: &str) {
        let ruling = self.oracle.refused(call);
        let text = if self.calls.rejected.len() < MOST_TEXTS { text } else { "(another text)" };
        *self.calls.rejected.entry((text.to_owned(), ruling)).or_default() += 1;
        let cause = if ruling.is_ordered() { Cause::Ordered } else { Cause::Unordered };
        let supervisor = self.supervisors.get_mut(call.supervisor);
        let begins = supervisor.is_some_and(|one| one.gaps.without(call.sent.moment, cause));
        let kid = call.token.kid.short();
        let expires = call.token.expires.unwrap_or(call.answered.wall);
        if ruling == Ruling::Wrong {
            let at = call.answered.moment;
            self.wrongly_rejected_at = Some((self.wrongly_rejected_at.map_or(at, |(first, _)| first), at));
            let left = expires.since(call.answered.wall);
            self.mistaken(call, format!("refused a good token of {kid}, {left} s before its end: {text}"));
        } else if begins && cause == Cause::Unordered {
            let over = call.answered.wall.since(expires);
            self.mistaken(call, format!("without a token: that of {kid} had ended {over} s before: {text}"));
        }
    }

    fn without_token(&mut self, supervisor: usize, at: Moment) {
        let Some(record) = self.supervisors.get_mut(supervisor) else {
            return;
        };
        let ended = record.gaps.last_accepted().is_some_and(|token| self.oracle.ended(token).is_some());
        let cause = if ended { Cause::Ordered } else { Cause::Unordered };
        if record.gaps.without(at, cause) && cause == Cause::Unordered {
            let supervisor = Some(SandboxName::of_index(supervisor));
            self.mistake(Mistake {
                at,
                replica: None,
                supervisor,
                what: "without a token to present".into(),
            });
        }
    }

    fn attacked(&mut self, attacked: &Attacked) {
        let attempts = self.attacks.entry(attacked.attack).or_default();
        match attacked.outcome {
            Outcome::Rejected(_) => attempts.refused += 1,
            Outcome::NoAnswer(_) => attempts.no_answer += 1,
            Outcome::Accepted { .. } => {
                attempts.accepted += 1;
                let what = format!("accepted an invalid token: {}", attacked.attack.as_str());
                let replica = Some(attacked.replica);
                self.mistake(Mistake { at: attacked.at, replica, supervisor: None, what });
            }
        }
    }

    fn mistaken(&mut self, call: &Call, what: String) {
        let supervisor = Some(SandboxName::of_index(call.supervisor));
        self.mistake(Mistake { at: call.answered.moment, replica: Some(call.replica), supervisor, what });
    }

    fn mistake(&mut self, mistake: Mistake) {
        if self.mistakes.len() < MOST_MISTAKES {
            self.mistakes.push(mistake);
        }
    }

    fn showed(&mut self, replica: ReplicaName, generation: u64, at: Moment) {
        self.oracle.showed(replica, generation, at);
        if let Some(record) = self.replicas.get_mut(replica.index()) {
            record.generation = record.generation.max(generation);
        }
    }

    fn generation(&mut self, at: Moment, manifest: &Arc<Manifest>) {
        if self.generations.last().is_some_and(|(_, last)| last.generation >= manifest.generation) {
            return;
        }
        self.oracle.committed(manifest);
        for key in &manifest.keys {
            if !self.keys.contains(&key.kid) {
                self.keys.push(key.kid.clone());
            }
        }
        self.generations.push((at, Arc::clone(manifest)));
        if self.settings.soak {
            self.forget(Moment(at.0.saturating_sub(PICTURED)));
        }
    }

    /// Forgets what the pictures do not show: everything that was over before `from`.
    fn forget(&mut self, from: Moment) {
        let later = self.generations.iter().position(|(at, _)| *at > from).unwrap_or_default();
        self.generations.drain(..later.saturating_sub(1));
        let generations = &self.generations;
        self.keys.retain(|kid| generations.iter().any(|(_, manifest)| manifest.key(kid).is_some()));
        self.rates.forget(from);
    }

    /// From when on the pictures show the run: of a soak only its end.
    pub fn pictured_from(&self) -> Moment {
        let whole = !self.settings.soak;
        if whole { Moment::default() } else { Moment(self.now.0.saturating_sub(PICTURED)) }
    }

    /// The newest keyring.
    pub fn keyring(&self) -> Option<&Arc<Manifest>> {
        self.generations.last().map(|(_, manifest)| manifest)
    }

    /// Tokens minted in all.
    pub fn minted(&self) -> u64 {
        self.supervisors.iter().map(|supervisor| supervisor.obtained).sum::<u64>() + self.files
    }
}

impl Calls {
    /// Accepted in all.
    pub fn accepted(&self) -> u64 {
        self.accepted_grpc + self.accepted_http
    }

    /// Refused in all.
    pub fn rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// Refused for a reason of this ruling.
    pub fn ruled(&self, wanted: Ruling) -> u64 {
        self.rejected.iter().filter(|((_, ruling), _)| *ruling == wanted).map(|(_, count)| count).sum()
    }
}

impl Attempts {
    /// Presented in all.
    pub fn all(self) -> u64 {
        self.refused + self.accepted + self.no_answer
    }
}

#[cfg(test)]
mod tests;
