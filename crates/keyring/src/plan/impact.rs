//! The impact statement: what a plan does to the running fleet, in words and as data.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::ident::Kid;
use crate::manifest::{End, Manifest};
use crate::plan::draft::Draft;
use crate::policy::Maxima;
use crate::refusal::{Code, Refusal};
use crate::report::{KeyUsage, Presence, ReplicaReport};
use crate::time::{UnixTime, in_words};

/// What a plan does, to whom, and how to undo it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Impact {
    /// The first line: it answers the question.
    pub headline: String,
    /// What happens when.
    pub steps: Vec<Step>,
    /// What it means for running supervisors.
    pub supervisors: Vec<String>,
    /// What the operator should know.
    pub warnings: Vec<String>,
    /// How to undo it.
    pub undo: String,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// When, by the operator's clock; `None` where only the operator can say.
    pub at: Option<UnixTime>,
    /// Its short name: a generation, `gate`, or `–`.
    pub label: String,
    /// What happens.
    pub what: String,
}

impl Step {
    pub(super) fn new(at: UnixTime, label: impl Into<String>, what: impl Into<String>) -> Self {
        Self { at: Some(at), label: label.into(), what: what.into() }
    }
}

/// Who uses a key, by what the live replicas saw. A sandbox that calls several replicas is counted by
/// each, so counts are upper bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Census {
    /// Sandboxes whose newest token is of the key.
    pub sandboxes: u64,
    /// When a token of the key was last accepted.
    pub last_use: Option<UnixTime>,
    /// Sandboxes that hold a token of the key that never expires.
    pub never_expires: Vec<String>,
    /// Sandboxes by the method that they bootstrapped with.
    pub methods: BTreeMap<String, u64>,
}

impl Census {
    /// What the live among `reports` say of `kid`.
    pub fn of(reports: &[ReplicaReport], kid: &Kid, now: UnixTime, maxima: Maxima) -> Self {
        let live = reports.iter().filter(|report| report.presence(now, maxima) == Presence::Live);
        let mut census = Self::default();
        for KeyUsage { sandboxes, last_use, never_expires, methods } in
            live.filter_map(|report| report.key(kid)).map(|key| &key.usage)
        {
            census.sandboxes = census.sandboxes.saturating_add(*sandboxes);
            census.last_use = census.last_use.max(*last_use);
            census.never_expires.extend(never_expires.iter().cloned());
            for (method, count) in methods {
                let sum = census.methods.entry(method.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        census.never_expires.sort();
        census.never_expires.dedup();
        census
    }

    /// The method that cannot be repeated from inside the sandbox.
    const STATIC: &'static str = "token-file";

    /// Sandboxes whose bootstrap can be done again without an operator.
    pub fn can_bootstrap(&self) -> u64 {
        let repeatable = self.methods.iter().filter(|(method, _)| *method != Self::STATIC);
        repeatable.fold(0, |sum: u64, (_, count)| sum.saturating_add(*count))
    }

    /// Sandboxes that need a new token file, or whose bootstrap is not known.
    pub fn cannot_bootstrap(&self) -> u64 {
        self.sandboxes.saturating_sub(self.can_bootstrap())
    }
}

/// Replicas that count.
pub(super) fn live(draft: &Draft<'_>) -> u64 {
    let live =
        draft.reports.iter().filter(|report| report.presence(draft.now, draft.maxima) == Presence::Live);
    live.count() as u64
}

/// `1 replica`, `3 replicas`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    let word = if number == 1 { one } else { many };
    format!("{number} {word}")
}

pub(super) fn unknown_key(manifest: &Manifest, kid: &Kid) -> Refusal {
    let gone = |code, how| {
        Refusal::new(
            code,
            format!("key {kid} is gone: {how}"),
            "there is nothing to do: its tokens are refused",
        )
    };
    match manifest.tombstone(kid).map(|stone| stone.end) {
        Some(End::Revoked) => gone(Code::KeyRevoked, "it was revoked"),
        Some(End::Retired) => gone(Code::KeyRetired, "it has retired"),
        None => Refusal::new(
            Code::UnknownKey,
            format!("the keyring holds no key {kid}"),
            "keystile status lists the keys; a full kid is needed where a short one is ambiguous",
        ),
    }
}

/// When a key superseded at `from` verifies nothing any more.
pub(super) fn end_of_window(draft: &Draft<'_>, kid: &str, from: UnixTime) -> Step {
    let key = draft.next.keys.iter().find(|key| key.kid.as_str() == kid);
    let policy = &draft.next.policy;
    match key.and_then(super::super::manifest::Key::bounded_lifetime) {
        Some(longest) => {
            let last_iat = from.plus(draft.maxima.staleness + draft.maxima.skew + policy.commit_delay);
            let expired = last_iat.plus(longest);
            let what = format!(
                "{kid} verifies nothing any more: its last token expired {} before",
                in_words(policy.leeway)
            );
            Step::new(expired.plus(policy.leeway), "–", what)
        }
        None => Step {
            at: None,
            label: "–".to_owned(),
            what: format!(
                "{kid} may have signed tokens that never expire: it verifies until you run keystile retire {kid} --at INSTANT"
            ),
        },
    }
}

/// What a switch of the signing key means for supervisors: nothing but their usual renewal.
pub(super) fn renewals(draft: &Draft<'_>) -> Vec<String> {
    let (mut sandboxes, mut stuck): (u64, u64) = (0, 0);
    let mut forever = Vec::new();
    for key in &draft.before.keys {
        let census = Census::of(draft.reports, &key.kid, draft.now, draft.maxima);
        sandboxes = sandboxes.saturating_add(census.sandboxes);
        stuck = stuck.saturating_add(census.cannot_bootstrap());
        forever.extend(census.never_expires);
    }
    let within = match draft.next.policy.token_ttl {
        0 => "at their usual time".to_owned(),
        ttl => format!("within {} at their usual time", in_words(ttl)),
    };
    let seen = match sandboxes {
        0 => "none".to_owned(),
        _ => format!("up to {}", count(sandboxes, "sandbox", "sandboxes")),
    };
    let mut lines = vec![format!("None has to do anything: all renew {within}; seen lately: {seen}.")];
    lines.push(format!(
        "token files that never expire: {}; cannot bootstrap again: {stuck} (would matter only for revoke)",
        forever.len()
    ));
    lines
}

/// What no rotation can fix, for those it concerns.
pub(super) fn pinned() -> Vec<String> {
    vec!["A verifier that pins the old public key must be given the new one by you: keystile jwks prints both.".to_owned()]
}
