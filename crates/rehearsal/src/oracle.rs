//! The oracle: whether an answer was right, by the rehearsal's own record of what was ordered when.
//!
//! It knows the timeline only from the outside: which tokens were minted until when, which keys the
//! operator ended, and which generation a replica has shown that it holds. It shares no code with the
//! verifier that it judges.

use std::collections::{BTreeMap, VecDeque};

use keystile_keyring::{Kid, Manifest, UnixTime};
use serde::Serialize;

use crate::event::{Call, Order, TokenFacts};
use crate::moment::Moment;
use crate::replica::ReplicaName;

/// Whether a refusal of an honest token was right, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// The token was good: this must not happen.
    Wrong,
    /// Its life was over.
    Expired,
    /// Its key had been revoked.
    KeyRevoked,
    /// Its key's window had been ended by force.
    KeyRetired,
    /// Its chain of refreshes began while a key was good that has been revoked with its descendants.
    LineageRevoked,
}

impl Ruling {
    /// It in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wrong => "good",
            Self::Expired => "expired",
            Self::KeyRevoked => "its key was revoked",
            Self::KeyRetired => "its key was retired by force",
            Self::LineageRevoked => "it descended from a revoked key",
        }
    }

    /// Whether the operator's order, and not the token's age, made the refusal right.
    pub fn is_ordered(self) -> bool {
        matches!(self, Self::KeyRevoked | Self::KeyRetired | Self::LineageRevoked)
    }
}

/// The most generations of which it is remembered since when a replica holds them.
const MOST_SHOWN: usize = 64;

/// What the oracle remembers.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    leeway: u64,
    /// Seconds by which each replica's clock is put forward.
    shifts: Vec<i64>,
    /// Keys that were ordered to end, and how.
    ended: BTreeMap<Kid, Ended>,
    /// Lineages that began at or before this instant are refused.
    floor: Option<Floor>,
    /// When each replica first showed that it holds a generation, ascending.
    shown: BTreeMap<ReplicaName, VecDeque<(u64, Moment)>>,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    ruling: Ruling,
    /// The last instant at which its tokens may be accepted.
    last: UnixTime,
    /// The generation that says so, once it is known.
    generation: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Floor {
    at: UnixTime,
    /// The generation that says so, once it is known.
    generation: Option<u64>,
}

impl Oracle {
    /// An oracle for replicas whose clocks are shifted by so many seconds.
    pub fn new(leeway: u64, shifts: Vec<i64>) -> Self {
        Self { leeway, shifts, ..Self::default() }
    }

    /// The operator is about to end good tokens: from now on they may be refused.
    pub fn ordered(&mut self, order: &Order, wall: UnixTime) {
        let (kid, ruling) = match order {
            Order::Revoke { kid, .. } => (kid, Ruling::KeyRevoked),
            Order::Retire { kid } => (kid, Ruling::KeyRetired),
        };
        self.ended.insert(kid.clone(), Ended { ruling, last: UnixTime::EPOCH, generation: None });
        if let Order::Revoke { descendants: true, .. } = order {
            // Which instant the change names is known once it is committed. Until then no lineage can be
            // younger than the fastest clock.
            let ahead = self.shifts.iter().copied().max().unwrap_or_default().max(0).unsigned_abs();
            self.floor = Some(Floor { at: wall.plus(1 + ahead), generation: None });
        }
    }

    /// A generation was committed.
    pub fn committed(&mut self, manifest: &Manifest) {
        let generation = manifest.generation;
        for (kid, ended) in self.ended.iter_mut().filter(|(_, ended)| ended.generation.is_none()) {
            let Some(key) = manifest.key(kid) else {
                continue;
            };
            let accept_until = key.superseded.and_then(|superseded| superseded.accept_until);
            let last = match ended.ruling {
                Ruling::KeyRevoked => key.revoked.as_ref().map(|_| UnixTime::EPOCH),
                _ => accept_until,
            };
            if let Some(last) = last {
                *ended = Ended { last, generation: Some(generation), ..*ended };
            }
        }
        // What the keyring has forgotten no token can name any more.
        self.ended.retain(|kid, ended| {
            ended.generation.is_none() || manifest.key(kid).is_some() || manifest.tombstone(kid).is_some()
        });
        if let (Some(at), Some(floor)) = (manifest.lineage_floor, &mut self.floor)
            && floor.generation.is_none()
        {
            *floor = Floor { at, generation: Some(generation) };
        }
    }

    /// A replica showed, at `moment`, that it holds `generation`.
    pub fn showed(&mut self, replica: ReplicaName, generation: u64, moment: Moment) {
        let shown = self.shown.entry(replica).or_default();
        if shown.back().is_none_or(|(last, _)| *last < generation) {
            shown.push_back((generation, moment));
        }
        // Who shows a later one held the earlier too: only of the oldest it is forgotten since when.
        if shown.len() > MOST_SHOWN {
            shown.pop_front();
        }
    }

    /// Whether `replica` had shown before `moment` that it holds `generation` or a later one.
    pub fn held(&self, replica: ReplicaName, generation: u64, moment: Moment) -> bool {
        let shown = self.shown.get(&replica).into_iter().flatten();
        shown.into_iter().any(|(held, since)| *held >= generation && *since < moment)
    }

    /// Why the operator's orders end this token, if they do.
    pub fn ended(&self, token: &TokenFacts) -> Option<Ruling> {
        let by_key = self.ended.get(&token.kid).map(|ended| ended.ruling);
        let by_lineage = self.floor.filter(|floor| token.began <= floor.at).map(|_| Ruling::LineageRevoked);
        by_key.or(by_lineage)
    }

    /// Whether refusing the token was right.
    pub fn refused(&self, call: &Call) -> Ruling {
        if let Some(ruling) = self.ended(&call.token) {
            return ruling;
        }
        // The replica read its clock before its answer was there.
        let latest = self.reading(call.replica, call.answered.wall);
        if self.is_over(&call.token, latest) { Ruling::Expired } else { Ruling::Wrong }
    }

    /// Why the token should have been refused, if it should.
    pub fn accepted(&self, call: &Call) -> Option<Ruling> {
        // The replica read its clock after the call was sent.
        let earliest = self.reading(call.replica, call.sent.wall);
        if self.is_over(&call.token, earliest) {
            return Some(Ruling::Expired);
        }
        let knew = |generation: Option<u64>| {
            generation.is_some_and(|generation| self.held(call.replica, generation, call.sent.moment))
        };
        let by_key = self.ended.get(&call.token.kid);
        let by_key = by_key.filter(|ended| earliest > ended.last && knew(ended.generation));
        let by_lineage = self.floor.filter(|floor| call.token.began <= floor.at && knew(floor.generation));
        by_key.map(|ended| ended.ruling).or(by_lineage.map(|_| Ruling::LineageRevoked))
    }

    fn is_over(&self, token: &TokenFacts, now: UnixTime) -> bool {
        token.expires.is_some_and(|expires| now > expires.plus(self.leeway))
    }

    /// What a replica's clock showed when the machine's showed `wall`.
    fn reading(&self, replica: ReplicaName, wall: UnixTime) -> UnixTime {
        let shift = self.shifts.get(replica.index()).copied().unwrap_or_default();
        UnixTime(wall.0.saturating_add_signed(shift))
    }
}

#[cfg(test)]
mod tests;
