//! Rehearsals: a fleet on loopback, under load, while its keys are changed and things go wrong.
//!
//! [`rehearse`] starts gateways as separate processes on one directory store, and supervisors of the real
//! client library; plays a [`script`] of operations and faults; lets an adversary who has stolen every key
//! present what must be refused; and ends with a [`Verdict`].
//!
//! Data flows one way. Whoever presents a token, changes the keyring or disturbs the fleet tells what
//! happened as an [`event`]; the recorder alone folds events into a [`record`], where an [`oracle`] that
//! shares no code with the verifier judges every answer; [`view`], verdict and [`report`] read the record.
//!
//! What is measured is what a supervisor sees. Three things are told apart: a refusal, which is right or
//! wrong; no verdict (a replica that is down or cannot confirm its keyring), after which another replica is
//! asked; and a time without a usable token, which the operator ordered or did not.
#![cfg_attr(test, allow(clippy::float_cmp, clippy::indexing_slicing, reason = "tests know their values"))]

pub mod adversary;
mod baseline;
mod certificates;
mod client;
mod conduct;
mod contrast;
mod dice;
mod error;
pub mod event;
#[cfg(test)]
mod fixture;
mod fleet;
mod load;
mod moment;
pub mod oracle;
mod picture;
pub mod record;
mod recorder;
mod rehearsal;
mod replica;
pub mod report;
mod sandbox;
mod scale;
pub mod script;
mod settings;
mod stage;
mod verdict;
pub mod view;
mod work;

pub use contrast::Contrast;
pub use error::RehearsalError;
pub use moment::{Moment, Stamp};
pub use rehearsal::{LONGEST_SOAK, Options, Rehearsed, SHORTEST_SOAK, rehearse};
pub use replica::{MOST_REPLICAS, ReplicaName};
pub use sandbox::SandboxName;
pub use scale::{USUAL_TTL, scaled_policy};
pub use settings::{Bootstrap, Settings};
pub use stage::Means;
pub use verdict::{Attacks, Criterion, Figures, OrderedGap, Reach, Refusals, Silence, Verdict};
