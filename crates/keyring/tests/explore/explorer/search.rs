//! Breadth first over what operators do, every instant between: the first counterexample has the fewest acts.

use std::collections::HashSet;
use std::fmt;
use std::ops::AddAssign;

use super::act::{Act, Pace};
use super::fingerprint::{PAST, fingerprint};
use super::rules::Rules;
use super::scene::Scene;
use super::settings::Setting;
use super::story::Violation;

/// How much was explored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Distinct states in which everything was asked.
    pub states: u64,
    /// Plans that were made, or refused.
    pub plans: u64,
    /// Plans that landed.
    pub landings: u64,
    /// Tokens minted.
    pub tokens: u64,
    /// Verdicts on tokens.
    pub verdicts: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { states, plans, landings, tokens, verdicts } = self;
        write!(f, "{states} states, {plans} plans, {landings} landings, {tokens} tokens, {verdicts} verdicts")
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.states += other.states;
        self.plans += other.plans;
        self.landings += other.landings;
        self.tokens += other.tokens;
        self.verdicts += other.verdicts;
    }
}

struct Search<'a> {
    rules: &'a Rules,
    seen: HashSet<u64>,
    counts: Counts,
    /// States from which the next act is tried; not kept after the last.
    next: Option<Vec<Scene>>,
}

/// Every state that up to `acts` acts lead to. A restore and its repair are one act each.
pub fn explore(setting: &'static Setting, acts: usize, rules: &Rules) -> (Counts, Result<(), Violation>) {
    let mut search =
        Search { rules, seen: HashSet::new(), counts: Counts::default(), next: Some(Vec::new()) };
    let outcome = search.run(setting, acts);
    (search.counts, outcome)
}

impl Search<'_> {
    fn run(&mut self, setting: &'static Setting, acts: usize) -> Result<(), Violation> {
        self.settle(Scene::begin(setting))?;
        for left in (0..acts).rev() {
            let from = self.next.take().unwrap_or_default();
            self.next = (left > 0).then(Vec::new);
            for scene in from {
                self.step(&scene)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, scene: &Scene) -> Result<(), Violation> {
        for kind in scene.setting.kinds {
            for act in scene.acts(*kind) {
                let restores = matches!(act, Act::Restore(_));
                let paces = if restores { &[Pace::PROMPT] } else { scene.setting.paces };
                for pace in paces {
                    if let Some(after) = scene.act(&act, *pace, self.rules, &mut self.counts)? {
                        self.settle(after)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks everything at this instant and at every later one, until nothing changes any more.
    fn settle(&mut self, mut scene: Scene) -> Result<(), Violation> {
        for _ in 0..=2 * PAST {
            scene.judge(self.rules, &mut self.counts)?;
            if !self.seen.insert(fingerprint(&scene)) {
                return Ok(());
            }
            self.counts.states += 1;
            if let Some(next) = &mut self.next {
                next.push(scene.clone());
            }
            scene.now += 1;
        }
        Ok(())
    }
}
