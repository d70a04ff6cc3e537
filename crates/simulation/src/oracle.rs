//! The oracle: whether a verdict was right, by what was ordered when. It asks no rule of the keyring's.

use std::collections::BTreeMap;
use std::time::Duration;

use keystile_keyring::{Policy, UnixTime};

use crate::moment::Moment;
use crate::token::{Token, seconds};

/// What the oracle remembers.
pub(crate) struct Oracle {
    leeway: u64,
    /// After this time, no replica may accept what an order ended: it has read the store, or says nothing.
    silence: Duration,
    ended: BTreeMap<u8, Ended>,
    floor: Option<Floor>,
}

/// An order that ended a key's tokens.
#[derive(Clone, Copy, Debug)]
struct Ended {
    /// The last instant at which they may be accepted.
    last: UnixTime,
    generation: usize,
    at: Moment,
}

#[derive(Clone, Copy, Debug)]
struct Floor {
    began: u32,
    generation: usize,
    at: Moment,
}

impl Oracle {
    pub(crate) fn new(policy: &Policy) -> Self {
        let silence = Duration::from_secs(policy.verify_staleness + policy.max_skew + 2);
        Self { leeway: policy.leeway, silence, ended: BTreeMap::new(), floor: None }
    }

    /// The operator ended a key's tokens after `last`; `generation` says so.
    pub(crate) fn end(&mut self, key: u8, last: UnixTime, generation: usize, at: Moment) {
        self.ended.insert(key, Ended { last, generation, at });
    }

    /// The operator ended every lineage that had begun by `began`.
    pub(crate) fn end_lineages(&mut self, began: UnixTime, generation: usize, at: Moment) {
        self.floor = Some(Floor { began: seconds(began), generation, at });
    }

    /// Whether an order of the operator's ended this token.
    pub(crate) fn by_order(&self, token: &Token) -> bool {
        self.ordered_at(token).is_some()
    }

    /// When the last order was given that ended this token.
    pub(crate) fn ordered_at(&self, token: &Token) -> Option<Moment> {
        let by_key = self.ended.get(&token.key).map(|ended| ended.at);
        by_key.max(self.descends(token).map(|floor| floor.at))
    }

    fn descends(&self, token: &Token) -> Option<Floor> {
        self.floor.filter(|floor| token.began <= floor.began)
    }

    /// Whether a replica whose clock shows `wall` was right to reject a token that a gateway had minted.
    pub(crate) fn may_reject(&self, token: &Token, wall: UnixTime) -> bool {
        token.is_over(wall, self.leeway) || self.by_order(token)
    }

    /// Whether a replica that holds `held`, and whose clock shows `wall`, was right to accept it.
    pub(crate) fn may_accept(&self, token: &Token, wall: UnixTime, held: usize, now: Moment) -> bool {
        let knew = |generation, at| held >= generation || now.since(at) > self.silence;
        let by_key = self.ended.get(&token.key);
        let by_key = by_key.is_some_and(|ended| wall > ended.last && knew(ended.generation, ended.at));
        let by_lineage = self.descends(token).is_some_and(|floor| knew(floor.generation, floor.at));
        !token.is_over(wall, self.leeway) && !by_key && !by_lineage
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::moment::EPOCH;

    fn token(key: u8) -> Token {
        let issued = seconds(EPOCH);
        Token { issued, expires: issued + 100, began: issued - 50, key }
    }

    fn oracle() -> Oracle {
        Oracle::new(&Policy { leeway: 10, verify_staleness: 1000, ..Policy::default() })
    }

    #[test]
    fn a_good_token_must_be_accepted_to_the_end_of_its_leeway() {
        let oracle = oracle();
        assert!(!oracle.may_reject(&token(0), EPOCH.plus(110)));
        assert!(oracle.may_accept(&token(0), EPOCH.plus(110), 0, Moment(0)));
        assert!(oracle.may_reject(&token(0), EPOCH.plus(111)));
        assert!(!oracle.may_accept(&token(0), EPOCH.plus(111), 0, Moment(0)));
        assert!(!oracle.may_reject(&Token { expires: 0, ..token(0) }, UnixTime(u64::MAX)), "it never ends");
    }

    #[test]
    fn an_order_binds_whoever_knows_it_and_in_the_end_everybody() {
        let mut oracle = oracle();
        oracle.end(1, UnixTime(0), 4, Moment(5_000));
        assert!(oracle.may_reject(&token(1), EPOCH) && !oracle.may_reject(&token(0), EPOCH));
        assert!(oracle.may_accept(&token(1), EPOCH, 3, Moment(6_000)), "it had not heard of it");
        assert!(!oracle.may_accept(&token(1), EPOCH, 4, Moment(6_000)));
        assert!(!oracle.may_accept(&token(1), EPOCH, 3, Moment(1_100_000)), "it should have fallen silent");
    }

    #[test]
    fn a_lineage_ends_whatever_the_key() {
        let mut oracle = oracle();
        oracle.end_lineages(EPOCH.minus(50), 2, Moment(0));
        assert!(oracle.may_reject(&token(0), EPOCH) && !oracle.may_accept(&token(0), EPOCH, 2, Moment(0)));
        let younger = Token { began: seconds(EPOCH) - 49, ..token(0) };
        assert!(!oracle.may_reject(&younger, EPOCH) && oracle.may_accept(&younger, EPOCH, 2, Moment(0)));
    }
}
