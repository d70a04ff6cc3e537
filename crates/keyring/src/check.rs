//! The invariants of a manifest, checked on whatever comes out of a store or a plan.

use std::collections::HashSet;

use crate::ident::Kid;
use crate::manifest::{Manifest, PrivateState, limits};
use crate::policy::PolicyBefore;
use crate::time::UnixTime;

/// Which invariant does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Generations start at 1.
    #[error("generation is 0; the first is 1")]
    GenerationZero,
    /// A reader of JSON may lose its last digits.
    #[error("generation is {0}; expected at most {max}", max = limits::GENERATION)]
    GenerationTooLarge(u64),
    /// A policy member is out of its range.
    #[error(transparent)]
    Policy(#[from] crate::policy::PolicyError),
    /// A list is longer than its limit.
    #[error("{list} has {found} entries; expected 1 to {max}")]
    Count {
        /// Which list.
        list: &'static str,
        /// Its length.
        found: usize,
        /// Its limit.
        max: usize,
    },
    /// A text is longer than its limit.
    #[error("a text of {found} bytes in {list}; expected at most {}", limits::TEXT_BYTES)]
    Text {
        /// Which list.
        list: &'static str,
        /// Its length in bytes.
        found: usize,
    },
    /// Two entries are for one kid.
    #[error("kid {0} stands twice in the keys and tombstones")]
    KidTwice(Kid),
    /// Two keys are one key.
    #[error("keys {0} and {1} have the same public key")]
    PublicKeyTwice(Kid, Kid),
    /// An activation, or the operation, names a kid that no key has.
    #[error("the {place} names {kid}, which the keyring does not hold")]
    Dangling {
        /// Where it stands.
        place: &'static str,
        /// The kid.
        kid: Kid,
    },
    /// The timeline goes back in time.
    #[error("the timeline goes back from {0} to {1}")]
    TimelineDescends(UnixTime, UnixTime),
    /// A key that signs in the end, or never, has bounds of a superseded one, or the reverse.
    #[error("key {0} and its bounds do not agree: {1}")]
    Bounds(Kid, &'static str),
    /// Nothing signs at an instant.
    #[error("no key signs at {0}")]
    NoSigner(UnixTime),
    /// The key that signs at an instant cannot.
    #[error("key {0} is to sign at {1}, and its private key is destroyed")]
    SignerWithoutPrivateKey(Kid, UnixTime),
    /// A history entry is of a later generation than the manifest.
    #[error("the history does not end with generation {0}")]
    History(u64),
}

/// Whether the manifest is well-formed: what must hold at every instant.
pub fn structure(manifest: &Manifest) -> Result<(), Violation> {
    if manifest.generation == 0 {
        return Err(Violation::GenerationZero);
    }
    if manifest.generation > limits::GENERATION {
        return Err(Violation::GenerationTooLarge(manifest.generation));
    }
    manifest.policy.check()?;
    manifest.policy_before.map_or(Ok(()), PolicyBefore::check)?;
    counts(manifest)?;
    names(manifest)?;
    timeline(manifest)?;
    manifest.keys.iter().try_for_each(|key| bounds(manifest, &key.kid))
}

/// What must hold of every plan from `now` on: at each instant exactly one key is active (I1), it is
/// not revoked (I8), and its private key is present.
pub fn postcondition(manifest: &Manifest, now: UnixTime) -> Result<(), Violation> {
    structure(manifest)?;
    let ahead = manifest.timeline.iter().map(|activation| activation.from).filter(|from| *from > now);
    for instant in std::iter::once(now).chain(ahead) {
        let key = manifest.active_at(instant).ok_or(Violation::NoSigner(instant))?;
        if key.private != PrivateState::Present {
            return Err(Violation::SignerWithoutPrivateKey(key.kid.clone(), instant));
        }
    }
    Ok(())
}

fn counts(manifest: &Manifest) -> Result<(), Violation> {
    let lists = [
        ("keys", manifest.keys.len(), 1, limits::KEYS),
        ("timeline", manifest.timeline.len(), 1, limits::ACTIVATIONS),
        ("tombstones", manifest.tombstones.len(), 0, limits::TOMBSTONES),
        ("requests", manifest.requests.len(), 0, limits::REQUESTS),
        ("history", manifest.history.len(), 1, limits::HISTORY),
    ];
    for (list, found, min, max) in lists {
        if !(min..=max).contains(&found) {
            return Err(Violation::Count { list, found, max });
        }
    }
    let history = manifest.history.iter().flat_map(|change| [Some(&change.actor), change.reason.as_ref()]);
    let revoked = manifest.keys.iter().map(|key| key.revoked.as_ref().map(|revoked| &revoked.reason));
    for (list, text) in history.map(|text| ("history", text)).chain(revoked.map(|text| ("keys", text))) {
        if let Some(found) = text.map(String::len).filter(|found| *found > limits::TEXT_BYTES) {
            return Err(Violation::Text { list, found });
        }
    }
    match manifest.history.last() {
        Some(last) if last.generation == manifest.generation => Ok(()),
        _ => Err(Violation::History(manifest.generation)),
    }
}

fn names(manifest: &Manifest) -> Result<(), Violation> {
    let mut seen = HashSet::new();
    let held = manifest.keys.iter().map(|key| &key.kid);
    let gone = manifest.tombstones.iter().map(|stone| &stone.kid);
    if let Some(twice) = held.chain(gone).find(|kid| !seen.insert(*kid)) {
        return Err(Violation::KidTwice(twice.clone()));
    }
    for (index, key) in manifest.keys.iter().enumerate() {
        if let Some(same) = manifest.keys[..index].iter().find(|other| other.public_key == key.public_key) {
            return Err(Violation::PublicKeyTwice(same.kid.clone(), key.kid.clone()));
        }
    }
    let signers = manifest.timeline.iter().map(|activation| ("timeline", &activation.kid));
    let operation = manifest
        .operation
        .iter()
        .flat_map(|operation| [("operation", &operation.from_kid), ("operation", &operation.to_kid)]);
    match signers.chain(operation).find(|(_, kid)| manifest.key(kid).is_none()) {
        Some((place, kid)) => Err(Violation::Dangling { place, kid: kid.clone() }),
        None => Ok(()),
    }
}

fn timeline(manifest: &Manifest) -> Result<(), Violation> {
    match manifest.timeline.windows(2).find(|pair| pair[0].from > pair[1].from) {
        Some(pair) => Err(Violation::TimelineDescends(pair[0].from, pair[1].from)),
        None => Ok(()),
    }
}

fn bounds(manifest: &Manifest, kid: &Kid) -> Result<(), Violation> {
    let Some(key) = manifest.key(kid).filter(|key| key.revoked.is_none()) else {
        return Ok(());
    };
    let broken = |why| Err(Violation::Bounds(kid.clone(), why));
    match (manifest.last_period_end(kid), key.superseded) {
        (None, Some(_)) => broken("it is bounded, and no activation supersedes it"),
        (Some(_), None) => broken("an activation supersedes it, and it is not bounded"),
        (Some(_), Some(superseded)) if superseded.last_iat < superseded.at => {
            broken("last_iat is before its supersession")
        }
        (Some(_), Some(superseded))
            if superseded.accept_until.is_none() && key.bounded_lifetime().is_some() =>
        {
            broken("its tokens end, and its window does not")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Activation, DoneRequest, End, Operation, Revoked, Tombstone};
    use crate::testing::{at, kid, ring, ring_of};

    fn stone(name: &str) -> Tombstone {
        Tombstone { kid: kid(name), end: End::Retired, at: at(1), named_until: None }
    }

    fn operation(from: &str, to: &str) -> Operation {
        Operation {
            id: "rotation-2".to_owned(),
            request_id: None,
            started_at: at(1),
            from_kid: kid(from),
            to_kid: kid(to),
            no_rollback: false,
        }
    }

    /// The violation that `damage` makes of a sound manifest: `a` signed from 1000 to 2000, `b` since.
    #[track_caller]
    fn violation(damage: impl FnOnce(&mut Manifest)) -> Violation {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        assert_eq!(structure(&manifest), Ok(()));
        damage(&mut manifest);
        structure(&manifest).unwrap_err()
    }

    #[test]
    fn a_generation_is_between_its_limits() {
        assert_eq!(violation(|manifest| manifest.generation = 0), Violation::GenerationZero);
        let too_large = limits::GENERATION + 1;
        assert_eq!(
            violation(|manifest| manifest.generation = too_large),
            Violation::GenerationTooLarge(too_large)
        );
        let mut last = ring();
        (last.generation, last.history[0].generation) = (limits::GENERATION, limits::GENERATION);
        assert_eq!(structure(&last), Ok(()));
    }

    #[test]
    fn the_policy_and_the_former_maxima_are_within_their_ranges() {
        assert!(matches!(violation(|manifest| manifest.policy.max_skew = 301), Violation::Policy(_)));
        let former = PolicyBefore { staleness: u64::MAX, skew: 1, verifier_cache: 1, until: at(1) };
        assert!(matches!(violation(|manifest| manifest.policy_before = Some(former)), Violation::Policy(_)));
    }

    #[test]
    fn every_list_has_its_limit() {
        let count = |list, found, max| Violation::Count { list, found, max };
        let many = |number: usize| (0..number).map(|number| stone(&format!("old-{number}"))).collect();
        let done = |id: &str| DoneRequest {
            request_id: id.parse().unwrap(),
            verb: "prune".to_owned(),
            generation: 1,
            at: at(1),
            kid: None,
        };
        assert_eq!(violation(|manifest| manifest.keys.clear()), count("keys", 0, 8));
        assert_eq!(violation(|manifest| manifest.timeline.clear()), count("timeline", 0, 64));
        assert_eq!(violation(|manifest| manifest.tombstones = many(257)), count("tombstones", 257, 256));
        assert_eq!(
            violation(|manifest| manifest.requests = (0..257).map(|id| done(&id.to_string())).collect()),
            count("requests", 257, 256)
        );
        assert_eq!(violation(|manifest| manifest.history.clear()), count("history", 0, 64));
        let too_many = |manifest: &mut Manifest| {
            let key = manifest.keys[0].clone();
            manifest.keys.resize(9, key);
        };
        assert_eq!(violation(too_many), count("keys", 9, 8));
        let message = count("keys", 9, 8).to_string();
        assert_eq!(message, "keys has 9 entries; expected 1 to 8");
    }

    #[test]
    fn texts_have_their_limit() {
        let long = "x".repeat(257);
        let text = |list| Violation::Text { list, found: 257 };
        assert_eq!(violation(|manifest| manifest.history[0].actor = long.clone()), text("history"));
        assert_eq!(violation(|manifest| manifest.history[0].reason = Some(long.clone())), text("history"));
        let revoked = Revoked { at: at(1), reason: long.clone() };
        assert_eq!(violation(|manifest| manifest.keys[0].revoked = Some(revoked)), text("keys"));
        let mut longest = ring();
        longest.history[0].actor = "x".repeat(limits::TEXT_BYTES);
        assert_eq!(structure(&longest), Ok(()));
    }

    #[test]
    fn the_history_ends_with_the_generation() {
        assert_eq!(violation(|manifest| manifest.generation = 2), Violation::History(2));
    }

    #[test]
    fn a_kid_stands_once_among_keys_and_tombstones() {
        let twice = Violation::KidTwice(kid("a"));
        assert_eq!(violation(|manifest| manifest.tombstones.push(stone("a"))), twice);
        assert_eq!(violation(|manifest| manifest.keys[1].kid = kid("a")), twice);
        let stones = |manifest: &mut Manifest| manifest.tombstones = vec![stone("z"), stone("z")];
        assert_eq!(violation(stones), Violation::KidTwice(kid("z")));
    }

    #[test]
    fn two_kids_are_two_keys() {
        let same = |manifest: &mut Manifest| manifest.keys[1].public_key = manifest.keys[0].public_key;
        assert_eq!(violation(same), Violation::PublicKeyTwice(kid("a"), kid("b")));
    }

    #[test]
    fn whatever_is_named_is_held() {
        let dangling = |place| Violation::Dangling { place, kid: kid("z") };
        let entry = Activation { from: at(3000), kid: kid("z") };
        assert_eq!(violation(|manifest| manifest.timeline.push(entry)), dangling("timeline"));
        assert_eq!(
            violation(|manifest| manifest.operation = Some(operation("b", "z"))),
            dangling("operation")
        );
        assert_eq!(
            violation(|manifest| manifest.operation = Some(operation("z", "a"))),
            dangling("operation")
        );
    }

    #[test]
    fn the_timeline_ascends_and_equal_instants_are_allowed() {
        assert_eq!(
            violation(|manifest| manifest.timeline[0].from = at(2001)),
            Violation::TimelineDescends(at(2001), at(2000))
        );
        assert_eq!(structure(&ring_of(&[("a", 1000), ("b", 2000), ("a", 2000)])), Ok(()));
    }

    #[test]
    fn bounds_and_timeline_agree() {
        let of = |name| move |why| Violation::Bounds(kid(name), why);
        let bounds = ring_of(&[("a", 1000), ("b", 2000)]).keys[0].superseded;
        assert_eq!(
            violation(|manifest| manifest.keys[1].superseded = bounds),
            of("b")("it is bounded, and no activation supersedes it")
        );
        assert_eq!(
            violation(|manifest| manifest.keys[0].superseded = None),
            of("a")("an activation supersedes it, and it is not bounded")
        );
        let early = |manifest: &mut Manifest| {
            manifest.keys[0].superseded.as_mut().unwrap().last_iat = at(1999);
        };
        assert_eq!(violation(early), of("a")("last_iat is before its supersession"));
        let mut at_once = ring_of(&[("a", 1000), ("b", 2000)]);
        at_once.keys[0].superseded.as_mut().unwrap().last_iat = at(2000);
        assert_eq!(structure(&at_once), Ok(()));
        let open =
            |manifest: &mut Manifest| manifest.keys[0].superseded.as_mut().unwrap().accept_until = None;
        assert_eq!(violation(open), of("a")("its tokens end, and its window does not"));
    }

    #[test]
    fn a_revoked_key_needs_no_bounds_and_an_unbounded_one_no_end() {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        manifest.keys[0].superseded.as_mut().unwrap().accept_until = None;
        manifest.keys[0].never_expires = true;
        assert_eq!(structure(&manifest), Ok(()));
        manifest.keys[0].superseded = None;
        manifest.keys[0].revoked = Some(Revoked { at: at(1500), reason: "lost".to_owned() });
        assert_eq!(structure(&manifest), Ok(()));
    }

    #[test]
    fn a_plan_leaves_a_signer_at_every_instant_ahead() {
        let manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        assert_eq!(postcondition(&manifest, at(1000)), Ok(()));
        assert_eq!(postcondition(&manifest, at(999)), Err(Violation::NoSigner(at(999))));
    }

    #[test]
    fn a_plan_leaves_no_revoked_signer() {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        manifest.keys[1].revoked = Some(Revoked { at: at(1500), reason: "lost".to_owned() });
        assert_eq!(postcondition(&manifest, at(1600)), Err(Violation::NoSigner(at(2000))));
    }

    #[test]
    fn a_plan_leaves_no_signer_without_its_private_key() {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        manifest.keys[1].private = PrivateState::DestroyedAt(at(1));
        let violation = postcondition(&manifest, at(1500)).unwrap_err();
        assert_eq!(violation, Violation::SignerWithoutPrivateKey(kid("b"), at(2000)));
        assert_eq!(violation.to_string(), "key b is to sign at 2000, and its private key is destroyed");
        manifest.keys[0].private = PrivateState::DestroyedAt(at(1));
        manifest.keys[1].private = PrivateState::Present;
        assert_eq!(postcondition(&manifest, at(2000)), Ok(()), "a signs no more");
    }

    #[test]
    fn a_fresh_keyring_is_sound() {
        assert_eq!(postcondition(&ring(), at(1000)), Ok(()));
    }
}
