//! When two states are one: everything that any rule looks at, with instants relative to now.
//!
//! Instants further back than [`PAST`] are all "long ago": no rule looks back further than the sum of the bounds
//! of these worlds, which is less. So a keyring at rest is one state, however long it rests, and an exploration
//! ends without a horizon in time.

use std::hash::{DefaultHasher, Hash, Hasher};

use keystile_keyring::manifest::{Key, Lifetime, PrivateState};
use keystile_keyring::{Manifest, UnixTime};

use super::scene::Scene;

/// Seconds after which an instant is long ago.
pub const PAST: u64 = 20;

struct Print {
    now: u64,
    hash: DefaultHasher,
}

/// Two states with the same fingerprint have the same future.
pub fn fingerprint(scene: &Scene) -> u64 {
    let mut print = Print { now: scene.now, hash: DefaultHasher::new() };
    let held = scene.holders(|policy| policy.verify_staleness.max(PAST)).next().unwrap_or(0);
    for landed in &scene.log[held..] {
        print.at(UnixTime(landed.at));
        print.manifest(&landed.manifest);
    }
    (
        scene.log.len() - scene.witness,
        &scene.backup.as_ref().map(|backup| (scene.log.len() - backup.index, backup.private, backup.witness)),
    )
        .hash(&mut print.hash);
    let laundered = scene.laundered.iter().map(|(_, minted)| minted);
    for minted in scene.tokens.iter().chain(laundered) {
        minted.token.kid.hash(&mut print.hash);
        print.at(minted.token.times.issued_at);
        print.maybe(minted.token.times.expires_at);
        print.at(minted.token.times.lineage_began);
    }
    for (kid, at) in &scene.revoked {
        kid.hash(&mut print.hash);
        print.at(UnixTime(*at));
    }
    let sets = (&scene.cut, &scene.deadline, &scene.ungated, &scene.abandoned, &scene.lost);
    (sets, scene.least.max(held) - held, scene.made).hash(&mut print.hash);
    print.hash.finish()
}

impl Print {
    fn at(&mut self, instant: UnixTime) {
        let ahead = instant.since(UnixTime(self.now));
        (ahead, UnixTime(self.now).since(instant).min(PAST)).hash(&mut self.hash);
    }

    fn maybe(&mut self, instant: Option<UnixTime>) {
        instant.is_some().hash(&mut self.hash);
        if let Some(instant) = instant {
            self.at(instant);
        }
    }

    fn manifest(&mut self, manifest: &Manifest) {
        let policy = &manifest.policy;
        let durations = [
            policy.token_ttl,
            policy.leeway,
            policy.max_skew,
            policy.max_staleness,
            policy.verify_staleness,
            policy.commit_delay,
            policy.verifier_cache,
            policy.activation_lead,
            policy.rollback_custody,
            policy.rotate_every.unwrap_or(0),
            policy.max_keys,
        ];
        durations.hash(&mut self.hash);
        if let Some(former) = manifest.policy_before {
            (former.staleness, former.skew, former.verifier_cache).hash(&mut self.hash);
            self.at(former.until);
        }
        self.maybe(manifest.lineage_floor);
        manifest.keys.iter().for_each(|key| self.key(key));
        for activation in &manifest.timeline {
            activation.kid.hash(&mut self.hash);
            self.at(activation.from);
        }
        for stone in &manifest.tombstones {
            (&stone.kid, stone.end as u8).hash(&mut self.hash);
            self.at(stone.at);
        }
        if let Some(operation) = &manifest.operation {
            (&operation.from_kid, &operation.to_kid, operation.no_rollback).hash(&mut self.hash);
            self.at(operation.started_at);
        }
        self.at(manifest.changed_at());
    }

    fn key(&mut self, key: &Key) {
        let longest = match key.longest_token {
            Lifetime::Bounded(seconds) => Some(seconds),
            Lifetime::Unbounded => None,
        };
        let present = key.private == PrivateState::Present;
        (&key.kid, longest, key.never_expires, present).hash(&mut self.hash);
        self.maybe(key.revoked.as_ref().map(|revoked| revoked.at));
        if let Some(bounds) = key.superseded {
            self.at(bounds.at);
            self.at(bounds.last_iat);
            self.maybe(bounds.accept_until);
            self.at(bounds.custody_until);
        }
    }
}
