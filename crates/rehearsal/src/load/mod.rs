//! The load: supervisors and adversaries that present tokens all the time.

mod attackers;
mod callers;
mod crew;
mod facts;
mod pacer;
mod roster;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::event::{Event, Outcome, Via};
use crate::fleet::Fleet;
use crate::moment::RunClock;
use crate::replica::ReplicaName;

pub(crate) use attackers::attack;
pub(crate) use callers::keep_calling;
pub(crate) use crew::{Crew, Sandbox};
pub(crate) use pacer::Pacer;
use roster::Roster;

/// Where events go.
pub(crate) type Events = mpsc::UnboundedSender<Event>;

/// What everybody who presents tokens shares.
#[derive(Clone)]
pub(crate) struct Field {
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) clock: RunClock,
    pub(crate) events: Events,
    pub(crate) pacer: Arc<Pacer>,
    shown: Arc<[AtomicU64]>,
    roster: Arc<Roster>,
}

impl Field {
    pub(crate) fn new(fleet: Arc<Fleet>, clock: RunClock, events: Events, callers: usize) -> Self {
        let shown = (0..fleet.len()).map(|_| AtomicU64::new(0)).collect();
        let roster = Arc::new(Roster::new(fleet.len()));
        Self { fleet, clock, events, pacer: Arc::new(Pacer::new(callers)), shown, roster }
    }

    /// Tells what happened. When nobody listens any more the run is over.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// The newest generation that a replica has shown in an answer.
    pub(crate) fn shown(&self, replica: ReplicaName) -> u64 {
        self.shown.get(replica.index()).map_or(0, |shown| shown.load(Ordering::Acquire))
    }

    /// Takes note of an answer.
    fn note(&self, replica: ReplicaName, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted { generation: Some(generation) } => {
                if let Some(shown) = self.shown.get(replica.index()) {
                    shown.fetch_max(*generation, Ordering::AcqRel);
                }
                self.roster.answers(replica);
            }
            Outcome::Accepted { generation: None } | Outcome::Rejected(_) => self.roster.answers(replica),
            Outcome::NoAnswer(_) => self.roster.is_silent(replica, self.clock.moment()),
        }
    }
}

/// Both calls take turns.
fn other(via: Via) -> Via {
    match via {
        Via::WhoAmI => Via::Verify,
        Via::Verify => Via::WhoAmI,
    }
}
