//! What would be rehearsed. Schema `keystile/rehearsal-plan/v1`.

use keystile_keyring::Policy;
use serde::Serialize;

use crate::script::Step;
use crate::settings::Settings;

/// What would be rehearsed, as JSON.
#[derive(Debug, Serialize)]
pub struct Plan<'a> {
    /// How many gateways would run.
    gateways: usize,
    /// How many supervisors would run.
    supervisors: usize,
    /// How far clocks would be apart, in seconds.
    skew: u64,
    /// The seed.
    seed: u64,
    /// The policy, scaled.
    policy: &'a Policy,
    /// The steps, as a script writes them.
    steps: &'a [Step],
    /// When the load would end, in seconds.
    seconds: f64,
}

/// What `settings` would rehearse.
pub fn plan(settings: &Settings) -> Plan<'_> {
    Plan {
        gateways: settings.gateways,
        supervisors: settings.supervisors,
        skew: settings.skew,
        seed: settings.seed,
        policy: &settings.policy,
        steps: &settings.script.steps,
        seconds: settings.ends_at.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_written_as_a_script_has_them() {
        let json = serde_json::to_value(plan(&crate::fixture::settings())).expect("JSON");
        assert_eq!(json["steps"], serde_json::json!(["at 4s rotate", "at 9s revoke active"]));
        assert_eq!((&json["seconds"], &json["policy"]["token_ttl"]), (&15.0.into(), &6.into()));
    }
}
