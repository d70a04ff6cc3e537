//! Operations: `plan(manifest, request, context) -> Plan | Refusal`, pure.
//!
//! A plan holds the complete next manifest and an impact statement; executing it is one
//! compare-and-swap on the generation, with nothing left to decide. Each verb has a file.

mod activate;
mod adopt;
mod draft;
mod extend;
mod impact;
mod prepare;
mod prune;
mod reconcile;
mod repair;
mod retire;
mod revoke;
mod rollback;
mod room;
mod set_policy;
mod windows;

use serde::Serialize;

use crate::gate::{Fleet, Gate};
use crate::ident::{Digest, Kid, PublicKey, RequestId};
use crate::manifest::{DoneRequest, Manifest, Operation, Origin};
use crate::refusal::{Code, Refusal};
use crate::report::ReplicaReport;
use crate::time::UnixTime;

pub use activate::nobody_reports;
pub use adopt::{Adoption, adopt, init};
pub use draft::no_replica_ahead;
pub use impact::{Census, Impact, Step};
pub use reconcile::{Due, due};
pub use repair::{Remains, repair};
pub use set_policy::PolicyChange;

/// A change that an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What to do.
    pub verb: Verb,
    /// Who asks.
    pub actor: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
    /// Makes it idempotent: run again with the same id, it reports the first outcome.
    pub request_id: Option<RequestId>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Publish a new key that does not sign yet.
    Prepare {
        /// Give up the old private key as soon as the new one signs.
        no_rollback: bool,
    },
    /// Let the prepared key sign, behind the gate.
    Activate {
        /// Whether gateways run.
        fleet: Fleet,
        /// Give up the old private key as soon as the new one signs.
        no_rollback: bool,
    },
    /// Prepare, wait, activate: the next step of it.
    Rotate {
        /// How to wait.
        mode: Mode,
        /// Give up the old private key as soon as the new one signs.
        no_rollback: bool,
    },
    /// Go back to the former key, or drop a prepared one.
    Rollback {
        /// The key to go back to, if not the former.
        to: Option<Kid>,
    },
    /// Refuse a key's tokens from now on, for ever.
    Revoke {
        /// The key.
        kid: Kid,
        /// Also every token whose chain of refreshes began while the key was good.
        descendants: bool,
    },
    /// Set, or bring forward, the end of a superseded key's window.
    Retire {
        /// The key.
        kid: Kid,
        /// The last instant; now, if absent.
        at: Option<UnixTime>,
        /// Even though good tokens are cut off.
        force: bool,
    },
    /// Destroy what nothing needs any more.
    Prune,
    /// Change the rules.
    SetPolicy(PolicyChange),
    /// Extend the bounds that a plan set which landed later than commit_delay allows.
    Extend {
        /// By how many seconds.
        excess: u64,
        /// When that plan was made: bounds of earlier plans are right as they are.
        planned_at: UnixTime,
    },
}

/// How a rotation waits for the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until the gate is open.
    Gated(Fleet),
    /// So many seconds from the commit, in one commit, where no replica can report.
    Scheduled(u64),
    /// Not at all.
    Emergency,
}

impl Verb {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prepare { .. } => "prepare",
            Self::Activate { .. } => "activate",
            Self::Rotate { .. } => "rotate",
            Self::Rollback { .. } => "rollback",
            Self::Revoke { .. } => "revoke",
            Self::Retire { .. } => "retire",
            Self::Prune => "prune",
            Self::SetPolicy(_) => "set-policy",
            Self::Extend { .. } => "extend",
        }
    }

    /// Whether it is worth doing on clocks that disagree.
    fn is_urgent(&self) -> bool {
        matches!(self, Self::Revoke { .. } | Self::Extend { .. } | Self::Rotate { mode: Mode::Emergency, .. })
    }

    /// Whether its plan may take a fresh key.
    pub fn may_take_a_key(&self) -> bool {
        matches!(self, Self::Prepare { .. } | Self::Rotate { .. } | Self::Revoke { .. })
    }
}

/// The public part of a freshly made key, offered to a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its kid.
    pub kid: Kid,
    /// Its public key.
    pub public_key: PublicKey,
    /// Where it came from.
    pub origin: Origin,
}

/// What a plan may know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The operator's clock.
    pub now: UnixTime,
    /// Digest of the manifest that the plan is made from.
    pub digest: Digest,
    /// What the replicas have reported.
    pub reports: &'a [ReplicaReport],
    /// A fresh key, where the verb may take one.
    pub candidate: Option<&'a Candidate>,
}

/// The generation that a plan was made from, and whose place it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Base {
    /// Its number.
    pub generation: u64,
    /// Its digest.
    pub digest: Digest,
}

/// A complete next manifest, ready for one compare-and-swap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The verb that it does.
    pub verb: &'static str,
    /// The instant it was planned at; older than commit_delay, it is planned anew.
    pub planned_at: UnixTime,
    /// What it replaces; `None` for the first generation.
    pub base: Option<Base>,
    /// The next manifest.
    pub next: Manifest,
    /// Whether the candidate's private key belongs to it.
    pub takes_candidate: bool,
    /// What it does to the running fleet.
    pub impact: Impact,
}

/// What planning came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Planned {
    /// A change to commit.
    Change(Box<Plan>),
    /// A rotation in flight that must wait for its gate.
    Wait {
        /// What it waits for.
        gate: Gate,
        /// The rotation.
        operation: Operation,
    },
    /// The request was done before: its first outcome.
    Done(DoneRequest),
    /// There is nothing to do, and why.
    Nothing(String),
}

/// Plans `request` on `manifest`.
pub fn plan(manifest: &Manifest, request: &Request, context: &Context<'_>) -> Result<Planned, Refusal> {
    if let Some(done) = done_before(manifest, request)? {
        return Ok(Planned::Done(done));
    }
    let draft = draft::Draft::begin(manifest, request, context)?;
    match &request.verb {
        Verb::Prepare { no_rollback } => prepare::prepare(draft, *no_rollback).map(Planned::change),
        Verb::Activate { fleet, no_rollback } => {
            activate::activate(draft, *fleet, *no_rollback).map(Planned::change)
        }
        Verb::Rotate { mode, no_rollback } => activate::rotate(draft, *mode, *no_rollback),
        Verb::Rollback { to } => rollback::rollback(draft, to.as_ref()).map(Planned::change),
        Verb::Revoke { kid, descendants } => revoke::revoke(draft, kid, *descendants),
        Verb::Retire { kid, at, force } => retire::retire(draft, kid, *at, *force),
        Verb::Prune => prune::prune(draft),
        Verb::SetPolicy(change) => set_policy::set_policy(draft, change),
        Verb::Extend { excess, planned_at } => {
            extend::extend(draft, *excess, *planned_at).map(Planned::change)
        }
    }
}

impl Planned {
    fn change(plan: Plan) -> Self {
        Self::Change(Box::new(plan))
    }
}

fn done_before(manifest: &Manifest, request: &Request) -> Result<Option<DoneRequest>, Refusal> {
    let Some(id) = &request.request_id else {
        return Ok(None);
    };
    match manifest.requests.iter().find(|done| done.request_id == *id) {
        Some(done) if done.verb == request.verb.name() => Ok(Some(done.clone())),
        Some(done) => Err(Refusal::new(
            Code::RequestIdReused,
            format!("request id {id} was used for {} in generation {}", done.verb, done.generation),
            format!("use a new request id for this {}", request.verb.name()),
        )),
        None => Ok(None),
    }
}
