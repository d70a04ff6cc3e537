//! I12: everything has a limit, and no limit stands in the way of a revocation.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

use keystile_keyring::manifest::{DoneRequest, End, Tombstone, limits};
use keystile_keyring::plan::{Mode, PolicyChange, Request, Verb};
use keystile_keyring::{Code, Kid, Manifest, Policy, RequestId, UnixTime};

use world::{Ring, gateway, kid, offer, report, request, second, small};

const EMERGENCY: Verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };

fn revoke(name: &str) -> Verb {
    Verb::Revoke { kid: kid(name), descendants: false }
}

fn set(member: &str, value: u64) -> Verb {
    Verb::SetPolicy(PolicyChange([(member.to_owned(), Some(value))].into()))
}

fn long(text: &str, number: usize) -> String {
    format!("{number:03}{}", text.repeat(125))
}

/// A manifest whose lists are full and whose names are as long as they may be.
fn bloated() -> Manifest {
    let mut manifest = Ring::begin(small(), 100).manifest;
    let tombstone = |number| Tombstone {
        kid: Kid::new(long("\"", number)).unwrap(),
        end: End::Retired,
        at: UnixTime(u64::MAX),
        named_until: None,
    };
    let request = |number| DoneRequest {
        request_id: RequestId::new(long("\\", number)).unwrap(),
        verb: "set-policy".to_owned(),
        generation: 1,
        at: UnixTime(u64::MAX),
        kid: Some(Kid::new(long("\"", number)).unwrap()),
    };
    manifest.tombstones = (0..limits::TOMBSTONES - 1).map(tombstone).collect();
    manifest.requests = (0..limits::REQUESTS).map(request).collect();
    manifest
}

/// A request whose texts are as long as they may be.
fn wordy(verb: Verb) -> Request {
    let text = "\u{1}".repeat(limits::TEXT_BYTES);
    Request { actor: text.clone(), reason: Some(text), ..request(verb) }
}

#[test]
fn a_manifest_that_would_be_too_large_forgets_its_oldest_history_and_requests() {
    let mut ring = Ring::of(bloated());
    let newest = ring.manifest.requests.last().cloned();
    for turn in 0..limits::HISTORY as u64 {
        ring.request(&wordy(set("leeway", turn % 2)), 200 + turn);
    }
    assert!(ring.manifest.to_json().unwrap().len() <= limits::MANIFEST_BYTES);
    assert_eq!(ring.manifest.requests.last(), newest.as_ref());
    ring.request(&wordy(revoke("a")), 300);
    assert_eq!(ring.signer(300), Some(offer(limits::TOMBSTONES).kid.as_str()));
}

#[test]
fn the_last_64_changes_are_kept() {
    let mut ring = Ring::begin(small(), 100);
    for turn in 0..100 {
        ring.verb(set("leeway", turn % 2), 200 + turn);
    }
    let history = &ring.manifest.history;
    assert_eq!(history.len(), limits::HISTORY);
    assert_eq!((history[0].generation, history[63].generation), (38, 101));
}

#[test]
fn texts_are_bounded_in_bytes() {
    let ring = Ring::begin(small(), 100);
    let fits = "é".repeat(limits::TEXT_BYTES / 2);
    let too_long = format!("{fits}!");
    let by = |actor: &str, reason: &str| Request {
        actor: actor.to_owned(),
        reason: Some(reason.to_owned()),
        ..request(EMERGENCY)
    };
    assert!(ring.plan(&by(&fits, &fits), 110).is_ok());
    let refusal = ring.plan(&by(&too_long, "why"), 110).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.found.as_str()),
        (Code::ManifestFull, "the actor has 257 bytes; expected at most 256")
    );
    let refusal = ring.plan(&by("olga", &too_long), 110).unwrap_err();
    assert_eq!(refusal.found, "the reason has 257 bytes; expected at most 256");
    let first = keystile_keyring::plan::init(gateway(), small(), &offer(0), &too_long, second(1));
    assert_eq!(first.unwrap_err().code, Code::ManifestFull);
}

#[test]
fn going_back_and_forth_leaves_room_for_a_revocation() {
    let mut ring = Ring::begin(Policy { rollback_custody: 90 * 86_400, ..small() }, 100);
    ring.verb(set("token_ttl", 3600), 105).verb(EMERGENCY, 110);
    let back = |name: &str| Verb::Rollback { to: Some(kid(name)) };
    let mut turns = 0;
    while ring.manifest.timeline.len() < limits::ACTIVATIONS {
        let to = if ring.signer(200 + turns) == Some("a") { "b" } else { "a" };
        let Ok(planned) = ring.try_verb(back(to), 200 + turns) else { break };
        ring.commit(world::unwrap_change(planned));
        turns += 1;
    }
    let to = if ring.signer(300) == Some("a") { "b" } else { "a" };
    let refusal = ring.refusal(back(to), 300);
    assert_eq!(refusal.code, Code::ManifestFull);
    assert_eq!(refusal.found, "the timeline has 56 entries; expected at most 64");
    ring.verb(EMERGENCY, 301).verb(revoke("c"), 302).verb(revoke("d"), 302);
    assert_eq!(ring.signer(302), Some("e"));
}

#[test]
fn the_last_generation_is_a_refusal_not_an_overflow() {
    let mut manifest = Ring::begin(small(), 100).manifest;
    for generation in [limits::GENERATION, u64::MAX] {
        manifest.generation = generation;
        manifest.history[0].generation = generation;
        let refusal = Ring::of(manifest.clone()).refusal(EMERGENCY, 110);
        assert_eq!(refusal.code, Code::WouldBreak);
        assert!(refusal.found.contains("expected at most 9007199254740991"), "{}", refusal.found);
    }
}

/// What replicas claim is added up without an overflow.
#[test]
fn hostile_counts_do_not_overflow() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    for replica in ["gateway-0", "gateway-1"] {
        let mut hostile = report(replica, second(111), &[("a", second(110)), ("b", second(110))]);
        for key in &mut hostile.keys {
            key.usage.sandboxes = u64::MAX;
            key.usage.methods = [("client-certificate", u64::MAX), ("service-account", u64::MAX)]
                .map(|(method, count)| (method.to_owned(), count))
                .into();
        }
        ring.reports.push(hostile);
    }
    let verbs = [EMERGENCY, revoke("a"), Verb::Retire { kid: kid("a"), at: None, force: true }];
    for verb in verbs {
        let plan = world::unwrap_change(ring.try_verb(verb, 111).unwrap());
        assert!(!plan.impact.supervisors.is_empty());
    }
}

/// The tombstone of a key goes once no token can name it: also that of a key revoked while it signed.
#[test]
fn old_tombstones_make_place_for_new_ones() {
    let mut ring = Ring::begin(small(), 100);
    let mut now = 110;
    for _ in 0..limits::TOMBSTONES + 5 {
        let signer = ring.signer(now).unwrap().to_owned();
        ring.verb(revoke(&signer), now).verb(Verb::Prune, now + 20);
        now += 30;
    }
    assert_eq!(ring.manifest.tombstones.len(), limits::TOMBSTONES);
    let youngest = ring.manifest.tombstones.last().unwrap();
    let last_iat = youngest.at.0 + 2 + 1 + 1;
    assert_eq!(youngest.named_until, Some(second(last_iat + 4 + 1)));
}

#[test]
fn tombstones_that_tokens_may_name_are_kept_and_fill_the_list() {
    let mut manifest = Ring::begin(small(), 100).manifest;
    let stone = |number| Tombstone {
        kid: kid(&format!("old-{number}")),
        end: End::Retired,
        at: second(1),
        named_until: (number != 7).then_some(second(500)),
    };
    manifest.tombstones = (0..limits::TOMBSTONES).map(stone).collect();
    let mut ring = Ring::of(manifest);
    ring.verb(Verb::Prepare { no_rollback: false }, 110);
    let drop = Verb::Rollback { to: None };
    assert_eq!(ring.refusal(drop.clone(), 110).code, Code::ManifestFull);
    ring.verb(drop, 502);
    let gone = |name: &str| ring.manifest.tombstone(&kid(name)).is_some();
    assert!(gone("old-7"), "its tokens never expire");
    assert!(gone("k257"), "it went just now");
    assert!(!gone("old-0"), "nothing names it any more");
}
