//! The invariants, each as one assertion.

use std::collections::BTreeSet;

use keystile_keyring::manifest::{End, Key, Lifetime, PrivateState};
use keystile_keyring::plan::Plan;
use keystile_keyring::{KeyState, Kid, Lookup, Manifest, UnixTime};

use crate::world::{World, digest_of};

/// How far the clocks of these worlds differ, whatever policy allows.
const SKEW: u64 = 1;

/// I1: from the plan's instant on, on every clock, exactly one key is active; it is not revoked, and
/// its private key is present.
pub(crate) fn one_signer(next: &Manifest, planned_at: UnixTime) {
    one_signer_from(next, planned_at.minus(SKEW));
}

/// The same from `from` on only: a repair cannot give slower clocks a private key that is lost.
pub(crate) fn one_signer_from(next: &Manifest, from: UnixTime) {
    let first = next.timeline.first().map_or(UnixTime::EPOCH, |first| first.from);
    let last = next.timeline.last().map_or(UnixTime::EPOCH, |last| last.from);
    for instant in (from.max(first).0..=last.max(from).plus(3).0).map(UnixTime) {
        let active: Vec<_> =
            next.keys.iter().filter(|key| next.state_of(key, instant) == KeyState::Active).collect();
        let [signer] = active.as_slice() else {
            panic!("I1: {} keys are active at {instant}", active.len());
        };
        assert!(signer.revoked.is_none(), "I8: {} signs at {instant} and is revoked", signer.kid);
        assert_eq!(signer.private, PrivateState::Present, "{} signs at {instant}", signer.kid);
    }
}

/// I2: no key signs that a replica within its staleness has never heard of.
pub(crate) fn everybody_knows(world: &World, kid: &Kid) {
    for index in (0..world.replicas.len()).filter(|index| world.is_fresh(*index)) {
        let known = world.held(index).lookup(kid, world.clock(0)) != Lookup::Unknown;
        assert!(known, "I2: {kid} signs at {}, and replica {index} never heard of it", world.now);
    }
}

/// I5: a plan follows the manifest it was made from.
pub(crate) fn succession(before: &Manifest, plan: &Plan) {
    assert_eq!(plan.next.generation, before.generation + 1);
    assert_eq!(plan.next.previous, Some(digest_of(before)));
    assert_eq!(plan.next.history.last().map(|change| change.generation), Some(plan.next.generation));
    let bytes = plan.next.to_json().expect("a plan can be stored");
    assert_eq!(Manifest::from_json(&bytes).as_ref(), Ok(&plan.next), "what is stored is what was planned");
}

/// I8: `revoked` is final.
pub(crate) fn revoked_stays_revoked(before: &Manifest, next: &Manifest) {
    let held = before.keys.iter().filter(|key| key.revoked.is_some()).map(|key| &key.kid);
    let gone = before.tombstones.iter().filter(|stone| stone.end == End::Revoked).map(|stone| &stone.kid);
    for kid in held.chain(gone) {
        match next.lookup(kid, UnixTime::EPOCH) {
            Lookup::Held(_, KeyState::Revoked) | Lookup::Gone(End::Revoked) => {}
            other => panic!("I8: {kid} was revoked and is now {other:?}"),
        }
    }
    assert!(next.lineage_floor >= before.lineage_floor, "I8: the floor of lineages went down");
}

/// When the last token of a superseded key that expires has expired.
pub(crate) fn end_of_tokens(key: &Key) -> Option<UnixTime> {
    match key.longest_token {
        Lifetime::Bounded(longest) => Some(key.superseded?.last_iat.plus(longest)),
        Lifetime::Unbounded => None,
    }
}

/// I4: a window that has run out stays shut.
pub(crate) fn retired_stays_retired(before: &Manifest, plan: &Plan) {
    let now = plan.planned_at;
    for key in before.keys.iter().filter(|key| before.state_of(key, now) == KeyState::Retired) {
        match plan.next.lookup(&key.kid, now) {
            Lookup::Held(_, KeyState::Retired | KeyState::Revoked) | Lookup::Gone(_) => {}
            other => panic!("I4: {} had retired, and {} made it {other:?}", key.kid, plan.verb),
        }
    }
    let kids: BTreeSet<_> = plan.next.keys.iter().map(|key| &key.kid).collect();
    assert_eq!(kids.len(), plan.next.keys.len(), "one kid, one key");
}
