//! What would be simulated. Schema `keystile/simulation-plan/v1`.

use keystile_keyring::Policy;
use serde::Serialize;

use crate::moment::Moment;
use crate::settings::{Mix, Settings};

/// What would be simulated, as JSON.
#[derive(Debug, Serialize)]
pub struct Plan<'a> {
    sandboxes: u32,
    replicas: u32,
    duration: Moment,
    seed: u64,
    bootstrap: Mix,
    policy: &'a Policy,
    /// One step a line.
    script: Vec<String>,
}

/// What would be simulated.
pub fn plan(settings: &Settings) -> Plan<'_> {
    let options = &settings.options;
    Plan {
        sandboxes: options.sandboxes,
        replicas: options.replicas,
        duration: settings.end,
        seed: options.seed,
        bootstrap: options.mix,
        policy: &options.policy,
        script: settings.script.to_string().lines().map(ToOwned::to_owned).collect(),
    }
}
