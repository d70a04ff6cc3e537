//! Fakes for tests only: clock, store faults, entropy, token forger

mod clock;

pub use clock::ManualClock;
