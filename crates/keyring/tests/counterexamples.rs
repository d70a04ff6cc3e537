//! Small worlds that break simpler rules than those of the keyring, one test each, numbered for good.
//!
//! Each test shows two things: that the rule as it is gives every instant one signer and refuses no
//! valid token, and, where that is cheap to show, that the manifest which the simpler rule would have
//! committed does not. In a [`World`] true time runs and replicas lag; a [`Ring`] is stepped by hand.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;

use keystile_keyring::check::{Violation, postcondition};
use keystile_keyring::manifest::{Activation, Key, Lifetime, PrivateState};
use keystile_keyring::plan::{Mode, Planned, PolicyChange, Remains, Verb, repair};
use keystile_keyring::{Breach, Code, Fleet, KeyState, Manifest, Policy};

use world::{
    Landing, Ring, Token, Why, World, candidate, digest_of, kid, second, small, unwrap_change, verify,
};

const PREPARE: Verb = Verb::Prepare { no_rollback: false };
const ACTIVATE: Verb = Verb::Activate { fleet: Fleet::Reporting, no_rollback: false };
const EMERGENCY: Verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
const ROLLBACK: Verb = Verb::Rollback { to: None };

fn set(member: &str, value: u64) -> Verb {
    Verb::SetPolicy(PolicyChange([(member.to_owned(), Some(value))].into()))
}

fn revoke(name: &str) -> Verb {
    Verb::Revoke { kid: kid(name), descendants: false }
}

/// `manifest` as a simpler rule would have made it.
fn simpler(manifest: &Manifest, change: impl FnOnce(&mut Manifest)) -> Manifest {
    let mut simpler = manifest.clone();
    change(&mut simpler);
    simpler
}

/// The same for one key of it.
fn with_key(manifest: &Manifest, name: &str, change: impl FnOnce(&mut Key)) -> Manifest {
    simpler(manifest, |manifest| {
        change(manifest.keys.iter_mut().find(|key| key.kid == kid(name)).unwrap());
    })
}

fn with_last_iat(manifest: &Manifest, name: &str, last_iat: u64) -> Manifest {
    with_key(manifest, name, |key| key.superseded.as_mut().unwrap().last_iat = second(last_iat))
}

fn activation(name: &str, from: u64) -> Activation {
    Activation { from: second(from), kid: kid(name) }
}

/// Asserts that `manifest` accepts `token` from the slowest clock at its minting to the last instant of
/// its life.
#[track_caller]
fn assert_good_for_life(manifest: &Manifest, token: &Token) {
    let minted = token.times.issued_at.minus(manifest.policy.max_skew);
    let end = token.times.expires_at.expect("a token that expires").plus(manifest.policy.leeway);
    for clock in minted.0..=end.0 {
        assert_eq!(verify(manifest, token, second(clock)), Ok(()), "at {clock}: {token:?}");
    }
}

/// Asserts that `manifest` refuses `token` at its minting, as a bound is broken.
#[track_caller]
fn assert_refused(manifest: &Manifest, token: &Token, breach: Breach) {
    assert_eq!(verify(manifest, token, token.times.issued_at), Err(Why::Breach(breach)));
}

#[track_caller]
fn assert_sound(ring: &Ring, now: u64) {
    assert_eq!(postcondition(&ring.manifest, second(now)), Ok(()));
}

/// A ring in which `b` is to sign from 105 on, committed at 100.
fn activation_ahead() -> Ring {
    let mut ring = Ring::begin(Policy { activation_lead: 5, ..small() }, 90);
    ring.verb(PREPARE, 100).verb(Verb::Activate { fleet: Fleet::Offline, no_rollback: false }, 100);
    assert_eq!(ring.timeline(), "a@90 b@105");
    ring
}

/// A rollback that removes the activation leaves the tokens of a replica that missed it to nobody.
#[test]
fn c01_a_committed_activation_is_never_removed() {
    let mut world = World::begin(Policy { activation_lead: 5, max_staleness: 6, ..small() }, &[0, 0]);
    world.at(1001).operate(PREPARE).read_all().operate(ACTIVATE).read_all();
    world.at(1002).operate(ROLLBACK).read(0);
    world.at(1006);
    let missed = world.mint(1).expect("it read the store 5 s ago");
    assert_eq!((missed.kid.as_str(), world.mint(0).unwrap().kid.as_str()), ("b", "a"));
    assert_good_for_life(world.newest(), &missed);
    let removed = simpler(world.newest(), |manifest| {
        manifest.timeline.retain(|activation| activation.kid == kid("a"));
    });
    assert_refused(&removed, &missed, Breach::SignedBeforeActivation);
    let dropped = simpler(&removed, |manifest| manifest.keys.retain(|key| key.kid == kid("a")));
    assert_eq!(verify(&dropped, &missed, second(1006)), Err(Why::UnknownKid));
}

/// A key that is revoked before it signs must not leave its instant to nobody.
#[test]
fn c02_a_revoked_key_leaves_no_instant_without_a_signer() {
    let mut ring = activation_ahead();
    let before = ring.manifest.clone();
    ring.verb(revoke("b"), 102);
    assert_eq!((ring.timeline().as_str(), ring.signer(105)), ("a@90", Some("a")));
    assert_sound(&ring, 102);
    let in_place = simpler(&ring.manifest, |manifest| {
        manifest.timeline = before.timeline;
        manifest.keys[0].superseded = before.keys[0].superseded;
    });
    assert_eq!(postcondition(&in_place, second(102)), Err(Violation::NoSigner(second(105))));
}

/// The replacement of a revoked key signs also where the cancelled activation lies ahead.
#[test]
fn c02_a_cancelled_activation_ahead_does_not_come_back() {
    let mut ring = activation_ahead();
    ring.verb(ROLLBACK, 101);
    assert_eq!(ring.timeline(), "a@90 b@105 a@105");
    ring.verb(revoke("a"), 102);
    assert_eq!(ring.timeline(), "a@90 c@102 b@105 c@105");
    assert_sound(&ring, 102);
    let once = simpler(&ring.manifest, |manifest| {
        manifest.timeline.pop();
    });
    let signer = once.active_at(second(105)).map(|key| key.kid.as_str());
    assert_eq!(signer, Some("b"), "the key that was rolled back from");
}

/// On a slower clock the replacement of a revoked key is no prepared key: it signs.
#[test]
fn c02_a_replacement_signs_on_a_slower_clock_too() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(revoke("a"), 110);
    assert_eq!((ring.state("b", 109), ring.signer(109)), (KeyState::Active, Some("b")));
    let earlier = with_key(&ring.manifest, "a", |key| key.revoked.as_mut().unwrap().at = second(105));
    assert_eq!(earlier.active_at(second(109)), None, "the timeline alone leaves a gap");
    ring.verb(revoke("b"), 109);
    assert_eq!((ring.timeline().as_str(), ring.signer(109)), ("a@100 b@110 c@110", Some("c")));
    assert_sound(&ring, 109);
}

/// A key that was made under a shorter lifetime signs under today's.
#[test]
fn c03_an_activation_raises_what_its_key_may_sign() {
    let mut world = World::begin(small(), &[0, 0]);
    world.at(1001).operate(PREPARE);
    world.at(1002).operate(set("token_ttl", 5)).read_all().operate(ACTIVATE).read_all();
    let token = world.mint(0).unwrap();
    world.at(1003).operate(EMERGENCY);
    assert_eq!((token.kid.as_str(), world.newest().keys[1].longest_token), ("b", Lifetime::Bounded(5)));
    assert_good_for_life(world.newest(), &token);
    let as_made = with_key(world.newest(), "b", |key| key.longest_token = Lifetime::Bounded(4));
    assert_refused(&as_made, &token, Breach::LifetimeExceedsPolicy);
}

/// The same for a key that is gone back to.
#[test]
fn c03_a_rollback_raises_what_its_key_may_sign() {
    let mut world = World::begin(small(), &[0, 0]);
    world.at(1001).operate(EMERGENCY).at(1005).operate(set("token_ttl", 5));
    assert_eq!(world.newest().keys[0].longest_token, Lifetime::Bounded(4), "it signs nothing now");
    world.at(1006).operate(ROLLBACK).read_all();
    let token = world.mint(0).unwrap();
    world.at(1007).operate(EMERGENCY);
    assert_eq!(token.kid, kid("a"));
    assert_good_for_life(world.newest(), &token);
    let as_made = with_key(world.newest(), "a", |key| key.longest_token = Lifetime::Bounded(4));
    assert_refused(&as_made, &token, Breach::LifetimeExceedsPolicy);
}

/// The same for tokens that never expire.
#[test]
fn c03_an_activation_remembers_tokens_that_never_expire() {
    let mut world = World::begin(small(), &[0]);
    world.at(1001).operate(PREPARE);
    world.at(1002).operate(set("token_ttl", 0)).read_all().operate(ACTIVATE).read_all();
    let token = world.mint(0).unwrap();
    world.at(1003).operate(set("token_ttl", 4)).operate(EMERGENCY);
    assert_eq!((token.kid.as_str(), token.times.expires_at), ("b", None));
    assert_eq!(verify(world.newest(), &token, second(9000)), Ok(()));
    let as_made = with_key(world.newest(), "b", |key| key.never_expires = false);
    assert_refused(&as_made, &token, Breach::NeverExpires);
}

/// By a slower clock a key that was just superseded still signs, and under the raised TTL.
#[test]
fn c04_a_raise_reaches_a_key_that_was_just_superseded() {
    let mut world = World::begin(small(), &[0, -1]);
    world.at(1004).operate(EMERGENCY).operate(set("token_ttl", 5)).read_all();
    let token = world.mint(1).unwrap();
    assert_eq!((token.kid.as_str(), token.times.expires_at), ("a", Some(second(1008))));
    assert_good_for_life(world.newest(), &token);
    let signers_only = with_key(world.newest(), "a", |key| key.longest_token = Lifetime::Bounded(4));
    assert_refused(&signers_only, &token, Breach::LifetimeExceedsPolicy);
}

/// Bounds that were set under a larger staleness are not computed anew from a smaller one.
#[test]
fn c05_a_lowered_staleness_does_not_reach_back() {
    let mut world = World::begin(Policy { max_staleness: 4, ..small() }, &[0, 0]);
    world.at(1004).read(1);
    world.operate(EMERGENCY).at(1005).operate(set("max_staleness", 1));
    let token = world.at(1008).mint(1).expect("it holds the generation before both");
    assert_eq!(token.kid, kid("a"));
    assert_good_for_life(world.newest(), &token);
    let today = with_last_iat(world.newest(), "a", 1004 + 1 + 1 + 1);
    assert_refused(&today, &token, Breach::SignedAfterSupersession);
}

/// A replica lives under the old staleness for a while after it was lowered.
#[test]
fn c05_a_lowered_staleness_counts_in_full_for_a_while() {
    let mut world = World::begin(Policy { max_staleness: 4, ..small() }, &[0, 0]);
    world.at(1004).read(1);
    world.operate(set("max_staleness", 1)).operate(EMERGENCY);
    let token = world.at(1008).mint(1).expect("it holds the generation before both");
    assert_eq!(token.kid, kid("a"));
    assert_good_for_life(world.newest(), &token);
    let at_once = with_last_iat(world.newest(), "a", 1004 + 1 + 1 + 1);
    assert_refused(&at_once, &token, Breach::SignedAfterSupersession);
}

/// What was planned at one instant lands at another: replicas go on signing until it does.
#[test]
fn c06_bounds_allow_for_the_delay_of_the_commit() {
    let mut world = World::begin(Policy { commit_delay: 2, ..small() }, &[0, 1]);
    let plan = unwrap_change(world.at(1004).plan(EMERGENCY).unwrap());
    world.at(1006).read(1);
    assert_eq!(world.land(plan), Landing::Landed);
    let token = world.at(1008).mint(1).expect("it read 2 s ago");
    assert_eq!((token.kid.as_str(), token.times.issued_at), ("a", second(1009)));
    assert_good_for_life(world.newest(), &token);
    let without = with_last_iat(world.newest(), "a", 1004 + 2 + 1);
    assert_refused(&without, &token, Breach::SignedAfterSupersession);
}

/// A commit that landed later than allowed for is followed by one that moves its bounds.
#[test]
fn c06_a_late_commit_is_made_good() {
    let mut world = World::begin(Policy { commit_delay: 2, ..small() }, &[0, 1]);
    let plan = unwrap_change(world.at(1004).plan(EMERGENCY).unwrap());
    let planned_at = plan.planned_at;
    world.at(1010).read(1);
    assert_eq!(world.land(plan), Landing::Landed);
    let token = world.at(1012).mint(1).expect("it read 2 s ago");
    assert_refused(world.newest(), &token, Breach::SignedAfterSupersession);
    world.operate(Verb::Extend { excess: 1010 - 1004 - 2, planned_at });
    assert_good_for_life(world.newest(), &token);
}

/// A key that signs again has no last iat, also on a clock by which it does not sign again yet.
#[test]
fn c07_a_key_that_signs_again_raises_no_alarm_on_a_slower_clock() {
    let mut world = World::begin(Policy { max_staleness: 1, ..small() }, &[0, -1]);
    world.at(1003).operate(EMERGENCY).read_all();
    let bounds = world.newest().keys[0].superseded;
    let token = world.at(1007).operate(ROLLBACK).read_all().mint(0).unwrap();
    assert_eq!(token.kid, kid("a"));
    assert_eq!(world.verify_without_reading(1, &token), Ok(()));
    let kept = with_key(world.newest(), "a", |key| key.superseded = bounds);
    let alarm = Err(Why::Breach(Breach::SignedAfterSupersession));
    assert_eq!(verify(&kept, &token, world.clock(-1)), alarm);
}

/// max_skew bounds the difference between any two clocks, not each clock's own error.
#[test]
fn c08_max_skew_is_between_any_two_clocks() {
    let world = World::begin(small(), &[0, 1]);
    world.assert_accepted_everywhere(&world.mint(1).unwrap());
    assert!(matches!(world.plan(PREPARE), Ok(Planned::Change(_))));

    let apart = World::begin(small(), &[-1, 1]);
    let answer = apart.verify(0, &apart.mint(1).unwrap());
    assert_eq!(answer, Err(Why::Breach(Breach::IssuedInFuture)), "each is within 1 s of true time");
    let refusal = apart.plan_as(-1, &world::request(PREPARE)).unwrap_err();
    assert_eq!(refusal.code, Code::ClockSkew);
    assert!(refusal.found.contains("gateway-2"), "{refusal}");
}

/// A key that signs before the fleet holds it is unknown to whoever cannot read the store.
#[test]
fn c09_nothing_signs_before_the_fleet_holds_it() {
    let mut world = World::begin(small(), &[0, 0]);
    world.at(1001).operate(PREPARE).read(0);
    let refusal = world.plan(ACTIVATE).unwrap_err();
    assert_eq!(refusal.code, Code::ReplicaBehind);
    assert!(refusal.found.ends_with("gateway-2"), "{refusal}");
    world.operate(EMERGENCY).read(0);
    let token = world.mint(0).unwrap();
    assert_eq!(world.verify_without_reading(1, &token), Err(Why::UnknownKid));
    assert_eq!(world.verify_cut_off(1, &token), None, "unavailable, not rejected");
}

/// A schedule is no way around the gate.
#[test]
fn c09_a_schedule_gives_the_fleet_its_time() {
    let ring = Ring::begin(small(), 100);
    let rotate = |lead| Verb::Rotate { mode: Mode::Scheduled(lead), no_rollback: false };
    // Staleness, skew, commit_delay, and the second within which the plan falls.
    let least = 2 + 1 + 1 + 1;
    assert_eq!(ring.refusal(rotate(1), 110).code, Code::ScheduleTooShort);
    assert_eq!(
        ring.refusal(rotate(least - 1), 110).remedy,
        "give at least 5s: keystile rotate --schedule 5s"
    );
    assert!(matches!(ring.try_verb(rotate(least), 110), Ok(Planned::Change(_))));
}

/// A replica that hears nothing honours what it heard last, so policy ends its verifying.
#[test]
fn c10_no_replica_verifies_for_ever_without_its_store() {
    let mut world = World::begin(small(), &[0, 0]);
    let plan = unwrap_change(world.at(1010).plan(revoke("a")).unwrap());
    let says = "a replica that cannot read the store answers no more";
    let step = plan.impact.steps.iter().find(|step| step.what == says).unwrap();
    assert_eq!(step.at, Some(second(1010 + 8)), "verify_staleness later");
    world.land(plan);
    let stolen = Token::forged("a", 9000, 9004);
    world.at(9000);
    assert_eq!(world.verify_without_reading(1, &stolen), Ok(()), "by the generation that it holds");
    assert_eq!(verify(world.newest(), &stolen, second(9000)), Err(Why::Breach(Breach::KeyRevoked)));
    for never in [None, Some(0)] {
        let change = PolicyChange([("verify_staleness".to_owned(), never)].into());
        let refusal = world.plan(Verb::SetPolicy(change)).unwrap_err();
        assert_eq!(refusal.code, Code::PolicyOutOfRange);
    }
}

/// What a fast clock calls over is not over on a slow one.
#[test]
fn c11_prune_waits_for_the_slowest_clock() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    let last = Token::forged("a", 110 + 2 + 1 + 1, 118);
    let until = ring.key("a").superseded.unwrap().accept_until.unwrap();
    assert_eq!(until, second(119));
    let early = unwrap_change(ring.try_verb(Verb::Prune, 120).unwrap()).next;
    assert_eq!(verify(&early, &last, second(119)), Ok(()), "on a clock 1 s slower");
    assert_eq!(early.keys[0].private, PrivateState::DestroyedAt(second(120)), "which only verifies");
    let pruned = unwrap_change(ring.try_verb(Verb::Prune, 121).unwrap()).next;
    assert!(verify(&pruned, &last, second(119)).is_err(), "had it been done at 120");
}

/// Without a rollback in mind the old private key still signs until the new one does, on every clock.
#[test]
fn c11_no_rollback_keeps_the_key_that_signs_until_then() {
    let mut ring = Ring::begin(Policy { activation_lead: 5, ..small() }, 90);
    ring.verb(PREPARE, 100).verb(Verb::Activate { fleet: Fleet::Offline, no_rollback: true }, 100);
    for now in 100..=105 + 1 {
        assert!(matches!(ring.try_verb(Verb::Prune, now), Ok(Planned::Nothing(_))), "at {now}");
    }
    let at_once = with_key(&ring.manifest, "a", |key| key.private = PrivateState::DestroyedAt(second(100)));
    let dead = Violation::SignerWithoutPrivateKey(kid("a"), second(100));
    assert_eq!(postcondition(&at_once, second(100)), Err(dead));
    ring.verb(Verb::Prune, 107);
    assert_eq!(ring.key("a").private, PrivateState::DestroyedAt(second(107)));
    assert_eq!(ring.state("a", 107), KeyState::VerifyOnly);
}

/// The deadline of tokens that never expire is not that of those that do.
#[test]
fn c12_a_deadline_spares_finite_tokens() {
    let mut ring = Ring::begin(small(), 100);
    let finite = Token::forged("a", 109, 113);
    ring.verb(set("token_ttl", 0), 110).verb(EMERGENCY, 110);
    let retire = |at, force| Verb::Retire { kid: kid("a"), at: Some(second(at)), force };
    let end = 110 + 2 + 1 + 1 + 4 + 1;
    assert_eq!(ring.refusal(retire(end - 1, false), 111).code, Code::LiveTokens);
    let cut_off = unwrap_change(ring.try_verb(retire(112, true), 111).unwrap()).next;
    assert_eq!(verify(&cut_off, &finite, second(113)), Err(Why::Breach(Breach::KeyRetired)));
    ring.verb(retire(end, false), 111);
    assert_good_for_life(&ring.manifest, &finite);
    assert_eq!(ring.state("a", end + 1), KeyState::Retired);
}

/// Going back twice does not go forward to the key that was abandoned.
#[test]
fn c13_a_second_rollback_does_not_return_to_the_faulty_key() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110).verb(ROLLBACK, 111);
    assert_eq!(ring.timeline(), "a@100 b@110 a@111");
    assert_eq!(ring.refusal(ROLLBACK, 112).code, Code::NothingToRollBack);
    ring.verb(Verb::Rollback { to: Some(kid("b")) }, 112);
    assert_eq!(ring.signer(112), Some("b"), "unless it is named");
}

/// Going back twice goes back two keys.
#[test]
fn c13_a_second_rollback_goes_further_back() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110).verb(EMERGENCY, 111).verb(ROLLBACK, 112).verb(ROLLBACK, 113);
    assert_eq!(ring.timeline(), "a@100 b@110 c@111 b@112 a@113");
    assert_sound(&ring, 113);
}

/// Who was cut off while an activation lay ahead cannot know of it: the token's iat must do.
#[test]
fn c14_a_replica_cut_off_during_the_lead_accepts_a_prepared_keys_token_by_its_iat() {
    let mut world = World::begin(Policy { activation_lead: 5, token_ttl: 10, ..small() }, &[0, 0]);
    world.at(1001).operate(PREPARE).read_all();
    world.at(1002).operate(ACTIVATE);
    world.at(1007).read(0);
    let token = world.mint(0).unwrap();
    assert_eq!(token.kid, kid("b"));
    let without = world.verify_without_reading(1, &token);
    assert_eq!(without, Err(Why::Breach(Breach::SignedBeforeActivation)), "by the generation that it holds");
    assert_eq!(world.verify_cut_off(1, &token), Some(Ok(())));
    let older = Token::forged("b", 1001 - 2, 1009);
    assert_eq!(world.verify_cut_off(1, &older), None, "it held no activation then: unavailable");
    assert_good_for_life(world.newest(), &token);
}

/// The clocks of two operators are compared in one direction: time does pass between changes.
#[test]
fn c15_an_ordinary_day_is_not_refused() {
    let ring = Ring::begin(small(), 1000);
    for now in [999, 1000, 1002, 1000 + 400 * 86_400] {
        let plan = unwrap_change(ring.try_verb(PREPARE, now).unwrap());
        assert_eq!(plan.planned_at, second(now.max(1000)), "never before the last change");
    }
    assert_eq!(ring.refusal(PREPARE, 998).code, Code::ClockBehind);
}

/// The lineage that a forged token names is the thief's to choose: a range from the key's first day on
/// would let the older ones through.
#[test]
fn c16_a_forged_older_lineage_is_reached() {
    let mut world = World::begin(small(), &[0]);
    world.at(1010).operate(EMERGENCY).at(1020).operate(EMERGENCY).at(1022).read_all();
    let clean = second(1005);
    let forged = Token::forged("b", 1019, 1023).of_lineage(clean.0);
    assert_eq!(world.verify(0, &forged), Ok(()), "what the thief of b makes");
    let refreshed = world.mint_lineage(0, clean).unwrap();
    assert_eq!(refreshed.kid, kid("c"));
    assert!(clean < world.newest().first_activation(&kid("b")).unwrap(), "begun before b could be stolen");

    world.at(1023).operate(Verb::Revoke { kid: kid("b"), descendants: true }).read_all();
    assert_eq!(world.verify(0, &refreshed), Err(Why::Breach(Breach::LineageRevoked)));
    let ends_early = simpler(world.newest(), |manifest| manifest.lineage_floor = None);
    assert_eq!(verify(&ends_early, &refreshed, second(1023)), Ok(()), "a genuine token of c");
    world.at(1024);
    assert_eq!(world.verify(0, &world.mint(0).unwrap()), Ok(()), "who bootstraps now is let in");
}

/// A thief's token of a key that does not sign yet passes from max_skew before the activation, minted max_skew ahead
/// of a replica whose clock is max_skew ahead of the operator's: three of them in all.
#[test]
fn c16_descendants_of_a_key_that_does_not_sign_yet_are_reached() {
    let descendants = Verb::Revoke { kid: kid("b"), descendants: true };
    let (operators, replicas) = (102, 103);
    let forged = Token::forged("b", 104, 108).of_lineage(95);
    let mut ring = activation_ahead();
    assert_eq!(verify(&ring.manifest, &forged, second(replicas)), Ok(()), "what the thief of b makes");
    assert_eq!(ring.signer(replicas), Some("a"), "which refreshes it");
    let refreshed = Token::forged("a", replicas, replicas + 4).of_lineage(95);

    ring.verb(descendants.clone(), operators);
    let reached = Err(Why::Breach(Breach::LineageRevoked));
    assert_eq!(verify(&ring.manifest, &refreshed, second(replicas)), reached);

    let mut earlier = activation_ahead();
    assert!(verify(&earlier.manifest, &forged, second(replicas - 1)).is_err(), "nobody takes it yet");
    earlier.verb(descendants, operators - 1);
    assert_eq!(earlier.manifest.lineage_floor, None, "so nobody has to bootstrap again");
}

/// A private key that came back with a backup signs only if its key still may.
#[test]
fn c17_a_revoked_key_whose_private_part_came_back_does_not_sign() {
    let mut ring = Ring::begin(small(), 100);
    let backup = ring.manifest.clone();
    ring.verb(revoke("a"), 110);
    let witness = &ring.manifest;
    let private = BTreeSet::from([kid("a")]);
    let fresh = candidate("c");
    let remains = Remains {
        manifest: &backup,
        digest: digest_of(&backup),
        private: &private,
        accepted: None,
        fresh: None,
        held: 0,
        reports: &[],
    };
    let refusal = repair(&remains, witness, "olga", second(120)).unwrap_err();
    assert_eq!(refusal.code, Code::NoSigner);
    assert!(refusal.remedy.contains("keystile rotate --emergency"), "{}", refusal.remedy);

    let by_presence = simpler(witness, |manifest| {
        manifest.timeline.push(activation("a", 120));
        manifest.keys[1].superseded = Some(bounds_at_120());
    });
    assert_eq!(postcondition(&by_presence, second(120)), Err(Violation::NoSigner(second(120))));

    let repaired =
        repair(&Remains { fresh: Some(&fresh), ..remains }, witness, "olga", second(120)).unwrap().next;
    assert_eq!(repaired.active_at(second(120)).map(|key| &key.kid), Some(&kid("c")));
    assert_eq!(repaired.state_at(&kid("a"), second(120)), Some(KeyState::Revoked));
    assert_ne!(repaired.key(&kid("a")).unwrap().private, PrivateState::Present);
}

/// Bounds of a key that was superseded at 120.
fn bounds_at_120() -> keystile_keyring::manifest::Superseded {
    let (at, last_iat) = (second(120), second(124));
    keystile_keyring::manifest::Superseded {
        at,
        last_iat,
        accept_until: Some(second(129)),
        custody_until: at,
    }
}
