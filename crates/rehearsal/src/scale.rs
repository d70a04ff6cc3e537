//! The operator's own policy, with lifetimes short enough to watch.

use std::time::Duration;

use keystile_keyring::Policy;
use keystile_supervisor::Timing;

/// Lifetime of a token in a rehearsal, in seconds, unless asked otherwise.
pub const USUAL_TTL: u64 = 6;

/// What a policy without a token lifetime of its own (`exp = 0`) is scaled by, in seconds.
const USUAL_POLICY_TTL: u64 = 3600;

/// The policy to rehearse: every duration of `own` times `ttl / token_ttl`, rounded up to whole seconds.
///
/// Below a least value each stands still, because time here is whole seconds and a process needs some of
/// it: leeway, max_skew, verifier_cache, activation_lead 1; commit_delay 2; max_staleness 3;
/// verify_staleness 6; rollback_custody 10; max_lineage_age a token's life. What is 0 stays 0, so a policy
/// whose tokens never expire is rehearsed with such tokens. `ttl` of `None` is [`USUAL_TTL`], or the policy's
/// own if that is shorter: nothing but the tokens' lifetime is ever made longer.
pub fn scaled_policy(own: &Policy, ttl: Option<u64>) -> Policy {
    let from = if own.token_ttl == 0 { USUAL_POLICY_TTL } else { own.token_ttl };
    let to = ttl.filter(|ttl| *ttl > 0).unwrap_or(USUAL_TTL.min(from));
    let scale = |value: u64, least: u64| match value {
        0 => 0,
        _ => scaled(value, to.min(from), from).max(least),
    };
    let max_staleness = scale(own.max_staleness, 3);
    Policy {
        token_ttl: ttl.unwrap_or(if own.token_ttl == 0 { 0 } else { to }),
        leeway: scale(own.leeway, 1),
        max_skew: scale(own.max_skew, 1),
        max_staleness,
        verify_staleness: scale(own.verify_staleness, 6).max(max_staleness),
        commit_delay: scale(own.commit_delay, 2),
        verifier_cache: scale(own.verifier_cache, 1),
        activation_lead: scale(own.activation_lead, 1),
        rotation_due_after: scale(own.rotation_due_after, to),
        rotate_every: own.rotate_every.map(|every| scale(every, to)),
        rollback_custody: scale(own.rollback_custody, 10),
        max_keys: own.max_keys,
        max_lineage_age: own.max_lineage_age.map(|age| scale(age, to)),
    }
}

/// `value * to / from`, rounded up, within the range of every member of a policy.
fn scaled(value: u64, to: u64, from: u64) -> u64 {
    let product = u128::from(value) * u128::from(to);
    u64::try_from(product.div_ceil(u128::from(from.max(1)))).unwrap_or(u64::MAX)
}

/// A supervisor's timing for tokens that live `ttl` seconds: as in production relative to a token's life,
/// with attempts that may take as long as a loaded machine needs.
pub(crate) fn scaled_timing(ttl: u64) -> Timing {
    let life = Duration::from_secs(if ttl == 0 { USUAL_TTL } else { ttl });
    Timing {
        longest_interval: life,
        start_spread: life / 4,
        rejection_spread: Duration::from_millis(50),
        rejection_interval: Duration::from_millis(250),
        backoff_first: Duration::from_millis(50),
        backoff_max: Duration::from_millis(500),
        stranded_max: Duration::from_secs(1),
        attempt_timeout: Duration::from_secs(1),
        hint_max: Duration::from_secs(1),
        file_poll: Duration::from_millis(200),
        ..Timing::default()
    }
}

/// About how long a rotation takes once every replica reports, in seconds.
pub(crate) fn rotation(policy: &Policy) -> u64 {
    policy.verifier_cache + policy.activation_lead + 2
}

#[cfg(test)]
mod tests {
    use keystile_keyring::policy::MEMBERS;

    use super::*;

    #[test]
    fn the_usual_policy_becomes_seconds() {
        let scaled = scaled_policy(&Policy::default(), None);
        assert_eq!((scaled.token_ttl, scaled.leeway, scaled.max_skew), (6, 1, 1));
        assert_eq!((scaled.max_staleness, scaled.verify_staleness, scaled.commit_delay), (3, 6, 2));
        assert_eq!((scaled.verifier_cache, scaled.activation_lead, scaled.rollback_custody), (1, 1, 144));
        scaled.check().expect("within every range");
    }

    #[test]
    fn proportions_of_the_own_policy_remain() {
        let own = Policy { max_staleness: 1800, leeway: 300, verifier_cache: 7200, ..Policy::default() };
        let scaled = scaled_policy(&own, Some(12));
        assert_eq!((scaled.token_ttl, scaled.max_staleness, scaled.leeway), (12, 6, 1));
        assert_eq!(scaled.verifier_cache, 24);
    }

    #[test]
    fn nothing_but_a_lifetime_that_is_asked_for_gets_longer() {
        let own = Policy { token_ttl: 4, max_staleness: 20, ..Policy::default() };
        let usual = scaled_policy(&own, None);
        assert_eq!((usual.token_ttl, usual.max_staleness), (4, 20));
        let longer = scaled_policy(&own, Some(30));
        assert_eq!((longer.token_ttl, longer.max_staleness), (30, 20));
    }

    #[test]
    fn what_is_nothing_stays_nothing() {
        let own =
            Policy { verifier_cache: 0, activation_lead: 0, rotation_due_after: 0, ..Policy::default() };
        let scaled = scaled_policy(&own, Some(6));
        assert_eq!((scaled.verifier_cache, scaled.activation_lead, scaled.rotation_due_after), (0, 0, 0));
    }

    #[test]
    fn tokens_that_never_expire_are_rehearsed_as_such() {
        let own = Policy { token_ttl: 0, ..Policy::default() };
        assert_eq!(scaled_policy(&own, None).token_ttl, 0);
        assert_eq!(scaled_policy(&own, None).max_staleness, 3);
        assert_eq!(scaled_policy(&own, Some(6)).token_ttl, 6);
        assert_eq!(scaled_policy(&Policy::default(), Some(0)).token_ttl, 0);
    }

    #[test]
    fn every_policy_within_its_ranges_scales_to_one() {
        for ttl in [1, 2, 6, 60, 3600] {
            for member in MEMBERS {
                for value in [member.min, member.max] {
                    let mut own = Policy { verify_staleness: 7 * 86_400, ..Policy::default() };
                    assert!(member.set(&mut own, Some(value)));
                    own.verify_staleness = own.verify_staleness.max(own.max_staleness);
                    let scaled = scaled_policy(&own, Some(ttl));
                    scaled.check().unwrap_or_else(|error| panic!("{} = {value}: {error}", member.name));
                }
            }
        }
    }

    #[test]
    fn a_renewal_has_time_to_be_tried_again() {
        let timing = scaled_timing(USUAL_TTL);
        let left = Duration::from_secs(USUAL_TTL).mul_f64(1.0 - timing.renew_to);
        assert!(left > timing.backoff_max, "{left:?}");
    }
}
