//! A fleet in virtual time: the code that decides in production, with up to a million sandboxes.
//!
//! [`simulate`] plays a [`script`] of operations and outages against replicas whose clocks differ and who hear of
//! a change sooner or later, and sandboxes that renew by the supervisor's own schedule. What decides is not
//! modelled: plans and gate are `keystile_keyring::plan`, a token is judged by `Manifest::lookup` and
//! `Manifest::breaches` of the generation that the replica holds, by the replica's own clock, and renewal and
//! back-off are `keystile_supervisor::schedule`. Two things are left out: signatures (a test shows that the
//! verdicts are those of the real verifier all the same), and the time that a call takes.
//!
//! Data flows one way: the `world` moves events and tells a `tally`; an `oracle` that asks no manifest rules
//! on every verdict; verdict and [`report`] read the tally.
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::float_cmp, reason = "tests know their values"))]

mod archive;
mod calendar;
mod chance;
mod judge;
mod moment;
mod operator;
mod oracle;
mod replica;
pub mod report;
mod sandbox;
pub mod script;
mod settings;
mod spread;
mod tally;
mod thief;
mod token;
mod verdict;
mod world;

pub use moment::Moment;
pub use sandbox::Source;
pub use settings::{Broken, Mix, Options, Settings, SettingsError};
pub use spread::{Measured, MeasuredError, Spread};
pub use tally::{Attack, Convergence, Gaps, Phase, Rates, StepDone, Tally};
pub use verdict::{Criterion, Verdict};

/// What a simulation came to.
#[derive(Debug)]
pub struct Simulated {
    /// What was simulated.
    pub settings: Settings,
    /// What happened.
    pub tally: Tally,
    /// Whether everything held that must.
    pub verdict: Verdict,
}

/// Simulates. The same settings always give the same outcome.
pub fn simulate(settings: Settings) -> Simulated {
    let tally = world::World::new(&settings).run();
    let verdict = Verdict::of(&settings, &tally);
    Simulated { settings, tally, verdict }
}
