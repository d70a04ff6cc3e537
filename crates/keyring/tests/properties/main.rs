//! The invariants of the keyring over random lives of small worlds.
//!
//! Verbs at random instants by operators whose clocks differ, commits that land late or lose the
//! race, replicas that lag and skew within their bounds, restart, mint, and verify each other's tokens.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "../world/mod.rs"]
mod world;

mod checks;
mod everywhere;
mod life;
mod steps;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use life::Life;
use steps::{Picks, policies, steps};

/// `PROPTEST_CASES` asks for more lives than the few that every run can afford.
fn config(cases: u32) -> Config {
    let asked = Config::default();
    let cases = if asked.cases == 256 { cases } else { asked.cases };
    // A counterexample becomes a test with a name (`regressions.rs`), not a file of seeds.
    Config { cases, failure_persistence: None, max_shrink_iters: 20_000, ..asked }
}

proptest! {
    #![proptest_config(config(500))]

    /// I1, I2, I3, I4, I5, I6, I8 through any sequence of verbs: `Life` asserts them at every step.
    #[test]
    fn i1_to_i8_hold_through_any_life(policy in policies(Picks::Any), steps in steps(Picks::Any)) {
        let mut life = Life::begin(policy);
        life.run(&steps);
    }

    /// I3 without a single read of the store: rotations that wait for their gate or schedule, and
    /// rules that are only tightened, cut nobody off, not even a replica that has lost the store.
    #[test]
    fn i3_planned_rotations_need_no_read(policy in policies(Picks::Planned), steps in steps(Picks::Planned)) {
        let mut life = Life::begin(policy);
        life.cut_off_too = true;
        life.run(&steps);
    }

    /// I8 through a restore: whatever backup is put back, with whatever private keys, the repair keeps
    /// every revocation and every token that was good, and leaves one signer that can sign.
    #[test]
    fn i8_no_restore_brings_a_revoked_key_back(
        policy in policies(Picks::Any),
        steps in steps(Picks::Any),
        backup in any::<prop::sample::Index>(),
        private in any::<u8>(),
    ) {
        let mut life = Life::begin(policy);
        life.run(&steps);
        life.restore(backup.index(life.world.log.len()), private);
    }
}

/// The lives are worth living: every verb is committed often, and tokens are minted and judged.
#[test]
fn lives_reach_every_verb() {
    let mut runner = TestRunner::deterministic();
    let mut committed: BTreeMap<&str, usize> = BTreeMap::new();
    let mut tokens = 0;
    for _ in 0..300 {
        let (policy, steps) = (policies(Picks::Any), steps(Picks::Any));
        let policy = policy.new_tree(&mut runner).expect("a policy").current();
        let steps = steps.new_tree(&mut runner).expect("steps").current();
        let mut life = Life::begin(policy);
        life.run(&steps);
        tokens += life.minted;
        for manifest in &life.world.log {
            let change = manifest.history.last().expect("every generation has its change");
            *committed.entry(verb(&change.verb)).or_default() += 1;
        }
    }
    eprintln!("{committed:?} {tokens} tokens");
    for verb in VERBS {
        assert!(committed.get(verb).is_some_and(|times| *times >= 20), "{verb} in {committed:?}");
    }
    assert!(tokens > 1000, "{tokens} tokens");
}

const VERBS: [&str; 10] = [
    "prepare",
    "activate",
    "rotate",
    "rollback",
    "revoke",
    "retire",
    "prune",
    "set-policy",
    "extend",
    "init",
];

fn verb(name: &str) -> &'static str {
    VERBS.into_iter().find(|verb| *verb == name).expect("a verb")
}
