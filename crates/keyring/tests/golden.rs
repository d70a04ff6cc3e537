//! The plan of every verb, whole: the next manifest and the impact statement, compared with files.
//!
//! After a change that is meant: `INSTA_UPDATE=always cargo test -p keystile-keyring --test golden`, and read the
//! difference before committing it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use keystile_keyring::manifest::{Lifetime, Origin};
use keystile_keyring::plan::{
    Adoption, Candidate, Context, Mode, Plan, Planned, PolicyChange, Remains, Request, Verb, adopt, init,
    plan, repair,
};
use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{
    Digest, Fleet, GatewayId, Kid, Manifest, Policy, PublicKey, ReplicaId, ReplicaReport, UnixTime,
};
use serde_json::json;

const START: u64 = 1_800_000_000;
const HOUR: u64 = 3600;
const DIGEST: Digest = Digest([0xd1; 32]);

fn kid(name: &str) -> Kid {
    Kid::new(name).unwrap()
}

fn candidate(name: &str, origin: Origin) -> Candidate {
    let byte = name.as_bytes().last().copied().unwrap_or_default();
    Candidate { kid: kid(name), public_key: PublicKey([byte; 32]), origin }
}

fn gateway() -> GatewayId {
    GatewayId::new("openshell").unwrap()
}

/// Two replicas that hold every key of `manifest` since before `now` and saw their tokens.
fn reports(manifest: &Manifest, now: u64) -> Vec<ReplicaReport> {
    let usage = KeyUsage {
        sandboxes: 12,
        last_use: Some(UnixTime(now - 4)),
        never_expires: vec!["sandbox-7".to_owned()],
        methods: BTreeMap::from([("client-certificate".to_owned(), 9), ("token-file".to_owned(), 3)]),
    };
    let keys = |kid: &Kid| KeyReport {
        kid: kid.clone(),
        held_since: UnixTime(now - 400),
        from_start: true,
        usage: usage.clone(),
    };
    let report = |name: &str| ReplicaReport {
        replica: ReplicaId::new(name).unwrap(),
        build: "0.1.0".to_owned(),
        started_at: UnixTime(START),
        reported_at: UnixTime(now - 1),
        generation: manifest.generation,
        digest: None,
        condition: Condition::Ready,
        confirmed_at: Some(UnixTime(now - 1)),
        keys: manifest.keys.iter().map(|key| keys(&key.kid)).collect(),
        revoked: Vec::new(),
        lineage_floor: None,
        withdrawn_at: None,
        tls_stale: None,
        clock_offset: Some(0),
    };
    vec![report("gateway-1"), report("gateway-2")]
}

/// Plans `verb` on `manifest` at `now`, with a fresh key of this name on offer.
fn planned(manifest: &Manifest, verb: Verb, fresh: &str, now: u64) -> Plan {
    let request_id = format!("{}-after-{}", verb.name(), manifest.generation);
    let request = Request {
        verb,
        actor: "olga@ops".to_owned(),
        reason: Some("a story".to_owned()),
        request_id: Some(request_id.parse().unwrap()),
    };
    let (reports, fresh) = (reports(manifest, now), candidate(fresh, Origin::Generated));
    let context = Context { now: UnixTime(now), digest: DIGEST, reports: &reports, candidate: Some(&fresh) };
    match plan(manifest, &request, &context) {
        Ok(Planned::Change(plan)) => *plan,
        other => panic!("expected a change, found {other:?}"),
    }
}

fn begun() -> Manifest {
    init(gateway(), Policy::default(), &candidate("key-a", Origin::Generated), "olga@ops", UnixTime(START))
        .unwrap()
        .next
}

fn prepared() -> Manifest {
    planned(&begun(), Verb::Prepare { no_rollback: false }, "key-b", START + HOUR).next
}

fn rotated() -> Manifest {
    planned(&prepared(), activate(), "unused", START + HOUR + 400).next
}

fn activate() -> Verb {
    Verb::Activate { fleet: Fleet::Reporting, no_rollback: false }
}

fn rotate(mode: Mode) -> Verb {
    Verb::Rotate { mode, no_rollback: false }
}

fn golden(name: &str, plan: &Plan) {
    let shown = json!({ "verb": plan.verb, "takes_candidate": plan.takes_candidate, "next": plan.next, "impact": plan.impact });
    insta::assert_json_snapshot!(name, shown);
}

#[test]
fn first_generations() {
    let fresh = candidate("key-a", Origin::Generated);
    golden("init", &init(gateway(), Policy::default(), &fresh, "olga@ops", UnixTime(START)).unwrap());
    let found = candidate("openshell-key", Origin::Adopted);
    for (name, longest_token) in
        [("adopt_bounded", Lifetime::Bounded(HOUR)), ("adopt_unbounded", Lifetime::Unbounded)]
    {
        let plan = adopt(
            gateway(),
            Policy::default(),
            &found,
            Adoption { longest_token },
            "olga@ops",
            UnixTime(START),
        );
        golden(name, &plan.unwrap());
    }
}

#[test]
fn rotations() {
    let now = START + HOUR;
    golden("prepare", &planned(&begun(), Verb::Prepare { no_rollback: false }, "key-b", now));
    golden("activate", &planned(&prepared(), activate(), "unused", now + 400));
    golden("rotate_gated", &planned(&begun(), rotate(Mode::Gated(Fleet::Reporting)), "key-b", now));
    golden("rotate_scheduled", &planned(&begun(), rotate(Mode::Scheduled(900)), "key-b", now));
    golden("rotate_emergency", &planned(&begun(), rotate(Mode::Emergency), "key-b", now));
    let no_way_back = Verb::Rotate { mode: Mode::Emergency, no_rollback: true };
    golden("rotate_no_rollback", &planned(&begun(), no_way_back, "key-b", now));
}

#[test]
fn rollbacks() {
    golden(
        "rollback_drops_a_prepared_key",
        &planned(&prepared(), Verb::Rollback { to: None }, "unused", START + HOUR + 60),
    );
    golden(
        "rollback_to_the_former_key",
        &planned(&rotated(), Verb::Rollback { to: None }, "unused", START + 2 * HOUR),
    );
}

#[test]
fn revocations() {
    let revoke = |name: &str, descendants| Verb::Revoke { kid: kid(name), descendants };
    let now = START + HOUR + 600;
    golden("revoke_the_active_key", &planned(&begun(), revoke("key-a", false), "key-b", now));
    golden(
        "revoke_a_verify_only_key_and_descendants",
        &planned(&rotated(), revoke("key-a", true), "unused", now),
    );
    golden("revoke_a_prepared_key", &planned(&prepared(), revoke("key-b", false), "unused", now));
}

#[test]
fn ends() {
    let now = START + HOUR + 600;
    let force = Verb::Retire { kid: kid("key-a"), at: None, force: true };
    golden("retire_by_force", &planned(&rotated(), force, "unused", now));
    let adoption = Adoption { longest_token: Lifetime::Unbounded };
    let found = candidate("openshell-key", Origin::Adopted);
    let adopted =
        adopt(gateway(), Policy::default(), &found, adoption, "olga@ops", UnixTime(START)).unwrap().next;
    let superseded = planned(&adopted, rotate(Mode::Emergency), "key-b", START + HOUR).next;
    let deadline =
        Verb::Retire { kid: kid("openshell-key"), at: Some(UnixTime(START + 24 * HOUR)), force: false };
    golden("retire_with_a_deadline", &planned(&superseded, deadline, "unused", now));
    golden("prune_ends_custody_and_window", &planned(&rotated(), Verb::Prune, "unused", START + 48 * HOUR));
}

#[test]
fn policies_and_late_commits() {
    let now = START + HOUR + 420;
    let change = PolicyChange(BTreeMap::from([
        ("token_ttl".to_owned(), Some(2 * HOUR)),
        ("max_staleness".to_owned(), Some(60)),
        ("rotate_every".to_owned(), Some(30 * 24 * HOUR)),
    ]));
    golden("set_policy", &planned(&rotated(), Verb::SetPolicy(change), "unused", now));
    golden(
        "extend",
        &planned(
            &rotated(),
            Verb::Extend { excess: 25, planned_at: UnixTime(START + HOUR + 400) },
            "unused",
            now,
        ),
    );
}

#[test]
fn repair_of_a_store_that_went_back() {
    let (store, witness) = (begun(), rotated());
    let present = BTreeSet::from([kid("key-a")]);
    let remains = Remains {
        manifest: &store,
        digest: DIGEST,
        private: &present,
        accepted: None,
        fresh: None,
        held: 0,
        reports: &[],
    };
    golden("repair", &repair(&remains, &witness, "olga@ops", UnixTime(START + 2 * HOUR)).unwrap());
}
