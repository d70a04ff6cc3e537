//! What is wrong with a keyring and its fleet, from what is stored and reported.

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::plan::Census;
use keystile_keyring::report::{Condition, Presence};
use keystile_keyring::{Digest, Fleet, Gate, KeyState, Manifest, ReplicaReport, UnixTime, in_words};
use serde::Serialize;

use crate::console::harmless;
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
        Self { severity: Severity::Fail, code, found: harmless(&found.into()), remedy: remedy.into() }
    }

    /// A problem that should be looked at.
    pub(crate) fn warn(code: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warn, code, found: harmless(&found.into()), remedy: remedy.into() }
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
    if let Condition::Unreadable(why) = &report.condition {
        return vec![unreadable(manifest, report, why, now)];
    }
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
            format!("restore the newest backup; if there is none: keystile reconcile --accept {digest}"),
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
        // That it loads no newer one follows from it.
        problems.push(Problem::fail(
            "replica-ahead",
            format!(
                "{name} goes on with generation {}, the store is at {}: an old backup was restored",
                report.generation, manifest.generation
            ),
            "repair it: keystile reconcile. If its witness went back too, that says what is left to do",
        ));
    } else if let Condition::Degraded(why) = &report.condition {
        problems.push(Problem::fail(
            "replica-degraded",
            format!("{name} serves generation {} and loads no newer one: {why}", report.generation),
            "see its log; it goes on with the last good keyring",
        ));
    }
    if let Some(why) = &report.tls_stale {
        problems.push(Problem::warn(
            "tls-stale",
            format!("{name} could not read its changed TLS files, and the former certificate stays: {why}"),
            "put good files in their place: the gateway reads them by itself",
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

/// A report that nobody can read may be of a replica that has not loaded the newest generation.
fn unreadable(manifest: &Manifest, report: &ReplicaReport, why: &str, now: UnixTime) -> Problem {
    let maxima = manifest.maxima(now);
    let counts_until = report.reported_at.plus(maxima.staleness + maxima.skew);
    let held_up = match counts_until.0.checked_sub(now.0) {
        Some(left) => format!("; it holds up rotations for {} yet", in_words(left)),
        None => String::new(),
    };
    Problem::fail(
        "report-unreadable",
        format!("the report {} cannot be read: {why}{held_up}", report.replica),
        "the replica that owns it writes it anew; if none does, remove it: from replicas/ in the directory, or kubectl delete lease",
    )
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

#[cfg(test)]
mod tests {
    use keystile_keyring::manifest::{End, Origin, Revoked, Tombstone};
    use keystile_keyring::plan::{Candidate, init};
    use keystile_keyring::{GatewayId, Kid, Policy, PublicKey};

    use super::*;

    const BEGAN: UnixTime = UnixTime(1_795_442_400);
    const DIGEST: Digest = Digest([7; 32]);
    const DAY: u64 = 86_400;

    fn keyring() -> Manifest {
        let kid = Kid::new("8b98b466aaaa").expect("a kid");
        let candidate = Candidate { kid, public_key: PublicKey([1; 32]), origin: Origin::Generated };
        let id = GatewayId::new("openshell").expect("an id");
        init(id, Policy::default(), &candidate, "tester", BEGAN).expect("a plan").next
    }

    fn replica(generation: u64, now: UnixTime) -> ReplicaReport {
        ReplicaReport {
            replica: "gateway-0".parse().expect("a name"),
            build: "0.1.0".to_owned(),
            started_at: BEGAN,
            reported_at: now,
            generation,
            digest: None,
            condition: Condition::Ready,
            confirmed_at: None,
            keys: Vec::new(),
            revoked: Vec::new(),
            lineage_floor: None,
            withdrawn_at: None,
            tls_stale: None,
            clock_offset: None,
        }
    }

    fn codes(manifest: &Manifest, reports: &[ReplicaReport], now: UnixTime) -> Vec<&'static str> {
        problems(manifest, DIGEST, reports, now).iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn t33_an_overdue_rotation_is_said() {
        let manifest = keyring();
        assert_eq!(codes(&manifest, &[], BEGAN.plus(89 * DAY)), Vec::<&str>::new());
        assert_eq!(codes(&manifest, &[], BEGAN.plus(90 * DAY)), ["rotation-due"]);
    }

    #[test]
    fn t19_a_replica_that_still_accepts_a_revoked_key_is_named() {
        let mut manifest = keyring();
        manifest.generation = 2;
        let mut change = manifest.history[0].clone();
        change.generation = 2;
        change.verb = "revoke".to_owned();
        manifest.history.push(change);
        let now = BEGAN.plus(60);
        let found = problems(&manifest, DIGEST, &[replica(1, now)], now);
        assert_eq!(found[0].code, "replica-before-revocation");
        assert!(found[0].found.contains("gateway-0"), "{}", found[0].found);
        assert_eq!(codes(&manifest, &[replica(2, now)], now), Vec::<&str>::new());
    }

    #[test]
    fn a_key_that_cannot_sign_is_worst() {
        let mut manifest = keyring();
        manifest.keys[0].private = PrivateState::DestroyedAt(BEGAN);
        manifest.policy.max_keys = 1;
        assert_eq!(codes(&manifest, &[], BEGAN), ["signer-without-private-key", "keyring-full"]);
        manifest.keys[0].revoked = Some(Revoked { at: BEGAN, reason: "test".to_owned() });
        assert_eq!(codes(&manifest, &[], BEGAN)[0], "no-signer");
    }

    #[test]
    fn t32_a_replica_whose_clock_is_off_is_named() {
        let off = ReplicaReport { clock_offset: Some(-31), ..replica(1, BEGAN) };
        assert_eq!(codes(&keyring(), &[off], BEGAN), ["clock-skew"]);
        let within = ReplicaReport { clock_offset: Some(30), ..replica(1, BEGAN) };
        assert_eq!(codes(&keyring(), &[within], BEGAN), Vec::<&str>::new());
    }

    #[test]
    fn a_replica_that_could_not_reload_its_certificate_is_named() {
        let stale = ReplicaReport { tls_stale: Some("tls.key: no key".to_owned()), ..replica(1, BEGAN) };
        let found = problems(&keyring(), DIGEST, std::slice::from_ref(&stale), BEGAN).remove(0);
        assert_eq!((found.code, found.severity), ("tls-stale", Severity::Warn));
        assert!(found.found.contains("gateway-0") && found.found.contains("tls.key: no key"), "{found:?}");
        let left = ReplicaReport { withdrawn_at: Some(BEGAN), ..stale };
        assert_eq!(codes(&keyring(), &[left], BEGAN), Vec::<&str>::new());
    }

    #[test]
    fn a_report_that_cannot_be_read_is_named_with_how_long_it_counts() {
        let unread = ReplicaReport::unreadable("gateway-1.json", BEGAN, "cut off");
        let problem = |now| problems(&keyring(), DIGEST, std::slice::from_ref(&unread), now).remove(0);
        let now = problem(BEGAN.plus(30));
        assert_eq!((now.code, now.severity), ("report-unreadable", Severity::Fail));
        let found = "the report gateway-1.json cannot be read: cut off; it holds up rotations for 5 min yet";
        assert_eq!(now.found, found);
        assert!(!problem(BEGAN.plus(331)).found.contains("holds up"));
    }

    #[test]
    fn a_replica_that_is_ahead_or_forked_says_that_the_store_is_wrong() {
        assert_eq!(codes(&keyring(), &[replica(2, BEGAN)], BEGAN), ["replica-ahead"]);
        let why = Condition::Degraded("the store went back".to_owned());
        let refuses = ReplicaReport { condition: why, ..replica(2, BEGAN) };
        assert_eq!(codes(&keyring(), &[refuses], BEGAN), ["replica-ahead"]);
        let forked = ReplicaReport { digest: Some(Digest([8; 32])), ..replica(1, BEGAN) };
        assert_eq!(codes(&keyring(), &[forked], BEGAN), ["forked"]);
    }

    #[test]
    fn t52_a_replica_that_loads_nothing_newer_says_why_and_cannot_write_to_the_terminal() {
        let why = Condition::Degraded("garbage\x1b[2J".to_owned());
        let degraded = ReplicaReport { condition: why, ..replica(1, BEGAN) };
        let found = problems(&keyring(), DIGEST, &[degraded], BEGAN);
        assert_eq!(found[0].code, "replica-degraded");
        assert!(found[0].found.ends_with("garbage\\u001b[2J"), "{}", found[0].found);
    }

    #[test]
    fn a_replica_that_left_is_no_problem_and_one_that_vanished_is() {
        let left = ReplicaReport { withdrawn_at: Some(BEGAN), ..replica(1, BEGAN) };
        let later = BEGAN.plus(DAY);
        assert_eq!(codes(&keyring(), &[left], later), Vec::<&str>::new());
        assert_eq!(codes(&keyring(), &[replica(1, BEGAN)], later), ["replica-lost"]);
    }

    #[test]
    fn a_clock_that_is_behind_the_last_change_is_said() {
        assert_eq!(codes(&keyring(), &[], BEGAN.minus(31)), ["no-signer", "clock-behind"]);
    }

    #[test]
    fn a_tombstone_is_no_problem() {
        let mut manifest = keyring();
        let kid = Kid::new("dead0000").expect("a kid");
        manifest.tombstones.push(Tombstone { kid, end: End::Retired, at: BEGAN, named_until: None });
        assert_eq!(codes(&manifest, &[], BEGAN), Vec::<&str>::new());
    }
}
