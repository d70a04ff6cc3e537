//! The keyring as a pure function of (manifest, instant).
//!
//! A [`Manifest`] holds facts and instants; which key signs and which keys verify is computed from it
//! and a `now` that is passed in. A change of the keyring is a [`plan::Plan`]: the complete next
//! manifest, to be stored by one compare-and-swap. Nothing here reads a clock, a file or a random
//! number, and no cryptography is done here.

mod bounds;
pub mod check;
pub mod gate;
mod ident;
pub mod manifest;
pub mod plan;
pub mod policy;
pub mod refusal;
pub mod report;
mod standing;
pub mod state;
#[cfg(test)]
mod testing;
mod time;

pub use bounds::{Breach, TokenTimes};
pub use gate::{Fleet, Gate};
pub use ident::{Digest, GatewayId, Kid, NameError, PublicKey, ReplicaId, RequestId};
pub use manifest::{Key, Manifest};
pub use policy::Policy;
pub use refusal::{Code, Refusal};
pub use report::ReplicaReport;
pub use standing::{Standing, Undone};
pub use state::{Event, KeyState, Lookup};
pub use time::{UnixTime, in_words};
