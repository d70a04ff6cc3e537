//! The same request id again is a no-op that reports the first outcome: hooks and schedules are re-run
//! all the time, and an old Helm value must never rotate again.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

use keystile_keyring::plan::{Mode, Planned, Request, Verb};
use keystile_keyring::{Code, Fleet, Manifest, RequestId};

use world::{Ring, kid, report, request, second, small};

const ROTATE: Verb = Verb::Rotate { mode: Mode::Gated(Fleet::Offline), no_rollback: false };
const PREPARE: Verb = Verb::Prepare { no_rollback: false };
const ACTIVATE: Verb = Verb::Activate { fleet: Fleet::Offline, no_rollback: false };
const ROLLBACK: Verb = Verb::Rollback { to: None };

fn revoke(name: &str) -> Verb {
    Verb::Revoke { kid: kid(name), descendants: false }
}

fn with_id(verb: Verb, id: &str) -> Request {
    Request { request_id: Some(RequestId::new(id).unwrap()), ..request(verb) }
}

/// What the manifest remembers of `id`: verb, generation, key.
fn remembered(manifest: &Manifest, id: &str) -> Option<(String, u64, Option<String>)> {
    let done = manifest.requests.iter().find(|done| done.request_id.as_str() == id)?;
    Some((done.verb.clone(), done.generation, done.kid.as_ref().map(ToString::to_string)))
}

#[track_caller]
fn assert_done(ring: &Ring, verb: Verb, id: &str, generation: u64) {
    match ring.plan(&with_id(verb, id), 900).unwrap() {
        Planned::Done(done) => assert_eq!(done.generation, generation),
        other => panic!("expected the first outcome, found {other:?}"),
    }
}

#[test]
fn a_rotation_is_done_when_its_key_signs_not_when_it_is_published() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(ROTATE, "release-7", 110);
    assert_eq!(remembered(&ring.manifest, "release-7"), None);
    ring.verb_with_id(ROTATE, "release-7", 111);
    assert_eq!(remembered(&ring.manifest, "release-7"), Some(("rotate".into(), 3, Some("b".into()))));
    assert_done(&ring, ROTATE, "release-7", 3);
}

#[test]
fn a_rotation_that_somebody_resumed_without_its_id_is_done_all_the_same() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(ROTATE, "release-7", 110).verb(ROTATE, 111);
    assert_done(&ring, ROTATE, "release-7", 3);
}

#[test]
fn a_rotation_that_activate_finished_is_done_under_both_ids() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(ROTATE, "release-7", 110).verb_with_id(ACTIVATE, "by-hand", 111);
    assert_done(&ring, ROTATE, "release-7", 3);
    assert_done(&ring, ACTIVATE, "by-hand", 3);
}

#[test]
fn a_rotation_whose_key_was_dropped_does_not_begin_again() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(ROTATE, "release-7", 110).verb(ROLLBACK, 111);
    assert_done(&ring, ROTATE, "release-7", 3);
}

#[test]
fn a_rotation_whose_key_was_revoked_does_not_begin_again() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(ROTATE, "release-7", 110).verb_with_id(revoke("b"), "incident-1", 111);
    assert_done(&ring, ROTATE, "release-7", 3);
    assert_done(&ring, revoke("b"), "incident-1", 3);
}

#[test]
fn a_rotation_whose_key_replaced_a_revoked_one_is_done() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(ROTATE, "release-7", 110);
    ring.reports = vec![report("gateway-0", second(111), &[("a", second(100)), ("b", second(110))])];
    ring.verb(revoke("a"), 111);
    assert_eq!(ring.signer(111), Some("b"));
    assert_done(&ring, ROTATE, "release-7", 3);
}

#[test]
fn a_rotation_stays_in_flight_when_a_fresh_key_replaces_the_revoked_one() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(ROTATE, "release-7", 110).verb(revoke("a"), 111);
    assert_eq!(ring.signer(111), Some("c"));
    assert_eq!(remembered(&ring.manifest, "release-7"), None);
    let operation = ring.manifest.operation.clone().unwrap();
    assert_eq!((operation.from_kid, operation.to_kid), (kid("c"), kid("b")));
    ring.verb_with_id(ROTATE, "release-7", 112);
    assert_done(&ring, ROTATE, "release-7", 4);
}

#[test]
fn every_verb_with_an_id_is_done_once() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(PREPARE, "1", 110).verb_with_id(ACTIVATE, "2", 111);
    ring.verb_with_id(ROLLBACK, "3", 112).verb_with_id(revoke("b"), "4", 113);
    let retire = Verb::Retire { kid: kid("a"), at: None, force: true };
    let policy = keystile_keyring::plan::PolicyChange([("leeway".to_owned(), Some(2))].into());
    ring.verb_with_id(Verb::Rotate { mode: Mode::Emergency, no_rollback: false }, "5", 114);
    ring.verb_with_id(retire.clone(), "6", 115).verb_with_id(Verb::SetPolicy(policy.clone()), "7", 116);
    ring.verb_with_id(Verb::Prune, "8", 130);
    let scheduled = Verb::Rotate { mode: Mode::Scheduled(60), no_rollback: false };
    ring.verb_with_id(scheduled.clone(), "9", 140);
    let verbs = [
        (PREPARE, "1", 2),
        (ACTIVATE, "2", 3),
        (ROLLBACK, "3", 4),
        (revoke("b"), "4", 5),
        (Verb::Rotate { mode: Mode::Emergency, no_rollback: false }, "5", 6),
        (retire, "6", 7),
        (Verb::SetPolicy(policy), "7", 8),
        (Verb::Prune, "8", 9),
        (scheduled, "9", 10),
    ];
    for (verb, id, generation) in verbs {
        assert_done(&ring, verb, id, generation);
    }
}

#[test]
fn an_id_is_not_taken_for_another_verb() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(PREPARE, "release-7", 110);
    let refusal = ring.plan(&with_id(ROTATE, "release-7"), 111).unwrap_err();
    assert_eq!(refusal.code, Code::RequestIdReused);
    assert_eq!(refusal.found, "request id release-7 was used for prepare in generation 2");
}

/// Another id, or one where the rotation in flight has none, is another rotation: refused.
#[test]
fn a_rotation_in_flight_is_resumed_by_its_own_id_or_none() {
    for began_with in [Some("release-7"), None] {
        let mut ring = Ring::begin(small(), 100);
        match began_with {
            Some(id) => ring.verb_with_id(ROTATE, id, 110),
            None => ring.verb(ROTATE, 110),
        };
        let refusal = ring.plan(&with_id(ROTATE, "release-8"), 111).unwrap_err();
        assert_eq!(refusal.code, Code::RotationInFlight);
        assert!(matches!(ring.plan(&request(ROTATE), 111), Ok(Planned::Change(_))));
    }
}

/// History forgets; requests do not, within their own limit.
#[test]
fn an_id_outlives_the_history() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(PREPARE, "release-7", 110).verb(ACTIVATE, 111);
    for turn in 0..80 {
        let change = keystile_keyring::plan::PolicyChange([("leeway".to_owned(), Some(turn % 2))].into());
        ring.verb(Verb::SetPolicy(change), 200 + turn);
    }
    assert!(ring.manifest.history.iter().all(|change| change.request_id.is_none()));
    assert_done(&ring, PREPARE, "release-7", 2);
}
