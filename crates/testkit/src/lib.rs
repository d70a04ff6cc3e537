//! Fakes for tests only: clock, store faults, entropy, token forger
