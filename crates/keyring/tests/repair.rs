//! A store that went back: the witness knows better, and `revoked` is final (I8).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod world;

use std::collections::BTreeSet;

use keystile_keyring::manifest::{End, PrivateState};
use keystile_keyring::plan::{Mode, Plan, Planned, PolicyChange, Remains, Verb, repair};
use keystile_keyring::{Code, Fleet, KeyState, Kid, Lookup, Manifest, Policy, Refusal, UnixTime};

use world::{Ring, Token, candidate, digest_of, kid, second, small, verify};

const EMERGENCY: Verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
const ROTATE: Verb = Verb::Rotate { mode: Mode::Gated(Fleet::Offline), no_rollback: false };

fn revoke(name: &str) -> Verb {
    Verb::Revoke { kid: kid(name), descendants: false }
}

/// A store at `manifest` with these private keys.
struct Store<'a> {
    manifest: &'a Manifest,
    private: BTreeSet<Kid>,
    accept: bool,
}

impl<'a> Store<'a> {
    fn at(manifest: &'a Manifest, private: &[&str]) -> Self {
        Self { manifest, private: private.iter().copied().map(kid).collect(), accept: false }
    }

    fn accepting(self) -> Self {
        Self { accept: true, ..self }
    }

    fn remains(&self) -> Remains<'_> {
        let digest = digest_of(self.manifest);
        let accepted = self.accept.then_some(digest);
        Remains {
            manifest: self.manifest,
            digest,
            private: &self.private,
            accepted,
            fresh: None,
            held: 0,
            reports: &[],
        }
    }

    fn repair(&self, witness: &Manifest, now: u64) -> Result<Plan, Refusal> {
        repair(&self.remains(), witness, "olga", second(now))
    }
}

fn repaired(store: &Store<'_>, witness: &Manifest, now: u64) -> Ring {
    let plan = store.repair(witness, now).unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(plan.next.generation, store.manifest.generation.max(witness.generation) + 1);
    assert_eq!(plan.next.previous, Some(digest_of(store.manifest)));
    assert_eq!(plan.base.map(|base| base.generation), Some(store.manifest.generation));
    let bytes = plan.next.to_json().unwrap();
    assert_eq!(Manifest::from_json(&bytes).as_ref(), Ok(&plan.next));
    Ring::of(plan.next)
}

/// Long windows, so that what verifies is not a matter of seconds.
fn slow() -> Policy {
    Policy { token_ttl: 1000, rollback_custody: 5000, ..small() }
}

#[test]
fn the_witness_signer_signs_where_its_private_key_is_there() {
    let mut ring = Ring::begin(slow(), 100);
    let backup = ring.manifest.clone();
    ring.verb(EMERGENCY, 110);
    let mended = repaired(&Store::at(&backup, &["a", "b"]), &ring.manifest, 120);
    assert_eq!((mended.signer(120), mended.signer(119)), (Some("b"), Some("b")));
    assert_eq!(mended.key("a").superseded, ring.key("a").superseded, "its window is what it was");
    assert_eq!(mended.state("a", 120), KeyState::VerifyOnly);
}

#[test]
fn a_verify_only_key_signs_where_the_signer_is_lost() {
    let mut ring = Ring::begin(slow(), 100);
    let backup = ring.manifest.clone();
    ring.verb(EMERGENCY, 110);
    let mended = repaired(&Store::at(&backup, &["a"]), &ring.manifest, 120);
    assert_eq!(mended.signer(120), Some("a"));
    assert_eq!(mended.key("b").private, PrivateState::DestroyedAt(second(120)));
    assert_eq!(mended.state("b", 120), KeyState::VerifyOnly, "its tokens stay good");
    let bounds = mended.key("b").superseded.unwrap();
    assert_eq!((bounds.at, bounds.last_iat), (second(120), second(124)));
}

#[test]
fn a_key_that_was_rolled_back_from_signs_only_where_no_other_can() {
    let mut ring = Ring::begin(slow(), 100);
    ring.verb(EMERGENCY, 110);
    ring.verb(Verb::Rollback { to: None }, 120);
    let backup = ring.manifest.clone();
    ring.verb(EMERGENCY, 130);
    let store = Store::at(&backup, &["a", "b"]);
    assert_eq!(repaired(&store, &ring.manifest, 140).signer(140), Some("a"));
    ring.verb(revoke("a"), 140);
    assert_eq!(repaired(&store, &ring.manifest, 150).signer(150), Some("b"));
}

#[test]
fn no_private_key_left_is_a_refusal_that_names_the_way_out() {
    let mut ring = Ring::begin(slow(), 100);
    let backup = ring.manifest.clone();
    ring.verb(EMERGENCY, 110);
    let store = Store::at(&backup, &[]);
    let refusal = store.repair(&ring.manifest, 120).unwrap_err();
    assert_eq!(
        (refusal.code, refusal.remedy.as_str()),
        (Code::NoSigner, "make a new one: keystile rotate --emergency")
    );
    let fresh = candidate("z");
    let plan =
        repair(&Remains { fresh: Some(&fresh), ..store.remains() }, &ring.manifest, "olga", second(120));
    let mended = Ring::of(plan.unwrap().next);
    assert_eq!(mended.signer(120), Some("z"));
    assert_eq!(
        (mended.state("a", 120), mended.state("b", 120)),
        (KeyState::VerifyOnly, KeyState::VerifyOnly)
    );
}

#[test]
fn a_fresh_key_does_not_take_a_kid_that_was() {
    let mut ring = Ring::begin(slow(), 100);
    let backup = ring.manifest.clone();
    ring.verb(EMERGENCY, 110);
    let (store, fresh) = (Store::at(&backup, &[]), candidate("a"));
    let plan =
        repair(&Remains { fresh: Some(&fresh), ..store.remains() }, &ring.manifest, "olga", second(120));
    assert_eq!(plan.unwrap_err().code, Code::KidReused);
}

#[test]
fn a_committed_activation_ahead_stays_if_its_key_can_sign() {
    let mut ring = Ring::begin(slow(), 100);
    let backup = ring.manifest.clone();
    ring.verb(Verb::Rotate { mode: Mode::Scheduled(50), no_rollback: false }, 110);
    let kept = repaired(&Store::at(&backup, &["a", "b"]), &ring.manifest, 120);
    assert_eq!(kept.timeline(), "a@100 b@160");
    let lost = repaired(&Store::at(&backup, &["a"]), &ring.manifest, 120);
    assert_eq!(lost.timeline(), "a@100 b@160 a@160");
}

#[test]
fn a_prepared_key_that_is_lost_goes_with_its_rotation() {
    let mut ring = Ring::begin(slow(), 100);
    let backup = ring.manifest.clone();
    ring.verb(ROTATE, 110);
    let kept = repaired(&Store::at(&backup, &["a", "b"]), &ring.manifest, 120);
    assert_eq!(kept.manifest.operation, ring.manifest.operation);
    let mut lost = repaired(&Store::at(&backup, &["a"]), &ring.manifest, 120);
    assert_eq!(lost.manifest.operation, None);
    assert_eq!(lost.manifest.lookup(&kid("b"), second(120)), Lookup::Gone(End::Retired));
    lost.verb(ROTATE, 121);
}

#[test]
fn a_rotation_in_flight_follows_the_key_that_signs_now() {
    let mut ring = Ring::begin(slow(), 100);
    let backup = ring.manifest.clone();
    ring.verb(EMERGENCY, 110).verb(ROTATE, 111);
    let mended = repaired(&Store::at(&backup, &["a", "c"]), &ring.manifest, 120);
    let operation = mended.manifest.operation.clone().unwrap();
    assert_eq!((operation.from_kid, operation.to_kid), (kid("a"), kid("c")));
}

/// I8, C17: what was revoked after the backup stays revoked, and its restored private key is unused.
#[test]
fn a_revocation_that_only_the_witness_knows_is_kept() {
    let mut ring = Ring::begin(slow(), 100);
    ring.verb(EMERGENCY, 110);
    let backup = ring.manifest.clone();
    ring.verb(Verb::Revoke { kid: kid("b"), descendants: true }, 120);
    let mended = repaired(&Store::at(&backup, &["a", "b"]), &ring.manifest, 130);
    assert_eq!(mended.signer(130), Some("a"), "c is lost; b is there, and revoked");
    assert_eq!(mended.state("b", 130), KeyState::Revoked);
    assert_ne!(mended.key("b").private, PrivateState::Present);
    assert_eq!(mended.manifest.lineage_floor, Some(second(120)));
}

/// I8 the other way: the store revoked a key in a life that the witness never saw.
#[test]
fn a_revocation_that_only_the_store_knows_is_kept() {
    let mut ring = Ring::begin(slow(), 100);
    ring.verb(EMERGENCY, 110);
    let mut other = Ring::of(ring.manifest.clone());
    other.verb(revoke("a"), 115);
    let buried = {
        let mut later = Ring::of(other.manifest.clone());
        later.verb(Verb::Prune, 118);
        later.manifest
    };
    for generation in 0..4 {
        ring.verb(Verb::SetPolicy(leeway(generation % 2)), 116 + generation);
    }
    for store in [&other.manifest, &buried] {
        let mended = repaired(&Store::at(store, &["a", "b"]), &ring.manifest, 130);
        assert_eq!(mended.state("a", 130), KeyState::Revoked);
        assert_ne!(mended.key("a").private, PrivateState::Present);
        assert_eq!(mended.signer(130), Some("b"));
        assert_eq!(mended.timeline(), "a@100 b@110", "it did sign then");
    }
}

/// What was to come of a key that the store revoked does not come; what was to come of others does.
#[test]
fn a_revocation_of_the_store_ends_what_lay_ahead_of_its_key_alone() {
    let mut ring = Ring::begin(slow(), 100);
    ring.verb(EMERGENCY, 110).verb(Verb::Rotate { mode: Mode::Scheduled(50), no_rollback: false }, 115);
    for (name, timeline) in [("a", "a@100 b@110 c@165"), ("c", "a@100 b@110")] {
        let (mut witness, mut other) = (Ring::of(ring.manifest.clone()), Ring::of(ring.manifest.clone()));
        other.verb(revoke(name), 116);
        witness.verb(Verb::SetPolicy(leeway(0)), 116).verb(Verb::SetPolicy(leeway(1)), 117);
        let mended = repaired(&Store::at(&other.manifest, &["a", "b", "c"]), &witness.manifest, 130);
        assert_eq!(mended.state(name, 130), KeyState::Revoked);
        assert_eq!(mended.timeline(), timeline);
    }
}

#[test]
fn a_rotation_in_flight_ends_only_with_its_own_key() {
    let mut ring = Ring::begin(slow(), 100);
    ring.verb(EMERGENCY, 110).verb(ROTATE, 115);
    for (name, goes_on) in [("a", true), ("c", false)] {
        let (mut witness, mut other) = (Ring::of(ring.manifest.clone()), Ring::of(ring.manifest.clone()));
        other.verb(revoke(name), 116);
        witness.verb(Verb::SetPolicy(leeway(0)), 116).verb(Verb::SetPolicy(leeway(1)), 117);
        let mended = repaired(&Store::at(&other.manifest, &["a", "b", "c"]), &witness.manifest, 130);
        assert_eq!(mended.manifest.operation.is_some(), goes_on, "{name}");
    }
}

/// A kid that the witness never knew, or has forgotten, stays gone.
#[test]
fn what_retired_in_the_store_is_remembered() {
    let mut ring = Ring::begin(slow(), 100);
    let mut other = Ring::of(ring.manifest.clone());
    other.verb(ROTATE, 110).verb(Verb::Rollback { to: None }, 111);
    assert_eq!(other.manifest.lookup(&kid("b"), second(111)), Lookup::Gone(End::Retired));
    for turn in 0..3 {
        ring.verb(Verb::SetPolicy(leeway(turn % 2)), 112 + turn);
    }
    let mended = repaired(&Store::at(&other.manifest, &["a"]), &ring.manifest, 120);
    assert_eq!(mended.manifest.lookup(&kid("b"), second(120)), Lookup::Gone(End::Retired));
}

/// I8: store and witness were both put back, and a live replica remembers. One that has not been heard of for
/// long is not asked.
#[test]
fn i8_what_only_a_live_replica_knows_to_be_revoked_is_revoked() {
    let mut ring = Ring::begin(slow(), 100);
    ring.verb(EMERGENCY, 110);
    let store = Store::at(&ring.manifest, &["a", "b"]);
    for (reported, state, floor) in
        [(120, KeyState::Revoked, Some(second(105))), (116, KeyState::VerifyOnly, None)]
    {
        let report = keystile_keyring::ReplicaReport {
            revoked: vec![kid("a"), kid("unheard-of")],
            lineage_floor: Some(second(105)),
            ..world::report("gateway-0", second(reported), &[])
        };
        let reports = [report];
        let remains = Remains { reports: &reports, ..store.remains() };
        let mended = Ring::of(repair(&remains, &ring.manifest, "olga", second(120)).unwrap().next);
        assert_eq!(mended.state("a", 120), state, "reported at {reported}");
        assert_eq!(mended.manifest.lineage_floor, floor);
        assert_eq!(mended.manifest.lookup(&kid("unheard-of"), second(120)), Lookup::Unknown);
    }
}

#[test]
fn a_repair_says_what_replicas_held_and_what_is_lost_with_it() {
    let mut ring = Ring::begin(slow(), 100);
    ring.verb(EMERGENCY, 110);
    let store = Store::at(&ring.manifest, &["a", "b"]);
    let said = |held| {
        let remains = Remains { held, ..store.remains() };
        let plan = repair(&remains, &ring.manifest, "olga", second(120)).unwrap();
        assert_eq!(plan.next.generation, held.max(2) + 1);
        (plan.impact.headline, plan.impact.warnings)
    };
    let head = |found: &str| format!("Would repair keyring test: {found}.");
    assert_eq!(said(0), (head("the store lost private keys"), vec![]));
    let one =
        "What the generation 2 that replicas hold changed is lost: tokens of keys made there are refused.";
    assert_eq!(said(2), (head("replicas hold another generation 2 than the store"), vec![one.to_owned()]));
    let many = "What generations 3 to 5 changed is lost: tokens of keys made there are refused.";
    assert_eq!(said(5), (head("replicas hold generation 5, the store 2"), vec![many.to_owned()]));
}

fn leeway(value: u64) -> PolicyChange {
    policy("leeway", value)
}

fn policy(name: &str, value: u64) -> PolicyChange {
    PolicyChange([(name.to_owned(), Some(value))].into())
}

/// A witness at generation 5 with a, b; a store that went another way from generation 2 on.
fn forked() -> (Ring, Ring) {
    let mut ring = Ring::begin(slow(), 100);
    ring.verb(EMERGENCY, 110);
    let mut other = Ring::of(ring.manifest.clone());
    for generation in 0..3 {
        ring.verb(Verb::SetPolicy(leeway(generation % 2)), 140 + generation);
    }
    other.commit(world::unwrap_change(other.plan(&world::request(EMERGENCY), 130).unwrap()));
    (ring, other)
}

/// Gateways that followed the store signed with a key that the witness had superseded long before.
#[test]
fn i1_where_a_store_went_on_from_a_backup_the_later_end_of_a_key_counts() {
    let mut witness = Ring::begin(slow(), 100);
    let mut store = Ring::of(witness.manifest.clone());
    witness.verb(EMERGENCY, 110);
    store.verb(Verb::SetPolicy(leeway(7)), 500);
    assert_eq!(store.manifest.generation, witness.manifest.generation);
    let minted = Token::forged("a", 590, 1590);
    let found = Store::at(&store.manifest, &["a", "b"]).accepting();
    let ring = repaired(&found, &witness.manifest, 600);
    assert_eq!(ring.signer(600), Some("b"));
    assert_eq!(verify(&ring.manifest, &minted, second(600)), Ok(()));
    // A store that only went back was followed by nobody: the witness's end stays.
    let backup = Ring::begin(slow(), 100).manifest;
    let ring = repaired(&Store::at(&backup, &["a", "b"]), &witness.manifest, 600);
    assert!(verify(&ring.manifest, &minted, second(600)).is_err());
}

/// Of the ends that two lives gave a key the later counts; one that had not come is no end.
#[test]
fn of_two_ends_of_a_key_the_later_counts() {
    let begun = || Ring::begin(slow(), 100);
    let end = |witness: &Ring, store: &Ring| {
        let found = Store::at(&store.manifest, &["a", "b", "c"]).accepting();
        let bounds = repaired(&found, &witness.manifest, 600).key("a").superseded.unwrap();
        (bounds.at, bounds.last_iat)
    };
    let ended = |at: u64| {
        let mut ring = begun();
        ring.verb(EMERGENCY, at);
        ring
    };
    assert_eq!(end(&ended(110), &ended(300)), (second(300), second(304)), "the store's");
    assert_eq!(end(&ended(300), &ended(110)), (second(300), second(304)), "the witness's");
    let mut ahead = begun();
    ahead.verb(Verb::Rotate { mode: Mode::Scheduled(200), no_rollback: false }, 500);
    assert_eq!(end(&ended(110), &ahead), (second(600), second(604)), "it signed until the repair");
}

/// Two lives superseded a key in the same second, and one of them let it sign longer tokens until then.
#[test]
fn of_two_ends_in_the_same_second_the_one_that_is_good_for_longer_counts() {
    let ended = |change| {
        let mut ring = Ring::begin(slow(), 100);
        ring.verb(EMERGENCY, 110).verb(Verb::SetPolicy(change), 111);
        ring
    };
    let end = |ring: &Ring| ring.key("a").superseded.unwrap();
    let (short, long) = (ended(leeway(0)), ended(policy("token_ttl", 2000)));
    assert_eq!(end(&short).last_iat, end(&long).last_iat);
    assert!(end(&short).accept_until < end(&long).accept_until, "{:?}", end(&long));
    for (witness, store) in [(&short, &long), (&long, &short)] {
        let found = Store::at(&store.manifest, &["a", "b"]).accepting();
        assert_eq!(end(&repaired(&found, &witness.manifest, 600)), end(&long));
    }
}

#[test]
fn keys_that_the_witness_never_saw_need_the_operators_word() {
    let (ring, other) = forked();
    let refusal = Store::at(&other.manifest, &["a", "b", "c"]).repair(&ring.manifest, 150).unwrap_err();
    assert_eq!(refusal.code, Code::UnknownKeysInStore);
    assert_eq!(refusal.found, "the store holds keys that the witness never saw: c");
    assert!(refusal.remedy.ends_with(&digest_of(&other.manifest).to_string()), "{}", refusal.remedy);
}

#[test]
fn keys_that_the_operator_accepts_verify_and_do_not_sign() {
    let (ring, other) = forked();
    let store = Store::at(&other.manifest, &["a", "b", "c"]).accepting();
    let mended = repaired(&store, &ring.manifest, 150);
    assert_eq!(mended.signer(150), Some("b"), "the witness's active key");
    assert_eq!(mended.state("c", 150), KeyState::VerifyOnly);
    assert_eq!(mended.key("a").superseded, ring.key("a").superseded);
    let good = Token::forged("c", 149, 1149);
    assert_eq!(verify(&mended.manifest, &good, second(150)), Ok(()));
    let forged = Token::forged("c", 155, 1155);
    assert!(verify(&mended.manifest, &forged, second(155)).is_err(), "signed after supersession");
}

#[test]
fn an_accepted_key_signs_where_nothing_else_can() {
    let (ring, other) = forked();
    let store = Store::at(&other.manifest, &["c"]).accepting();
    let mended = repaired(&store, &ring.manifest, 150);
    assert_eq!(mended.signer(150), Some("c"));
    assert_eq!(mended.state("b", 150), KeyState::VerifyOnly);
}

/// An orphan that only the other life had prepared is left behind, its private key with it.
#[test]
fn an_unknown_prepared_key_is_not_taken_over() {
    let mut ring = Ring::begin(slow(), 100);
    let mut other = Ring::of(ring.manifest.clone());
    other.verb(ROTATE, 110);
    ring.verb(Verb::SetPolicy(leeway(0)), 111).verb(Verb::SetPolicy(leeway(1)), 112);
    let mended = repaired(&Store::at(&other.manifest, &["a", "b"]), &ring.manifest, 120);
    assert_eq!((mended.manifest.keys.len(), mended.signer(120)), (1, Some("a")));
}

#[test]
fn a_lost_private_key_alone_is_repaired_without_a_backup() {
    let mut ring = Ring::begin(slow(), 100);
    ring.verb(EMERGENCY, 110);
    let store = Store::at(&ring.manifest, &["a"]);
    let plan = store.repair(&ring.manifest, 120).unwrap();
    assert_eq!(plan.impact.headline, "Would repair keyring test: the store lost private keys.");
    assert_eq!(plan.impact.warnings, ["Lost private keys, never to sign again: b."]);
    assert_eq!(Ring::of(plan.next).signer(120), Some("a"));
}

/// A request that the store had done is not done again after the repair.
#[test]
fn requests_of_both_lives_are_remembered() {
    let mut ring = Ring::begin(slow(), 100);
    let mut other = Ring::of(ring.manifest.clone());
    other.verb_with_id(Verb::SetPolicy(leeway(0)), "theirs", 110);
    ring.verb_with_id(Verb::SetPolicy(leeway(0)), "ours", 110).verb(Verb::SetPolicy(leeway(1)), 111);
    let mended = repaired(&Store::at(&other.manifest, &["a"]), &ring.manifest, 120);
    for id in ["ours", "theirs"] {
        let again = keystile_keyring::plan::Request {
            request_id: Some(id.parse().unwrap()),
            ..world::request(Verb::SetPolicy(leeway(0)))
        };
        assert!(matches!(mended.plan(&again, 130), Ok(Planned::Done(_))), "{id}");
    }
}

/// The rule of every plan holds here too: a clock far behind the last change is not trusted.
#[test]
fn a_clock_behind_the_witness_is_refused() {
    let mut ring = Ring::begin(slow(), 100);
    let backup = ring.manifest.clone();
    ring.verb(EMERGENCY, 200);
    let refusal = Store::at(&backup, &["a", "b"]).repair(&ring.manifest, 150).unwrap_err();
    assert_eq!(refusal.code, Code::ClockBehind);
}

/// The bounds count what either life prescribed: a fresh replica may have loaded the restored store.
#[test]
fn bounds_count_the_staleness_of_both_lives() {
    let mut ring = Ring::begin(Policy { max_staleness: 9, verify_staleness: 20, ..slow() }, 100);
    let backup = ring.manifest.clone();
    let lower = keystile_keyring::plan::PolicyChange([("max_staleness".to_owned(), Some(2))].into());
    ring.verb(Verb::SetPolicy(lower), 110).verb(EMERGENCY, 150);
    assert_eq!(ring.key("a").superseded.unwrap().last_iat, UnixTime(150 + 2 + 1 + 1));
    let mended = repaired(&Store::at(&backup, &["a"]), &ring.manifest, 160);
    assert_eq!(mended.key("b").superseded.unwrap().last_iat, UnixTime(160 + 9 + 1 + 1));
}
