//! Fakes for tests only: clock, store faults, entropy, token forger

pub mod api_server;
mod clock;
pub mod forger;
pub mod mutations;
mod store;

pub use api_server::ApiServer;
pub use clock::ManualClock;
pub use store::{Fault, FaultyStore};
