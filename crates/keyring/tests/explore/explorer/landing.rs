//! A change that lands: what must hold of it, and what the world remembers of it.

use std::rc::Rc;

use keystile_keyring::manifest::Key;
use keystile_keyring::plan::{Plan, Verb};
use keystile_keyring::{KeyState, Kid, Lookup, Manifest, UnixTime};

use super::judge::knows;
use super::rules::Rules;
use super::scene::{Landed, Scene, digest_of};
use super::story::Violation;

type Held = Result<(), Violation>;

impl Scene {
    /// Puts a plan in the store's place; the witness hears of it unless the operator dies before.
    pub fn land(&mut self, plan: Plan, verb: Option<&Verb>, late: bool, told: bool, rules: &Rules) -> Held {
        let next = &plan.next;
        self.tell(landed(&plan, told));
        let base = match &self.backup {
            Some(backup) => self.log[backup.index].clone(),
            None => self.log[self.log.len() - 1].clone(),
        };
        self.follows(&base.manifest, &plan)?;
        self.one_signer(&plan)?;
        self.final_stays_final(next, plan.planned_at)?;
        self.windows_are_bounded(next)?;
        self.loads(&base.manifest, &plan, rules)?;
        self.remember(&plan, verb, late)?;
        self.backup = None;
        self.log.push(Rc::new(Landed { at: self.now, manifest: plan.next }));
        if told {
            self.witness = self.log.len() - 1;
        }
        Ok(())
    }

    /// I5: a generation is higher than every one before it, and names the one it replaces.
    fn follows(&self, base: &Manifest, plan: &Plan) -> Held {
        let next = &plan.next;
        let highest = self.log.iter().map(|landed| landed.manifest.generation).max().unwrap_or(0);
        let number = next.generation == highest + 1;
        if number && next.previous == Some(digest_of(base)) {
            return Ok(());
        }
        let what = format!(
            "generation {} follows {}; a replica that holds generation {highest} never loads it",
            next.generation, base.generation
        );
        Err(self.violation("I5", what))
    }

    /// I1 and I8: from the plan's instant on, on the slowest clock, exactly one key is active at each instant;
    /// it is not revoked.
    fn one_signer(&self, plan: &Plan) -> Held {
        let next = &plan.next;
        let slowest =
            if plan.verb == "reconcile" { plan.planned_at } else { UnixTime(self.now).min(plan.planned_at) };
        let last = next.timeline.last().map_or(slowest, |last| last.from).max(slowest);
        for instant in (slowest.0..=last.0 + 1).map(UnixTime) {
            let active = |key: &&Key| next.state_of(key, instant) == KeyState::Active;
            let signers: Vec<_> = next.keys.iter().filter(active).collect();
            match signers.as_slice() {
                [signer] if signer.revoked.is_none() => {}
                [_] => return Err(self.violation("I8", format!("a revoked key signs at {instant}"))),
                many => {
                    return Err(self.violation("I1", format!("{} keys are active at {instant}", many.len())));
                }
            }
        }
        Ok(())
    }

    /// I9 and I12: every replica can load it, and it holds no more keys than it may.
    fn loads(&self, base: &Manifest, plan: &Plan, rules: &Rules) -> Held {
        let next = &plan.next;
        if let Err(error) = (rules.structure)(next) {
            return Err(self.violation("I9", format!("no replica can load it: {error}")));
        }
        let (held, limit) = (next.keys.len(), next.policy.max_keys);
        if held as u64 > limit && held > base.keys.len() && plan.verb != "reconcile" {
            return Err(self.violation("I12", format!("it holds {held} keys, and max_keys is {limit}")));
        }
        Ok(())
    }

    /// I4 and I8: what had retired stays so, what was revoked too, and the floor of lineages only rises.
    fn final_stays_final(&self, next: &Manifest, now: UnixTime) -> Held {
        let forgets =
            |kid: &&Kid| !knows(next, kid) && (next.key(kid).is_some() || !self.lost.contains(*kid));
        if let Some(kid) = self.revoked.keys().find(forgets) {
            return Err(
                self.violation("I8", format!("{kid} was revoked, and this generation holds it as good"))
            );
        }
        let before = self.newest();
        if next.lineage_floor < before.lineage_floor {
            return Err(self.violation("I8", "the floor of lineages went down".to_owned()));
        }
        let extends = next.history.last().is_some_and(|change| change.verb == "extend");
        // Nobody who is left remembers it.
        let forgotten = self.backup.as_ref().is_some_and(|backup| backup.witness);
        let retired = |key: &&Key| before.state_of(key, now) == KeyState::Retired;
        for key in before.keys.iter().filter(retired).filter(|_| !extends && !forgotten) {
            match next.lookup(&key.kid, now) {
                Lookup::Held(_, KeyState::Retired | KeyState::Revoked) | Lookup::Gone(_) => {}
                _ => return Err(self.violation("I4", format!("{} had retired, and verifies again", key.kid))),
            }
        }
        Ok(())
    }

    /// I4: a window that follows from the tokens ends by the sum of the bounds that ever were.
    fn windows_are_bounded(&self, next: &Manifest) -> Held {
        let policies = || self.log.iter().map(|landed| &landed.manifest.policy).chain([&next.policy]);
        let most = |of: fn(&keystile_keyring::Policy) -> u64| policies().map(of).max().unwrap_or(0);
        let late = 2;
        let longest = most(|policy| policy.max_staleness)
            + most(|policy| policy.max_skew)
            + most(|policy| policy.commit_delay)
            + most(|policy| policy.token_ttl)
            + most(|policy| policy.leeway)
            + late;
        for key in next.keys.iter().filter(|key| key.revoked.is_none() && !self.deadline.contains(&key.kid)) {
            let Some(bounds) = key.superseded.filter(|_| key.bounded_lifetime().is_some()) else { continue };
            if bounds.accept_until.is_none_or(|until| until > bounds.at.plus(longest)) {
                let what = format!("{} verifies for more than {longest} s after it was superseded", key.kid);
                return Err(self.violation("I4", what));
            }
        }
        Ok(())
    }

    fn remember(&mut self, plan: &Plan, verb: Option<&Verb>, late: bool) -> Held {
        let (before, next) = (self.log[self.log.len() - 1].clone(), &plan.next);
        for kid in next.revoked_kids() {
            self.revoked.entry(kid.clone()).or_insert(self.now);
            self.cut.insert(kid.clone());
        }
        for key in next
            .keys
            .iter()
            .filter(|key| before.manifest.activations(&key.kid).count() < next.activations(&key.kid).count())
        {
            // Whoever signs again is good again, and what it signed before too.
            self.cut.remove(&key.kid);
            self.deadline.remove(&key.kid);
        }
        let gated = matches!(
            verb,
            Some(
                Verb::Activate { .. }
                    | Verb::Rotate {
                        mode: keystile_keyring::plan::Mode::Gated(_)
                            | keystile_keyring::plan::Mode::Scheduled(_),
                        ..
                    }
            )
        );
        for key in &next.keys {
            let new = before.manifest.first_activation(&key.kid) != next.first_activation(&key.kid);
            if late || (new && !gated) {
                self.ungated.insert(key.kid.clone());
            }
        }
        match verb {
            Some(Verb::Retire { kid, force: true, .. }) => _ = self.cut.insert(kid.clone()),
            Some(Verb::Retire { kid, .. }) => _ = self.deadline.insert(kid.clone()),
            Some(Verb::Rollback { to }) => self.went_back(&before.manifest, next, to.is_some())?,
            _ => {}
        }
        Ok(())
    }

    /// Going back never leads to a key that was gone back from, unless it is named.
    fn went_back(&mut self, before: &Manifest, next: &Manifest, named: bool) -> Held {
        let (Some(left), Some(signs)) = (before.last_signer(), next.last_signer()) else { return Ok(()) };
        if left == signs {
            return Ok(());
        }
        if !named && self.abandoned.contains(signs) {
            let what = format!("the rollback leads to {signs}, which a rollback went back from");
            return Err(self.violation("rollback", what));
        }
        self.abandoned.remove(signs);
        self.abandoned.insert(left.clone());
        Ok(())
    }
}

/// A landing in words.
fn landed(plan: &Plan, told: bool) -> String {
    let next = &plan.next;
    let signs = next.timeline.iter().map(|entry| format!("{}@{}", entry.kid, entry.from));
    let signs: Vec<_> = signs.collect();
    let windows = next.keys.iter().filter_map(|key| {
        let bounds = key.superseded.filter(|_| key.revoked.is_none())?;
        let until = bounds.accept_until.map_or("no end".to_owned(), |until| format!("until {until}"));
        Some(format!("{}: last iat {}, {until}", key.kid, bounds.last_iat))
    });
    let windows: Vec<_> = windows.collect();
    let untold = if told { "" } else { "; the operator dies before it tells the witness" };
    format!(
        "generation {} ({}, planned at {}) lands: {}{}{}{untold}",
        next.generation,
        plan.verb,
        plan.planned_at,
        signs.join(" "),
        if windows.is_empty() { "" } else { "; " },
        windows.join("; ")
    )
}
