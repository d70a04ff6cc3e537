//! What a replica holds at a moment: swapped whole, never changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keystile_keyring::manifest::Origin;
use keystile_keyring::{Digest, Kid, ReplicaReport, UnixTime};
use keystile_store::Freshness;
use keystile_system::Clock;
use keystile_token::Keyring;

use crate::offer::Overrule;

/// One reading of the clocks. A request is decided at one.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The wall clock.
    pub now: UnixTime,
    /// The clock that staleness is measured by.
    pub uptime: Duration,
}

impl Moment {
    /// The clocks now.
    pub fn read(clock: &dyn Clock) -> Self {
        Self { now: clock.now(), uptime: clock.uptime() }
    }
}

/// That nothing newer had been committed when a read began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// When the read began, on the clock that staleness is measured by.
    pub uptime: Duration,
    /// The same on the wall clock.
    pub at: UnixTime,
}

impl From<Moment> for Confirmation {
    /// That of a read that began at `moment`.
    fn from(moment: Moment) -> Self {
        Self { uptime: moment.uptime, at: moment.now }
    }
}

/// A number that grows; a clone is the same number.
#[derive(Clone, Debug, Default)]
pub struct Count(Arc<AtomicU64>);

impl Count {
    /// One more.
    pub fn inc(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The number.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A key of the keyring, as this replica has known it.
#[derive(Clone, Debug)]
pub struct KnownKey {
    /// Its name.
    pub kid: Kid,
    /// When the replica first held it.
    pub held_since: UnixTime,
    /// Whether it held it from its first load on.
    pub from_start: bool,
    /// Tokens of the key that were accepted.
    pub accepted: Count,
    /// Tokens that were signed with it.
    pub minted: Count,
}

/// A keyring, and what the replica knows about it.
#[derive(Clone)]
pub struct Held {
    /// The keyring.
    pub keyring: Arc<Keyring>,
    /// What is known of its keys.
    pub keys: Arc<[KnownKey]>,
    /// When it was last known to be the newest.
    pub confirmed: Confirmation,
    /// What the last read is worth.
    pub freshness: Freshness,
    /// What a newer witness forbids.
    pub overrule: Arc<Overrule>,
    /// Why the replica holds nothing newer, if the last read said so.
    pub trouble: Option<Arc<str>>,
}

impl Held {
    /// Its generation.
    pub fn generation(&self) -> u64 {
        self.keyring.generation()
    }

    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        self.keyring.digest()
    }

    /// How long ago the keyring was confirmed.
    pub fn age(&self, moment: Moment) -> Duration {
        moment.uptime.saturating_sub(self.confirmed.uptime)
    }

    /// Whether the keyring was confirmed lately enough to mint with.
    pub fn fresh_to_mint(&self, moment: Moment) -> bool {
        self.age(moment) <= Duration::from_secs(self.keyring.manifest().policy.max_staleness)
    }

    /// Whether the replica may mint: what is minted now, nobody must refuse.
    pub fn may_mint(&self, moment: Moment) -> bool {
        let signer = self.keyring.manifest().active_at(moment.now);
        self.fresh_to_mint(moment) && signer.is_none_or(|key| !self.overrule.revoked.contains(&key.kid))
    }

    /// Whether the keyring was confirmed lately enough to verify with.
    pub fn fresh_to_verify(&self, moment: Moment) -> bool {
        self.age(moment) <= Duration::from_secs(self.keyring.manifest().policy.verify_staleness)
    }

    /// How long after `moment` a good verdict on a token that counts until `grace` seconds after its end cannot
    /// change by time alone: at least a second, and not beyond the instant at which this keyring is stale.
    pub fn next_look(&self, expires_at: Option<UnixTime>, grace: u64, moment: Moment) -> Duration {
        let manifest = self.keyring.manifest();
        let end = expires_at.map(|at| at.plus(manifest.policy.leeway).plus(grace));
        let event = manifest.next_event(moment.now).map(|(at, _)| at);
        let stale = Duration::from_secs(manifest.policy.verify_staleness).saturating_sub(self.age(moment));
        let good = end.into_iter().chain(event).map(|last| last.since(moment.now)).min();
        // Each is the last second of its kind.
        let seconds = good.map_or(Duration::MAX, Duration::from_secs).min(stale);
        seconds.saturating_add(Duration::from_secs(1))
    }

    /// Whether `kid` is of a key that was taken over, whose past is the operator's word.
    pub fn adopted(&self, kid: Option<&Kid>) -> bool {
        let key = kid.and_then(|kid| self.keyring.manifest().key(kid));
        key.is_some_and(|key| key.origin == Origin::Adopted)
    }

    /// The keys that it knows to be revoked, held or gone.
    pub fn revoked(&self) -> impl Iterator<Item = &Kid> {
        self.keyring.manifest().revoked_kids().chain(&self.overrule.revoked)
    }

    /// The lineage floor that it holds to.
    pub fn lineage_floor(&self) -> Option<UnixTime> {
        self.keyring.manifest().lineage_floor.max(self.overrule.lineage_floor)
    }

    /// What the replica knows of `kid`.
    pub fn key(&self, kid: &Kid) -> Option<&KnownKey> {
        self.keys.iter().find(|key| key.kid == *kid)
    }
}

/// The keys of `keyring`, with what was known of them before. `before` is `None` at the first load.
pub(crate) fn known_keys(keyring: &Keyring, before: Option<&[KnownKey]>, now: UnixTime) -> Arc<[KnownKey]> {
    let known = |kid: &Kid| {
        before.and_then(|keys| keys.iter().find(|key| key.kid == *kid)).cloned().unwrap_or_else(|| KnownKey {
            kid: kid.clone(),
            held_since: now,
            from_start: before.is_none(),
            accepted: Count::default(),
            minted: Count::default(),
        })
    };
    keyring.manifest().keys.iter().map(|key| known(&key.kid)).collect()
}

/// The keys as a process knows them that takes the place of an earlier one of the same name. What
/// that one served without, it served without until it stopped: an outside verifier may have cached
/// its answer, and the gate must go on counting from there.
pub(crate) fn inherited(keys: &[KnownKey], predecessor: &ReplicaReport) -> Arc<[KnownKey]> {
    let inherit = |key: &KnownKey| {
        let (held_since, from_start) = match predecessor.key(&key.kid) {
            Some(before) => (before.held_since, before.from_start),
            None => (predecessor.withdrawn_at.unwrap_or(key.held_since), false),
        };
        KnownKey { held_since, from_start, ..key.clone() }
    };
    keys.iter().map(inherit).collect()
}
