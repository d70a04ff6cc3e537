//! Operators: they plan on their own clocks, and their commits land a little later.

use keystile_keyring::Refusal;
use keystile_keyring::plan::{self, Plan, Planned, Request, Verb};

use super::{World, context, digest_of, offer, request, unwrap_change};

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landing {
    /// It is the newest generation.
    Landed,
    /// Another change came first: the loser is told.
    Conflict,
}

impl World {
    /// Plans `request` on the newest generation, on a clock that is `offset` off.
    pub fn plan_as(&self, offset: i64, request: &Request) -> Result<Planned, Refusal> {
        let reports = self.reports();
        let fresh = offer(self.made);
        let newest = self.newest();
        plan::plan(newest, request, &context(newest, self.clock(offset), &reports, Some(&fresh)))
    }

    /// Plans `verb` on a true clock.
    pub fn plan(&self, verb: Verb) -> Result<Planned, Refusal> {
        self.plan_as(0, &request(verb))
    }

    /// Does `verb` now, on a true clock.
    pub fn operate(&mut self, verb: Verb) -> &mut Self {
        self.operate_as(0, verb)
    }

    /// Does `verb` now, on a clock that is `offset` off.
    pub fn operate_as(&mut self, offset: i64, verb: Verb) -> &mut Self {
        let name = verb.name();
        let planned = self.plan_as(offset, &request(verb));
        let plan =
            unwrap_change(planned.unwrap_or_else(|refusal| panic!("{name} at {}: {refusal}", self.now)));
        assert_eq!(self.land(plan), Landing::Landed);
        self
    }

    /// The compare-and-swap.
    pub fn land(&mut self, plan: Plan) -> Landing {
        let newest = self.newest();
        let current = plan
            .base
            .is_some_and(|base| base.generation == newest.generation && base.digest == digest_of(newest));
        if !current {
            return Landing::Conflict;
        }
        self.made += usize::from(plan.takes_candidate);
        self.log.push(plan.next);
        Landing::Landed
    }
}
