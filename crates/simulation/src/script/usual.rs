//! The script that is played when none is given, fitted to the policy.

use std::time::Duration;

use keystile_keyring::Policy;

use super::{Action, KeyName, Script, Step};
use crate::moment::Moment;

/// A steady state, a rotation, a rollback, an outage of the store, a revocation, and one with all descendants.
/// With the default policy, two hours.
pub fn usual(policy: &Policy) -> Script {
    let life = if policy.token_ttl == 0 { 3600 } else { policy.token_ttl };
    let part = |twelfths: u64| life.saturating_mul(twelfths) / 12;
    let rotation = policy.max_staleness + policy.verifier_cache + policy.activation_lead;
    let rotate = part(2);
    let rollback = (rotate + rotation).max(part(5)) + part(2);
    let outage = rollback + part(3);
    // Supervisors renew before 85 % of a life: what is shorter than the rest is survived.
    let length = life.saturating_mul(13) / 100;
    let revoke = outage + part(5);
    let revoke_all = revoke + part(4);
    let end = revoke_all + part(3);
    let step = |at: u64, action| Step { at: Moment::at_seconds(at), action, expect: None };
    Script {
        steps: vec![
            step(rotate, Action::Rotate { emergency: false }),
            step(rollback, Action::Rollback),
            step(outage, Action::Outage(Duration::from_secs(length.max(1)))),
            step(revoke, Action::Revoke { key: KeyName::Active, descendants: false }),
            step(revoke_all, Action::Revoke { key: KeyName::Active, descendants: true }),
        ],
        end: Some(Moment::at_seconds(end)),
    }
}
