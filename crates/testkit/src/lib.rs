//! Fakes for tests only: clock, store faults, entropy, token forger

mod clock;
pub mod forger;
mod store;

pub use clock::ManualClock;
pub use store::{Fault, FaultyStore};
