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
