//! What is counted while the world moves: by the second, by phase, and in all.

use std::collections::BTreeMap;
use std::time::Duration;

use keystile_keyring::Kid;
use serde::Serialize;

use crate::judge::Why;
use crate::moment::Moment;
use crate::sandbox::Source;

/// How many values a series of shares has.
const SHARES: u32 = 240;

/// How many mistakes are told.
const MISTAKES: usize = 20;

/// What happened.
#[derive(Clone, Debug)]
pub struct Tally {
    /// One second each.
    pub rates: Vec<Rates>,
    /// The keys, in the order in which they appeared.
    pub keys: Vec<Kid>,
    /// How many sandboxes hold a token of each key, now and then.
    pub shares: Vec<Vec<u32>>,
    /// Seconds between two values of `shares`.
    pub every: u32,
    /// From one step, or the begin or end of an outage, to the next.
    pub phases: Vec<Phase>,
    /// How the steps went.
    pub steps: Vec<StepDone>,
    /// How long replicas took to hold each generation.
    pub convergence: Vec<Convergence>,
    /// The clocks' offsets, milliseconds.
    pub offsets: Vec<i32>,
    /// Events that were played.
    pub events: u64,
    /// Tokens that were judged.
    pub judged: u64,
    /// Calls that were accepted, renewals not among them.
    pub accepted: u64,
    /// Good tokens that were rejected.
    pub wrongly_rejected: u64,
    /// Rejections that were right, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Tokens that had to be refused: presented, and accepted all the same.
    pub forged: u64,
    /// Tokens accepted that had to be refused.
    pub wrongly_accepted: u64,
    /// Of the forged, by what is wrong with them.
    pub attacks: BTreeMap<&'static str, Attack>,
    /// Calls that a replica could not answer, and that another was asked.
    pub asked_elsewhere: u64,
    /// Calls that no replica answered.
    pub unanswered: u64,
    /// Reads of the store that requests asked for.
    pub rereads: u64,
    /// The longest time without a usable token that nobody ordered.
    pub longest_gap: Duration,
    /// Sandboxes that ever had one.
    pub gaps: u64,
    /// After a revocation, by source of the bootstrap.
    pub ordered_gaps: BTreeMap<Source, Gaps>,
    /// Sandboxes without a usable token in the end.
    pub without: u64,
    /// The most renewals and bootstraps that one replica answered in one second.
    pub busiest: u32,
    /// What went wrong, the first of it.
    pub mistakes: Vec<String>,
}

/// What happened in one second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rates {
    /// Tokens renewed.
    pub refreshed: u32,
    /// First tokens given.
    pub bootstrapped: u32,
    /// Of them, those for which the API server was asked.
    pub reviewed: u32,
    /// Requests for a token that a replica could not answer, or put off.
    pub put_off: u32,
    /// Requests for a token that were refused.
    pub refused: u32,
    /// Calls.
    pub calls: u32,
}

impl Rates {
    /// Requests for a token, however they were answered.
    pub fn requests(&self) -> u32 {
        self.refreshed + self.bootstrapped + self.put_off + self.refused
    }
}

/// From one thing to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// What begins it.
    pub what: String,
    /// When.
    pub from: Moment,
    /// Until when.
    pub to: Moment,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepDone {
    /// As a script writes it.
    pub step: String,
    /// When it began.
    pub began: Moment,
    /// When it was over.
    pub ended: Moment,
    /// What came of it.
    pub did: String,
    /// Whether that is as the script expects.
    pub as_expected: bool,
}

/// How long replicas took to hold a generation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Convergence {
    /// The generation.
    pub generation: u64,
    /// What it did.
    pub verb: String,
    /// When it was committed.
    pub committed: Moment,
    /// Seconds until half of the replicas held it.
    pub half: Option<f64>,
    /// Seconds until all did.
    pub all: Option<f64>,
}

/// One kind of token that had to be refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attack {
    /// How many were presented.
    pub presented: u64,
    /// How many were accepted.
    pub accepted: u64,
}

/// Times without a usable token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many sandboxes had one.
    pub count: u64,
    /// The longest.
    pub longest: Duration,
    /// All together.
    pub total: Duration,
}

impl Tally {
    pub(crate) fn new(end: Moment) -> Self {
        let seconds = usize::try_from(end.second()).unwrap_or_default() + 1;
        Self {
            rates: vec![Rates::default(); seconds],
            keys: Vec::new(),
            shares: Vec::new(),
            every: end.second().div_ceil(SHARES).max(1),
            phases: Vec::new(),
            steps: Vec::new(),
            convergence: Vec::new(),
            offsets: Vec::new(),
            events: 0,
            judged: 0,
            accepted: 0,
            wrongly_rejected: 0,
            rejected: BTreeMap::new(),
            forged: 0,
            wrongly_accepted: 0,
            attacks: BTreeMap::new(),
            asked_elsewhere: 0,
            unanswered: 0,
            rereads: 0,
            longest_gap: Duration::ZERO,
            gaps: 0,
            ordered_gaps: BTreeMap::new(),
            without: 0,
            busiest: 0,
            mistakes: Vec::new(),
        }
    }

    /// Counts in the second of `now`.
    pub(crate) fn at(&mut self, now: Moment, count: impl FnOnce(&mut Rates)) {
        if let Some(rates) = usize::try_from(now.second()).ok().and_then(|second| self.rates.get_mut(second))
        {
            count(rates);
        }
    }

    pub(crate) fn rejected(&mut self, why: Why, right: bool, told: impl FnOnce() -> String) {
        if right {
            *self.rejected.entry(why.as_str()).or_default() += 1;
        } else {
            self.wrongly_rejected += 1;
            self.mistake(told);
        }
    }

    pub(crate) fn mistake(&mut self, told: impl FnOnce() -> String) {
        if self.mistakes.len() < MISTAKES {
            self.mistakes.push(told());
        }
    }

    /// A sandbox was without a usable token from `from` to `to`.
    pub(crate) fn gap(&mut self, from: Moment, to: Moment, ordered: Option<Source>) {
        let gap = to.since(from);
        if gap.is_zero() {
            return;
        }
        if let Some(source) = ordered {
            let gaps = self.ordered_gaps.entry(source).or_default();
            gaps.count += 1;
            gaps.longest = gaps.longest.max(gap);
            gaps.total += gap;
        } else {
            self.gaps += 1;
            self.longest_gap = self.longest_gap.max(gap);
        }
    }

    /// The seconds of a phase.
    pub fn rates_of(&self, phase: &Phase) -> &[Rates] {
        let index = |moment: Moment| usize::try_from(moment.second()).unwrap_or(usize::MAX);
        let to = index(phase.to).min(self.rates.len());
        self.rates.get(index(phase.from).min(to)..to).unwrap_or_default()
    }
}
