//! One gateway process: its clock, what it has read, what it answers.

use std::time::Duration;

use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{Kid, Manifest, ReplicaId, ReplicaReport, TokenTimes, UnixTime};

use crate::archive::Archive;
use crate::judge::{Bench, Circumstance, Verdict, Why};
use crate::moment::Moment;
use crate::settings::Broken;
use crate::token::{Token, seconds};

/// How often a replica confirms a quiet store, as a gateway does by the usual policy.
pub(crate) const PERIOD: Duration = Duration::from_secs(5);

/// The least time between two reads that requests ask for.
const PACE: Duration = Duration::from_secs(1);

/// The most requests that wait for a read.
const WAITERS: u32 = 1024;

/// When a caller that was answered `unavailable` may try again.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a replica can see of the world at a moment.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    pub(crate) now: Moment,
    pub(crate) archive: &'a Archive,
    /// Since when nobody can read the store, if nobody can.
    pub(crate) outage: Option<Moment>,
    /// The end of the last outage.
    pub(crate) healed: Moment,
    pub(crate) broken: Option<Broken>,
}

/// One gateway process.
#[derive(Clone)]
pub(crate) struct Replica {
    /// Milliseconds by which its clock is ahead.
    pub(crate) offset: i32,
    /// The generation that it holds, by its number in the archive.
    pub(crate) held: usize,
    /// When in each period it reads a quiet store.
    phase: Duration,
    /// The last read that a request asked for, and how many waited for it.
    read_began: Option<Moment>,
    waiters: u32,
    /// The last such read that succeeded.
    confirmed: Moment,
    /// Since when, by its clock, it holds each key of the archive.
    since: Vec<UnixTime>,
    /// Bootstraps answered in a second.
    budget: (u32, u32),
    /// Reads that requests asked for.
    pub(crate) rereads: u64,
    id: Option<ReplicaId>,
}

/// What became of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted,
    Rejected(Why),
    Unavailable,
}

/// What became of a request for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Minted {
    Token(Token),
    /// The keyring cannot be confirmed, or no key signs.
    Unavailable,
    /// The lineage is too old.
    Refused,
}

impl Replica {
    pub(crate) fn new(number: u32, offset: i32, phase: Duration) -> Self {
        Self {
            offset,
            held: 0,
            phase,
            read_began: None,
            waiters: 0,
            confirmed: Moment(0),
            since: vec![Moment(0).wall(offset).minus(3600)],
            budget: (0, 0),
            rereads: 0,
            id: format!("gateway-{}", number + 1).parse().ok(),
        }
    }

    /// What its clock shows.
    pub(crate) fn wall(&self, now: Moment) -> UnixTime {
        now.wall(self.offset)
    }

    /// It has read the newest generation.
    pub(crate) fn load(&mut self, sight: &Sight<'_>) {
        self.held = sight.archive.newest();
        let wall = self.wall(sight.now);
        self.since.resize(sight.archive.kids().len(), wall);
    }

    /// When a read began that confirmed what it holds.
    fn confirmed(&self, sight: &Sight<'_>) -> Moment {
        // A read while a newer generation was there would have brought that.
        let superseded =
            (self.held < sight.archive.newest()).then(|| sight.archive.get(self.held + 1).committed);
        let quiet = [superseded, sight.outage].into_iter().flatten().fold(sight.now, Moment::min);
        let last = self.last_read(quiet);
        // The first read after an outage comes in its own time.
        let last = if last < sight.healed { self.last_read(sight.healed).max(self.confirmed) } else { last };
        last.max(self.confirmed)
    }

    /// The last read by its own rhythm, not after `moment`.
    fn last_read(&self, moment: Moment) -> Moment {
        let period = u32::try_from(PERIOD.as_millis()).unwrap_or(u32::MAX);
        let phase = u32::try_from(self.phase.as_millis()).unwrap_or_default();
        Moment(moment.0.saturating_sub(phase) / period * period + phase).min(moment)
    }

    fn age(&self, sight: &Sight<'_>) -> u64 {
        sight.now.since(self.confirmed(sight)).as_secs()
    }

    /// Reads the store because a request needs it. When it is done, and whether it could be.
    fn reread(&mut self, sight: &Sight<'_>) -> (Moment, bool) {
        let next = match self.read_began {
            // One that is to begin serves all who came before it.
            Some(ahead) if ahead > sight.now => ahead,
            Some(began) => began.plus(PACE).max(sight.now),
            None => sight.now,
        };
        if self.read_began == Some(next) {
            self.waiters += 1;
        } else {
            (self.read_began, self.waiters) = (Some(next), 1);
            self.rereads += 1;
        }
        let done = sight.outage.is_none() && self.waiters <= WAITERS;
        if done {
            self.load(sight);
            self.confirmed = self.confirmed.max(sight.now);
        }
        (next, done)
    }

    /// The verdict on a token, after the store was read again where that could change it.
    pub(crate) fn verify(&mut self, kid: &Kid, times: TokenTimes, sight: &Sight<'_>) -> Outcome {
        let policy = &sight.archive.manifest(self.held).policy;
        if self.age(sight) > policy.verify_staleness {
            self.reread(sight);
            return Outcome::Unavailable;
        }
        if sight.broken == Some(Broken::NoBounds) && sight.archive.manifest(self.held).key(kid).is_some() {
            return Outcome::Accepted;
        }
        let verdict = self.judge(kid, times, sight, sight.now, Circumstance::Usual);
        let verdict = match verdict {
            Verdict::Rejected { reread: true, .. } if Broken::rereads(sight.broken) => {
                let confirmed_at = self.wall(self.confirmed(sight));
                let (then, done) = self.reread(sight);
                let circumstance =
                    if done { Circumstance::Usual } else { Circumstance::StoreUnreadable { confirmed_at } };
                self.judge(kid, times, sight, then, circumstance)
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Accepted => Outcome::Accepted,
            Verdict::Rejected { why, .. } => Outcome::Rejected(why),
            Verdict::Unavailable => Outcome::Unavailable,
        }
    }

    fn judge(
        &self,
        kid: &Kid,
        times: TokenTimes,
        sight: &Sight<'_>,
        at: Moment,
        circumstance: Circumstance,
    ) -> Verdict {
        let manifest = sight.archive.manifest(self.held);
        Bench { manifest, now: self.wall(at), circumstance }.verdict(kid, times)
    }

    /// Mints for a lineage that began at `began`, or now.
    pub(crate) fn mint(&mut self, began: Option<u32>, sight: &Sight<'_>) -> Minted {
        let stale =
            |replica: &Self| replica.age(sight) > sight.archive.manifest(replica.held).policy.max_staleness;
        if stale(self) {
            self.reread(sight);
        }
        if stale(self) {
            return Minted::Unavailable;
        }
        let wall = self.wall(sight.now);
        minted(sight.archive.manifest(self.held), began, wall, sight.archive)
    }

    /// Whether it may answer one more bootstrap in this second.
    pub(crate) fn admits(&mut self, now: Moment, rate: u32) -> bool {
        if self.budget.0 != now.second() {
            self.budget = (now.second(), 0);
        }
        let admitted = self.budget.1 < rate;
        self.budget.1 += u32::from(admitted);
        admitted
    }

    /// What it says of itself.
    pub(crate) fn report(&self, sight: &Sight<'_>) -> Option<ReplicaReport> {
        let generation = sight.archive.get(self.held);
        let key = |kid: &Kid| {
            let number = sight.archive.number_of(kid)?;
            Some(KeyReport {
                kid: kid.clone(),
                held_since: self.since.get(usize::from(number)).copied()?,
                from_start: number == 0,
                usage: KeyUsage::default(),
            })
        };
        Some(ReplicaReport {
            replica: self.id.clone()?,
            build: "simulated".to_owned(),
            started_at: Moment(0).wall(self.offset).minus(3600),
            reported_at: self.wall(sight.now),
            generation: generation.manifest.generation,
            digest: Some(Archive::digest(self.held)),
            condition: Condition::Ready,
            confirmed_at: Some(self.wall(self.confirmed(sight))),
            keys: generation.manifest.keys.iter().filter_map(|held| key(&held.kid)).collect(),
            revoked: Vec::new(),
            lineage_floor: None,
            withdrawn_at: None,
            tls_stale: None,
            clock_offset: None,
        })
    }
}

/// What a gateway with this manifest mints at `wall`: nothing that it would refuse itself.
pub(crate) fn minted(manifest: &Manifest, began: Option<u32>, wall: UnixTime, archive: &Archive) -> Minted {
    let policy = &manifest.policy;
    let now = seconds(wall);
    let began = began.unwrap_or(now).min(now);
    if policy.max_lineage_age.is_some_and(|longest| u64::from(now - began) > longest) {
        return Minted::Refused;
    }
    let expires = if policy.mints_forever() { 0 } else { seconds(wall.plus(policy.token_ttl)) };
    let signer = manifest.active_at(wall).and_then(|key| Some((key, archive.number_of(&key.kid)?)));
    let Some((key, number)) = signer else {
        return Minted::Unavailable;
    };
    let token = Token { issued: now, expires, began, key: number };
    match manifest.admit(key, token.times(), wall) {
        Ok(()) => Minted::Token(token),
        Err(_) => Minted::Unavailable,
    }
}

#[cfg(test)]
mod tests;
