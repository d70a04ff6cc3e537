//! The verdict for programs. Schema `keystile/rehearsal/v1`.

use keystile_keyring::{Kid, Policy};
use serde::Serialize;

use crate::contrast::Contrast;
use crate::moment::Moment;
use crate::record::{StepRecord, StepState};
use crate::rehearsal::Rehearsed;
use crate::replica::ReplicaName;
use crate::verdict::Verdict;

/// A rehearsal as JSON.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    /// `PASS` or `FAIL`.
    verdict: &'static str,
    /// What was measured, and what must hold.
    #[serde(flatten)]
    details: &'a Verdict,
    /// What the same load met under delete-and-restart.
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<&'a Contrast>,
    /// How many gateways ran.
    gateways: usize,
    /// How many supervisors ran.
    supervisors: usize,
    /// How far clocks were apart, in seconds.
    skew: u64,
    /// The seed.
    seed: u64,
    /// The policy that was rehearsed.
    policy: &'a Policy,
    /// The keys, in the order in which they appeared.
    keys: &'a [Kid],
    /// The steps of the script.
    steps: Vec<StepDocument<'a>>,
    /// The gateways.
    replicas: Vec<ReplicaDocument>,
    /// Where the page is.
    report: &'a str,
}

/// One step.
#[derive(Debug, Serialize)]
struct StepDocument<'a> {
    /// As a script writes it.
    step: String,
    /// When it began, in seconds.
    began: Option<Moment>,
    /// When it was over, in seconds.
    ended: Option<Moment>,
    /// Whether it went as the script expects.
    as_expected: bool,
    /// `done`, `refused`, `failed`, `running` or `waiting`.
    state: &'static str,
    /// What it did, or why not.
    did: &'a str,
    /// What was measured, or the refusal's code.
    measured: &'a str,
}

/// One gateway.
#[derive(Debug, Serialize)]
struct ReplicaDocument {
    /// Its name.
    replica: ReplicaName,
    /// Seconds by which its clock was put forward.
    clock_shift: i64,
    /// Calls that it answered with a verdict.
    answered: u64,
    /// The newest generation that it showed.
    generation: u64,
}

impl<'a> StepDocument<'a> {
    fn of(step: &'a StepRecord) -> Self {
        let (state, did, measured) = match &step.state {
            StepState::Waiting => ("waiting", "", ""),
            StepState::Running => ("running", "", ""),
            StepState::Done { did, measured } => ("done", did.as_str(), measured.as_str()),
            StepState::Refused { code, found } => ("refused", found.as_str(), code.as_str()),
            StepState::Failed(why) => ("failed", why.as_str(), ""),
        };
        Self {
            step: step.step.to_string(),
            began: step.began,
            ended: step.ended,
            as_expected: step.as_expected(),
            state,
            did,
            measured,
        }
    }
}

/// The document of a rehearsal whose page is at `report`.
pub fn document<'a>(rehearsed: &'a Rehearsed, report: &'a str) -> Document<'a> {
    let record = &rehearsed.record;
    let replicas = record.replicas.iter().map(|replica| ReplicaDocument {
        replica: replica.name,
        clock_shift: replica.shift,
        answered: replica.answered,
        generation: replica.generation,
    });
    Document {
        verdict: rehearsed.verdict.word(),
        details: &rehearsed.verdict,
        baseline: rehearsed.contrast.as_ref(),
        gateways: record.settings.gateways,
        supervisors: record.settings.supervisors,
        skew: record.settings.skew,
        seed: record.settings.seed,
        policy: &record.settings.policy,
        keys: &record.keys,
        steps: record.steps.iter().map(StepDocument::of).collect(),
        replicas: replicas.collect(),
        report,
    }
}
