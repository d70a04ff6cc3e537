//! Repair of a store that went back, or that somebody went on with from a backup.
//!
//! The witness knows better. One new generation follows both, in which every public key that is
//! neither revoked nor retired verifies again.

use std::collections::BTreeSet;

use crate::check;
use crate::ident::{Digest, Kid};
use crate::manifest::{
    Activation, Change, End, Key, Manifest, PrivateState, Revoked, Superseded, Tombstone, limits,
};
use crate::plan::draft::{lost_to, not_before, replica_ahead, would_break};
use crate::plan::room::{fit, new_key, trim_tombstones};
use crate::plan::windows::{bound, ending, raise_lifetime};
use crate::plan::{Base, Candidate, Impact, Plan, Step, impact};
use crate::policy::Maxima;
use crate::refusal::{Code, Refusal};
use crate::report::{Presence, ReplicaReport};
use crate::standing::Standing;
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
    /// What the replicas say: what the live ones know to be revoked stays so.
    pub reports: &'a [ReplicaReport],
    /// The newest generation that a live replica holds; 0 if none does. Only a higher one reaches it.
    pub held: u64,
}

impl Remains<'_> {
    /// The newest generation that a live replica holds and that nothing that is left knows; 0 if none does. It is
    /// given up only where the operator has accepted this store, or makes a fresh key whatever the state.
    pub fn newest_held(&self, witness: &Manifest, now: UnixTime) -> Result<u64, Refusal> {
        let known = self.manifest.generation.max(witness.generation);
        // Of two manifests with one number, which the replica holds does not matter: the repair follows both.
        let same = self.manifest == witness;
        let newest = Base { generation: known, digest: self.digest };
        match lost_to(self.manifest, newest, self.reports, now).filter(|held| same || held.generation > known)
        {
            None => Ok(0),
            Some(ahead) if self.accepted == Some(self.digest) || self.fresh.is_some() => Ok(ahead.generation),
            Some(ahead) => Err(replica_ahead(ahead, known, self.digest)),
        }
    }
}

/// The generation that follows both the store's and the witness's.
pub fn repair(
    remains: &Remains<'_>,
    witness: &Manifest,
    actor: &str,
    now: UnixTime,
) -> Result<Plan, Refusal> {
    let store = remains.manifest;
    let now = not_before(store, now)?.max(not_before(witness, now)?);
    let mut next = witness.clone();
    next.generation = witness.generation.max(store.generation).max(remains.held).saturating_add(1);
    next.previous = Some(remains.digest);
    next.lineage_floor = next.lineage_floor.max(store.lineage_floor);
    keep_revocations(&mut next, store, now);
    keep_what_replicas_know(&mut next, remains, now);
    keep_requests(&mut next, store);
    take_unknown_keys(&mut next, remains, now)?;
    mark_lost(&mut next, remains.private, now);
    drop_lost_operation(&mut next, now);
    trim_tombstones(&mut next, now)?;
    let signer = match remains.fresh {
        Some(fresh) => take_fresh_key(&mut next, fresh, now)?,
        None => signer(&next, witness, now)?,
    };
    sign_with(&mut next, &signer, remains, witness, now);
    next.history.push(Change {
        generation: next.generation,
        at: now,
        verb: "reconcile".to_owned(),
        actor: actor.to_owned(),
        reason: Some(found(remains, witness)),
        request_id: None,
    });
    fit(&mut next)?;
    check::postcondition(&next, now).map_err(|violation| would_break(&violation))?;
    let impact = statement(remains, witness, &next, &signer, now);
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
fn keep_revocations(next: &mut Manifest, store: &Manifest, now: UnixTime) {
    let held = store.keys.iter().filter_map(|key| Some((&key.kid, key.revoked.clone()?)));
    let gone = store.tombstones.iter().filter(|stone| stone.end == End::Revoked).map(|stone| {
        let reason = "revoked in the store before it went back".to_owned();
        (&stone.kid, Revoked { at: stone.at, reason })
    });
    for (kid, revoked) in held.chain(gone) {
        let named_until = store.tombstone(kid).and_then(|stone| stone.named_until);
        keep_revoked(next, kid, revoked, named_until, now);
    }
    let retired = store.tombstones.iter().filter(|stone| stone.end == End::Retired);
    for stone in retired {
        if next.key(&stone.kid).is_none() && next.tombstone(&stone.kid).is_none() {
            next.tombstones.push(stone.clone());
        }
    }
}

fn keep_revoked(
    next: &mut Manifest,
    kid: &Kid,
    revoked: Revoked,
    named_until: Option<UnixTime>,
    now: UnixTime,
) {
    let at = revoked.at;
    if let Some(key) = next.key_mut(kid) {
        key.revoked.get_or_insert(revoked);
        key.private = PrivateState::DestroyedAt(now);
        next.timeline.retain(|activation| activation.kid != *kid || activation.from <= now);
        next.operation.take_if(|operation| operation.to_kid == *kid);
    } else if next.tombstone(kid).is_none() {
        next.tombstones.push(Tombstone { kid: kid.clone(), end: End::Revoked, at, named_until });
    }
}

/// A revocation that only live replicas remember, because store and witness were both put back. Kids that
/// neither holds need no mention: nothing takes them back.
fn keep_what_replicas_know(next: &mut Manifest, remains: &Remains<'_>, now: UnixTime) {
    let maxima = next.maxima(now).max(remains.manifest.maxima(now));
    for report in remains.reports.iter().filter(|report| report.presence(now, maxima) == Presence::Live) {
        next.lineage_floor = next.lineage_floor.max(report.lineage_floor);
        for kid in &report.revoked {
            if next.key(kid).or_else(|| remains.manifest.key(kid)).is_some() {
                let reason = format!("replica {} knows it to be revoked", report.replica);
                keep_revoked(next, kid, Revoked { at: now, reason }, None, now);
            }
        }
    }
}

/// A request that was done before the store went back is not done again.
fn keep_requests(next: &mut Manifest, store: &Manifest) {
    for done in &store.requests {
        if next.requests.iter().all(|known| known.request_id != done.request_id) {
            next.requests.push(done.clone());
        }
    }
    let excess = next.requests.len().saturating_sub(limits::REQUESTS);
    next.requests.drain(..excess);
}

/// Takes over, to verify with, the keys that signed in the store and that the witness never saw.
fn take_unknown_keys(next: &mut Manifest, remains: &Remains<'_>, now: UnixTime) -> Result<(), Refusal> {
    let store = remains.manifest;
    let verifies = |key: &&Key| matches!(store.state_of(key, now), KeyState::Active | KeyState::VerifyOnly);
    let unknown: Vec<&Key> = store
        .keys
        .iter()
        .filter(verifies)
        .filter(|key| next.key(&key.kid).is_none() && next.tombstone(&key.kid).is_none())
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
        let activations = store.activations(&key.kid).filter(|activation| activation.from <= now);
        next.timeline.extend(activations.cloned());
        next.keys.push(key.clone());
    }
    next.timeline.sort_by_key(|activation| activation.from);
    Ok(())
}

/// What the store lost is gone; what the store found again of a key that may not sign stays unused.
fn mark_lost(next: &mut Manifest, private: &BTreeSet<Kid>, now: UnixTime) {
    for key in &mut next.keys {
        if key.private == PrivateState::Present && !private.contains(&key.kid) {
            key.private = PrivateState::DestroyedAt(now);
        }
    }
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
        let stone = Tombstone { kid: kid.clone(), end: End::Retired, at: now, named_until: Some(now) };
        next.tombstones.push(stone);
    }
    let gone = |operation: &crate::manifest::Operation| {
        lost.contains(&operation.to_kid) || lost.contains(&operation.from_kid)
    };
    next.operation.take_if(|operation| gone(operation));
}

/// The witness's active key if it can sign, else the youngest verify-only one that can.
fn signer(next: &Manifest, witness: &Manifest, now: UnixTime) -> Result<Kid, Refusal> {
    let can_sign = |key: &&Key| key.revoked.is_none() && key.private == PrivateState::Present;
    let active = witness.active_at(now).and_then(|key| next.key(&key.kid)).filter(can_sign);
    let verifies = |key: &&Key| matches!(next.state_of(key, now), KeyState::Active | KeyState::VerifyOnly);
    let abandoned: Vec<_> = witness.abandoned().collect();
    let mut others: Vec<_> = next.keys.iter().rev().filter(can_sign).filter(verifies).collect();
    // Who rolled back had a reason to: such a key comes last.
    others.sort_by_key(|key| abandoned.contains(&&key.kid));
    active.or_else(|| others.first().copied()).map(|key| key.kid.clone()).ok_or_else(|| {
        Refusal::new(
            Code::NoSigner,
            "no private key is left in the store that may sign",
            "make a new one: keystile rotate --emergency",
        )
    })
}

/// Lets the chosen key sign now and wherever the one that the witness remembers cannot, and bounds
/// the rest.
fn sign_with(next: &mut Manifest, signer: &Kid, remains: &Remains<'_>, witness: &Manifest, now: UnixTime) {
    let store = remains.manifest;
    let ahead = witness.timeline.iter().map(|activation| activation.from).filter(|from| *from > now);
    for at in std::iter::once(now).chain(ahead) {
        let remembered = witness.active_at(at).and_then(|key| next.key(&key.kid));
        let can = remembered.filter(|key| key.revoked.is_none() && key.private == PrivateState::Present);
        let kid = can.filter(|_| remains.fresh.is_none()).map_or(signer, |key| &key.kid).clone();
        if next.active_at(at).is_none_or(|key| key.kid != kid) {
            let place = next.timeline.partition_point(|activation| activation.from <= at);
            next.timeline.insert(place, Activation { from: at, kid });
        }
    }
    let maxima = next.maxima(now).max(store.maxima(now));
    bound(next, witness, maxima, None, now);
    bound_by_store(next, store, witness, maxima, now);
    let (ttl, signs) = (next.policy.token_ttl, next.active_at(now).map(|key| key.kid.clone()));
    if let Some(key) = next.key_mut(signer) {
        raise_lifetime(key, ttl);
    }
    if let (Some(operation), Some(signs)) = (&mut next.operation, signs) {
        operation.from_kid = signs;
    }
}

/// Keys that the witness never saw signed until now, unless the store had superseded them before. So may have
/// keys that it superseded, where somebody went on from a backup: of two ends the later counts, or gateways of
/// that life would have signed what nobody accepts (I1).
fn bound_by_store(next: &mut Manifest, store: &Manifest, witness: &Manifest, maxima: Maxima, now: UnixTime) {
    let policy = next.policy.clone();
    let forked = matches!(store.standing(Some(witness)), Standing::Forked { .. } | Standing::Undoes { .. });
    for key in &mut next.keys {
        let (known, other) = (witness.key(&key.kid).is_some(), store.key(&key.kid));
        let signed = store.first_activation(&key.kid).is_some_and(|from| from <= now);
        let (Some(mine), Some(other)) = (key.superseded, other.filter(|_| !known || forked && signed)) else {
            continue;
        };
        let theirs = other.superseded.filter(|bounds| bounds.at <= now);
        let theirs = theirs.unwrap_or_else(|| ending(key, now, maxima, &policy, None));
        key.superseded = Some(if known && later(&mine, &theirs) { mine } else { theirs });
    }
}

/// Whether `one` leaves a key more than `other` does: tokens signed until later, or good until later.
fn later(one: &Superseded, other: &Superseded) -> bool {
    let reach = |end: &Superseded| (end.last_iat, end.accept_until.unwrap_or(UnixTime(u64::MAX)));
    reach(one) > reach(other)
}

/// What is to be repaired.
fn found(remains: &Remains<'_>, witness: &Manifest) -> String {
    let store = remains.manifest.generation;
    if remains.held > store.max(witness.generation) {
        return format!("replicas hold generation {}, the store {store}", remains.held);
    }
    if remains.held > 0 {
        return format!("replicas hold another generation {store} than the store");
    }
    match remains.manifest.standing(Some(witness)) {
        Standing::InStep => "the store lost private keys".to_owned(),
        standing => standing.to_string(),
    }
}

fn statement(
    remains: &Remains<'_>,
    witness: &Manifest,
    next: &Manifest,
    signer: &Kid,
    now: UnixTime,
) -> Impact {
    let found = found(remains, witness);
    let verifying = next.keys.iter().filter(|key| next.state_of(key, now).published()).count() as u64;
    let verify = impact::count(verifying, "key verifies", "keys verify");
    let lost = next.keys.iter().filter(|key| key.private == PrivateState::DestroyedAt(now));
    let lost: Vec<_> = lost.filter(|key| key.revoked.is_none()).map(|key| key.kid.as_str()).collect();
    let mut warnings = Vec::new();
    if !lost.is_empty() {
        warnings.push(format!("Lost private keys, never to sign again: {}.", lost.join(", ")));
    }
    let known = remains.manifest.generation.max(witness.generation);
    if remains.held > known {
        warnings.push(format!(
            "What generations {} to {} changed is lost: tokens of keys made there are refused.",
            known.saturating_add(1),
            remains.held
        ));
    } else if remains.held > 0 {
        warnings.push(format!(
            "What the generation {} that replicas hold changed is lost: tokens of keys made there are refused.",
            remains.held
        ));
    }
    Impact {
        headline: format!("Would repair keyring {}: {found}.", next.gateway_id),
        steps: vec![Step::new(
            now,
            format!("generation {}", next.generation),
            format!("{signer} signs; {verify}; every revocation stays"),
        )],
        supervisors: vec!["None has to do anything: every token that was good is good again.".to_owned()],
        warnings,
        undo: "none is needed".to_owned(),
    }
}
