//! Rules at the very second or number at which they change: what could be changed in the code without any other
//! test noticing (`mutants/run`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

use std::collections::BTreeSet;

use keystile_keyring::manifest::{
    Activation, Alg, DoneRequest, End, Lifetime, PrivateState, Tombstone, limits,
};
use keystile_keyring::plan::{Mode, Planned, PolicyChange, Remains, Verb};
use keystile_keyring::{Code, Digest, Fleet, Kid, Manifest, Policy, ReplicaReport, RequestId};

use world::{Ring, candidate, digest_of, kid, report, second, small, unwrap_change};

const EMERGENCY: Verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
const PREPARE: Verb = Verb::Prepare { no_rollback: false };

fn revoke(name: &str) -> Verb {
    Verb::Revoke { kid: kid(name), descendants: false }
}

fn set(member: &str, value: u64) -> Verb {
    Verb::SetPolicy(PolicyChange([(member.to_owned(), Some(value))].into()))
}

/// `a` gave way to `b` at 110: its window ends at 119.
fn rotated() -> Ring {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    ring
}

fn scheduled(lead: u64) -> Verb {
    Verb::Rotate { mode: Mode::Scheduled(lead), no_rollback: false }
}

fn holder(now: u64) -> ReplicaReport {
    report("gateway-0", second(now), &[("a", second(100))])
}

#[test]
fn a_manifest_has_at_most_256_kib() {
    let mut manifest = Ring::begin(small(), 100).manifest;
    let spare = limits::MANIFEST_BYTES - manifest.to_json().unwrap().len();
    let actor = &mut manifest.history[0].actor;
    actor.push_str(&"x".repeat(spare));
    assert_eq!(manifest.to_json().unwrap().len(), limits::MANIFEST_BYTES);
    manifest.history[0].actor.push('x');
    assert!(manifest.to_json().is_err());
}

#[test]
fn the_word_for_the_algorithm_is_that_of_the_manifest() {
    assert_eq!(serde_json::to_value(Alg::EdDsa).unwrap(), Alg::EdDsa.as_str());
}

/// What cannot wait does not wait for clocks to be set right.
#[test]
fn urgent_verbs_are_planned_on_clocks_that_disagree() {
    let mut ring = Ring::begin(small(), 100);
    ring.reports = vec![holder(112)];
    let extend = Verb::Extend { excess: 1, planned_at: second(110) };
    for verb in [EMERGENCY, revoke("a")] {
        unwrap_change(ring.try_verb(verb, 110).unwrap());
    }
    let gated = Verb::Rotate { mode: Mode::Gated(Fleet::Reporting), no_rollback: false };
    for verb in [PREPARE, gated, Verb::Prune, set("leeway", 2)] {
        assert_eq!(ring.refusal(verb, 110).code, Code::ClockSkew);
    }
    let mut superseded = rotated();
    superseded.reports = vec![holder(113)];
    unwrap_change(superseded.try_verb(extend, 111).unwrap());
}

#[test]
fn clocks_may_differ_by_max_skew_and_no_more() {
    let with = |reported_at, clock_offset| {
        let mut ring = Ring::begin(small(), 100);
        ring.reports = vec![ReplicaReport { clock_offset, ..holder(reported_at) }];
        ring.try_verb(PREPARE, 110)
    };
    assert!(with(111, None).is_ok());
    assert!(with(110, Some(1)).is_ok());
    assert!(with(110, Some(-1)).is_ok());
    let found = |refused: Result<Planned, keystile_keyring::Refusal>| refused.unwrap_err().found;
    assert_eq!(
        found(with(112, None)),
        "the clock of replica gateway-0 and this machine's differ by 2 s; max_skew is 1 s"
    );
    assert_eq!(
        found(with(111, Some(2))),
        "the clock of replica gateway-0 and the store's differ by 2 s; max_skew is 1 s",
        "the one that is within bounds does not hide the other"
    );
}

#[test]
fn the_verbs_that_may_take_a_key_are_those_that_make_one() {
    let fresh = candidate("fresh");
    let verbs = [
        PREPARE,
        EMERGENCY,
        revoke("b"),
        Verb::Activate { fleet: Fleet::Offline, no_rollback: false },
        Verb::Rollback { to: None },
        Verb::Retire { kid: kid("a"), at: None, force: true },
        Verb::Prune,
        set("leeway", 2),
        Verb::Extend { excess: 1, planned_at: second(110) },
    ];
    for verb in verbs {
        let mut ring = rotated();
        if matches!(verb, Verb::Activate { .. }) {
            ring.verb(PREPARE, 111);
        }
        let now = if verb == Verb::Prune { 130 } else { 111 };
        let context = world::context(&ring.manifest, second(now), &[], Some(&fresh));
        let request = world::request(verb.clone());
        let plan = unwrap_change(keystile_keyring::plan::plan(&ring.manifest, &request, &context).unwrap());
        assert_eq!(plan.takes_candidate, verb.may_take_a_key(), "{}", verb.name());
    }
}

/// Whoever was to sign next does not take over from the key of an emergency.
#[test]
fn an_emergency_key_signs_also_after_an_activation_that_lay_ahead() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(scheduled(50), 110);
    ring.verb(EMERGENCY, 120);
    assert_eq!(ring.timeline(), "a@100 c@120 b@160 c@160");
    assert_eq!(ring.key("a").superseded.unwrap().at, second(120), "its window begins to run out now");
    assert_eq!((ring.signer(119), ring.signer(120), ring.signer(160)), (Some("a"), Some("c"), Some("c")));
}

#[test]
fn a_lowered_bound_is_kept_through_other_changes_for_as_long_as_it_counts() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(set("max_staleness", 1), 110);
    let former = ring.manifest.policy_before.unwrap();
    assert_eq!((former.staleness, former.until), (2, second(114)));
    let after = |now| unwrap_change(ring.try_verb(EMERGENCY, now).unwrap()).next.policy_before;
    assert_eq!((after(114), after(115)), (Some(former), None));
}

/// A replica of the same number with other contents holds what the store does not know.
#[test]
fn a_replica_is_ahead_by_its_number_or_by_its_contents() {
    let mut ring = rotated();
    let same = digest_of(&ring.manifest);
    let mut holds = |generation, digest| {
        ring.reports = vec![ReplicaReport { generation, digest, ..holder(111) }];
        ring.try_verb(EMERGENCY, 111).map(|_| ()).map_err(|refusal| refusal.code)
    };
    assert_eq!(holds(2, Some(same)), Ok(()));
    assert_eq!(holds(2, None), Ok(()), "it does not say");
    assert_eq!(holds(2, Some(Digest([7; 32]))), Err(Code::ReplicaAhead));
    assert_eq!(holds(1, Some(Digest([7; 32]))), Ok(()), "of course: it is an older one");
    assert_eq!(holds(3, None), Err(Code::ReplicaAhead));
}

#[test]
fn where_tokens_never_expire_supervisors_renew_at_their_usual_time() {
    let line = |token_ttl| {
        let ring = Ring::begin(Policy { token_ttl, ..small() }, 100);
        unwrap_change(ring.try_verb(EMERGENCY, 110).unwrap()).impact.supervisors.swap_remove(0)
    };
    assert_eq!(line(0), "None has to do anything: all renew at their usual time; seen lately: none.");
    assert_eq!(
        line(4),
        "None has to do anything: all renew within 4 s at their usual time; seen lately: none."
    );
}

#[test]
fn a_private_key_is_destroyed_a_second_after_its_custody() {
    let ring = rotated();
    let custody = ring.key("a").superseded.unwrap().custody_end();
    assert_eq!(custody, second(119), "the end of its window: there is nothing to go back to");
    assert!(matches!(ring.try_verb(Verb::Prune, 119), Ok(Planned::Nothing(_))));
    let plan = unwrap_change(ring.try_verb(Verb::Prune, 120).unwrap());
    assert_eq!(plan.next.keys[0].private, PrivateState::DestroyedAt(second(120)));
    let plan = unwrap_change(ring.try_verb(Verb::Prune, 121).unwrap());
    assert!(plan.next.key(&kid("a")).is_none());
}

/// A replica whose clock is slow still signs with it.
#[test]
fn a_private_key_is_not_destroyed_while_any_clock_may_have_it_sign() {
    let mut ring = rotated();
    ring.verb(Verb::Retire { kid: kid("a"), at: None, force: true }, 110);
    assert_eq!(ring.key("a").superseded.unwrap().custody_end(), second(110));
    assert!(matches!(ring.try_verb(Verb::Prune, 111), Ok(Planned::Nothing(_))));
    assert!(matches!(ring.try_verb(Verb::Prune, 112), Ok(Planned::Change(_))));
}

/// What a repair asks of the newest generation that a live replica holds.
fn newest_held(
    store: &Manifest,
    witness: &Manifest,
    held: Option<(u64, Option<Digest>)>,
    accepted: Option<Digest>,
    fresh: bool,
) -> Result<u64, Code> {
    let fresh = fresh.then(|| candidate("fresh"));
    let reports: Vec<_> = held
        .map(|(generation, digest)| ReplicaReport { generation, digest, ..holder(121) })
        .into_iter()
        .collect();
    let remains = Remains {
        manifest: store,
        digest: digest_of(store),
        private: &BTreeSet::new(),
        accepted,
        fresh: fresh.as_ref(),
        reports: &reports,
        held: 0,
    };
    remains.newest_held(witness, second(121)).map_err(|refusal| refusal.code)
}

#[test]
fn what_a_replica_holds_is_given_up_only_by_whoever_accepts_the_store() {
    let ring = rotated();
    let (store, digest) = (&ring.manifest, digest_of(&ring.manifest));
    let other = Some(Digest([7; 32]));
    assert_eq!(newest_held(store, store, None, None, false), Ok(0));
    assert_eq!(newest_held(store, store, Some((2, Some(digest))), None, false), Ok(0));
    for (generation, held) in [(5, None), (2, other)] {
        let ahead = Some((generation, held));
        assert_eq!(newest_held(store, store, ahead, None, false), Err(Code::ReplicaAhead));
        assert_eq!(newest_held(store, store, ahead, other, false), Err(Code::ReplicaAhead));
        assert_eq!(newest_held(store, store, ahead, Some(digest), false), Ok(generation));
        assert_eq!(newest_held(store, store, ahead, None, true), Ok(generation));
    }
    let mut witness = store.clone();
    witness.timeline.push(Activation { from: second(200), kid: kid("a") });
    assert_eq!(newest_held(store, &witness, Some((2, other)), None, false), Ok(0), "either may be held");
    assert_eq!(newest_held(store, &witness, Some((3, other)), None, false), Err(Code::ReplicaAhead));
}

#[test]
fn a_deadline_lies_between_now_and_ten_years_ahead() {
    let ring = rotated();
    let by_force = |at| ring.try_verb(Verb::Retire { kid: kid("a"), at: Some(second(at)), force: true }, 111);
    assert!(by_force(111).is_ok());
    assert_eq!(by_force(110).unwrap_err().code, Code::DeadlinePast);
    let mut unbounded = Ring::begin(Policy { token_ttl: 0, ..small() }, 100);
    unbounded.verb(EMERGENCY, 110);
    let ten_years = 3650 * 86_400;
    let at = |at| unbounded.try_verb(Verb::Retire { kid: kid("a"), at: Some(second(at)), force: false }, 111);
    assert!(at(111 + ten_years).is_ok());
    assert_eq!(at(112 + ten_years).unwrap_err().code, Code::DeadlineTooFar);
}

/// Tokens of a key are accepted from max_skew before its activation, by clocks that are two max_skew ahead.
#[test]
fn a_key_has_no_descendants_until_three_max_skew_before_it_signs() {
    let mut ring = Ring::begin(Policy { max_skew: 5, ..small() }, 100);
    ring.verb(scheduled(60), 110);
    let floor = |now| {
        let revoke = Verb::Revoke { kid: kid("b"), descendants: true };
        unwrap_change(ring.try_verb(revoke, now).unwrap()).next.lineage_floor
    };
    assert_eq!((floor(154), floor(155)), (None, Some(second(155))));
}

/// What a repair found lost does not become the signer, though its activation is committed.
#[test]
fn a_key_whose_private_part_is_lost_replaces_no_revoked_one() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(scheduled(50), 110);
    let replaced = |ring: &Ring| unwrap_change(ring.try_verb(revoke("a"), 120).unwrap());
    assert!(!replaced(&ring).takes_candidate, "b was to sign anyhow");
    ring.manifest.keys[1].private = PrivateState::DestroyedAt(second(115));
    let plan = replaced(&ring);
    assert!(plan.takes_candidate);
    assert_eq!(Ring::of(plan.next).timeline(), "a@100 c@120 b@160 c@160");
}

#[test]
fn a_rollback_is_ahead_until_its_second_comes() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(scheduled(50), 110).verb(Verb::Rollback { to: None }, 120);
    assert_eq!(ring.timeline(), "a@100 b@160 a@160");
    assert_eq!(ring.refusal(Verb::Rollback { to: None }, 159).code, Code::ActivationAhead);
    assert_eq!(ring.refusal(Verb::Rollback { to: None }, 160).code, Code::NothingToRollBack);
}

#[test]
fn a_kid_is_forgotten_once_no_clock_accepts_what_may_name_it() {
    let named_until = |until| {
        let mut ring = Ring::begin(small(), 100);
        ring.verb(PREPARE, 125);
        let stone = |number: usize| Tombstone {
            kid: Kid::new(format!("old-{number}")).unwrap(),
            end: End::Retired,
            at: second(1),
            named_until: Some(second(until)),
        };
        ring.manifest.tombstones = (0..limits::TOMBSTONES).map(stone).collect();
        ring.try_verb(Verb::Rollback { to: None }, 130)
    };
    assert_eq!(named_until(129).unwrap_err().code, Code::ManifestFull);
    let next = unwrap_change(named_until(128).unwrap()).next;
    assert_eq!(next.tombstones.len(), limits::TOMBSTONES);
    assert_eq!(next.tombstones[0].kid.as_str(), "old-1", "the oldest went");
}

/// Where the history alone does not make room, the oldest requests go; the change itself stays in the history.
#[test]
fn a_full_manifest_forgets_its_oldest_requests_before_it_refuses() {
    let name = |number: usize| format!("{number:03}{}", "\"".repeat(125));
    let mut ring = Ring::begin(small(), 100);
    ring.manifest.tombstones = (0..limits::TOMBSTONES)
        .map(|number| Tombstone {
            kid: Kid::new(name(number)).unwrap(),
            end: End::Retired,
            at: second(u64::MAX),
            named_until: Some(second(u64::MAX)),
        })
        .collect();
    while ring.manifest.to_json().is_ok() {
        let number = ring.manifest.requests.len();
        assert!(number < limits::REQUESTS, "full");
        ring.manifest.requests.push(DoneRequest {
            request_id: RequestId::new(name(number)).unwrap(),
            verb: "set-policy".to_owned(),
            generation: 1,
            at: second(u64::MAX),
            kid: Some(Kid::new(name(number)).unwrap()),
        });
    }
    ring.manifest.requests.pop();
    let before = ring.manifest.requests.clone();
    ring.verb(EMERGENCY, 110);
    let after = &ring.manifest.requests;
    assert!(!after.is_empty() && after.len() < before.len(), "{} of {}", after.len(), before.len());
    assert_eq!(after.as_slice(), &before[before.len() - after.len()..]);
    assert_eq!(ring.manifest.history.len(), 1);
    assert_eq!(ring.manifest.history[0].verb, "rotate");
}

#[test]
fn each_bound_that_is_lowered_counts_for_a_while_and_no_other() {
    let ring = Ring::begin(Policy { max_skew: 2, verifier_cache: 5, ..small() }, 100);
    let former =
        |member, value| unwrap_change(ring.try_verb(set(member, value), 110).unwrap()).next.policy_before;
    for (member, lower) in [("max_staleness", 1), ("max_skew", 1), ("verifier_cache", 4)] {
        let former = former(member, lower).unwrap();
        assert_eq!((former.staleness, former.skew, former.verifier_cache), (2, 2, 5), "{member}");
    }
    for (member, other) in [("max_staleness", 3), ("max_skew", 3), ("verifier_cache", 6), ("leeway", 0)] {
        assert_eq!(former(member, other), None, "{member}");
    }
}

/// Bounds that are set move only with the tokens that they follow from.
#[test]
fn the_bounds_of_a_key_that_is_to_be_superseded_outlive_a_change_of_policy() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(Verb::Rotate { mode: Mode::Scheduled(50), no_rollback: true }, 110);
    let bounds = ring.key("a").superseded;
    assert_eq!(bounds.unwrap().custody_until, second(161));
    ring.verb(set("commit_delay", 2), 111).verb(set("leeway", 3), 112);
    assert_eq!(ring.key("a").superseded, bounds);
}

#[test]
fn a_longer_lifetime_moves_the_end_of_a_key_that_may_still_sign() {
    let after = |policy: Policy, member, value, now| {
        let mut ring = Ring::begin(policy, 100);
        ring.verb(EMERGENCY, 110).verb(set(member, value), now);
        (ring.key("a").longest_token, ring.key("a").superseded.unwrap().accept_until)
    };
    let bounded = Lifetime::Bounded;
    assert_eq!(after(small(), "token_ttl", 9, 111), (bounded(9), Some(second(124))));
    assert_eq!(after(small(), "token_ttl", 9, 112), (bounded(4), Some(second(119))), "it cannot sign now");
    assert_eq!(after(small(), "leeway", 5, 111), (bounded(4), Some(second(119))), "no token lives longer");
    let strict = Policy { leeway: 0, ..small() };
    assert_eq!(after(strict, "token_ttl", 9, 111), (bounded(9), Some(second(123))));
}

#[test]
fn a_change_of_policy_says_what_it_changes_and_warns_of_nothing_else() {
    let said = |ring: &Ring, member, value| {
        let impact = unwrap_change(ring.try_verb(set(member, value), 110).unwrap()).impact;
        let steps: Vec<_> = impact.steps.into_iter().map(|step| step.what).collect();
        (steps.join(", "), impact.warnings.len(), impact.warnings.join(" "))
    };
    let bounded = Ring::begin(small(), 100);
    assert_eq!(said(&bounded, "max_keys", 5), ("max_keys: 8 → 5".to_owned(), 0, String::new()));
    let (steps, number, warnings) = said(&bounded, "token_ttl", 5);
    assert_eq!((steps.as_str(), number), ("token_ttl: 4 s → 5 s", 1));
    assert!(warnings.starts_with("A longer token_ttl lengthens the window"), "{warnings}");
    let (_, number, warnings) = said(&bounded, "token_ttl", 0);
    assert!(number == 1 && warnings.starts_with("Tokens minted from now on never expire"), "{warnings}");
    let forever = Ring::begin(Policy { token_ttl: 0, ..small() }, 100);
    assert_eq!(said(&forever, "leeway", 2).1, 0, "they never expired");
    assert_eq!(said(&forever, "token_ttl", 5).1, 0, "that is no longer window");
    let mut adopted = Ring::begin(small(), 100);
    adopted.manifest.keys[0].longest_token = Lifetime::Unbounded;
    assert_eq!(said(&adopted, "leeway", 2).1, 0);
    let (_, number, warnings) = said(&adopted, "token_ttl", 3);
    assert!(number == 1 && warnings.starts_with("An adopted key of unknown past"), "{warnings}");
}
