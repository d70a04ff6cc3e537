//! Fleets on loopback, faults, verdict and picture
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
pub use rehearsal::{Options, Rehearsed, rehearse};
pub use replica::{MOST_REPLICAS, ReplicaName};
pub use scale::{USUAL_TTL, scaled_policy};
pub use settings::{Bootstrap, Settings};
pub use stage::Means;
pub use verdict::{Attacks, Criterion, Figures, OrderedGap, Reach, Refusals, Silence, Verdict};
