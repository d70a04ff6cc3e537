//! Repair of a store that went back: a backup was restored, a Secret was put back.
//!
//! The witness knows better. One new generation follows both, in which every public key that is
//! neither revoked nor retired verifies again.

use std::collections::BTreeSet;

use crate::check;
use crate::ident::{Digest, Kid};
use crate::manifest::{Activation, Change, End, Key, Manifest, PrivateState, limits};
use crate::plan::draft::would_break;
use crate::plan::room::{fit, new_key};
use crate::plan::windows::{bound, raise_lifetime};
use crate::plan::{Base, Candidate, Impact, Plan, Step};
use crate::refusal::{Code, Refusal};
use crate::state::KeyState;
use crate::time::UnixTime;

/// What is left in a store that went back.
#[derive(Clone, Copy, Debug)]
pub struct Remains<'a> {
    /// The manifest found in the store.
    pub manifest: &'a Manifest,
    /// Its digest.
    pub digest: Digest,
    /// Kids whose private key is there.
    pub private: &'a BTreeSet<Kid>,
    /// The digest that the operator accepts unknown keys of, if one was given.
    pub accepted: Option<Digest>,
    /// A fresh key that is to sign: what `rotate --emergency` brings.
    pub fresh: Option<&'a Candidate>,
}

/// The generation that follows both the store's and the witness's.
pub fn repair(
    remains: &Remains<'_>,
    witness: &Manifest,
    actor: &str,
    now: UnixTime,
) -> Result<Plan, Refusal> {
    let now = now.max(witness.changed_at()).max(remains.manifest.changed_at());
    let mut next = witness.clone();
    next.generation = witness.generation.max(remains.manifest.generation).saturating_add(1);
    next.previous = Some(remains.digest);
    keep_revocations(&mut next, remains.manifest)?;
    take_unknown_keys(&mut next, remains, now)?;
    for key in &mut next.keys {
        let lost = key.private == PrivateState::Present && !remains.private.contains(&key.kid);
        if lost {
            key.private = PrivateState::DestroyedAt(now);
        }
    }
    drop_lost_operation(&mut next, now);
    let signer = match remains.fresh {
        Some(fresh) => take_fresh_key(&mut next, fresh, now)?,
        None => signer(&next, now)?,
    };
    sign_with(&mut next, &signer, now);
    next.history.push(Change {
        generation: next.generation,
        at: now,
        verb: "reconcile".to_owned(),
        actor: actor.to_owned(),
        reason: Some(format!("the store went back to generation {}", remains.manifest.generation)),
        request_id: None,
    });
    fit(&mut next)?;
    check::postcondition(&next, now).map_err(|violation| would_break(&violation))?;
    let impact = statement(remains.manifest, witness, &next, &signer, now);
    let base = Base { generation: remains.manifest.generation, digest: remains.digest };
    Ok(Plan {
        verb: "reconcile",
        planned_at: now,
        base: Some(base),
        next,
        takes_candidate: remains.fresh.is_some(),
        impact,
    })
}

fn take_fresh_key(next: &mut Manifest, fresh: &Candidate, now: UnixTime) -> Result<Kid, Refusal> {
    if next.key(&fresh.kid).is_some() || next.tombstone(&fresh.kid).is_some() {
        let found = format!("kid {} is, or was, the kid of another key of this keyring", fresh.kid);
        return Err(Refusal::new(Code::KidReused, found, "let Keystile make another key"));
    }
    next.keys.push(new_key(fresh, now));
    Ok(fresh.kid.clone())
}

/// `revoked` wins over every older manifest, whichever of the two knows of it (I8).
fn keep_revocations(next: &mut Manifest, store: &Manifest) -> Result<(), Refusal> {
    let revoked = store.keys.iter().filter_map(|key| key.revoked.clone().map(|revoked| (&key.kid, revoked)));
    for (kid, revoked) in revoked {
        if let Some(key) = next.key_mut(kid) {
            key.revoked.get_or_insert(revoked);
        }
    }
    next.lineage_floor = next.lineage_floor.max(store.lineage_floor);
    let new: Vec<_> = store
        .tombstones
        .iter()
        .filter(|stone| next.tombstone(&stone.kid).is_none() && next.key(&stone.kid).is_none())
        .cloned()
        .collect();
    next.tombstones.extend(new);
    if next.tombstones.len() > limits::TOMBSTONES {
        return Err(Refusal::new(
            Code::ManifestFull,
            "store and witness together remember too many kids as gone",
            "restore the newest backup of the store, then run the command again",
        ));
    }
    Ok(())
}

fn take_unknown_keys(next: &mut Manifest, remains: &Remains<'_>, now: UnixTime) -> Result<(), Refusal> {
    let unknown: Vec<&Key> = remains
        .manifest
        .keys
        .iter()
        .filter(|key| {
            key.revoked.is_none() && next.key(&key.kid).is_none() && next.tombstone(&key.kid).is_none()
        })
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    if remains.accepted != Some(remains.digest) {
        let kids: Vec<_> = unknown.iter().map(|key| key.kid.to_string()).collect();
        return Err(Refusal::new(
            Code::UnknownKeysInStore,
            format!("the store holds keys that the witness never saw: {}", kids.join(", ")),
            format!("if you trust them, name the digest: keystile reconcile --accept {}", remains.digest),
        ));
    }
    for key in unknown {
        let activations = remains.manifest.activations(&key.kid).filter(|activation| activation.from <= now);
        next.timeline.extend(activations.cloned());
        next.keys.push(key.clone());
    }
    next.timeline.sort_by_key(|activation| activation.from);
    Ok(())
}

/// A prepared key whose private part is lost can never sign: it goes, and its rotation with it.
fn drop_lost_operation(next: &mut Manifest, now: UnixTime) {
    let lost: Vec<Kid> = next
        .keys
        .iter()
        .filter(|key| key.private != PrivateState::Present && next.first_activation(&key.kid).is_none())
        .filter(|key| key.revoked.is_none())
        .map(|key| key.kid.clone())
        .collect();
    for kid in &lost {
        next.keys.retain(|key| key.kid != *kid);
        let stone = crate::manifest::Tombstone {
            kid: kid.clone(),
            end: End::Retired,
            at: now,
            named_until: Some(now),
        };
        next.tombstones.push(stone);
    }
    let gone = |operation: &crate::manifest::Operation| {
        lost.contains(&operation.to_kid) || lost.contains(&operation.from_kid)
    };
    next.operation.take_if(|operation| gone(operation));
}

/// The witness's active key if it can sign, else the youngest verify-only one that can.
fn signer(next: &Manifest, now: UnixTime) -> Result<Kid, Refusal> {
    let can_sign = |key: &&Key| key.revoked.is_none() && key.private == PrivateState::Present;
    if let Some(active) = next.active_at(now).filter(can_sign) {
        return Ok(active.kid.clone());
    }
    let verify_only =
        next.keys.iter().rev().filter(can_sign).find(|key| next.state_of(key, now) == KeyState::VerifyOnly);
    verify_only.map(|key| key.kid.clone()).ok_or_else(|| {
        Refusal::new(
            Code::NoSigner,
            "no private key is left in the store that may sign",
            "make a new one: keystile rotate --emergency",
        )
    })
}

/// Lets the chosen key sign now and at every later instant, if it does not already, and bounds the rest.
fn sign_with(next: &mut Manifest, signer: &Kid, now: UnixTime) {
    let before = next.clone();
    let ahead: Vec<UnixTime> =
        next.timeline.iter().map(|activation| activation.from).filter(|from| *from > now).collect();
    let fresh = next.first_activation(signer).is_none();
    let cannot = |manifest: &Manifest, at: UnixTime| {
        fresh || manifest.active_at(at).is_none_or(|key| key.private != PrivateState::Present)
    };
    for at in std::iter::once(now).chain(ahead) {
        if cannot(next, at) {
            let place = next.timeline.partition_point(|activation| activation.from <= at);
            next.timeline.insert(place, Activation { from: at, kid: signer.clone() });
        }
    }
    bound(next, &before, next.maxima(now), None, now);
    let ttl = next.policy.token_ttl;
    if let Some(key) = next.key_mut(signer) {
        raise_lifetime(key, ttl);
    }
}

fn statement(store: &Manifest, witness: &Manifest, next: &Manifest, signer: &Kid, now: UnixTime) -> Impact {
    let verifying = next.keys.iter().filter(|key| next.state_of(key, now).published()).count();
    Impact {
        headline: format!(
            "Would repair keyring {}: the store is at generation {}, the witness saw {}.",
            next.gateway_id, store.generation, witness.generation
        ),
        steps: vec![Step::new(
            now,
            format!("generation {}", next.generation),
            format!("{signer} signs; {verifying} keys verify; every revocation stays"),
        )],
        supervisors: vec!["None has to do anything: every token that was good is good again.".to_owned()],
        warnings: vec!["Private keys that the store lost are gone: no rollback to them.".to_owned()],
        undo: "none is needed".to_owned(),
    }
}
