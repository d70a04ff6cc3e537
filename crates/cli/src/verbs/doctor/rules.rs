//! Are the rules sane? Each is within its range already; here they are weighed.

use keystile_keyring::{Policy, in_words};

use super::Check;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// What is unusual about a policy.
pub(super) fn policy(policy: &Policy) -> Vec<Check> {
    let mut checks = Vec::new();
    let mut warn = |found: String, remedy: &str| checks.push(Check::warn("policy", found, remedy));
    if policy.mints_forever() {
        warn(
            "token_ttl is 0: tokens never expire, so no window ends by itself".to_owned(),
            "keystile set-policy token_ttl=1h",
        );
    }
    if policy.token_ttl > DAY {
        let found = format!("token_ttl is {}: a rotation window lasts as long", in_words(policy.token_ttl));
        warn(found, "keystile set-policy token_ttl=1h");
    }
    if policy.max_skew == 0 {
        warn(
            "max_skew is 0: clocks never agree to the second".to_owned(),
            "keystile set-policy max_skew=30s",
        );
    }
    if policy.leeway < policy.max_skew {
        let found = format!(
            "leeway ({}) is less than max_skew: a clock that is ahead ends tokens early",
            in_words(policy.leeway)
        );
        warn(found, "keystile set-policy leeway=60s");
    }
    let ttl_matters = !policy.mints_forever() && policy.token_ttl < 2 * policy.max_skew;
    if ttl_matters {
        warn("token_ttl is shorter than twice max_skew".to_owned(), "keystile set-policy token_ttl=1h");
    }
    if policy.rotation_due_after == 0 && policy.rotate_every.is_none() {
        warn("nothing ever calls for a rotation".to_owned(), "keystile set-policy rotation_due_after=90d");
    }
    let late = policy
        .rotate_every
        .filter(|every| policy.rotation_due_after != 0 && *every > policy.rotation_due_after);
    if late.is_some() {
        warn(
            "rotate_every is longer than rotation_due_after".to_owned(),
            "give rotate_every a shorter value",
        );
    }
    if checks.is_empty() {
        let found = format!(
            "token_ttl {}, max_staleness {}",
            in_words(policy.token_ttl),
            in_words(policy.max_staleness)
        );
        checks.push(Check::ok("policy", found));
    }
    checks
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_default_policy_is_sane() {
        assert!(policy(&Policy::default()).iter().all(|check| check.level == Level::Ok));
    }

    #[test]
    fn what_is_unusual_is_named() {
        let odd = Policy { token_ttl: 0, max_skew: 0, rotation_due_after: 0, ..Policy::default() };
        let found: Vec<String> = policy(&odd).into_iter().map(|check| check.found).collect();
        assert_eq!(found.len(), 3, "{found:?}");
    }
}
