//! A keyring in memory, a clock that the test moves, and replicas that report when told to.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its own part")]

pub mod cut_off;
pub mod overtaken;

use std::sync::Arc;

use keystile_keyring::manifest::DoneRequest;
use keystile_keyring::plan::{Mode, Plan, Request, Verb};
use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{Fleet, Gate, GatewayId, Kid, Manifest, Policy, ReplicaId, ReplicaReport, UnixTime};
use keystile_operator::{Committed, First, OperateError, Operator, Outcome, Progress, Rotation, Silent};
use keystile_store::{MemoryStore, Store};
use keystile_system::{Clock, SystemEntropy};
use keystile_testkit::ManualClock;

pub const START: UnixTime = UnixTime(1_800_000_000);

pub struct World {
    pub clock: ManualClock,
    pub store: Arc<dyn Store>,
    pub operator: Operator,
}

impl World {
    /// A keyring with one active key and small bounds.
    pub async fn begun() -> Self {
        let world = Self::empty();
        world.operator.begin(&first(), &mut Silent).await.expect("an empty place takes a keyring");
        world.clock.advance(100);
        world
    }

    pub fn empty() -> Self {
        let clock = ManualClock::at(START);
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new(Arc::new(clock.clone())));
        Self::on(clock, store)
    }

    pub fn on(clock: ManualClock, store: Arc<dyn Store>) -> Self {
        let operator = Operator::new(store.clone(), Arc::new(clock.clone()), Arc::new(SystemEntropy));
        Self { clock, store, operator }
    }

    pub async fn manifest(&self) -> Manifest {
        self.store.load_public().await.expect("the store holds a keyring").manifest
    }

    pub async fn active(&self) -> Kid {
        self.manifest().await.active_at(self.clock.now()).expect("a key signs").kid.clone()
    }

    /// Replica `name` reports what the store holds now.
    pub async fn report(&self, name: &str) {
        let now = self.clock.now();
        let manifest = self.manifest().await;
        let before = self.store.replicas().await.expect("reports can be read");
        let last = before.into_iter().find(|report| report.replica.as_str() == name);
        let keys = manifest.keys.iter().map(|key| {
            let known = last.as_ref().and_then(|last| last.key(&key.kid)).cloned();
            known.unwrap_or_else(|| KeyReport {
                kid: key.kid.clone(),
                held_since: now,
                from_start: last.is_none(),
                usage: KeyUsage::default(),
            })
        });
        let report = ReplicaReport {
            replica: ReplicaId::new(name).expect("a short name"),
            build: "test".to_owned(),
            started_at: START,
            reported_at: now,
            generation: manifest.generation,
            digest: None,
            condition: Condition::Ready,
            confirmed_at: Some(now),
            keys: keys.collect(),
            revoked: manifest.revoked_kids().cloned().collect(),
            lineage_floor: manifest.lineage_floor,
            withdrawn_at: None,
            tls_stale: None,
            clock_offset: None,
        };
        self.store.report(&report).await.expect("reports can be written");
    }

    pub async fn rotate_now(&self) -> Outcome {
        self.report("gateway-1").await;
        let held = self.operator.rotate(&rotate(None), NO_WAIT, &mut Silent).await;
        assert!(matches!(held, Err(OperateError::Held { .. })), "the gate is closed at first: {held:?}");
        self.clock.advance(1);
        self.report("gateway-1").await;
        self.clock.advance(policy().verifier_cache);
        let done = self.operator.rotate(&rotate(None), NO_WAIT, &mut Silent).await.expect("the gate is open");
        self.clock.advance(policy().activation_lead);
        self.report("gateway-1").await;
        done
    }

    /// A switch to a new key that asks nobody, for stores whose own clock stands elsewhere.
    pub async fn replace_now(&self) {
        let verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
        self.apply(verb, Some("a test")).await.expect("an emergency waits for nobody");
        self.clock.advance(1);
    }

    pub async fn apply(&self, verb: Verb, reason: Option<&str>) -> Result<Outcome, OperateError> {
        self.operator.apply(&request(verb, reason, None), &mut Silent).await
    }
}

pub const NO_WAIT: Rotation = Rotation { no_wait: true, timeout: None };

pub fn policy() -> Policy {
    Policy {
        token_ttl: 60,
        leeway: 5,
        max_skew: 2,
        max_staleness: 30,
        verify_staleness: 60,
        commit_delay: 10,
        verifier_cache: 20,
        activation_lead: 3,
        rollback_custody: 50,
        ..Policy::default()
    }
}

pub fn first() -> First {
    First {
        gateway_id: GatewayId::new("openshell").expect("a short name"),
        policy: policy(),
        actor: "test".to_owned(),
        adopt: None,
    }
}

pub fn request(verb: Verb, reason: Option<&str>, id: Option<&str>) -> Request {
    Request {
        verb,
        actor: "test".to_owned(),
        reason: reason.map(str::to_owned),
        request_id: id.map(|id| id.parse().expect("a short id")),
    }
}

pub fn rotate(id: Option<&str>) -> Request {
    request(Verb::Rotate { mode: Mode::Gated(Fleet::Reporting), no_rollback: false }, None, id)
}

pub fn committed(outcome: Outcome) -> Committed {
    match outcome {
        Outcome::Committed(committed) => *committed,
        other => panic!("expected a committed change, found {other:?}"),
    }
}

pub fn done(outcome: Outcome) -> DoneRequest {
    match outcome {
        Outcome::Done(done) => done,
        other => panic!("expected a request that is done, found {other:?}"),
    }
}

/// Writes down what it hears.
#[derive(Default)]
pub struct Heard {
    pub generations: Vec<u64>,
    pub waits: Vec<Gate>,
    pub did: Vec<String>,
}

impl Progress for Heard {
    fn committed(&mut self, plan: &Plan) {
        self.generations.push(plan.next.generation);
    }
    fn waiting(&mut self, _: &keystile_keyring::manifest::Operation, gate: &Gate, _: UnixTime) {
        self.waits.push(gate.clone());
    }
    fn did(&mut self, what: &str) {
        self.did.push(what.to_owned());
    }
}
