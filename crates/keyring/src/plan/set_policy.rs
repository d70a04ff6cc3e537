//! Change the rules, so that no token that an earlier rule allowed is refused.

use std::collections::BTreeMap;

use crate::manifest::Lifetime;
use crate::plan::draft::Draft;
use crate::plan::windows::{move_end, raise_lifetime};
use crate::plan::{Impact, Planned, Step};
use crate::policy::{MEMBERS, Policy, PolicyBefore};
use crate::refusal::{Code, Refusal};
use crate::time::in_words;

/// New values for members of the policy, by name; `None` unsets an optional member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyChange(pub BTreeMap<String, Option<u64>>);

impl PolicyChange {
    /// `policy` with the change made, if every name and value may stand there.
    pub fn apply(&self, policy: &Policy) -> Result<Policy, Refusal> {
        let mut next = policy.clone();
        for (name, value) in &self.0 {
            let out = |found: String, remedy: String| Refusal::new(Code::PolicyOutOfRange, found, remedy);
            let Some(member) = MEMBERS.iter().find(|member| member.name == name) else {
                let names: Vec<_> = MEMBERS.iter().map(|member| member.name).collect();
                return Err(out(
                    format!("policy has no member {name:?}"),
                    format!("its members are: {}", names.join(", ")),
                ));
            };
            if !member.set(&mut next, *value) {
                return Err(out(format!("policy {name} cannot be unset"), "give it a value".to_owned()));
            }
        }
        next.check().map_err(|error| {
            Refusal::new(
                Code::PolicyOutOfRange,
                error.to_string(),
                "give the member a value within its range",
            )
        })?;
        Ok(next)
    }
}

pub(super) fn set_policy(mut draft: Draft<'_>, change: &PolicyChange) -> Result<Planned, Refusal> {
    let policy = change.apply(&draft.before.policy)?;
    if policy == draft.before.policy {
        return Ok(Planned::Nothing("the policy says so already".to_owned()));
    }
    let said = differences(&draft.before.policy, &policy);
    draft.next.policy_before = former_maxima(&draft, &policy);
    draft.next.policy = policy;
    raise_lifetimes(&mut draft);
    draft.done(None);
    let (now, generation) = (draft.now, format!("generation {}", draft.next.generation));
    let warnings = warnings(&draft);
    let statement = Impact {
        headline: format!("Would change the policy of keyring {}.", draft.before.gateway_id),
        steps: said.into_iter().map(|what| Step::new(now, generation.clone(), what)).collect(),
        supervisors: vec!["None has to do anything: tokens already out keep their lifetime.".to_owned()],
        warnings,
        undo: "keystile set-policy with the former values; a key that may have signed longer tokens keeps its longer window".to_owned(),
    };
    draft.finish(statement).map(Planned::change)
}

/// A lowered bound counts in full until no replica can hold the generation that had it.
fn former_maxima(draft: &Draft<'_>, policy: &Policy) -> Option<PolicyBefore> {
    let (maxima, before) = (draft.maxima, &draft.before.policy);
    let lowered = policy.max_staleness < maxima.staleness
        || policy.max_skew < maxima.skew
        || policy.verifier_cache < maxima.verifier_cache;
    if !lowered {
        return None;
    }
    let until = draft.now.plus(maxima.staleness + maxima.skew + before.commit_delay.max(policy.commit_delay));
    // Outside verifiers go on caching for as long as they were told.
    let until = until.max(draft.now.plus(maxima.verifier_cache));
    Some(PolicyBefore {
        staleness: maxima.staleness,
        skew: maxima.skew,
        verifier_cache: maxima.verifier_cache,
        until,
    })
}

/// Every key that some replica may still sign with under the new TTL may put it on a token.
fn raise_lifetimes(draft: &mut Draft<'_>) {
    let (now, ttl, leeway) = (draft.now, draft.next.policy.token_ttl, draft.next.policy.leeway);
    let recent = draft.maxima.skew + draft.next.policy.commit_delay.max(draft.before.policy.commit_delay);
    for key in &mut draft.next.keys {
        let signs = draft.before.signs_now_or_later(&key.kid, now);
        let just_superseded = key.superseded.is_some_and(|superseded| now < superseded.at.plus(recent));
        if key.revoked.is_none() && (signs || just_superseded) {
            let before = key.clone();
            raise_lifetime(key, ttl);
            move_end(key, &before, leeway);
        }
    }
}

fn differences(before: &Policy, after: &Policy) -> Vec<String> {
    let changed = MEMBERS.iter().filter(|member| member.get(before) != member.get(after));
    changed
        .map(|member| {
            let show = |policy| match member.get(policy) {
                None => "none".to_owned(),
                Some(count) if member.name == "max_keys" => count.to_string(),
                Some(seconds) => in_words(seconds),
            };
            format!("{}: {} → {}", member.name, show(before), show(after))
        })
        .collect()
}

fn warnings(draft: &Draft<'_>) -> Vec<String> {
    let (before, after) = (&draft.before.policy, &draft.next.policy);
    let mut warnings = Vec::new();
    if after.mints_forever() && !before.mints_forever() {
        warnings.push(
            "Tokens minted from now on never expire: a superseded key then verifies until you set a deadline."
                .to_owned(),
        );
    }
    if after.token_ttl > before.token_ttl && before.token_ttl != 0 {
        warnings
            .push("A longer token_ttl lengthens the window of every key that signs from now on.".to_owned());
    }
    let unknown = draft.next.keys.iter().any(|key| key.longest_token == Lifetime::Unbounded);
    if unknown && after.token_ttl != before.token_ttl {
        warnings.push(
            "An adopted key of unknown past keeps its unbounded window whatever the policy says.".to_owned(),
        );
    }
    warnings
}
