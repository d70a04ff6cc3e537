//! Every refusal, with its text: part of the product. After a change that is meant:
//! `INSTA_UPDATE=always cargo test -p keystile-keyring --test refusals`, and read the difference.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use keystile_keyring::manifest::{Lifetime, PrivateState, limits};
use keystile_keyring::plan::{Adoption, Mode, PolicyChange, Remains, Request, Verb, adopt, repair};
use keystile_keyring::{Code, Fleet, KeyState, Policy, Refusal, ReplicaReport};

use world::{Ring, candidate, digest_of, gateway, kid, report, request, second};

const EMERGENCY: Verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
const ROTATE: Verb = Verb::Rotate { mode: Mode::Gated(Fleet::Reporting), no_rollback: false };
const PREPARE: Verb = Verb::Prepare { no_rollback: false };
const ACTIVATE: Verb = Verb::Activate { fleet: Fleet::Reporting, no_rollback: false };
const ROLLBACK: Verb = Verb::Rollback { to: None };

/// When key `a` began to sign.
const START: u64 = 1_800_000_000;
const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn ring() -> Ring {
    Ring::begin(Policy::default(), START)
}

/// `a` gave way to `b` one hour after the start.
fn rotated() -> Ring {
    let mut ring = ring();
    ring.verb(EMERGENCY, START + HOUR);
    ring
}

fn scheduled(lead: u64) -> Verb {
    Verb::Rotate { mode: Mode::Scheduled(lead), no_rollback: false }
}

fn back_to(name: &str) -> Verb {
    Verb::Rollback { to: Some(kid(name)) }
}

fn revoke(name: &str) -> Verb {
    Verb::Revoke { kid: kid(name), descendants: false }
}

fn retire(name: &str, after: Option<u64>, force: bool) -> Verb {
    Verb::Retire { kid: kid(name), at: after.map(|after| second(START + after)), force }
}

fn set(member: &str, value: Option<u64>) -> Verb {
    Verb::SetPolicy(PolicyChange([(member.to_owned(), value)].into()))
}

fn without_reason(ring: &Ring, verb: Verb, now: u64) -> Refusal {
    ring.plan(&Request { reason: None, ..request(verb) }, now).unwrap_err()
}

/// A report of `name` that it holds `kids` since the start, and 412 sandboxes of the first.
fn holder(name: &str, now: u64, kids: &[&str]) -> ReplicaReport {
    let held: Vec<_> = kids.iter().map(|kid| (*kid, second(now))).collect();
    let mut report = report(name, second(now), &held);
    for key in report.keys.iter_mut().take(1) {
        key.usage.sandboxes = 412;
        key.usage.never_expires = vec!["sandbox-7".to_owned(), "sandbox-9".to_owned()];
    }
    report
}

fn rotations(given: &mut BTreeMap<&str, Refusal>) {
    let later = START + HOUR;
    let mut prepared = ring();
    prepared.verb_with_id(PREPARE, "release-7", later);
    given.insert("prepare while a rotation is in flight", prepared.refusal(PREPARE, later + 20));
    given.insert("schedule while a rotation is in flight", prepared.refusal(scheduled(DAY), later + 20));
    given.insert("go back further while a rotation is in flight", prepared.refusal(back_to("z"), later + 20));
    given.insert("activate unattended", prepared.refusal(ACTIVATE, later + 20));
    prepared.reports = vec![
        holder("gateway-0", later + 10, &["a", "b"]),
        holder("gateway-1", later + 10, &["a"]),
        holder("gateway-2", later + 10, &["a"]),
    ];
    given.insert("activate while replicas are behind", prepared.refusal(ACTIVATE, later + 20));
    let offline = Verb::Activate { fleet: Fleet::Offline, no_rollback: false };
    given.insert("offline while replicas report", prepared.refusal(offline, later + 20));
    prepared.reports = vec![holder("gateway-0", later + 10, &["a", "b"])];
    given.insert("activate while caches last", prepared.refusal(ACTIVATE, later + 20));
    given.insert("activate what is not there", ring().refusal(ACTIVATE, later));
    given.insert("rotate unattended", ring().refusal(ROTATE, later));
    given.insert("schedule too short", ring().refusal(scheduled(60), later));
    let mut ahead = ring();
    ahead.verb(scheduled(DAY), later);
    given.insert("prepare while an activation is ahead", ahead.refusal(PREPARE, later + HOUR));
    ahead.verb(ROLLBACK, later + HOUR);
    given.insert("go back twice while it is ahead", ahead.refusal(ROLLBACK, later + HOUR));
}

fn rollbacks(given: &mut BTreeMap<&str, Refusal>) {
    let now = START + 2 * HOUR;
    given.insert("go back from the first key", ring().refusal(ROLLBACK, now));
    given.insert("go back to the signer", rotated().refusal(back_to("b"), now));
    given.insert("go back to a key that is not held", rotated().refusal(back_to("z"), now));
    given.insert("go back to a retired key", rotated().refusal(back_to("a"), now + DAY));
    let mut given_up = ring();
    given_up.verb(Verb::Rotate { mode: Mode::Emergency, no_rollback: true }, START + HOUR);
    given_up.verb(Verb::Prune, START + HOUR + 600);
    given.insert("go back to a destroyed key", given_up.refusal(ROLLBACK, now));
    let mut revoked = rotated();
    revoked.verb(revoke("a"), now);
    given.insert("go back to a revoked key", revoked.refusal(back_to("a"), now));
    let mut orphan = rotated();
    orphan.manifest.timeline.remove(0);
    orphan.manifest.keys[0].superseded = None;
    assert_eq!(orphan.state("a", now), KeyState::Prepared);
    given.insert("go back to a key that never signed", orphan.refusal(back_to("a"), now));
    given.insert("retire a key that never signed", orphan.refusal(retire("a", None, false), now));
}

fn ends(given: &mut BTreeMap<&str, Refusal>) {
    let now = START + HOUR + 600;
    let mut ring = rotated();
    ring.reports = vec![holder("gateway-0", now, &["a", "b"])];
    given.insert("retire while tokens live", ring.refusal(retire("a", None, false), now));
    given.insert("retire the signer", ring.refusal(retire("b", None, false), now));
    given.insert("retire in the past", ring.refusal(retire("a", Some(HOUR), true), now));
    given.insert("retire a key that is not held", ring.refusal(retire("z", None, false), now));
    given.insert("retire by force without a reason", without_reason(&ring, retire("a", None, true), now));
    given.insert("retire a retired key", ring.refusal(retire("a", None, false), now + DAY));
    given.insert("revoke without a reason", without_reason(&ring, revoke("a"), now));
    given.insert("revoke a key that is not held", ring.refusal(revoke("z"), now));
    let mut gone = rotated();
    gone.verb(Verb::Prune, now + DAY);
    given.insert("revoke a key that is gone", gone.refusal(revoke("a"), now + DAY));
    given.insert("retire a key that is gone", gone.refusal(retire("a", None, false), now + DAY));
    ring.verb(revoke("a"), now);
    given.insert("retire a revoked key", ring.refusal(retire("a", None, false), now));
    let adoption = Adoption { longest_token: Lifetime::Unbounded };
    let plan = adopt(gateway(), Policy::default(), &candidate("a"), adoption, "olga", second(START)).unwrap();
    let mut adopted = Ring::of(plan.next);
    adopted.verb(EMERGENCY, START + HOUR);
    given.insert("retire an unbounded key", adopted.refusal(retire("a", None, false), now));
    adopted.reports = vec![holder("gateway-0", now, &["a", "b"])];
    given.insert("retire an unbounded key in use", adopted.refusal(retire("a", None, false), now));
    given.insert("a deadline too early", adopted.refusal(retire("a", Some(HOUR + 900), false), now));
}

fn deadlines(given: &mut BTreeMap<&str, Refusal>) {
    let now = START + HOUR;
    let mut unbounded = Ring::begin(Policy { token_ttl: 0, ..Policy::default() }, START);
    unbounded.verb(EMERGENCY, now);
    let far = Verb::Retire { kid: kid("a"), at: Some(second(now + 3651 * DAY)), force: false };
    given.insert("a deadline in the next century", unbounded.refusal(far, now));
}

fn rules(given: &mut BTreeMap<&str, Refusal>) {
    let now = START + HOUR;
    given.insert("a value out of range", ring().refusal(set("max_skew", Some(301)), now));
    given.insert("values that contradict each other", ring().refusal(set("verify_staleness", Some(1)), now));
    given.insert("an unknown member", ring().refusal(set("max_skwe", Some(1)), now));
    given.insert("a member that cannot be unset", ring().refusal(set("token_ttl", None), now));
    given.insert("a clock behind the last change", ring().refusal(EMERGENCY, START - 3600));
    let mut skewed = ring();
    skewed.reports = vec![holder("gateway-0", now + 45, &["a"])];
    given.insert("a replica whose clock is ahead", skewed.refusal(ROTATE, now));
    skewed.reports = vec![ReplicaReport { clock_offset: Some(-95), ..holder("gateway-0", now, &["a"]) }];
    given.insert("a replica whose clock is not the store's", skewed.refusal(ROTATE, now));
    let mut done = ring();
    done.verb_with_id(set("leeway", Some(30)), "release-7", now);
    let again = Request { request_id: Some("release-7".parse().unwrap()), ..request(EMERGENCY) };
    given.insert("a request id of another verb", done.plan(&again, now).unwrap_err());
    let wordy = Request { reason: Some("x".repeat(limits::TEXT_BYTES + 1)), ..request(EMERGENCY) };
    given.insert("a reason that is too long", ring().plan(&wordy, now).unwrap_err());
}

fn room(given: &mut BTreeMap<&str, Refusal>) {
    let now = START + HOUR;
    let mut full = Ring::begin(Policy { max_keys: 3, ..Policy::default() }, START);
    full.verb(EMERGENCY, now);
    given.insert("a full keyring", full.refusal(PREPARE, now));
    given.insert("a full keyring whose oldest key has ended", full.refusal(PREPARE, now + DAY));
    full.verb(EMERGENCY, now);
    given.insert("an emergency in a full keyring", full.refusal(EMERGENCY, now));
    let mut unbounded = Ring::begin(Policy { max_keys: 3, token_ttl: 0, ..Policy::default() }, START);
    unbounded.verb(EMERGENCY, now);
    given.insert("a full keyring of unbounded keys", unbounded.refusal(PREPARE, now));
    let taken = Ring::of(rotated().manifest);
    let reused = candidate("a");
    let context = world::context(&taken.manifest, second(now), &[], Some(&reused));
    let planned = keystile_keyring::plan::plan(&taken.manifest, &request(EMERGENCY), &context);
    given.insert("a kid that was used before", planned.unwrap_err());
    let context = world::context(&taken.manifest, second(now), &[], None);
    let planned = keystile_keyring::plan::plan(&taken.manifest, &request(EMERGENCY), &context);
    given.insert("no fresh key was offered", planned.unwrap_err());
}

fn broken_stores(given: &mut BTreeMap<&str, Refusal>) {
    let now = START + 2 * HOUR;
    let mut lost = rotated();
    lost.manifest.timeline.clear();
    lost.manifest.keys.truncate(1);
    lost.manifest.keys[0].superseded = None;
    given.insert("rotate without a signer", lost.refusal(scheduled(DAY), now));
    let mut bare = rotated();
    bare.manifest.keys[1].private = PrivateState::DestroyedAt(second(now));
    given.insert("an outcome that would be broken", bare.refusal(set("leeway", Some(30)), now));
    let (backup, witness) = (ring().manifest, rotated().manifest);
    let none = BTreeSet::new();
    let remains = Remains {
        manifest: &backup,
        digest: digest_of(&backup),
        private: &none,
        accepted: None,
        fresh: None,
        held: 0,
        reports: &[],
    };
    given
        .insert("repair without a private key", repair(&remains, &witness, "olga", second(now)).unwrap_err());
    let remains = Remains { manifest: &witness, digest: digest_of(&witness), ..remains };
    given.insert("repair with unknown keys", repair(&remains, &backup, "olga", second(now)).unwrap_err());
    given.insert("a store that went back", backup.standing(Some(&witness)).refusal().unwrap());
    let mut forked = witness.clone();
    forked.policy.leeway += 1;
    given.insert("a store that has forked", forked.standing(Some(&witness)).refusal().unwrap());
    let mut stolen = rotated();
    stolen.verb(Verb::Revoke { kid: kid("a"), descendants: false }, now);
    let mut gone_on = rotated().manifest;
    gone_on.generation = stolen.manifest.generation + 1;
    given.insert(
        "a store that undoes a revocation",
        gone_on.standing(Some(&stolen.manifest)).refusal().unwrap(),
    );
    let mut restored = ring();
    restored.reports = vec![ReplicaReport { generation: 9, ..holder("gateway-0", START + HOUR, &["a"]) }];
    given.insert("a replica that is ahead", restored.refusal(ROTATE, START + HOUR));
}

/// Every refusal by what was asked.
fn all() -> BTreeMap<&'static str, Refusal> {
    let mut given = BTreeMap::new();
    rotations(&mut given);
    rollbacks(&mut given);
    ends(&mut given);
    deadlines(&mut given);
    rules(&mut given);
    room(&mut given);
    broken_stores(&mut given);
    given
}

#[test]
fn every_refusal_says_what_was_found_and_what_to_do() {
    insta::assert_json_snapshot!("refusals", all());
}

/// Given by the operator, who sees the place: never by a plan.
const NOT_OF_THE_KEYRING: [Code; 1] = [Code::NotEmpty];

#[test]
fn every_code_is_given() {
    let given: BTreeSet<Code> = all().into_values().map(|refusal| refusal.code).collect();
    let missing: Vec<_> =
        Code::ALL.iter().filter(|code| !given.contains(code) && !NOT_OF_THE_KEYRING.contains(code)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// The texts stand alone: short, no trailing full stop to double, no jargon of the code.
#[test]
fn the_texts_are_fit_to_print() {
    for (asked, refusal) in all() {
        for text in [&refusal.found, &refusal.remedy] {
            assert!(!text.is_empty() && text.len() < 300, "{asked}: {text}");
            assert!(!text.ends_with('.') && !text.contains("  "), "{asked}: {text}");
            assert!(!text.contains("UnixTime") && !text.contains("Some("), "{asked}: {text}");
        }
    }
}
