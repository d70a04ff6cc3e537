//! How the steps of the script went.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::StepEvent;
use crate::moment::Moment;
use crate::replica::ReplicaName;
use crate::script::Step;

/// One step of the script and how it went.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// What was to be done.
    pub step: Step,
    /// When it began.
    pub began: Option<Moment>,
    /// When it was over.
    pub ended: Option<Moment>,
    /// How it went.
    pub state: StepState,
    /// What it told on the way.
    pub told: Vec<(Moment, String)>,
    /// Which replica refused a token of the ended key first how long after the order.
    pub reached: BTreeMap<ReplicaName, Duration>,
    /// Whether it was measured how fast it reaches the replicas.
    pub probed: bool,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// Its time has not come.
    Waiting,
    /// It goes on.
    Running,
    /// It is done.
    Done {
        /// What it did.
        did: String,
        /// What was measured.
        measured: String,
    },
    /// It was refused.
    Refused {
        /// The stable code.
        code: String,
        /// What was found.
        found: String,
    },
    /// It could not be done.
    Failed(String),
}

/// The most lines that one step tells.
const MOST_TOLD: usize = 40;

impl StepRecord {
    pub(super) fn new(step: Step) -> Self {
        Self {
            step,
            began: None,
            ended: None,
            state: StepState::Waiting,
            told: Vec::new(),
            reached: BTreeMap::new(),
            probed: false,
        }
    }

    pub(super) fn apply(&mut self, at: Moment, event: &StepEvent) {
        let state = match event {
            StepEvent::Told(what) => {
                if self.told.len() < MOST_TOLD {
                    self.told.push((at, what.clone()));
                }
                return;
            }
            StepEvent::Began => {
                self.began = Some(at);
                self.state = StepState::Running;
                return;
            }
            StepEvent::Done { did, measured } => {
                StepState::Done { did: did.clone(), measured: measured.clone() }
            }
            StepEvent::Refused { code, found } => {
                StepState::Refused { code: code.clone(), found: found.clone() }
            }
            StepEvent::Failed(why) => StepState::Failed(why.clone()),
        };
        self.state = state;
        self.ended = Some(at);
    }

    /// Whether it went as the script expects.
    pub fn as_expected(&self) -> bool {
        match (&self.state, &self.step.expect) {
            (StepState::Done { .. }, None) => true,
            (StepState::Refused { code, .. }, Some(expected)) => code == expected,
            _ => false,
        }
    }

    /// From the order to the last replica that refused, once `replicas` have.
    pub fn reached_all(&self, replicas: usize) -> Option<Duration> {
        self.reached.values().max().copied().filter(|_| self.reached.len() >= replicas)
    }
}
