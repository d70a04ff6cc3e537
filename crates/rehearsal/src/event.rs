//! What happens in a rehearsal. Every part tells it as events; the recorder alone draws conclusions.

use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::{Kid, Manifest, UnixTime};
use serde::Serialize;

use crate::adversary::Attack;
use crate::moment::{Moment, Stamp};
use crate::record::{Process, Sample};
use crate::replica::ReplicaName;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A supervisor presented its token.
    Call(Call),
    /// A supervisor has no token to present.
    WithoutToken {
        /// Which supervisor.
        supervisor: usize,
        /// When it wanted one.
        at: Stamp,
    },
    /// An adversary presented a token that must be refused.
    Attacked(Attacked),
    /// A generation was committed.
    Generation {
        /// When.
        at: Moment,
        /// The keyring.
        manifest: Arc<Manifest>,
    },
    /// The operator is about to end the validity of tokens that are still good.
    Order {
        /// Just before the change is committed.
        at: Stamp,
        /// What is ordered.
        order: Order,
    },
    /// A token of a key that a step ends is presented to every replica until each has refused it.
    Probed {
        /// The step.
        step: usize,
    },
    /// A replica refused a token of a key that was ended, for the first time.
    Reached {
        /// The step that ended the key.
        step: usize,
        /// Which replica.
        replica: ReplicaName,
        /// How long after the order.
        after: Duration,
    },
    /// Something befell a replica.
    Replica {
        /// When.
        at: Moment,
        /// Which one.
        replica: ReplicaName,
        /// What.
        what: ReplicaEvent,
    },
    /// It was measured what a process takes of the machine.
    Measured {
        /// Which process.
        process: Process,
        /// When, and what.
        sample: Sample,
    },
    /// A step of the script.
    Step {
        /// When.
        at: Moment,
        /// Its place in the script.
        step: usize,
        /// How it goes.
        what: StepEvent,
    },
    /// How many tokens each supervisor has been given so far.
    Supply {
        /// Tokens from gateways, by supervisor.
        obtained: Vec<u64>,
        /// Token files that the operator minted.
        files: u64,
    },
    /// The load has ended.
    Ended {
        /// When.
        at: Moment,
    },
}

/// What a supervisor can read in its token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenFacts {
    /// The key that signed it.
    pub kid: Kid,
    /// Its `exp`; `None` if it never expires.
    pub expires: Option<UnixTime>,
    /// When its chain of refreshes began.
    pub began: UnixTime,
}

/// One presentation of an honest token.
#[derive(Clone, Debug)]
pub struct Call {
    /// Which supervisor.
    pub supervisor: usize,
    /// To which replica.
    pub replica: ReplicaName,
    /// By which call.
    pub via: Via,
    /// When it was sent.
    pub sent: Stamp,
    /// When its answer was there.
    pub answered: Stamp,
    /// The token.
    pub token: Arc<TokenFacts>,
    /// The answer.
    pub outcome: Outcome,
}

/// A call that presents a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// gRPC `keystile.v1.Keystile/WhoAmI`.
    WhoAmI,
    /// `GET /verify`, as a proxy's forward-auth does.
    Verify,
}

/// What came of presenting a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted.
    Accepted {
        /// The generation that the replica holds, where the answer tells.
        generation: Option<u64>,
    },
    /// It was refused, with this text.
    Rejected(String),
    /// There was no verdict on it.
    NoAnswer(NoAnswer),
}

/// Why there was no verdict on a token. None of these is a refusal: the caller goes to another replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NoAnswer {
    /// The replica said that it cannot confirm its keyring.
    Unconfirmed,
    /// No connection, or a broken one.
    Unreachable,
    /// Nothing in time.
    Late,
    /// The replica had too much to do.
    Busy,
    /// Anything else that is no verdict.
    Other,
}

impl NoAnswer {
    /// It in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed => "keyring unconfirmed",
            Self::Unreachable => "replica unreachable",
            Self::Late => "no answer in time",
            Self::Busy => "replica busy",
            Self::Other => "an error that says nothing",
        }
    }
}

/// One presentation of a token that must be refused.
#[derive(Clone, Debug)]
pub struct Attacked {
    /// When its answer was there.
    pub at: Moment,
    /// How the token was made.
    pub attack: Attack,
    /// To which replica.
    pub replica: ReplicaName,
    /// The answer.
    pub outcome: Outcome,
}

/// What an operator orders that ends good tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A key is revoked.
    Revoke {
        /// The key.
        kid: Kid,
        /// And the descendants of its tokens.
        descendants: bool,
    },
    /// A key's window is ended by force.
    Retire {
        /// The key.
        kid: Kid,
    },
}

/// What befalls a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaEvent {
    /// It answers and is ready.
    Ready {
        /// How long after its process was started.
        after: Duration,
    },
    /// It was killed.
    Killed,
    /// It was asked to stop, and has.
    Stopped,
    /// Its process stands still.
    Frozen,
    /// Its process goes on.
    Thawed,
    /// It ended by itself.
    Died(String),
}

/// How a step goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepEvent {
    /// It begins.
    Began,
    /// Something in it was done, or is waited for.
    Told(String),
    /// It is done.
    Done {
        /// What it did, in a few words.
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
