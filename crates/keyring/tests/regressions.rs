//! Defects that were found, each as the shortest story that shows it.

mod world;

use keystile_keyring::manifest::{End, Lifetime};
use keystile_keyring::plan::{Adoption, Mode, Planned, PolicyChange, Verb, adopt};
use keystile_keyring::{Code, KeyState, Lookup, Policy};

use world::{Ring, candidate, gateway, kid, second, small};

const EMERGENCY: Verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };

fn set(member: &str, value: u64) -> Verb {
    Verb::SetPolicy(PolicyChange([(member.to_owned(), Some(value))].into()))
}

fn retire(name: &str, at: Option<u64>, force: bool) -> Verb {
    Verb::Retire { kid: kid(name), at: at.map(second), force }
}

fn accept_until(ring: &Ring, name: &str) -> Option<u64> {
    ring.key(name).superseded.and_then(|superseded| superseded.accept_until).map(|until| until.0)
}

/// `set-policy` computed the end of a just superseded key anew, and lost the one set by hand.
#[test]
fn a_forced_end_survives_a_raise_of_the_ttl() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110).verb(retire("a", None, true), 110);
    assert_eq!(accept_until(&ring, "a"), Some(110));
    ring.verb(set("token_ttl", 9), 110);
    assert_eq!(accept_until(&ring, "a"), Some(110), "the raise moves ends that follow from the TTL only");
    assert_eq!(ring.state("a", 111), KeyState::Retired);
}

/// `set-policy` took the deadline of an unbounded key away, whatever it changed.
#[test]
fn a_deadline_survives_a_change_of_policy() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(set("token_ttl", 0), 105).verb(EMERGENCY, 110);
    assert_eq!(accept_until(&ring, "a"), None);
    ring.verb(retire("a", Some(150), false), 110).verb(set("leeway", 2), 111);
    assert_eq!(accept_until(&ring, "a"), Some(150));
}

/// The end that follows from the TTL does move with it, and goes when tokens need not expire.
#[test]
fn a_computed_end_moves_with_a_raise() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    assert_eq!(accept_until(&ring, "a"), Some(110 + 2 + 1 + 1 + 4 + 1));
    ring.verb(set("token_ttl", 9), 111);
    assert_eq!(accept_until(&ring, "a"), Some(110 + 2 + 1 + 1 + 9 + 1));
    ring.verb(set("token_ttl", 0), 111);
    assert_eq!(accept_until(&ring, "a"), None);
}

/// `prune` removed a revoked successor's entry from the timeline, and with it the end of its
/// predecessor's window: a key whose window an operator had ended verified again.
#[test]
fn burying_a_successor_does_not_open_its_predecessors_window() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110).verb(retire("a", Some(113), true), 111);
    ring.verb(Verb::Revoke { kid: kid("b"), descendants: false }, 112).verb(Verb::Prune, 114);
    assert!(ring.manifest.key(&kid("b")).is_none(), "b is buried");
    assert_eq!(ring.state("a", 114), KeyState::Retired);
}

/// The same while the predecessor's window is still open: it ends when it was to end.
#[test]
fn burying_a_successor_does_not_lengthen_its_predecessors_window() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    let bounds = ring.key("a").superseded;
    ring.verb(Verb::Revoke { kid: kid("b"), descendants: false }, 112).verb(Verb::Prune, 114);
    assert_eq!((ring.timeline().as_str(), ring.key("a").superseded), ("a@100 c@112", bounds));
}

/// `extend` moved every window, also those that earlier plans had bounded right or an operator ended.
#[test]
fn extend_moves_only_what_the_late_plan_bounded() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110).verb(EMERGENCY, 112);
    let (a, b) = (ring.key("a").superseded.unwrap(), ring.key("b").superseded.unwrap());
    ring.verb(Verb::Extend { excess: 5, planned_at: second(112) }, 118);
    assert_eq!(ring.key("a").superseded, Some(a));
    let later = ring.key("b").superseded.unwrap();
    assert_eq!((later.at, later.last_iat), (b.at, b.last_iat.plus(5)));
    assert_eq!(later.accept_until, b.accept_until.map(|until| until.plus(5)));
}

/// A plan that landed so late that its windows had run out by then: its tokens are good all the same.
#[test]
fn extend_opens_a_window_that_ran_out_before_the_plan_landed() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    assert_eq!(ring.state("a", 140), KeyState::Retired);
    ring.verb(Verb::Extend { excess: 29, planned_at: second(110) }, 140);
    assert_eq!(ring.state("a", 140), KeyState::VerifyOnly);
}

/// The former maxima counted from the plan; a replica holds the former generation from its landing on.
#[test]
fn extend_lets_former_maxima_count_for_longer() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(set("max_staleness", 1), 110);
    let until = ring.manifest.policy_before.unwrap().until;
    ring.verb(Verb::Extend { excess: 20, planned_at: second(110) }, 131);
    assert_eq!(ring.manifest.policy_before.unwrap().until, until.plus(20));
    assert_eq!(ring.manifest.maxima(second(131)).staleness, 2);
}

/// `retire --force` with an instant after the end lengthened the window.
#[test]
fn retire_does_not_lengthen_a_window_that_ends_by_itself() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110);
    for force in [false, true] {
        let planned = ring.try_verb(retire("a", Some(500), force), 111).unwrap();
        let Planned::Nothing(why) = planned else { panic!("found {planned:?}") };
        assert_eq!(why, "a retires by itself in 8 s, no later than the instant given");
    }
}

/// `revoke --descendants` on a key that was revoked before, while it signed, set the floor at the
/// second command: everybody who had bootstrapped again in between was thrown out.
#[test]
fn descendants_of_a_key_revoked_before_are_those_of_its_good_time() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(Verb::Revoke { kid: kid("a"), descendants: false }, 110);
    ring.verb(Verb::Revoke { kid: kid("a"), descendants: true }, 150);
    assert_eq!(ring.manifest.lineage_floor, Some(second(110)));
}

/// The floor of a superseded key may rise once more, to its last_iat, and no further.
#[test]
fn the_floor_of_a_superseded_key_rises_to_its_last_iat() {
    let mut ring = Ring::begin(small(), 100);
    let revoke = Verb::Revoke { kid: kid("a"), descendants: true };
    ring.verb(EMERGENCY, 110).verb(revoke.clone(), 111);
    assert_eq!(ring.manifest.lineage_floor, Some(second(111)));
    ring.verb(revoke.clone(), 112).verb(revoke.clone(), 200);
    assert_eq!(ring.manifest.lineage_floor, Some(second(110 + 2 + 1 + 1)));
    assert!(matches!(ring.try_verb(revoke, 300), Ok(Planned::Nothing(_))));
}

/// `revoke --descendants` on a key that had never signed threw out the whole fleet.
#[test]
fn nothing_descends_from_a_key_that_never_signed() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(Verb::Prepare { no_rollback: false }, 110);
    ring.verb(Verb::Revoke { kid: kid("b"), descendants: true }, 111);
    assert_eq!(ring.manifest.lineage_floor, None);
}

/// The deadline of an adopted key of unknown past cut off what the keyring itself had minted with it.
#[test]
fn the_deadline_of_an_adopted_key_spares_what_the_keyring_minted() {
    let adoption = Adoption { longest_token: Lifetime::Unbounded };
    let plan = adopt(gateway(), small(), &candidate("a"), adoption, "olga", second(100)).unwrap();
    let mut ring = Ring::of(plan.next);
    ring.verb(EMERGENCY, 110);
    let end = 110 + 2 + 1 + 1 + 4 + 1;
    let refusal = ring.refusal(retire("a", Some(end - 1), false), 111);
    assert_eq!(refusal.code, Code::LiveTokens);
    ring.verb(retire("a", Some(end), false), 111);
    assert_eq!(accept_until(&ring, "a"), Some(end));
}

fn revoke(name: &str) -> Verb {
    Verb::Revoke { kid: kid(name), descendants: false }
}

/// A revocation was refused as "keyring full" when another one, or an emergency, had just taken the
/// place kept for it.
#[test]
fn a_revocation_always_finds_room() {
    let mut ring = Ring::begin(Policy { max_keys: 3, ..small() }, 100);
    ring.verb(EMERGENCY, 110).verb(EMERGENCY, 110);
    assert_eq!(ring.refusal(EMERGENCY, 110).code, Code::KeyringFull);
    ring.verb(revoke("c"), 110).verb(revoke("d"), 110).verb(revoke("e"), 110);
    assert_eq!(ring.signer(110), Some("f"));
    assert_eq!(ring.state("b", 110), KeyState::VerifyOnly);
    for gone in ["c", "d", "e"] {
        assert_eq!(ring.manifest.lookup(&kid(gone), second(109)), Lookup::Gone(End::Revoked));
    }
    assert_eq!(ring.signer(109), Some("f"), "on a slower clock too");
}

/// The same where max_keys was lowered below what the keyring holds.
#[test]
fn a_revocation_finds_room_where_max_keys_was_lowered() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110).verb(EMERGENCY, 110).verb(EMERGENCY, 110).verb(set("max_keys", 3), 110);
    ring.verb(revoke("d"), 110);
    assert_eq!((ring.signer(110), ring.manifest.keys.len()), (Some("e"), 4));
}

/// "Wait 0 s" was the advice of a full keyring whose oldest key had retired.
#[test]
fn a_full_keyring_names_the_key_that_goes_first() {
    let mut ring = Ring::begin(Policy { max_keys: 3, ..small() }, 100);
    ring.verb(EMERGENCY, 110);
    let waiting = ring.refusal(Verb::Prepare { no_rollback: false }, 111);
    assert_eq!(waiting.remedy, "wait 10 s until a can be removed, then run: keystile prune");
    let ended = ring.refusal(Verb::Prepare { no_rollback: false }, 121);
    assert_eq!(ended.remedy, "remove a, which has ended: keystile prune");
    ring.verb(Verb::Prune, 121).verb(Verb::Prepare { no_rollback: false }, 121);
}

/// A replacement that was to sign anyhow stood twice at the same instant.
#[test]
fn a_replacement_with_an_activation_ahead_is_not_activated_twice_there() {
    let mut ring = Ring::begin(small(), 100);
    let scheduled = Verb::Rotate { mode: Mode::Scheduled(10), no_rollback: false };
    ring.verb(scheduled, 110).verb(revoke("a"), 115);
    assert_eq!(ring.timeline(), "a@100 b@115 b@120");
}

/// A key that was found stolen after it had gone could not be followed to its descendants.
#[test]
fn descendants_of_a_key_that_is_gone_are_refused_too() {
    let mut ring = Ring::begin(small(), 100);
    ring.verb(EMERGENCY, 110).verb(Verb::Prune, 130);
    let revoke = |descendants| Verb::Revoke { kid: kid("a"), descendants };
    assert_eq!(ring.refusal(revoke(false), 131).code, Code::KeyRetired);
    ring.verb(revoke(true), 131);
    assert_eq!(ring.manifest.lineage_floor, Some(second(110 + 4 + 4 + 1)), "when its window ended");
    assert!(matches!(ring.try_verb(revoke(true), 140), Ok(Planned::Nothing(_))));
    ring.verb(Verb::Revoke { kid: kid("b"), descendants: false }, 150).verb(Verb::Prune, 152);
    let again = ring.try_verb(Verb::Revoke { kid: kid("b"), descendants: false }, 153).unwrap();
    assert_eq!(again, Planned::Nothing("key b was revoked before".to_owned()));
}
