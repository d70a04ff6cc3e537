//! What an adversary can make who has stolen every key that the keyring ever held.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystile_keyring::manifest::{End, Lifetime};
use keystile_keyring::{Key, KeyState, Kid, Manifest, UnixTime};
use keystile_token::PrivateKeys;

use super::Attack;
use super::forge::{Forgery, Seal, tamper};
use super::key::ForgingKey;
use crate::error::RehearsalError;

/// The most keys that are kept of those that have left the keyring.
const MOST_GONE: usize = 32;

/// What is known of the replica that is attacked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The machine's clock.
    pub(crate) now: UnixTime,
    /// The newest generation that the replica has shown.
    pub(crate) shown: u64,
    /// Counts the attacks, so that they spread over keys.
    pub(crate) turn: usize,
}

/// Stolen keys and the keyring that they are from.
pub(crate) struct Arsenal {
    thief: ForgingKey,
    thief_kid: Kid,
    stolen: BTreeMap<Kid, ForgingKey>,
    manifest: Arc<Manifest>,
    /// Seconds by which clocks may be apart, and one for the fractions.
    slack: u64,
}

/// A token's instants, all relative to one reading of the clock.
#[derive(Clone, Copy)]
struct Times {
    issued_at: UnixTime,
    expires_at: Option<UnixTime>,
}

impl Arsenal {
    /// An arsenal for replicas whose clocks are at most `skew` seconds from the machine's.
    pub(crate) fn new(manifest: Arc<Manifest>, seed: u64, skew: u64) -> Result<Self, RehearsalError> {
        let kid = Kid::new(format!("{seed:032x}"));
        let thief_kid = kid.map_err(|error| RehearsalError::Token(error.to_string()))?;
        let thief = ForgingKey::of_a_thief(seed)?;
        Ok(Self { thief, thief_kid, stolen: BTreeMap::new(), manifest, slack: skew + 1 })
    }

    /// Steals the keys of a generation; what was stolen before stays stolen as long as it is of use.
    pub(crate) fn steal(
        &mut self,
        manifest: Arc<Manifest>,
        keys: &PrivateKeys,
    ) -> Result<(), RehearsalError> {
        for (kid, key) in keys.iter() {
            if !self.stolen.contains_key(kid) {
                self.stolen.insert(kid.clone(), ForgingKey::of(key)?);
            }
        }
        if manifest.generation >= self.manifest.generation {
            // Of the keys that are gone the latest are tried; those of a long run are many.
            let gone: Vec<_> = manifest.tombstones.iter().rev().take(MOST_GONE).collect();
            self.stolen.retain(|kid, _| {
                manifest.key(kid).is_some()
                    || keys.iter().any(|(held, _)| held == kid)
                    || gone.iter().any(|stone| stone.kid == *kid)
            });
            self.manifest = manifest;
        }
        Ok(())
    }

    /// The generation that it was stolen from.
    pub(crate) fn generation(&self) -> u64 {
        self.manifest.generation
    }

    /// A token that `target` must refuse; `None` if there is nothing now to make it of, or the replica may
    /// not know yet that it must.
    pub(crate) fn token(&self, attack: Attack, target: Target) -> Option<String> {
        let now = target.now;
        let active = self.manifest.active_at(now)?;
        let seal = Seal::Key(self.stolen.get(&active.kid)?);
        let honest = self.forgery(&active.kid, self.times(active, now));
        Some(match attack {
            Attack::Forged => honest.seal(Seal::Key(&self.thief)),
            Attack::UnknownKey => {
                Forgery { kid: self.thief_kid.clone(), ..honest }.seal(Seal::Key(&self.thief))
            }
            Attack::Tampered => tamper(&honest.seal(seal))?,
            Attack::AlgNone => Forgery { alg: "none", ..honest }.seal(Seal::Nothing),
            Attack::AlgConfused => {
                let public = self.stolen.get(&active.kid)?.public_bytes();
                Forgery { alg: "HS256", ..honest }.seal(Seal::Hmac(public))
            }
            Attack::WrongIssuer => {
                Forgery { issuer: "openshell-gateway:another".to_owned(), ..honest }.seal(seal)
            }
            Attack::Extension => Forgery { typ: "openshell-ext+jwt", ..honest }.seal(seal),
            Attack::Expired => self.expired(active, honest, now).seal(seal),
            Attack::Future => self.future(active, honest, now).seal(seal),
            Attack::TooLong => self.too_long(active, honest)?.seal(seal),
            Attack::Prepared => self.prepared(now)?,
            Attack::Superseded => self.of_another(target, |key| self.is_superseded(key, now))?,
            Attack::Retired => self.retired(target)?,
            Attack::Revoked => self.of_another(target, |key| key.revoked.is_some())?,
            Attack::Descendant => self.descendant(target, honest)?.seal(seal),
        })
    }

    /// What an honest replica would sign now with `key`.
    fn times(&self, key: &Key, now: UnixTime) -> Times {
        let life = self.life(key);
        Times { issued_at: now, expires_at: life.map(|life| now.plus(life)) }
    }

    /// The longest life of the key's tokens; `None` if they never expire.
    fn life(&self, key: &Key) -> Option<u64> {
        match key.longest_token {
            _ if key.never_expires => None,
            Lifetime::Bounded(seconds) => Some(seconds),
            Lifetime::Unbounded => Some(self.manifest.policy.token_ttl.max(1)),
        }
    }

    fn forgery(&self, kid: &Kid, times: Times) -> Forgery {
        Forgery {
            alg: "EdDSA",
            typ: "JWT",
            kid: kid.clone(),
            issuer: self.manifest.gateway_id.issuer(),
            sandbox: "sandbox-of-a-thief".to_owned(),
            issued_at: times.issued_at,
            expires_at: times.expires_at,
            began: times.issued_at,
        }
    }

    fn expired(&self, key: &Key, honest: Forgery, now: UnixTime) -> Forgery {
        let life = self.life(key).unwrap_or(1);
        let expires_at = now.minus(self.manifest.policy.leeway + self.slack + 1);
        let issued_at = expires_at.minus(life);
        Forgery { issued_at, began: issued_at, expires_at: Some(expires_at), ..honest }
    }

    fn future(&self, key: &Key, honest: Forgery, now: UnixTime) -> Forgery {
        let issued_at = now.plus(self.manifest.policy.max_skew + self.slack + 30);
        let expires_at = self.life(key).map(|life| issued_at.plus(life));
        Forgery { issued_at, expires_at, ..honest }
    }

    /// A life longer than any that the key may have given; of a key that gave endless ones there is none.
    fn too_long(&self, key: &Key, honest: Forgery) -> Option<Forgery> {
        let life = self.life(key)?;
        Some(Forgery { expires_at: Some(honest.issued_at.plus(life + 3600)), ..honest })
    }

    /// Backdated so far that the activation to come cannot make it good.
    fn prepared(&self, now: UnixTime) -> Option<String> {
        let key = &self.manifest.operation.as_ref()?.to_kid;
        let policy = &self.manifest.policy;
        let issued_at = now.minus(policy.max_skew + self.slack + 1);
        let expires_at = (!policy.mints_forever()).then(|| issued_at.plus(policy.token_ttl));
        let forgery = self.forgery(key, Times { issued_at, expires_at });
        Some(forgery.seal(Seal::Key(self.stolen.get(key)?)))
    }

    fn is_superseded(&self, key: &Key, now: UnixTime) -> bool {
        let verifies = self.manifest.state_of(key, now) == KeyState::VerifyOnly;
        let signed_until = key.superseded.map(|superseded| superseded.last_iat);
        verifies
            && signed_until.is_some_and(|last| now > last)
            && !self.manifest.signs_now_or_later(&key.kid, now)
    }

    /// A token that is issued now by one of the keys that `choose` takes.
    fn of_another(&self, target: Target, choose: impl Fn(&&Key) -> bool) -> Option<String> {
        self.known_to(target)?;
        let stolen = self.manifest.keys.iter().filter(|key| self.stolen.contains_key(&key.kid));
        let keys: Vec<_> = stolen.filter(choose).collect();
        let key = *keys.get(target.turn.checked_rem(keys.len())?)?;
        let forgery = self.forgery(&key.kid, self.times(key, target.now));
        Some(forgery.seal(Seal::Key(self.stolen.get(&key.kid)?)))
    }

    fn retired(&self, target: Target) -> Option<String> {
        self.known_to(target)?;
        let is_over = |kid: &Kid| {
            let held = |now| self.manifest.state_at(kid, now);
            let early = target.now.minus(self.slack);
            let window =
                held(early) == Some(KeyState::Retired) && held(target.now) == Some(KeyState::Retired);
            window || self.manifest.tombstone(kid).is_some_and(|stone| stone.end == End::Retired)
        };
        let over: Vec<_> = self.stolen.iter().filter(|(kid, _)| is_over(kid)).collect();
        let (kid, key) = *over.get(target.turn.checked_rem(over.len())?)?;
        // As late as its honest tokens could be, so that nothing but the end of its window speaks against it.
        let superseded = self.manifest.key(kid).and_then(|key| key.superseded);
        let issued_at = superseded.map_or(target.now, |superseded| superseded.last_iat.min(target.now));
        let policy = &self.manifest.policy;
        let expires_at = (!policy.mints_forever()).then(|| issued_at.plus(policy.token_ttl));
        Some(self.forgery(kid, Times { issued_at, expires_at }).seal(Seal::Key(key)))
    }

    /// Refreshed by the key that signs now, from a lineage that a revocation ended.
    fn descendant(&self, target: Target, honest: Forgery) -> Option<Forgery> {
        self.known_to(target)?;
        let floor = self.manifest.lineage_floor?;
        Some(Forgery { began: floor.minus(1), ..honest })
    }

    /// Whether the replica has shown that it knows all that the arsenal knows.
    fn known_to(&self, target: Target) -> Option<()> {
        (target.shown >= self.manifest.generation).then_some(())
    }

    /// A token of `kid` that is good now but for what the operator is about to do; `None` if there can be
    /// no such token.
    pub(crate) fn probe(&self, kid: &Kid, now: UnixTime) -> Option<String> {
        let key = self.manifest.key(kid)?;
        let issued_at = key.superseded.map_or(now, |superseded| superseded.last_iat.min(now));
        let expires_at = self.life(key).map(|life| issued_at.plus(life));
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            return None;
        }
        let forgery = self.forgery(kid, Times { issued_at, expires_at });
        Some(forgery.seal(Seal::Key(self.stolen.get(kid)?)))
    }
}

#[cfg(test)]
mod tests;
