//! Scripts that a seed draws, of any length: every step of them is one that the policy allows at its instant.
//!
//! The keyring is followed only as far as that needs: what signs, what may be gone back to, what still verifies,
//! how many keys are held. Operations follow each other with room between them. Faults fall anywhere but where
//! something is measured that a gateway which is down could not show, or where an operator could not work.

use std::time::Duration;

use keystile_keyring::{Code, Policy};

use super::{Action, Fault, KeyName, Operation, Script};
use crate::dice::Dice;
use crate::replica::ReplicaName;
use crate::scale;

/// When the first step may be.
const FIRST: Duration = Duration::from_secs(2);
/// The least and the most room between two operations.
const ROOM: (u64, u64) = (700, 4_000);
/// From the end of a fault until everything that it befell is back, generously.
const BACK: Duration = Duration::from_secs(4);
/// How long an operation that waits for nothing takes, generously.
const BRIEF: Duration = Duration::from_secs(1);
/// Kept between a step and the instant from which, or until which, it is allowed.
const MARGIN: Duration = Duration::from_secs(1);

/// So many gateways are never stopped: one process must live as long as the run, or no slow leak would show.
const SPARED: usize = 1;

/// Draws a script that ends after `lasts`.
pub fn drawn(policy: &Policy, gateways: usize, seed: u64, lasts: Duration) -> Script {
    let mut draw = Draw::new(policy, gateways, Dice::new(seed).fork(3), lasts);
    while draw.round() {}
    let mut script = draw.script;
    script.end = Some(lasts);
    script.sort();
    script
}

/// The least that a drawn script may last: one rotation finds its place, and what follows from it is over.
pub fn least(policy: &Policy) -> Duration {
    FIRST + Terms::of(policy).rotation + Terms::REST
}

/// What the policy makes of durations.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// A rotation, until its key signs, at least …
    soonest: Duration,
    /// … and at most, while every gateway runs.
    rotation: Duration,
    /// From the end of a key's signing until none of its tokens is good.
    expired: Duration,
    /// From the end of a key's signing to the end of its window, at least.
    window: Duration,
    /// From the end of a key's signing until it can be pruned, at most; `None` where its window has no end.
    held: Option<Duration>,
    /// How long a key can be gone back to.
    back: Duration,
    /// From the end of a key by order until it can be pruned, at most.
    prunable: Duration,
    /// From an order until no replica may accept what it ended.
    reach: Duration,
    /// The longest time that a gateway may stand still and still answer by the token that it was shown.
    stands: u64,
    /// The longest time that the store may be away and tokens are minted all the same.
    away: u64,
    max_keys: usize,
    /// Whether a rotation may come by itself with a reconcile.
    rotates_by_itself: bool,
    endless: bool,
}

impl Terms {
    /// From a step whose consequences are over at once to the end.
    const REST: Duration = Duration::from_secs(2);

    fn of(policy: &Policy) -> Self {
        let seconds = Duration::from_secs;
        let endless = policy.token_ttl == 0;
        let life = if endless { scale::USUAL_TTL } else { policy.token_ttl };
        let signs = policy.max_staleness + policy.max_skew + policy.commit_delay;
        let held = signs + life + policy.leeway + policy.max_skew + 2;
        Self {
            soonest: seconds(policy.verifier_cache + policy.activation_lead),
            rotation: seconds(scale::rotation(policy)),
            expired: seconds(life + policy.leeway),
            window: seconds(signs + life + policy.leeway),
            held: (!endless).then(|| seconds(held)),
            back: seconds(policy.rollback_custody.min(signs + life + policy.leeway)),
            prunable: seconds(policy.max_skew + 2),
            reach: seconds(policy.max_staleness + policy.max_skew),
            stands: (life * 150 + policy.leeway * 500).clamp(300, 1_500),
            away: (policy.max_staleness * 600).clamp(200, 2_000),
            max_keys: usize::try_from(policy.max_keys).unwrap_or(usize::MAX),
            rotates_by_itself: policy.rotate_every.is_some(),
            endless,
        }
    }
}

/// A key that signed once.
#[derive(Clone, Copy)]
struct Former {
    /// The earliest and the latest instant at which it may have signed last.
    signed: (Duration, Duration),
    /// When it was ended by an order, if it was.
    ended: Option<Duration>,
}

/// What a round may do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Rotate,
    Rollback,
    RetireTooEarly,
    Retire,
    RevokeActive,
    RevokeFormer,
    Prune,
    Reconcile,
    HideStore,
    RestartInTurn,
}

struct Draw {
    terms: Terms,
    gateways: usize,
    dice: Dice,
    lasts: Duration,
    script: Script,
    /// When the operator is free.
    now: Duration,
    /// When all faults are over and everything that they befell is back.
    calm: Duration,
    /// Until when no gateway may be down, because it is measured how fast an order reaches all.
    watched: Duration,
    /// Keys besides the one that signs, by age.
    formers: Vec<Former>,
    /// Whether the youngest of them can be gone back to.
    can_go_back: bool,
}

impl Draw {
    fn new(policy: &Policy, gateways: usize, dice: Dice, lasts: Duration) -> Self {
        Self {
            terms: Terms::of(policy),
            gateways,
            dice,
            lasts,
            script: Script::default(),
            now: FIRST,
            calm: Duration::ZERO,
            watched: Duration::ZERO,
            formers: Vec::new(),
            can_go_back: false,
        }
    }

    /// Draws one more operation, with what befalls the fleet meanwhile. False when there is no time for one.
    fn round(&mut self) -> bool {
        if self.script.steps.is_empty() {
            // However short it is, something happens.
            return self.play(Act::Rotate);
        }
        let room = self.millis(ROOM.0, ROOM.1);
        self.now += room;
        let acts = self.possible();
        match acts.get(self.dice.below(acts.len())) {
            Some(act) => self.play(*act),
            None => false,
        }
    }

    /// Each act that is possible now, as often as it weighs.
    fn possible(&self) -> Vec<Act> {
        const ACTS: [(Act, usize); 10] = [
            (Act::Rotate, 6),
            (Act::Rollback, 4),
            (Act::RetireTooEarly, 2),
            (Act::Retire, 4),
            (Act::RevokeActive, 3),
            (Act::RevokeFormer, 2),
            (Act::Prune, 1),
            (Act::Reconcile, 1),
            (Act::HideStore, 2),
            (Act::RestartInTurn, 1),
        ];
        let can = |(act, weight): (Act, usize)| {
            let count = if self.can(act) && self.ends_in_time(act) { weight } else { 0 };
            std::iter::repeat_n(act, count)
        };
        ACTS.into_iter().flat_map(can).collect()
    }

    /// When `act` would begin.
    fn begins(&self, act: Act) -> Duration {
        match act {
            // Late enough that nobody lives by its tokens any more: they would have to bootstrap again.
            Act::Retire => {
                let expired = self.former().map(|former| former.signed.1 + self.terms.expired + MARGIN);
                self.now.max(self.calm).max(expired.unwrap_or_default())
            }
            // It is measured how fast these reach every gateway …
            Act::RevokeActive | Act::RevokeFormer => self.now.max(self.calm),
            // … which these would hinder.
            Act::HideStore | Act::RestartInTurn => self.now.max(self.calm).max(self.watched),
            _ => self.now,
        }
    }

    /// The key that signed last and still may verify.
    fn former(&self) -> Option<Former> {
        self.formers.iter().rev().find(|former| former.ended.is_none()).copied()
    }

    fn can(&self, act: Act) -> bool {
        let at = self.begins(act);
        // The youngest former key, if that is `bound` after it signed last for sure not yet over.
        let within =
            |bound: Duration| self.former().is_some_and(|former| at + MARGIN < former.signed.0 + bound);
        let verifies =
            || if self.terms.endless { self.former().is_some() } else { within(self.terms.window) };
        match act {
            Act::Rotate => self.held(at + BRIEF) + 1 < self.terms.max_keys,
            Act::Rollback => self.can_go_back && within(self.terms.back),
            Act::RetireTooEarly | Act::Retire | Act::RevokeFormer => verifies(),
            Act::Reconcile => !self.terms.rotates_by_itself,
            Act::RevokeActive | Act::Prune | Act::HideStore => true,
            Act::RestartInTurn => self.gateways > 1,
        }
    }

    /// How many keys the keyring may hold at `at`, once pruned.
    fn held(&self, at: Duration) -> usize {
        1 + self.formers.iter().filter(|former| self.is_held(former, at)).count()
    }

    fn is_held(&self, former: &Former, at: Duration) -> bool {
        match (former.ended, self.terms.held) {
            (Some(ended), _) => at < ended + self.terms.prunable,
            (None, Some(held)) => at < former.signed.1 + held,
            (None, None) => true,
        }
    }

    /// Whether nothing of `act` is left when the load ends.
    fn ends_in_time(&self, act: Act) -> bool {
        let rest = match act {
            Act::Rotate | Act::Rollback => self.terms.rotation + BRIEF + BACK,
            // Whoever lost a token has another one by then, and it has been tried.
            Act::Retire | Act::RevokeActive | Act::RevokeFormer => self.terms.reach.max(self.terms.expired),
            Act::RestartInTurn => (BRIEF + BACK) * u32::try_from(self.gateways).unwrap_or(u32::MAX),
            _ => BRIEF + BACK,
        };
        self.begins(act) + rest + Terms::REST <= self.lasts
    }

    fn play(&mut self, act: Act) -> bool {
        self.now = self.begins(act);
        match act {
            Act::Rotate => self.rotate(),
            Act::Rollback => self.rollback(),
            Act::RetireTooEarly => self.retire_too_early(),
            Act::Retire => {
                self.operate(Operation::Retire { key: KeyName::VerifyOnly, force: true });
                self.former_ends();
            }
            Act::RevokeActive => self.revoke(KeyName::Active),
            Act::RevokeFormer => {
                self.revoke(KeyName::VerifyOnly);
                self.former_ends();
            }
            Act::Prune => self.operate_briefly(Operation::Prune),
            Act::Reconcile => self.operate_briefly(Operation::Reconcile),
            Act::HideStore => self.hide_store(),
            Act::RestartInTurn => self.restart_in_turn(),
        }
        true
    }

    fn rotate(&mut self) {
        if self.formers.len() + 2 >= self.terms.max_keys {
            self.operate(Operation::Prune);
            self.now += BRIEF;
            let held: Vec<_> = self.formers.iter().map(|former| self.is_held(former, self.now)).collect();
            let mut held = held.into_iter();
            self.formers.retain(|_| held.next().unwrap_or_default());
        }
        self.operate(Operation::Rotate { emergency: false });
        let soonest = self.now + self.terms.soonest;
        let disturbed = self.disturb(self.terms.rotation);
        self.now += self.terms.rotation + if disturbed { BACK } else { Duration::ZERO };
        self.supersede(soonest);
        self.can_go_back = true;
    }

    fn rollback(&mut self) {
        self.operate(Operation::Rollback);
        let soonest = self.now;
        self.disturb(BRIEF);
        self.now += BRIEF + Duration::from_secs(1);
        self.formers.pop();
        self.supersede(soonest);
        self.can_go_back = false;
    }

    fn retire_too_early(&mut self) {
        let code = if self.terms.endless { Code::DeadlineRequired } else { Code::LiveTokens };
        let early = Operation::Retire { key: KeyName::VerifyOnly, force: false };
        self.script.push(self.now, Action::Operate(early), Some(code));
        self.disturb(BRIEF);
        self.now += BRIEF;
    }

    fn revoke(&mut self, key: KeyName) {
        let active = key == KeyName::Active;
        let descendants = self.dice.below(3) == 0;
        self.operate(Operation::Revoke { key, descendants });
        self.watched = self.now + self.terms.reach + Duration::from_secs(1);
        // Before that, a second revocation could meet supervisors that have not recovered from this one.
        self.now += self.terms.reach;
        if active {
            self.formers.push(Former { signed: (self.now, self.now), ended: Some(self.now) });
        }
        self.can_go_back = false;
    }

    /// The window of the youngest former key has been ended.
    fn former_ends(&mut self) {
        let now = self.now;
        if let Some(former) = self.formers.iter_mut().rev().find(|former| former.ended.is_none()) {
            former.ended = Some(now);
        }
        self.watched = self.watched.max(self.now + self.terms.reach + Duration::from_secs(1));
        self.now += BRIEF;
        self.can_go_back = false;
    }

    fn operate_briefly(&mut self, operation: Operation) {
        self.operate(operation);
        self.disturb(BRIEF);
        self.now += BRIEF;
    }

    /// A step that takes no time stands before: should the operator be late, this is later by as much.
    fn hide_store(&mut self) {
        self.operate(Operation::Prune);
        self.now += BRIEF;
        let pause = self.millis(200, self.terms.away);
        self.befall(self.now, Fault::HideStore(pause));
        self.now += pause + BRIEF;
    }

    fn restart_in_turn(&mut self) {
        for index in SPARED..self.gateways {
            let pause = self.millis(100, 500);
            self.befall(self.now, Fault::Restart(ReplicaName::of_index(index), pause));
            self.now += pause + BACK;
        }
    }

    /// Perhaps something befalls a gateway within the time that an operation takes. Whether it does.
    fn disturb(&mut self, within: Duration) -> bool {
        let most = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        let at = self.now + self.millis(0, most);
        let fault = self.fault();
        let quiet = at + fault.lasts() + BACK + Terms::REST;
        let befalls = at >= self.calm.max(self.watched) && quiet <= self.lasts && self.dice.below(2) == 0;
        if befalls {
            self.befall(at, fault);
        }
        befalls
    }

    fn fault(&mut self) -> Fault {
        let any = ReplicaName::of_index(self.dice.below(self.gateways));
        let mortal = self.gateways.saturating_sub(SPARED);
        let other = ReplicaName::of_index(SPARED + self.dice.below(mortal));
        match self.dice.below(3) {
            0 if mortal > 0 => Fault::Kill(other, self.millis(300, 1_500)),
            1 if mortal > 0 => Fault::Restart(other, self.millis(100, 500)),
            _ => Fault::Freeze(any, self.millis(200, self.terms.stands)),
        }
    }

    fn befall(&mut self, at: Duration, fault: Fault) {
        self.calm = self.calm.max(at + fault.lasts() + BACK);
        self.script.push(at, Action::Disturb(fault), None);
    }

    fn operate(&mut self, operation: Operation) {
        self.script.push(self.now, Action::Operate(operation), None);
    }

    /// The key that signed verifies from some instant between `soonest` and now on.
    fn supersede(&mut self, soonest: Duration) {
        self.formers.push(Former { signed: (soonest, self.now), ended: None });
    }

    fn millis(&mut self, least: u64, most: u64) -> Duration {
        let range = usize::try_from(most.saturating_sub(least) + 1).unwrap_or(usize::MAX);
        Duration::from_millis(least + self.dice.below(range) as u64)
    }
}

#[cfg(test)]
mod tests;
