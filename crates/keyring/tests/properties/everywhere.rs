//! I3, exhaustively: whatever replicas there could have been in a life, wherever they lagged and
//! whatever their clocks showed within bounds, none of them refuses what another one minted.

use std::collections::BTreeSet;

use keystile_keyring::{Breach, Kid, Manifest, Policy, TokenTimes, UnixTime};

use crate::world::{Token, verify};

/// A generation and when it landed, true time.
pub(crate) struct Landed {
    pub(crate) at: u64,
    pub(crate) manifest: Manifest,
}

/// What the clocks of replicas show, less true time.
const OFFSETS: [u64; 2] = [0, 1];

/// The whole life, seen from its end.
pub(crate) struct Everywhere<'a> {
    pub(crate) log: &'a [Landed],
    /// Keys whose tokens an operator may have cut off.
    pub(crate) cut: &'a BTreeSet<Kid>,
    /// Also ask replicas that cannot read the store.
    pub(crate) cut_off_too: bool,
    /// Gates that opened: since when every replica there was held the generation with this index.
    pub(crate) gates: &'a [(u64, usize)],
}

impl Everywhere<'_> {
    /// Asserts it for every token minted from `begin` to `end`; returns how many there were.
    pub(crate) fn assert_accepted(&self, begin: u64, end: u64) -> usize {
        let mut tokens = 0;
        for now in begin..=end {
            let mut minted: Vec<Token> = Vec::new();
            for index in self.held_at(now, |policy| policy.max_staleness) {
                for token in OFFSETS.into_iter().filter_map(|offset| self.mint(index, now + offset)) {
                    if !minted.contains(&token) {
                        minted.push(token);
                    }
                }
            }
            for token in minted.iter().filter(|token| !self.cut.contains(&token.kid)) {
                self.assert_good(token, now, end);
                tokens += 1;
            }
        }
        tokens
    }

    /// The generations that a replica within its staleness may hold at `now`: the read that began
    /// before the next one landed counts for so long.
    fn held_at(&self, now: u64, staleness: fn(&Policy) -> u64) -> impl Iterator<Item = usize> {
        // A replica that never reported is beyond the gate's promise; with a read it is served all the same.
        let opened = self.gates.iter().filter(move |(since, _)| self.cut_off_too && *since <= now);
        let least = opened.map(|(_, index)| *index).max().unwrap_or(0);
        let landed = self.log.iter().take_while(move |landed| landed.at <= now).enumerate();
        landed.map(|(index, _)| index).filter(move |index| *index >= least).filter(move |index| {
            let staleness = staleness(&self.log[*index].manifest.policy);
            self.log.get(index + 1).is_none_or(|next| next.at + staleness >= now)
        })
    }

    fn mint(&self, index: usize, clock: u64) -> Option<Token> {
        let (manifest, clock) = (&self.log[index].manifest, UnixTime(clock));
        let key = manifest.active_at(clock)?;
        let ttl = manifest.policy.token_ttl;
        let times = TokenTimes {
            issued_at: clock,
            expires_at: (ttl != 0).then(|| clock.plus(ttl)),
            lineage_began: clock,
        };
        Some(Token { kid: key.kid.clone(), times })
    }

    fn assert_good(&self, token: &Token, minted_at: u64, end: u64) {
        let last = token.times.expires_at.map_or(end, |expires_at| end.min(expires_at.0));
        // Whoever can read the store serves for as long as verify_staleness allows.
        let staleness = if self.cut_off_too {
            |policy: &Policy| policy.max_staleness
        } else {
            |policy: &Policy| policy.verify_staleness
        };
        for now in minted_at..=last {
            for index in self.held_at(now, staleness) {
                for clock in OFFSETS.map(|offset| UnixTime(now + offset)) {
                    if token.times.expires_at.is_none_or(|expires_at| clock <= expires_at) {
                        self.assert_accepts(index, token, now, clock);
                    }
                }
            }
        }
    }

    fn assert_accepts(&self, index: usize, token: &Token, now: u64, clock: UnixTime) {
        let held = &self.log[index].manifest;
        let Err(why) = verify(held, token, clock) else {
            return;
        };
        let newest = self.log.iter().rfind(|landed| landed.at <= now).expect("a generation");
        if newest.manifest.lineage_floor.is_some_and(|floor| token.times.lineage_began <= floor) {
            return;
        }
        let place = format!("{token:?} at {now}, clock {clock}, generation {}", held.generation);
        assert!(why.newer_generation_could_change(), "I3: {why:?} {place}");
        assert_eq!(verify(&newest.manifest, token, clock), Ok(()), "I3: {why:?} {place}");
        if self.cut_off_too {
            let prepared = matches!(why, crate::world::Why::Breach(Breach::SignedBeforeActivation))
                && held.first_activation(&token.kid).is_none();
            let next = self.log.get(index + 1).map_or(now, |next| next.at.min(now));
            let confirmed = UnixTime(next + clock.0 - now);
            let since = token.times.issued_at >= confirmed.minus(held.policy.max_skew);
            assert!(prepared && since, "I3, cut off: {why:?} {place}");
        }
    }
}
