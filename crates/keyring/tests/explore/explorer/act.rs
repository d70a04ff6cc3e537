//! What an operator does in a state, and the states that it may lead to.

use std::collections::BTreeSet;

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::plan::{Context, Plan, Planned, Remains, Request, Verb};
use keystile_keyring::{Code, Kid, Refusal, ReplicaReport, UnixTime};

use super::gates::Fleet;
use super::rules::Rules;
use super::scene::{Backup, Scene, digest_of};
use super::search::Counts;
use super::story::Violation;
use crate::world::offer;

/// Something that an operator does.
#[derive(Clone)]
pub enum Act {
    /// A verb.
    Operate(Verb),
    /// A backup takes the store's place.
    Restore(Backup),
    /// The store is repaired from its witness.
    Repair,
}

/// How a plan becomes a landing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// How far the operator's clock is ahead.
    pub offset: u64,
    /// Seconds from plan to landing.
    pub delay: u64,
    /// Whether the witness hears of it.
    pub told: bool,
}

impl Pace {
    /// On the slowest clock, at once.
    pub const PROMPT: Self = Self { offset: 0, delay: 0, told: true };
    /// On the fastest clock, at once.
    pub const AHEAD: Self = Self { offset: 1, ..Self::PROMPT };
    /// As late as commit_delay allows. On the fastest clock this is what `PROMPT` is a second later.
    pub const DELAYED: Self = Self { delay: 1, ..Self::PROMPT };
    /// Later than that, and extended at once.
    pub const LATE: Self = Self { delay: 2, ..Self::PROMPT };
    /// The operator dies between store and witness.
    pub const UNTOLD: Self = Self { told: false, ..Self::PROMPT };
}

impl Scene {
    /// The state after `act`, if it changes anything.
    pub fn act(
        &self,
        act: &Act,
        pace: Pace,
        rules: &Rules,
        counts: &mut Counts,
    ) -> Result<Option<Self>, Violation> {
        match act {
            Act::Restore(backup) => {
                let mut next = self.clone();
                next.restore(backup);
                Ok(Some(next))
            }
            Act::Repair => self.repair(pace, rules, counts),
            Act::Operate(verb) => self.operate(verb, pace, rules, counts),
        }
    }

    fn restore(&mut self, backup: &Backup) {
        let keys = if backup.private { "with" } else { "without" };
        let too = if backup.witness { ", and the witness of then" } else { "" };
        let generation = self.generation(backup.index).generation;
        self.tell(format!("a backup of generation {generation} is restored, {keys} its private keys{too}"));
        if backup.witness {
            self.witness = backup.index;
            // Replicas report what is final, not keys: those that nothing holds any more are lost.
            let lost = self.log.iter().flat_map(|landed| &landed.manifest.keys).map(|key| key.kid.clone());
            let lost: Vec<_> = lost.filter(|kid| self.generation(backup.index).key(kid).is_none()).collect();
            self.ungated.extend(lost.iter().cloned());
            self.cut.extend(lost.iter().cloned());
            self.lost.extend(lost);
        }
        self.backup = Some(backup.clone());
    }

    fn operate(
        &self,
        verb: &Verb,
        pace: Pace,
        rules: &Rules,
        counts: &mut Counts,
    ) -> Result<Option<Self>, Violation> {
        if let Some(backup) = &self.backup {
            let standing = (rules.standing)(self.generation(backup.index), self.generation(self.witness));
            if standing.is_broken() {
                return Ok(None);
            }
        }
        let Some(plan) = self.plan(verb, pace, rules, counts)? else { return Ok(None) };
        let mut next = self.clone();
        if let Some((kid, index)) = next.opened(verb, &plan) {
            next.least = next.least.max(index);
            next.tell(format!("every live replica has reported {kid}"));
        }
        next.wait(pace.delay, rules, counts)?;
        next.made += usize::from(plan.takes_candidate);
        let planned_at = plan.planned_at;
        let excess = next.clock(pace.offset).since(planned_at).saturating_sub(plan.next.policy.commit_delay);
        next.land(plan, Some(verb), excess > 0, pace.told, rules)?;
        if excess > 0 {
            next.extend(excess, planned_at, pace, rules)?;
        }
        counts.landings += 1;
        Ok(Some(next))
    }

    /// The plan, once every fleet that may stand before a gate was asked.
    fn plan(
        &self,
        verb: &Verb,
        pace: Pace,
        rules: &Rules,
        counts: &mut Counts,
    ) -> Result<Option<Plan>, Violation> {
        let in_flight = self.newest().operation.as_ref().map(|operation| operation.to_kid.clone());
        let gate = in_flight.filter(|_| {
            matches!(
                verb,
                Verb::Activate { .. } | Verb::Rotate { mode: keystile_keyring::plan::Mode::Gated(_), .. }
            )
        });
        let fleets = gate.as_ref().map_or_else(|| vec![self.prompt()], |kid| self.fleets(kid));
        let mut made = None;
        for Fleet { reports, lags } in fleets {
            counts.plans += 1;
            let planned = self.planned(verb, pace, rules, &reports);
            if let Ok(Planned::Change(plan)) = planned {
                if let (Some(kid), Some(lags)) = (&gate, &lags) {
                    let from = plan.next.first_activation(kid).unwrap_or(plan.planned_at);
                    self.gate_holds(kid, lags, from)?;
                }
                made = made.or(Some(*plan));
            } else if let Err(refusal) = planned {
                self.refused_for_a_reason(verb, &refusal)?;
            }
        }
        Ok(made)
    }

    fn planned(
        &self,
        verb: &Verb,
        pace: Pace,
        rules: &Rules,
        reports: &[ReplicaReport],
    ) -> Result<Planned, Refusal> {
        let base = self.backup.as_ref().map_or(self.newest(), |backup| self.generation(backup.index));
        let fresh = offer(self.made);
        let descends = matches!(verb, Verb::Revoke { descendants: true, .. });
        let request = Request {
            verb: verb.clone(),
            actor: "olga".to_owned(),
            reason: Some(if descends { "descendants" } else { "a test" }.to_owned()),
            request_id: None,
        };
        let context = Context {
            now: self.clock(pace.offset),
            digest: digest_of(base),
            reports,
            candidate: Some(&fresh),
        };
        (rules.plan)(base, &request, &context)
    }

    /// Clocks within their bounds are no reason to refuse, and no plan may be broken.
    fn refused_for_a_reason(&self, verb: &Verb, refusal: &Refusal) -> Result<(), Violation> {
        let revokes = matches!(verb, Verb::Revoke { .. });
        let never = match refusal.code {
            Code::ClockBehind | Code::ClockSkew | Code::WouldBreak | Code::ManifestFull => true,
            Code::KeyringFull => revokes,
            _ => false,
        };
        if never {
            let what = format!("{} is refused: {} ({})", verb.name(), refusal.found, refusal.code.as_str());
            return Err(self.violation("an ordinary day", what));
        }
        Ok(())
    }

    /// The key whose gate this plan found open, and the generation that published it.
    fn opened(&self, verb: &Verb, plan: &Plan) -> Option<(Kid, usize)> {
        let operation = self.newest().operation.as_ref()?;
        let gated = matches!(
            verb,
            Verb::Activate { .. } | Verb::Rotate { mode: keystile_keyring::plan::Mode::Gated(_), .. }
        );
        let kid = &operation.to_kid;
        (gated && plan.next.first_activation(kid).is_some())
            .then(|| (kid.clone(), self.published(kid).unwrap_or(0)))
    }

    fn extend(
        &mut self,
        excess: u64,
        planned_at: UnixTime,
        pace: Pace,
        rules: &Rules,
    ) -> Result<(), Violation> {
        let verb = Verb::Extend { excess, planned_at };
        let reports = self.prompt().reports;
        match self.planned(&verb, pace, rules, &reports) {
            Ok(Planned::Change(plan)) => self.land(*plan, Some(&verb), true, pace.told, rules),
            other => Err(self.violation("C06", format!("a late commit is not extended: {other:?}"))),
        }
    }

    fn repair(&self, pace: Pace, rules: &Rules, counts: &mut Counts) -> Result<Option<Self>, Violation> {
        let Some(backup) = &self.backup else { return Ok(None) };
        let (store, witness) = (self.generation(backup.index), self.generation(self.witness));
        let present = store.keys.iter().filter(|key| backup.private && key.private == PrivateState::Present);
        let private: BTreeSet<_> = present.map(|key| key.kid.clone()).collect();
        let fresh = offer(self.made);
        let reports = self.prompt().reports;
        let mut remains = Remains {
            manifest: store,
            digest: digest_of(store),
            private: &private,
            accepted: backup.witness.then(|| digest_of(store)),
            fresh: None,
            reports: &reports,
            held: 0,
        };
        let now = self.clock(pace.offset);
        let Ok(held) = remains.newest_held(witness, now) else { return Ok(None) };
        remains.held = held;
        counts.plans += 1;
        let plan = match (rules.repair)(&remains, witness, now) {
            Ok(plan) => plan,
            Err(refusal) if refusal.code == Code::NoSigner => {
                let with_fresh = Remains { fresh: Some(&fresh), ..remains };
                let again = (rules.repair)(&with_fresh, witness, now);
                again.map_err(|refusal| self.violation("I1", format!("a fresh key is refused: {refusal}")))?
            }
            Err(refusal) => return Err(self.violation("I8", format!("the repair is refused: {refusal}"))),
        };
        let mut next = self.clone();
        next.wait(pace.delay, rules, counts)?;
        next.made += usize::from(plan.takes_candidate);
        next.land(plan, None, false, pace.told, rules)?;
        counts.landings += 1;
        Ok(Some(next))
    }

    /// Lets time pass, asking everything at each second.
    pub fn wait(&mut self, seconds: u64, rules: &Rules, counts: &mut Counts) -> Result<(), Violation> {
        for _ in 0..seconds {
            self.now += 1;
            self.judge(rules, counts)?;
        }
        Ok(())
    }
}
