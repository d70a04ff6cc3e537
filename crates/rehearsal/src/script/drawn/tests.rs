//! Every drawn script is played by the keyring's own plans, in virtual time.

use std::collections::BTreeSet;

use keystile_keyring::manifest::Origin;
use keystile_keyring::plan::{Candidate, Context, Mode, Planned, Request, Verb, init, plan};
use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{
    Digest, Fleet, GatewayId, KeyState, Kid, Manifest, PublicKey, ReplicaReport, UnixTime,
};

use super::*;
use crate::scale::scaled_policy;
use crate::script::{Step, parse};

const EPOCH: u64 = 1_000_000;

fn usual() -> Policy {
    scaled_policy(&Policy::default(), None)
}

fn minutes(count: u64) -> Duration {
    Duration::from_mins(count)
}

/// A keyring that lives by a script, as the player plays it.
struct Life {
    manifest: Manifest,
    keys: u8,
    /// When the operator is free.
    free: Duration,
    slip: Duration,
    /// How much later than at once the fleet hears of things.
    hears: Dice,
}

fn candidate(number: u8) -> Candidate {
    let kid = Kid::new(format!("key-{number}")).expect("a plain name");
    Candidate { kid, public_key: PublicKey([number; 32]), origin: Origin::Generated }
}

fn wall(at: Duration) -> UnixTime {
    UnixTime(EPOCH + at.as_secs())
}

impl Life {
    fn begin(policy: &Policy, seed: u64) -> Self {
        let gateway = GatewayId::new("test").expect("a plain name");
        let first = init(gateway, policy.clone(), &candidate(0), "test", UnixTime(EPOCH)).expect("a policy");
        let (free, slip, hears) = (Duration::ZERO, Duration::ZERO, Dice::new(seed).fork(9));
        Self { manifest: first.next, keys: 0, free, slip, hears }
    }

    /// Plays an operation; the code of the refusal that it met.
    fn operate(&mut self, step: &Step, operation: &Operation) -> Option<String> {
        let at = (step.at + self.slip).max(self.free);
        self.slip = at.saturating_sub(step.at);
        self.free = at;
        let key = |key: &KeyName| self.resolve(key, wall(at)).unwrap_or_else(|| panic!("no {key}: {step}"));
        let verb = match operation {
            Operation::Rotate { emergency: true } => panic!("nothing is promised of it"),
            Operation::Rotate { emergency: false } => {
                Verb::Rotate { mode: Mode::Gated(Fleet::Reporting), no_rollback: false }
            }
            Operation::Rollback => Verb::Rollback { to: None },
            Operation::Revoke { key: name, descendants } => {
                Verb::Revoke { kid: key(name), descendants: *descendants }
            }
            Operation::Retire { key: name, force } => {
                Verb::Retire { kid: key(name), at: None, force: *force }
            }
            Operation::Prune | Operation::Reconcile => Verb::Prune,
        };
        let prepared = self.hears.below(3) as u64;
        let reported = wall(at).plus(prepared);
        loop {
            let candidate = candidate(self.keys.wrapping_add(1));
            let request = Request {
                verb: verb.clone(),
                actor: "test".into(),
                reason: Some("test".into()),
                request_id: None,
            };
            let offered = verb.may_take_a_key().then_some(&candidate);
            let (now, reports) = (wall(self.free), self.reports(reported));
            let context = Context { now, digest: Digest([0; 32]), reports: &reports, candidate: offered };
            match plan(&self.manifest, &request, &context) {
                Err(refusal) => return Some(refusal.code.as_str().to_owned()),
                Ok(Planned::Nothing(_) | Planned::Done(_)) => return None,
                Ok(Planned::Wait { .. }) => self.free += Duration::from_secs(1),
                Ok(Planned::Change(plan)) => {
                    self.keys = self.keys.wrapping_add(u8::from(plan.takes_candidate));
                    self.manifest = plan.next;
                    if self.manifest.operation.is_none() {
                        let signs = self.manifest.timeline.last().expect("a signer").from;
                        self.free += Duration::from_secs(signs.since(wall(self.free)));
                        return None;
                    }
                }
            }
        }
    }

    /// What `resolve` of the player does.
    fn resolve(&self, key: &KeyName, now: UnixTime) -> Option<Kid> {
        match key {
            KeyName::Active => self.manifest.active_at(now).map(|key| key.kid.clone()),
            KeyName::VerifyOnly => {
                let keys = self.manifest.keys.iter();
                let verify = keys.filter(|key| self.manifest.state_of(key, now) == KeyState::VerifyOnly);
                let youngest = verify.max_by_key(|key| key.superseded.map(|superseded| superseded.at));
                youngest.map(|key| key.kid.clone())
            }
            KeyName::Numbered(_) => panic!("a drawn script names no numbers"),
        }
    }

    /// A replica that heard of a prepared key at `heard`.
    fn reports(&self, heard: UnixTime) -> Vec<ReplicaReport> {
        let now = wall(self.free);
        let keys = self.manifest.keys.iter().filter(|key| key.created_at < heard || heard <= now);
        let keys = keys.map(|key| KeyReport {
            kid: key.kid.clone(),
            held_since: key.created_at.max(heard.min(now)),
            from_start: false,
            usage: KeyUsage::default(),
        });
        vec![ReplicaReport {
            replica: "gateway-1".parse().expect("a plain name"),
            build: "test".into(),
            started_at: UnixTime(EPOCH),
            reported_at: now,
            generation: self.manifest.generation,
            digest: None,
            condition: Condition::Ready,
            confirmed_at: Some(now),
            keys: keys.collect(),
            revoked: Vec::new(),
            lineage_floor: None,
            withdrawn_at: None,
            tls_stale: None,
            clock_offset: None,
        }]
    }
}

/// Plays it and says how often each word of the language came.
fn must_be_legal(policy: &Policy, gateways: usize, seed: u64, lasts: Duration) -> Vec<&'static str> {
    let script = drawn(policy, gateways, seed, lasts);
    let told = || format!("seed {seed}, {gateways} gateways, {policy:?}:\n{script}");
    assert!(script.steps.is_sorted_by_key(|step| step.at), "{}", told());
    script.check_end().unwrap_or_else(|error| panic!("{error}: {}", told()));
    script.check_replicas(gateways).unwrap_or_else(|error| panic!("{error}: {}", told()));
    assert!(!script.steps.is_empty(), "{}", told());
    let reach = Duration::from_secs(policy.max_staleness + policy.max_skew);
    let mut life = Life::begin(policy, seed);
    let mut down: Vec<(Duration, Duration)> = Vec::new();
    let mut ended = None;
    for step in &script.steps {
        match &step.action {
            Action::Operate(operation) => {
                let refused = life.operate(step, operation);
                assert_eq!(refused, step.expect, "{step}, {}", told());
                if matches!(operation, Operation::Revoke { .. } | Operation::Retire { force: true, .. }) {
                    let over = down.iter().all(|(_, until)| *until + BACK <= step.at);
                    assert!(over, "a gateway may be down: {step}, {}", told());
                    assert!(step.at + reach <= lasts, "{step}, {}", told());
                    ended = Some(step.at);
                }
            }
            Action::Disturb(fault) => {
                let measured = ended.is_some_and(|ended| step.at <= ended + reach);
                assert!(!measured, "a gateway may not know: {step}, {}", told());
                let over = down.iter().all(|(_, until)| *until + BACK <= step.at);
                assert!(over, "two faults at once: {step}, {}", told());
                down.push((step.at, step.at + fault.lasts()));
                let dies = matches!(fault, Fault::Kill(..) | Fault::Restart(..));
                assert!(!dies || fault.replica().is_some_and(|one| one.index() > 0), "{step}, {}", told());
            }
        }
    }
    for (from, until) in down {
        let hidden = script
            .steps
            .iter()
            .any(|step| step.at == from && matches!(step.action, Action::Disturb(Fault::HideStore(_))));
        let operates =
            |step: &&Step| matches!(step.action, Action::Operate(_)) && (from..=until).contains(&step.at);
        assert!(!hidden || !script.steps.iter().any(|step| operates(&step)), "without a store: {}", told());
    }
    script.steps.iter().map(|step| step.action.verb()).collect()
}

#[test]
fn every_drawn_script_is_legal() {
    let mut verbs = BTreeSet::new();
    for seed in 0..1000 {
        let gateways = 1 + usize::try_from(seed % 5).expect("small");
        verbs.extend(must_be_legal(&usual(), gateways, seed, minutes(1 + seed % 8)));
    }
    assert_eq!(verbs.into_iter().collect::<Vec<_>>(), EVERYTHING);
}

const EVERYTHING: [&str; 10] = [
    "freeze",
    "hide-store",
    "kill -9",
    "prune",
    "reconcile",
    "restart",
    "retire",
    "revoke",
    "rollback",
    "rotate",
];

/// Seed and length are those of the stage in `.ci/run`.
#[test]
fn the_short_soak_of_ci_has_everything() {
    let verbs = must_be_legal(&usual(), 3, 73, Duration::from_secs(75));
    assert_eq!(verbs.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(), EVERYTHING);
}

#[test]
fn under_any_policy_too() {
    let own = [
        Policy { max_keys: 3, ..Policy::default() },
        Policy { token_ttl: 0, ..Policy::default() },
        Policy { token_ttl: 0, max_keys: 3, ..Policy::default() },
        Policy { rotate_every: Some(30 * 86_400), ..Policy::default() },
        Policy { verifier_cache: 0, activation_lead: 0, ..Policy::default() },
        Policy {
            max_staleness: 1800,
            verifier_cache: 7200,
            leeway: 300,
            verify_staleness: 3600,
            ..Policy::default()
        },
        Policy { rollback_custody: 0, ..Policy::default() },
    ];
    for own in own {
        for ttl in [None, Some(2), Some(60)] {
            for seed in 0..30 {
                must_be_legal(&scaled_policy(&own, ttl), 3, seed, minutes(10));
            }
        }
    }
}

#[test]
fn the_same_seed_draws_the_same_script() {
    let draw = |seed| drawn(&usual(), 3, seed, minutes(30));
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
    assert!(draw(7).steps.len() > 200, "{}", draw(7));
    let short = drawn(&usual(), 3, 7, minutes(5));
    assert_eq!(parse(&short.to_string()).expect("it is written as a script"), short);
}

#[test]
fn the_shortest_run_has_a_rotation_and_the_longest_has_not_too_much() {
    assert!(least(&usual()) <= Duration::from_secs(10), "{:?}", least(&usual()));
    let shortest = drawn(&usual(), 3, 1729, Duration::from_secs(10));
    assert!(shortest.to_string().starts_with("at 2s rotate\n"), "{shortest}");
    let longest = drawn(&usual(), 3, 1729, Duration::from_hours(24));
    assert!((5_000..40_000).contains(&longest.steps.len()), "{}", longest.steps.len());
    let last = longest.steps.last().expect("a step").at;
    assert!(last + minutes(1) > Duration::from_hours(24), "it goes on to the end: {last:?}");
}
