//! What is wrong with a keyring and its fleet, from what is stored and reported.

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::plan::Census;
use keystile_keyring::report::{Condition, Presence};
use keystile_keyring::{Digest, Fleet, Gate, KeyState, Manifest, ReplicaReport, UnixTime, in_words};
use serde::Serialize;

use crate::when::roughly;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// Tokens are, or will be, rejected or not minted.
    Fail,
    /// It should be looked at.
    Warn,
}

/// Something that is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// How much it matters.
    pub(crate) severity: Severity,
    /// A stable word for it.
    pub(crate) code: &'static str,
    /// What was found.
    pub(crate) found: String,
    /// What to do.
    pub(crate) remedy: String,
}

impl Problem {
    /// A problem that must be solved.
    pub(crate) fn fail(code: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Fail, code, found: found.into(), remedy: remedy.into() }
    }

    /// A problem that should be looked at.
    pub(crate) fn warn(code: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warn, code, found: found.into(), remedy: remedy.into() }
    }
}

/// What is wrong at `now`, worst first.
pub(crate) fn problems(
    manifest: &Manifest,
    digest: Digest,
    reports: &[ReplicaReport],
    now: UnixTime,
) -> Vec<Problem> {
    let mut problems = keyring(manifest, now);
    problems.extend(keys(manifest, reports, now));
    problems.extend(gate(manifest, reports, now));
    problems.extend(reports.iter().flat_map(|report| replica(manifest, digest, report, now)));
    problems.sort_by_key(|problem| problem.severity);
    problems
}

fn keyring(manifest: &Manifest, now: UnixTime) -> Vec<Problem> {
    let mut problems = Vec::new();
    let emergency = "make a new signing key: keystile rotate --emergency";
    match manifest.active_at(now) {
        None => problems.push(Problem::fail("no-signer", "no key signs now", emergency)),
        Some(key) if key.private != PrivateState::Present => problems.push(Problem::fail(
            "signer-without-private-key",
            format!("key {} signs, and its private key is destroyed", key.kid.short()),
            emergency,
        )),
        Some(_) => {}
    }
    let ahead = manifest.changed_at().since(now);
    if ahead > manifest.policy.max_skew {
        problems.push(Problem::fail(
            "clock-behind",
            format!("the last change lies {} after this clock", in_words(ahead)),
            "set this machine's clock right",
        ));
    }
    if manifest.rotation_due(now) {
        let age = manifest.key_age(now).unwrap_or_default();
        let after = manifest.policy.rotation_due_after;
        problems.push(Problem::warn(
            "rotation-due",
            format!(
                "the signing key is {} old; policy asks for a rotation after {}",
                roughly(age),
                roughly(after)
            ),
            "replace it: keystile rotate",
        ));
    }
    let held = manifest.keys.len();
    if held as u64 >= manifest.policy.max_keys {
        problems.push(Problem::warn(
            "keyring-full",
            format!("the keyring holds {held} keys, as many as policy allows"),
            "once an old key has retired: keystile prune",
        ));
    }
    problems
}

fn keys(manifest: &Manifest, reports: &[ReplicaReport], now: UnixTime) -> Vec<Problem> {
    let maxima = manifest.maxima(now);
    let mut problems = Vec::new();
    for key in &manifest.keys {
        if manifest.state_of(key, now) != KeyState::VerifyOnly {
            continue;
        }
        let Some(superseded) = key.superseded else { continue };
        let census = Census::of(reports, &key.kid, now, maxima);
        let kid = key.kid.short();
        if superseded.accept_until.is_none() {
            problems.push(Problem::warn(
                "no-deadline",
                format!("key {kid} verifies without end: it may have signed tokens that never expire"),
                format!("set a deadline: keystile retire {kid} --at INSTANT"),
            ));
        }
        if !census.never_expires.is_empty() {
            problems.push(Problem::warn(
                "never-expiring-tokens",
                format!("tokens of {kid} that never expire are in use by {}", some(&census.never_expires)),
                "give these sandboxes a new token before the key retires: keystile mint SANDBOX",
            ));
        }
    }
    problems
}

fn gate(manifest: &Manifest, reports: &[ReplicaReport], now: UnixTime) -> Option<Problem> {
    let operation = manifest.operation.as_ref()?;
    let kid = operation.to_kid.short();
    match manifest.gate(operation, reports, Fleet::Reporting, now) {
        Gate::Open { .. } => Some(Problem::warn(
            "gate-open",
            format!("key {kid} may sign now, and nobody has let it"),
            "go on: keystile rotate",
        )),
        Gate::Unattended => Some(Problem::warn(
            "no-replicas",
            format!("key {kid} waits for replicas, and none reports"),
            "start a gateway; or, if none is to run: keystile rotate --offline",
        )),
        Gate::Replicas { .. } | Gate::Caches { .. } => None,
    }
}

fn replica(manifest: &Manifest, digest: Digest, report: &ReplicaReport, now: UnixTime) -> Vec<Problem> {
    let name = &report.replica;
    let mut problems = Vec::new();
    match report.presence(now, manifest.maxima(now)) {
        Presence::Live => {}
        Presence::Withdrawn(_) => return problems,
        Presence::Lost(_) => {
            let ago = roughly(now.since(report.reported_at));
            return vec![Problem::warn(
                "replica-lost",
                format!("{name} was last heard of {ago} ago, at generation {}", report.generation),
                "start it again; if it is gone for good, nothing is to be done: it does not count any more",
            )];
        }
    }
    if report.generation == manifest.generation && report.digest.is_some_and(|held| held != digest) {
        problems.push(Problem::fail(
            "forked",
            format!("{name} holds another generation {} than the store", report.generation),
            "run keystile doctor; the store or the replica was restored from elsewhere",
        ));
    }
    let revoked_in = manifest.history.iter().rev().find(|change| change.verb == "revoke");
    if let Some(change) = revoked_in.filter(|change| change.generation > report.generation) {
        problems.push(Problem::fail(
            "replica-before-revocation",
            format!(
                "{name} holds generation {} and still accepts what generation {} revoked",
                report.generation, change.generation
            ),
            format!("stop {name}, or let it read the store"),
        ));
    }
    if report.generation > manifest.generation {
        problems.push(Problem::fail(
            "store-went-back",
            format!("{name} holds generation {}, the store {}", report.generation, manifest.generation),
            "repair it: keystile reconcile",
        ));
    }
    if let Condition::Degraded(why) = &report.condition {
        problems.push(Problem::fail(
            "replica-degraded",
            format!("{name} serves generation {} and loads no newer one: {why}", report.generation),
            "see its log; it goes on with the last good keyring",
        ));
    }
    let skew = report.clock_offset.map_or(0, i64::unsigned_abs);
    if skew > manifest.policy.max_skew {
        problems.push(Problem::fail(
            "clock-skew",
            format!("the clock of {name} differs by {} from the store's", in_words(skew)),
            format!("set it right: max_skew is {}", in_words(manifest.policy.max_skew)),
        ));
    }
    problems
}

/// The first few of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let first: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
