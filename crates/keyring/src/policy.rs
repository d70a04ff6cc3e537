//! Policy: the rules of one keyring. It lives in the manifest, so every replica applies the same.

use serde::{Deserialize, Serialize};

use crate::time::{UnixTime, in_words};

/// The rules of one keyring. Every duration is in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Lifetime of a new token; 0 mints tokens that never expire (`exp = 0`).
    pub token_ttl: u64,
    /// How long after `exp` a token is still accepted.
    pub leeway: u64,
    /// Bound on the difference between any two clocks, the operators' included.
    pub max_skew: u64,
    /// How long a replica may mint from a keyring that it could not confirm.
    pub max_staleness: u64,
    /// How long a replica may verify from a keyring that it could not confirm.
    pub verify_staleness: u64,
    /// A plan older than this is planned anew.
    pub commit_delay: u64,
    /// How long outside verifiers may cache the JWK Set.
    pub verifier_cache: u64,
    /// From the commit of an activation to the instant it names.
    pub activation_lead: u64,
    /// Age of the active key from which `rotation_due` is shown; 0 is never.
    pub rotation_due_after: u64,
    /// Age of the active key from which `reconcile` rotates by itself; absent is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotate_every: Option<u64>,
    /// How long the private key of a superseded key is kept for a rollback.
    pub rollback_custody: u64,
    /// The most keys that the keyring may hold, 3 to 8; one place is kept for a revocation.
    pub max_keys: u64,
    /// Greatest age of a lineage of refreshes; older ones must bootstrap again. Absent is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_lineage_age: Option<u64>,
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

impl Default for Policy {
    fn default() -> Self {
        Self {
            token_ttl: HOUR,
            leeway: 60,
            max_skew: 30,
            max_staleness: 300,
            verify_staleness: HOUR,
            commit_delay: 60,
            verifier_cache: 300,
            activation_lead: 10,
            rotation_due_after: 90 * DAY,
            rotate_every: None,
            rollback_custody: DAY,
            max_keys: 8,
            max_lineage_age: None,
        }
    }
}

/// One member of the policy: its name, its range and how to reach it. The only list of them.
#[derive(Clone, Copy)]
pub struct Member {
    /// The name, as in the manifest.
    pub name: &'static str,
    /// Least value.
    pub min: u64,
    /// Greatest value.
    pub max: u64,
    /// What it means, in one line.
    pub meaning: &'static str,
    get: fn(&Policy) -> Option<u64>,
    set: fn(&mut Policy, Option<u64>) -> bool,
}

impl Member {
    /// The value in `policy`; `None` where an optional member is absent.
    pub fn get(&self, policy: &Policy) -> Option<u64> {
        (self.get)(policy)
    }

    /// Its range, each end with its unit: `1 s to 24 h`.
    pub fn range(&self) -> String {
        format!("{} to {}", self.shown(self.min), self.shown(self.max))
    }

    /// A value of it, with its unit.
    pub fn shown(&self, value: u64) -> String {
        if self.name == "max_keys" || value == 0 { value.to_string() } else { in_words(value) }
    }

    /// Sets the value; `false` if the member is not optional and `value` is `None`.
    pub fn set(&self, policy: &mut Policy, value: Option<u64>) -> bool {
        (self.set)(policy, value)
    }
}

macro_rules! member {
    ($name:ident, $min:expr, $max:expr, $meaning:literal) => {
        Member {
            name: stringify!($name),
            min: $min,
            max: $max,
            meaning: $meaning,
            get: |policy| Some(policy.$name),
            set: |policy, value| value.map(|value| policy.$name = value).is_some(),
        }
    };
    (optional $name:ident, $min:expr, $max:expr, $meaning:literal) => {
        Member {
            name: stringify!($name),
            min: $min,
            max: $max,
            meaning: $meaning,
            get: |policy| policy.$name,
            set: |policy, value| {
                policy.$name = value;
                true
            },
        }
    };
}

/// Every member of the policy with its range.
pub const MEMBERS: &[Member] = &[
    member!(token_ttl, 0, 365 * DAY, "lifetime of a new token; 0: never expires"),
    member!(leeway, 0, 300, "how long after exp a token is still accepted"),
    member!(max_skew, 0, 300, "bound on the difference between any two clocks"),
    member!(max_staleness, 1, DAY, "how long a replica may mint from an unconfirmed keyring"),
    member!(verify_staleness, 1, 7 * DAY, "how long a replica may verify from an unconfirmed keyring"),
    member!(commit_delay, 1, HOUR, "a plan older than this is planned anew"),
    member!(verifier_cache, 0, DAY, "how long outside verifiers may cache the JWK Set"),
    member!(activation_lead, 0, HOUR, "from the commit of an activation to the instant it names"),
    member!(rotation_due_after, 0, 3650 * DAY, "age of the active key from which rotation is due; 0: never"),
    member!(optional rotate_every, 1, 3650 * DAY, "age of the active key from which reconcile rotates"),
    member!(rollback_custody, 0, 90 * DAY, "how long a superseded private key is kept for rollback"),
    member!(max_keys, 3, 8, "the most keys that the keyring may hold; one place is kept for a revocation"),
    member!(optional max_lineage_age, 1, 3650 * DAY, "greatest age of a lineage of refreshes"),
];

/// A member of a policy that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("policy {name} is {found}; expected {expected}")]
pub struct PolicyError {
    /// Which member.
    pub name: &'static str,
    /// The value found.
    pub found: u64,
    /// What may stand there.
    pub expected: String,
}

impl Member {
    fn check(&self, policy: &Policy) -> Result<(), PolicyError> {
        match self.get(policy) {
            Some(found) if !(self.min..=self.max).contains(&found) => {
                let expected = format!("{} ({})", self.range(), self.meaning);
                Err(PolicyError { name: self.name, found, expected })
            }
            _ => Ok(()),
        }
    }
}

impl Policy {
    /// Every member within its range, and the ranges within each other.
    pub fn check(&self) -> Result<(), PolicyError> {
        MEMBERS.iter().try_for_each(|member| member.check(self))?;
        if self.verify_staleness < self.max_staleness {
            return Err(PolicyError {
                name: "verify_staleness",
                found: self.verify_staleness,
                expected: format!("at least max_staleness ({})", self.max_staleness),
            });
        }
        Ok(())
    }

    /// Whether new tokens never expire.
    pub fn mints_forever(&self) -> bool {
        self.token_ttl == 0
    }

    /// The least lead of `rotate --schedule`: every replica has read the keyring by then or stopped
    /// minting, and every outside verifier's cached JWK Set has run out.
    pub fn schedule_minimum(&self, maxima: Maxima) -> u64 {
        // The plan and its commit fall anywhere within their seconds: one more than the sum.
        maxima.staleness + maxima.skew + self.commit_delay + maxima.verifier_cache + 1
    }
}

/// The largest bounds that any generation which a replica may still hold prescribes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maxima {
    /// `max_staleness`, seconds.
    pub staleness: u64,
    /// `max_skew`, seconds.
    pub skew: u64,
    /// `verifier_cache`, seconds.
    pub verifier_cache: u64,
}

impl Maxima {
    /// The larger of each.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            staleness: self.staleness.max(other.staleness),
            skew: self.skew.max(other.skew),
            verifier_cache: self.verifier_cache.max(other.verifier_cache),
        }
    }
}

/// Former maxima that still count in full, because a replica may hold the generation that had them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyBefore {
    /// The former `max_staleness`.
    pub staleness: u64,
    /// The former `max_skew`.
    pub skew: u64,
    /// The former `verifier_cache`.
    pub verifier_cache: u64,
    /// The last instant at which they count.
    pub until: UnixTime,
}

impl PolicyBefore {
    /// Every member within the range that it had.
    pub(crate) fn check(self) -> Result<(), PolicyError> {
        let former = Policy {
            max_staleness: self.staleness,
            max_skew: self.skew,
            verifier_cache: self.verifier_cache,
            ..Policy::default()
        };
        MEMBERS.iter().try_for_each(|member| member.check(&former))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A policy in which every member may go to its edge: only the order of the two stalenesses ties
    /// members together.
    fn loose() -> Policy {
        Policy { max_staleness: 1, verify_staleness: DAY, ..Policy::default() }
    }

    fn with(member: &Member, value: u64) -> Policy {
        let mut policy = loose();
        assert!(member.set(&mut policy, Some(value)));
        assert_eq!(member.get(&policy), Some(value), "{}", member.name);
        policy
    }

    #[test]
    fn the_default_policy_is_within_its_ranges() {
        assert_eq!(Policy::default().check(), Ok(()));
        assert_eq!(loose().check(), Ok(()));
    }

    #[test]
    fn every_member_may_have_its_least_and_its_greatest_value() {
        for member in MEMBERS.iter().filter(|member| member.name != "verify_staleness") {
            assert_eq!(with(member, member.min).check(), Ok(()), "{} {}", member.name, member.min);
            assert_eq!(with(member, member.max).check(), Ok(()), "{} {}", member.name, member.max);
        }
    }

    #[test]
    fn no_member_may_have_more_than_its_greatest_or_less_than_its_least_value() {
        for member in MEMBERS {
            let beyond = [Some(member.max + 1), member.min.checked_sub(1), Some(u64::MAX)];
            for value in beyond.into_iter().flatten() {
                let error = with(member, value).check().unwrap_err();
                assert_eq!((error.name, error.found), (member.name, value));
                assert!(error.expected.starts_with(&member.range()), "{error}");
            }
        }
    }

    #[test]
    fn replicas_verify_for_at_least_as_long_as_they_mint() {
        let policy = |verify_staleness| Policy { max_staleness: 300, verify_staleness, ..Policy::default() };
        assert_eq!(policy(300).check(), Ok(()));
        let error = policy(299).check().unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy verify_staleness is 299; expected at least max_staleness (300)"
        );
    }

    /// The list is the only one: it has every member of the stored policy, by the name stored.
    #[test]
    fn the_list_has_every_member() {
        let full = Policy { rotate_every: Some(1), max_lineage_age: Some(1), ..Policy::default() };
        let stored = serde_json::to_value(&full).unwrap();
        let mut stored: Vec<_> = stored.as_object().unwrap().keys().cloned().collect();
        let mut listed: Vec<_> = MEMBERS.iter().map(|member| member.name.to_owned()).collect();
        stored.sort();
        listed.sort();
        assert_eq!(stored, listed);
        for member in MEMBERS {
            let value = serde_json::to_value(&full).unwrap()[member.name].as_u64();
            assert_eq!(member.get(&full), value, "{}", member.name);
        }
    }

    #[test]
    fn only_optional_members_can_be_unset() {
        let unset = MEMBERS.iter().filter(|member| member.set(&mut Policy::default(), None));
        let names: Vec<_> = unset.map(|member| member.name).collect();
        assert_eq!(names, ["rotate_every", "max_lineage_age"]);
    }

    #[test]
    fn the_schedule_waits_for_replicas_commits_and_caches() {
        let policy = Policy::default();
        let maxima = Maxima { staleness: 300, skew: 30, verifier_cache: 900 };
        assert_eq!(policy.schedule_minimum(maxima), 300 + 30 + 60 + 900 + 1);
    }

    #[test]
    fn former_maxima_have_the_ranges_of_their_members() {
        let former = PolicyBefore { staleness: 300, skew: 30, verifier_cache: 300, until: UnixTime(1) };
        assert_eq!(former.check(), Ok(()));
        let wrong = [
            PolicyBefore { staleness: DAY + 1, ..former },
            PolicyBefore { skew: 301, ..former },
            PolicyBefore { verifier_cache: u64::MAX, ..former },
        ];
        let names: Vec<_> = wrong.into_iter().map(|former| former.check().unwrap_err().name).collect();
        assert_eq!(names, ["max_staleness", "max_skew", "verifier_cache"]);
    }

    #[test]
    fn zero_is_for_ever() {
        assert!(Policy { token_ttl: 0, ..Policy::default() }.mints_forever());
        assert!(!Policy::default().mints_forever());
    }
}
