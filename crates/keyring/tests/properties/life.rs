//! A life: the steps carried out in a world, with every invariant asserted as it goes.

use std::collections::{BTreeMap, BTreeSet};

use keystile_keyring::gate::Fleet;
use keystile_keyring::manifest::{End, PrivateState};
use keystile_keyring::plan::{Mode, Plan, Planned, PolicyChange, Remains, Verb, repair};
use keystile_keyring::{Code, Kid, Manifest, Policy, UnixTime};

use crate::checks;
use crate::everywhere::{Everywhere, Landed};
use crate::steps::{Pick, REPLICAS, Step};
use crate::world::{Landing, START, Token, World, digest_of, kid, request, verify};

/// A commit that has not landed yet.
struct Pending {
    planned_at: u64,
    lands_at: u64,
    offset: i64,
    plan: Plan,
}

pub(crate) struct Life {
    pub(crate) world: World,
    /// Also ask replicas that cannot read the store.
    pub(crate) cut_off_too: bool,
    /// Tokens minted in all.
    pub(crate) minted: usize,
    landed: Vec<Landed>,
    gates: Vec<(u64, usize)>,
    pending: Vec<Pending>,
    tokens: Vec<Token>,
    /// Keys whose tokens an operator may have cut off: revoked, or with an end set by hand.
    cut: BTreeSet<Kid>,
    /// Ends set by hand; nothing may move them.
    ends: BTreeMap<Kid, UnixTime>,
    /// Keys that were let sign without a gate or a schedule.
    ungated: BTreeSet<Kid>,
}

impl Life {
    pub(crate) fn begin(policy: Policy) -> Self {
        let world = World::begin(policy, &[0, 1, 0][..REPLICAS]);
        Self {
            landed: vec![Landed { at: START, manifest: world.newest().clone() }],
            gates: Vec::new(),
            world,
            cut_off_too: false,
            minted: 0,
            pending: Vec::new(),
            tokens: Vec::new(),
            cut: BTreeSet::new(),
            ends: BTreeMap::new(),
            ungated: BTreeSet::new(),
        }
    }

    /// Carries out the steps, one after the other; then asks what any replica could have said.
    pub(crate) fn run(&mut self, steps: &[Step]) {
        for step in steps {
            self.step(step);
        }
        let (log, cut, gates) = (&self.landed, &self.cut, &self.gates);
        let everywhere = Everywhere { log, cut, cut_off_too: self.cut_off_too, gates };
        self.minted += everywhere.assert_accepted(START, self.world.now + 10);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Wait(seconds) => self.wait(*seconds),
            Step::Read(replica) => self.world.read(*replica),
            Step::ReadAll => {
                self.world.read_all();
            }
            Step::Restart(replica) => self.world.restart(*replica),
            Step::Mint(replica) => self.mint(*replica, None),
            Step::Refresh(replica, token) => {
                let token = self.tokens.len().checked_sub(1).map(|last| last.saturating_sub(*token));
                self.mint(*replica, token);
            }
            Step::Operate { offset, pick, lands_in } => self.operate(*offset, pick, *lands_in),
        }
        self.assert_tokens();
    }

    fn wait(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.world.now += 1;
            self.land_due();
            self.assert_tokens();
        }
    }

    fn mint(&mut self, replica: usize, parent: Option<usize>) {
        let clock = self.world.clock(self.world.replicas[replica].offset);
        let began = match parent.and_then(|parent| self.tokens.get(parent)) {
            Some(parent) if self.world.verify(replica, parent).is_err() => return,
            Some(parent) => parent.times.lineage_began,
            None => clock,
        };
        let Some(token) = self.world.mint_lineage(replica, began) else {
            return;
        };
        if !self.ungated.contains(&token.kid) {
            checks::everybody_knows(&self.world, &token.kid);
        }
        self.minted += 1;
        if !self.tokens.contains(&token) {
            self.tokens.push(token);
        }
    }

    fn operate(&mut self, offset: i64, pick: &Pick, lands_in: u64) {
        let now = self.world.clock(offset);
        let request = request(self.verb(pick, now));
        match self.world.plan_as(offset, &request) {
            Ok(Planned::Change(plan)) => {
                let planned_at = self.world.now;
                let lands_at = planned_at + lands_in;
                self.pending.push(Pending { planned_at, lands_at, offset, plan: *plan });
                self.land_due();
            }
            Ok(Planned::Wait { .. } | Planned::Done(_) | Planned::Nothing(_)) => {}
            Err(refusal) => {
                assert!(refusal.code != Code::WouldBreak, "{refusal}");
                assert!(refusal.code != Code::ManifestFull, "{refusal}");
                let revoked = matches!(request.verb, Verb::Revoke { .. });
                assert!(!revoked || refusal.code != Code::KeyringFull, "{refusal}");
            }
        }
    }

    fn verb(&self, pick: &Pick, now: UnixTime) -> Verb {
        let newest = self.world.newest();
        let key = |index: usize| newest.keys[index % newest.keys.len()].kid.clone();
        match *pick {
            Pick::Prepare { no_rollback } => Verb::Prepare { no_rollback },
            Pick::Activate => Verb::Activate { fleet: Fleet::Reporting, no_rollback: false },
            Pick::Rotate { no_rollback } => Verb::Rotate { mode: Mode::Gated(Fleet::Reporting), no_rollback },
            Pick::Schedule { beyond_minimum } => {
                let lead = newest.policy.schedule_minimum(newest.maxima(now)) + beyond_minimum;
                Verb::Rotate { mode: Mode::Scheduled(lead), no_rollback: false }
            }
            Pick::Emergency => Verb::Rotate { mode: Mode::Emergency, no_rollback: false },
            Pick::Rollback { to } => Verb::Rollback { to: to.map(key) },
            Pick::Revoke { key: index, descendants } => Verb::Revoke { kid: key(index), descendants },
            Pick::Retire { key: index, after, force } => {
                Verb::Retire { kid: key(index), at: after.map(|after| now.plus(after)), force }
            }
            Pick::Prune => Verb::Prune,
            Pick::SetPolicy { member, value } => {
                Verb::SetPolicy(PolicyChange([(member.to_owned(), Some(value))].into()))
            }
        }
    }

    /// Lands every commit whose time has come; one that took longer than it may is mended at once.
    fn land_due(&mut self) {
        let now = self.world.now;
        while let Some(index) = self.pending.iter().position(|pending| pending.lands_at <= now) {
            let Pending { planned_at: gate_seen_at, offset, plan, .. } = self.pending.remove(index);
            let (planned_at, allowed) = (plan.planned_at, plan.next.policy.commit_delay);
            if self.land(&plan) == Landing::Landed {
                self.note_gate(gate_seen_at, &plan);
                let excess = self.world.clock(offset).since(planned_at).saturating_sub(allowed);
                if excess > 0 {
                    // What was to happen at an instant happened late, or with less of a lead.
                    self.ungated.extend(plan.next.keys.iter().map(|key| key.kid.clone()));
                    self.extend(offset, excess, planned_at);
                }
            }
        }
    }

    /// An activation behind the gate: every replica held its key when it was planned.
    fn note_gate(&mut self, seen_at: u64, plan: &Plan) {
        let [.., before, next] = self.landed.as_slice() else { return };
        let operation = before.manifest.operation.as_ref().filter(|_| next.manifest.operation.is_none());
        let signs = operation.filter(|operation| plan.next.first_activation(&operation.to_kid).is_some());
        let published = signs.and_then(|operation| {
            self.landed.iter().position(|landed| landed.manifest.key(&operation.to_kid).is_some())
        });
        self.gates.extend(published.map(|index| (seen_at, index)));
    }

    fn extend(&mut self, offset: i64, excess: u64, planned_at: UnixTime) {
        let planned = self.world.plan_as(offset, &request(Verb::Extend { excess, planned_at }));
        match planned {
            Ok(Planned::Change(plan)) => assert_eq!(self.land(&plan), Landing::Landed),
            other => panic!("a late commit must be mended, found {other:?}"),
        }
    }

    fn land(&mut self, plan: &Plan) -> Landing {
        let before = self.world.newest().clone();
        let generations = self.world.log.len();
        let landing = self.world.land(plan.clone());
        if landing == Landing::Conflict {
            assert_eq!(self.world.log.len(), generations, "I6: the loser changes nothing");
            return landing;
        }
        self.landed.push(Landed { at: self.world.now, manifest: plan.next.clone() });
        checks::succession(&before, plan);
        checks::one_signer(&plan.next, plan.planned_at);
        checks::revoked_stays_revoked(&before, &plan.next);
        if plan.verb != "extend" {
            checks::retired_stays_retired(&before, plan);
        }
        self.remember(&before, plan);
        landing
    }

    /// Puts generation number `backup` back, with the private keys that the bits of `private` choose of
    /// those it had, and repairs the store.
    pub(crate) fn restore(&self, backup: usize, private: u8) {
        let (store, witness) = (&self.world.log[backup], self.world.newest());
        let present = store.keys.iter().filter(|key| key.private == PrivateState::Present);
        let chosen = present.enumerate().filter(|(bit, _)| private >> bit & 1 == 1);
        let private: BTreeSet<_> = chosen.map(|(_, key)| key.kid.clone()).collect();
        let remains = Remains {
            manifest: store,
            digest: digest_of(store),
            private: &private,
            accepted: None,
            fresh: None,
            held: 0,
            reports: &[],
        };
        let now = self.world.clock(0);
        let plan = match repair(&remains, witness, "olga", now) {
            Ok(plan) => plan,
            Err(refusal) => {
                assert!(matches!(refusal.code, Code::NoSigner), "{refusal}");
                return;
            }
        };
        let next = &plan.next;
        assert!(next.generation > witness.generation.max(store.generation), "I5");
        checks::one_signer_from(next, plan.planned_at);
        checks::revoked_stays_revoked(witness, next);
        checks::revoked_stays_revoked(store, next);
        checks::retired_stays_retired(witness, &plan);
        let signer = next.active_at(plan.planned_at).expect("a signer");
        assert!(private.contains(&signer.kid), "{} signs, and its private key is lost", signer.kid);
        for token in &self.tokens {
            if verify(witness, token, now).is_ok() {
                assert_eq!(verify(next, token, plan.planned_at), Ok(()), "I3 through a restore: {token:?}");
            }
        }
    }

    /// Notes what the operator may do to valid tokens, and what the gate did not see.
    fn remember(&mut self, before: &Manifest, plan: &Plan) {
        let gone = plan.next.tombstones.iter().filter(|stone| stone.end == End::Revoked);
        self.cut.extend(gone.map(|stone| stone.kid.clone()));
        for key in &plan.next.keys {
            let kid = &key.kid;
            let end = key.superseded.and_then(|superseded| superseded.accept_until);
            let earlier = before.key(kid).and_then(|key| key.superseded?.accept_until);
            if key.revoked.is_some() {
                self.cut.insert(kid.clone());
            }
            if plan.verb == "retire" && end != earlier {
                self.cut.insert(kid.clone());
                self.ends.insert(kid.clone(), end.expect("retire sets an end"));
            } else if key.superseded.is_none() {
                self.ends.remove(kid);
            } else if let Some(by_hand) = self.ends.get_mut(kid) {
                let earlier = before.key(kid).expect("it has an end");
                let follows = checks::end_of_tokens(earlier).is_none_or(|expired| *by_hand >= expired);
                assert!(
                    end == Some(*by_hand) || (follows && end.is_none_or(|end| end > *by_hand)),
                    "{} moved the end that was set for {kid} by hand to {end:?}",
                    plan.verb
                );
                *by_hand = end.unwrap_or(UnixTime(u64::MAX));
            }
            let gated = before.operation.is_some() && plan.verb != "revoke" && !plan_is_emergency(plan);
            let new = before.first_activation(kid) != plan.next.first_activation(kid);
            let scheduled = plan.next.first_activation(kid).is_some_and(|from| from > plan.planned_at);
            if new && !gated && (!scheduled || plan.verb == "revoke") {
                self.ungated.insert(kid.clone());
            }
        }
    }

    /// I3: a token that has not expired is accepted by every replica within its staleness, unless an
    /// operator cut it off.
    fn assert_tokens(&mut self) {
        let (world, cut) = (&self.world, &self.cut);
        let floor = world.newest().lineage_floor;
        self.tokens.retain(|token| {
            !cut.contains(&token.kid)
                && token.times.expires_at.is_none_or(|exp| world.clock(0) <= exp)
                && floor.is_none_or(|floor| token.times.lineage_began > floor)
        });
        for token in &self.tokens {
            for index in (0..REPLICAS).filter(|index| world.is_fresh(*index)) {
                let clock = world.clock(world.replicas[index].offset);
                if token.times.expires_at.is_some_and(|exp| clock > exp) {
                    continue;
                }
                let said = world.verify(index, token);
                assert_eq!(said, Ok(()), "I3: replica {index} at {}: {token:?}", world.now);
                if self.cut_off_too {
                    let said = world.verify_cut_off(index, token);
                    assert_eq!(
                        said,
                        Some(Ok(())),
                        "I3, cut off: replica {index} at {}: {token:?}",
                        world.now
                    );
                }
            }
        }
    }
}

fn plan_is_emergency(plan: &Plan) -> bool {
    plan.impact.warnings.iter().any(|warning| warning.contains("--emergency"))
}

#[test]
fn a_life_begins_with_a_signer() {
    let life = Life::begin(crate::world::small());
    assert_eq!(life.world.newest().active_at(UnixTime(START)).map(|key| &key.kid), Some(&kid("a")));
}
