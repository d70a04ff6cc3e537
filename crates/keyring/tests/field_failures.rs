//! How key rotation has failed in the field, as far as the pure keyring can prevent it: one failure
//! per number, with which the names of its tests begin.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use keystile_keyring::manifest::{Lifetime, limits};
use keystile_keyring::plan::{
    Adoption, Context, Due, Mode, Plan, Planned, PolicyChange, Verb, adopt, due, plan,
};
use keystile_keyring::report::{KeyUsage, Presence};
use keystile_keyring::{Code, Fleet, Gate, KeyState, Policy, Refusal, ReplicaReport};

use world::{
    Ring, Token, candidate, context, digest_of, gateway, kid, report, request, second, small, unwrap_change,
    verify,
};

const ROTATE: Verb = Verb::Rotate { mode: Mode::Gated(Fleet::Reporting), no_rollback: false };
const OFFLINE: Verb = Verb::Rotate { mode: Mode::Gated(Fleet::Offline), no_rollback: false };
const PREPARE: Verb = Verb::Prepare { no_rollback: false };
const ACTIVATE: Verb = Verb::Activate { fleet: Fleet::Reporting, no_rollback: false };
const EMERGENCY: Verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };

fn scheduled(lead: u64) -> Verb {
    Verb::Rotate { mode: Mode::Scheduled(lead), no_rollback: false }
}

fn set(member: &str, value: u64) -> Verb {
    Verb::SetPolicy(PolicyChange([(member.to_owned(), Some(value))].into()))
}

fn retire(name: &str, at: Option<u64>, force: bool) -> Verb {
    Verb::Retire { kid: kid(name), at: at.map(second), force }
}

fn revoke(name: &str) -> Verb {
    Verb::Revoke { kid: kid(name), descendants: false }
}

/// A report of `replica` at `at` that it holds key `a`, with what it saw of the key's tokens.
fn saw(replica: &str, at: u64, usage: KeyUsage) -> ReplicaReport {
    let mut report = report(replica, second(at), &[("a", second(1))]);
    report.keys[0].usage = usage;
    report
}

fn sandboxes(number: u64) -> KeyUsage {
    KeyUsage { sandboxes: number, ..KeyUsage::default() }
}

/// A report of `replica` at `at` that it holds `kids` since its start.
fn holds(replica: &str, at: u64, kids: &[&str]) -> ReplicaReport {
    let kids: Vec<_> = kids.iter().map(|name| (*name, second(1))).collect();
    report(replica, second(at), &kids)
}

fn change(ring: &Ring, verb: Verb, now: u64) -> Plan {
    unwrap_change(ring.try_verb(verb, now).unwrap_or_else(|refusal| panic!("{refusal}")))
}

fn accept_until(ring: &Ring, name: &str) -> Option<u64> {
    ring.key(name).superseded.and_then(|superseded| superseded.accept_until).map(|until| until.0)
}

/// A keyring whose key `a` was superseded at 110 and may have signed tokens that never expire.
fn never_expiring() -> Ring {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(set("token_ttl", 0), 105).verb(EMERGENCY, 110);
    ring
}

/// A rotation in flight since 110, one replica of three behind.
fn one_behind() -> Ring {
    let mut ring = Ring::begin(Policy { max_staleness: 60, verify_staleness: 60, ..small() }, 100);
    ring.verb(PREPARE, 110);
    ring.reports = vec![
        holds("gateway-0", 111, &["a", "b"]),
        holds("gateway-1", 111, &["a"]),
        holds("gateway-2", 111, &["a", "b"]),
    ];
    ring
}

#[test]
fn t02_an_activation_before_every_replica_holds_the_key_names_who_does_not() {
    let mut ring = one_behind();
    let refusal = ring.refusal(ACTIVATE, 112);
    assert_eq!(refusal.code, Code::ReplicaBehind);
    assert_eq!(refusal.found, "1 of 3 live replicas do not hold b yet: gateway-1");
    let Ok(Planned::Wait { gate: Gate::Replicas { behind, live: 3 }, .. }) = ring.try_verb(ROTATE, 112)
    else {
        panic!("rotate waits")
    };
    assert_eq!(behind.iter().map(ToString::to_string).collect::<Vec<_>>(), ["gateway-1"]);
    ring.reports[1] = holds("gateway-1", 112, &["a", "b"]);
    ring.verb(ACTIVATE, 112);
    assert_eq!(ring.signer(112), Some("b"));
}

#[test]
fn t02_an_emergency_goes_past_the_gate_and_is_on_record() {
    let mut ring = one_behind();
    ring.verb(EMERGENCY, 112);
    assert_eq!(ring.signer(112), Some("b"));
    let last = ring.manifest.history.last().unwrap();
    let on_record = (last.verb.as_str(), last.actor.as_str(), last.reason.as_deref(), last.at);
    assert_eq!(on_record, ("rotate", "olga", Some("a test"), second(112)));
}

#[test]
fn t10_a_window_is_not_ended_while_its_tokens_live() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    ring.reports = vec![saw("gateway-0", 111, sandboxes(2)), saw("gateway-1", 111, sandboxes(1))];
    for at in [None, Some(118)] {
        let refusal = ring.refusal(retire("a", at, false), 111);
        assert_eq!(refusal.code, Code::LiveTokens);
        assert_eq!(
            refusal.found,
            "tokens signed by a may be alive for another 8 s. 3 sandboxes still use the key; ending now would \
             cut them off"
        );
        assert!(refusal.remedy.starts_with("wait: it retires by itself"), "{}", refusal.remedy);
    }
    assert_eq!(ring.refusal(retire("a", None, false), 119).code, Code::LiveTokens, "its last instant");
    assert_eq!(ring.refusal(retire("a", None, false), 120).code, Code::KeyRetired);
}

#[test]
fn t10_only_force_with_a_reason_ends_it_early() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    let mut forced = request(retire("a", None, true));
    forced.reason = None;
    assert_eq!(ring.plan(&forced, 111).unwrap_err().code, Code::ReasonRequired);
    let plan = change(&ring, retire("a", None, true), 111);
    assert!(plan.impact.warnings[0].starts_with("--force: tokens that are still good are cut off"));
    ring.commit(plan);
    assert_eq!(ring.state("a", 112), KeyState::Retired);
}

#[test]
fn t13_the_window_follows_the_longest_token_not_todays_ttl() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(set("token_ttl", 100), 110);
    let long = Token::forged("a", 115, 215);
    ring.verb(set("token_ttl", 4), 120).verb(EMERGENCY, 130);
    assert_eq!(ring.key("a").longest_token, Lifetime::Bounded(100));
    assert_eq!(accept_until(&ring, "a"), Some(130 + 2 + 1 + 1 + 100 + 1));
    assert_eq!(verify(&ring.manifest, &long, second(215)), Ok(()));
    assert_eq!(ring.key("b").longest_token, Lifetime::Bounded(4), "the new key never signed such");
}

#[test]
fn t13_a_raise_after_the_supersession_does_not_touch_the_window() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    let before = ring.key("a").clone();
    ring.verb(set("token_ttl", 100), 115).verb(set("token_ttl", 4), 116);
    assert_eq!(*ring.key("a"), before);
}

#[test]
fn t14_a_key_with_tokens_that_never_expire_needs_a_deadline() {
    let mut ring = never_expiring();
    let named = |names: &[&str]| KeyUsage {
        never_expires: names.iter().map(ToString::to_string).collect(),
        ..sandboxes(names.len() as u64)
    };
    ring.reports = vec![
        saw("gateway-0", 111, named(&["build-7", "agent-2"])),
        saw("gateway-1", 111, named(&["build-7"])),
        saw("gateway-2", 90, named(&["long-gone"])),
    ];
    let refusal = ring.refusal(retire("a", None, false), 111);
    assert_eq!(refusal.code, Code::DeadlineRequired);
    assert_eq!(
        refusal.found,
        "a may have signed tokens that never expire (seen: agent-2, build-7), so its window has no end by itself"
    );
    assert_eq!(refusal.remedy, "give it one: keystile retire a --at INSTANT");

    let plan = change(&ring, retire("a", Some(150), false), 111);
    let warned = plan.impact.warnings.iter().any(|warning| warning.ends_with("agent-2, build-7."));
    assert!(warned, "{:?}", plan.impact.warnings);
    ring.commit(plan);
    let forever = Token::forged("a", 106, 0);
    assert_eq!(verify(&ring.manifest, &forever, second(150)), Ok(()));
    assert!(verify(&ring.manifest, &forever, second(151)).is_err());
}

#[test]
fn t14_without_a_deadline_the_window_stays_open() {
    let ring = never_expiring();
    assert_eq!((accept_until(&ring, "a"), ring.state("a", 1 << 40)), (None, KeyState::VerifyOnly));
    let past = ring.refusal(retire("a", Some(110), false), 111);
    assert_eq!(past.code, Code::DeadlinePast);
    let plan = change(&Ring::of(ring.manifest.clone()), EMERGENCY, 200);
    let open = plan.impact.steps.iter().find(|step| step.at.is_none()).expect("a step without an instant");
    assert!(open.what.ends_with("keystile retire b --at INSTANT"), "{}", open.what);
}

#[test]
fn t16_a_second_rotation_does_not_overtake_the_first() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb_with_id(OFFLINE, "release-7", 110);
    let another = request(OFFLINE);
    let id = keystile_keyring::RequestId::new("release-8").unwrap();
    let refusal =
        ring.plan(&keystile_keyring::plan::Request { request_id: Some(id), ..another }, 115).unwrap_err();
    assert_eq!(refusal.code, Code::RotationInFlight);
    assert_eq!(
        refusal.found,
        "rotation-2 has been in flight for 5 s, request id release-7: key b is published and does not sign yet"
    );
    for verb in [PREPARE, scheduled(60)] {
        assert_eq!(ring.refusal(verb, 115).code, Code::RotationInFlight);
    }
    let resumed = change(&ring, EMERGENCY, 115);
    assert!(!resumed.takes_candidate, "it hurries the rotation in flight and makes no second key");
}

#[test]
fn t16_a_rotation_does_not_overtake_a_committed_activation() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(scheduled(60), 110);
    for verb in [PREPARE, OFFLINE, scheduled(60)] {
        let refusal = ring.refusal(verb, 115);
        assert_eq!(refusal.code, Code::ActivationAhead);
        assert!(refusal.remedy.ends_with("keystile rollback"), "{refusal}");
    }
    // Once gone back, there is nothing to go back from: every way that is named is open.
    ring.verb(Verb::Rollback { to: None }, 116);
    for verb in [PREPARE, OFFLINE, Verb::Rollback { to: None }] {
        let refusal = ring.refusal(verb, 117);
        assert_eq!(refusal.code, Code::ActivationAhead);
        assert!(refusal.remedy.ends_with("keystile rotate --emergency"), "{refusal}");
    }
    ring.verb(EMERGENCY, 118);
}

#[test]
fn t16_the_first_key_outlives_two_rotations_in_a_row() {
    let mut ring = Ring::begin(small(), 100);
    let token = Token::forged("a", 109, 113);
    ring.verb(EMERGENCY, 110);
    let bounds = ring.key("a").superseded;
    ring.verb(EMERGENCY, 111);
    assert_eq!(ring.timeline(), "a@100 b@110 c@111");
    assert_eq!(ring.key("a").superseded, bounds);
    assert_eq!(verify(&ring.manifest, &token, second(114)), Ok(()));
}

#[test]
fn t19_the_active_key_is_revoked_and_replaced_in_one_plan() {
    let ring = Ring::begin(small(), 100);
    let plan = change(&ring, revoke("a"), 110);
    assert!(plan.takes_candidate);
    let next = &plan.next;
    assert_eq!(next.generation, 2);
    assert_eq!(next.active_at(second(110)).map(|key| &key.kid), Some(&kid("b")));
    assert_eq!(next.state_at(&kid("a"), second(110)), Some(KeyState::Revoked));
    assert!(verify(next, &Token::forged("a", 105, 109), second(105)).is_err(), "also by a slower clock");
    let bound = plan.impact.steps.iter().find(|step| step.label == "at the latest").unwrap();
    assert_eq!(bound.at, Some(second(110 + 8)), "verify_staleness later");
}

#[test]
fn t19_the_plan_says_who_can_bootstrap_again() {
    let mut ring = Ring::begin(small(), 100);
    let by = |methods: &[(&str, u64)], number| KeyUsage {
        methods: methods.iter().map(|(method, count)| ((*method).to_owned(), *count)).collect(),
        ..sandboxes(number)
    };
    ring.reports = vec![
        saw("gateway-0", 110, by(&[("service-account", 3), ("token-file", 2)], 6)),
        saw("gateway-1", 110, by(&[("client-certificate", 1)], 1)),
        saw("gateway-2", 90, by(&[("token-file", 50)], 50)),
    ];
    let said = change(&ring, revoke("a"), 110).impact.supervisors;
    assert_eq!(
        said,
        [
            "7 sandboxes use the key now; their calls are refused until they have bootstrapped again.",
            "can bootstrap again: 4",
            "cannot, and need a new token file: 3",
        ]
    );
}

#[test]
fn t19_a_replica_that_has_not_loaded_the_revocation_is_seen() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(revoke("a"), 110);
    let at_generation = |replica, generation| ReplicaReport { generation, ..holds(replica, 111, &["a"]) };
    ring.reports = vec![
        at_generation("gateway-0", 2),
        at_generation("gateway-1", 1),
        ReplicaReport { generation: 1, ..holds("gateway-2", 90, &["a"]) },
    ];
    let maxima = ring.manifest.maxima(second(111));
    let live = ring.reports.iter().filter(|report| report.presence(second(111), maxima) == Presence::Live);
    let behind = live.filter(|report| report.generation < ring.manifest.generation);
    assert_eq!(behind.map(|report| report.replica.as_str()).collect::<Vec<_>>(), ["gateway-1"]);
}

/// When a file that cannot be read was written tells nothing of a clock: it holds up the gate, not the preparing.
#[test]
fn i2_a_report_that_cannot_be_read_is_no_clock_that_is_off() {
    let mut ring = Ring::begin(small(), 100);
    ring.reports = vec![ReplicaReport::unreadable("gateway-1.json", second(9000), "cut off")];
    change(&ring, Verb::Prepare { no_rollback: false }, 110);
}

#[test]
fn t21_the_last_key_is_not_taken_away() {
    let ring = Ring::begin(small(), 100);
    for force in [false, true] {
        assert_eq!(ring.refusal(retire("a", None, force), 110).code, Code::KeySigns);
    }
    let nothing_offered = context(&ring.manifest, second(110), &[], None);
    let refusal = plan(&ring.manifest, &request(revoke("a")), &nothing_offered).unwrap_err();
    assert_eq!(refusal.code, Code::NoSigner, "no replacement, no revocation");
    assert!(matches!(ring.try_verb(Verb::Prune, 1 << 40), Ok(Planned::Nothing(_))));
}

#[test]
fn t22_a_kid_is_never_used_for_another_key() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110).verb(EMERGENCY, 111).verb(revoke("b"), 112).verb(Verb::Prune, 130);
    assert!(ring.manifest.key(&kid("a")).is_none() && ring.manifest.key(&kid("b")).is_none());
    for (name, how) in [("a", "retired and pruned"), ("b", "revoked and pruned"), ("c", "held")] {
        let mut reused = candidate("x");
        reused.kid = kid(name);
        for verb in [PREPARE, EMERGENCY, revoke("c")] {
            let offered = Context {
                now: second(131),
                digest: digest_of(&ring.manifest),
                reports: &[],
                candidate: Some(&reused),
            };
            let refusal = plan(&ring.manifest, &request(verb), &offered).unwrap_err();
            assert_eq!(refusal.code, Code::KidReused, "{how}: {refusal}");
        }
    }
}

#[test]
fn t22_a_key_does_not_come_back_under_another_kid() {
    let ring = Ring::begin(small(), 100);
    let mut renamed = candidate("a");
    renamed.kid = kid("z");
    let offered = context(&ring.manifest, second(110), &[], Some(&renamed));
    assert_eq!(plan(&ring.manifest, &request(PREPARE), &offered).unwrap_err().code, Code::WouldBreak);
}

#[test]
fn t33_a_rotation_that_is_overdue_is_due() {
    let mut ring = Ring::begin(Policy { rotation_due_after: 50, ..small() }, 100);
    assert!(!ring.manifest.rotation_due(second(149)));
    assert!(ring.manifest.rotation_due(second(150)));
    assert!(ring.manifest.rotation_due(second(1 << 40)), "it stays due");
    ring.verb(EMERGENCY, 160);
    assert!(!ring.manifest.rotation_due(second(209)));
    assert!(ring.manifest.rotation_due(second(210)));
    ring.verb(set("rotation_due_after", 0), 211);
    assert!(!ring.manifest.rotation_due(second(1 << 40)), "0 is never");
}

#[test]
fn t33_a_key_that_is_prepared_and_never_signs_does_not_silence_it() {
    let mut ring = Ring::begin(Policy { rotation_due_after: 50, ..small() }, 100);
    ring.verb(PREPARE, 149);
    assert!(ring.manifest.rotation_due(second(160)));
}

#[test]
fn t33_an_adopted_key_is_as_old_as_its_adoption() {
    let policy = Policy { rotation_due_after: 50, ..small() };
    let adoption = Adoption { longest_token: Lifetime::Bounded(4) };
    let adopted = adopt(gateway(), policy, &candidate("a"), adoption, "olga", second(1000)).unwrap().next;
    assert!(!adopted.rotation_due(second(1049)));
    assert!(adopted.rotation_due(second(1050)));
}

#[test]
fn t33_reconcile_rotates_by_itself_where_policy_says_so() {
    let ring = Ring::begin(Policy { rotate_every: Some(50), ..small() }, 100);
    assert_eq!(due(&ring.manifest, second(149)), Due::Nothing);
    assert_eq!(due(&ring.manifest, second(150)), Due::Rotate(ROTATE));
    let by_hand = Ring::begin(small(), 100);
    assert_eq!(due(&by_hand.manifest, second(1 << 40)), Due::Nothing);
}

#[test]
fn t39_a_full_keyring_is_refused_with_its_remedy_and_keeps_a_place() {
    let mut ring = Ring::begin(Policy { max_keys: 3, ..small() }, 100);
    ring.verb(OFFLINE, 110).verb(OFFLINE, 110);
    for verb in [PREPARE, OFFLINE, scheduled(60)] {
        let refusal = ring.refusal(verb, 111);
        assert_eq!(refusal.code, Code::KeyringFull);
        assert_eq!(
            refusal.found,
            "the keyring holds 2 keys; max_keys is 3, and one place is kept for a revocation"
        );
        assert_eq!(refusal.remedy, "wait 10 s until a can be removed, then run: keystile prune");
    }
    assert_eq!(ring.signer(111), Some("b"), "it goes on signing");
    ring.verb(revoke("b"), 111);
    assert_eq!((ring.signer(111), ring.manifest.keys.len()), (Some("c"), 3));
}

#[test]
fn t39_a_full_keyring_whose_keys_have_no_end_asks_for_one() {
    let mut ring = Ring::begin(Policy { max_keys: 3, ..small() }, 100);
    ring.verb(set("token_ttl", 0), 105).verb(EMERGENCY, 110);
    let refusal = ring.refusal(PREPARE, 111);
    assert_eq!(refusal.remedy, "set a deadline for an old key: keystile retire KID --at INSTANT");
}

#[test]
fn t40_a_replica_that_vanished_counts_until_it_may_mint_no_more() {
    let mut ring = one_behind();
    let live_until = 111 + 60 + 1;
    let fresh = |ring: &mut Ring, at| {
        ring.reports[0] = holds("gateway-0", at, &["a", "b"]);
        ring.reports[2] = holds("gateway-2", at, &["a", "b"]);
    };
    fresh(&mut ring, live_until);
    let refusal = ring.refusal(ACTIVATE, live_until);
    assert_eq!(refusal.code, Code::ReplicaBehind);
    assert!(refusal.found.ends_with(": gateway-1"), "{refusal}");
    fresh(&mut ring, live_until + 1);
    ring.verb(ACTIVATE, live_until + 1);
    assert_eq!(ring.signer(live_until + 1), Some("b"));
}

#[test]
fn t40_caches_of_outside_verifiers_are_awaited_from_the_last_replica_on() {
    let mut ring = one_behind();
    ring.manifest.policy.verifier_cache = 20;
    ring.reports[1] = report("gateway-1", second(150), &[("a", second(1)), ("b", second(150))]);
    ring.reports[0].reported_at = second(150);
    ring.reports[2].reported_at = second(150);
    let refusal = ring.refusal(ACTIVATE, 151);
    assert_eq!(refusal.code, Code::CachesNotRunOut);
    assert_eq!(refusal.found, "outside verifiers may cache a JWK Set without b for another 19 s");
    assert_eq!(ring.refusal(ACTIVATE, 169).code, Code::CachesNotRunOut);
    ring.verb(ACTIVATE, 170);
}

#[test]
fn t40_nobody_to_ask_is_no_consent() {
    let mut ring = one_behind();
    assert_eq!(ring.refusal(ACTIVATE, 111 + 60 + 2).code, Code::NoReplicas, "all are lost");
    ring.reports.clear();
    assert_eq!(ring.refusal(ACTIVATE, 112).code, Code::NoReplicas);
    ring.verb(Verb::Activate { fleet: Fleet::Offline, no_rollback: false }, 112);
}

fn warns_of_pins(plan: &Plan) -> bool {
    plan.impact.warnings.iter().any(|warning| warning.contains("pin"))
}

#[test]
fn t45_a_plan_that_changes_the_signer_warns_of_pinned_verifiers() {
    let mut ring = Ring::begin(small(), 100);
    for verb in [PREPARE, OFFLINE, scheduled(60), EMERGENCY, revoke("a")] {
        assert!(warns_of_pins(&change(&ring, verb.clone(), 110)), "{}", verb.name());
    }
    ring.verb(PREPARE, 110);
    let activate = Verb::Activate { fleet: Fleet::Offline, no_rollback: false };
    assert!(warns_of_pins(&change(&ring, activate, 111)));
}

#[test]
fn t49_every_generation_names_the_one_before_it() {
    let mut ring = Ring::begin(small(), 100);
    assert_eq!((ring.manifest.generation, ring.manifest.previous), (1, None));
    let steps = [
        (PREPARE, 110),
        (EMERGENCY, 110),
        (retire("a", None, true), 111),
        (set("leeway", 2), 112),
        (Verb::Prune, 113),
        (EMERGENCY, 114),
        (Verb::Rollback { to: None }, 115),
        (revoke("b"), 116),
    ];
    for (verb, now) in steps {
        let name = verb.name();
        let plan = change(&ring, verb, now);
        let base = plan.base.expect("a plan on a manifest has a base");
        assert_eq!(base.digest, digest_of(&ring.manifest), "{name}");
        assert_eq!(plan.next.previous, Some(base.digest), "{name}");
        assert_eq!(plan.next.generation, base.generation + 1, "{name}");
        let (earlier, last) = plan.next.history.split_at(plan.next.history.len() - 1);
        assert_eq!(earlier, ring.manifest.history, "{name}: nothing that was is rewritten");
        let recorded = (last[0].generation, last[0].at, last[0].verb.as_str(), last[0].actor.as_str());
        assert_eq!(recorded, (plan.next.generation, second(now), name, "olga"));
        ring.commit(plan);
    }
    assert!(ring.manifest.history.len() < limits::HISTORY);
}

#[test]
fn t50_prune_after_a_stalled_rotation_touches_neither_key_of_it() {
    let mut ring = Ring::begin(Policy { rollback_custody: 0, ..small() }, 100);
    ring.verb(EMERGENCY, 110).verb(PREPARE, 120);
    let years = 110 + 10 * 365 * 86_400;
    ring.verb(Verb::Prune, years);
    let held: Vec<_> = ring.manifest.keys.iter().map(|key| key.kid.as_str()).collect();
    assert_eq!(held, ["b", "c"], "only a, whose window ran out, is gone");
    assert!(matches!(ring.try_verb(Verb::Prune, 2 * years), Ok(Planned::Nothing(_))));
    ring.verb(Verb::Activate { fleet: Fleet::Offline, no_rollback: false }, 2 * years);
    assert_eq!(ring.signer(2 * years), Some("c"));
    assert_eq!(ring.state("b", 2 * years), KeyState::VerifyOnly, "its window begins only now");
}

#[test]
fn t50_prune_does_not_touch_a_key_that_signs_until_a_far_activation() {
    let mut ring = Ring::begin(Policy { rollback_custody: 0, ..small() }, 100);
    let far = 30 * 86_400;
    ring.verb(scheduled(far), 110);
    for now in [111, 110 + far - 1, 110 + far, 110 + far + 1] {
        let planned: Result<Planned, Refusal> = ring.try_verb(Verb::Prune, now);
        assert!(matches!(planned, Ok(Planned::Nothing(_))), "at {now}: {planned:?}");
    }
}
