//! Every verb that changes the keyring, with every fault at every request that it sends to the API server.
//!
//! Whatever happens: the Secret holds the old generation or the new one, whole, with no member too many, and its three
//! single-key members are read; the verb run again ends well; reconcile leaves nothing to be mended.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keystile_keyring::manifest::{Lifetime, PrivateState};
use keystile_keyring::plan::{Adoption, Mode, PolicyChange, Request, Verb};
use keystile_keyring::{Code, Fleet, GatewayId, Kid, Manifest, Policy, UnixTime};
use keystile_kubernetes::{Api, Call, Object, ObjectName};
use keystile_operator::{First, OperateError, Operator, Reconcile, Rotation, Silent};
use keystile_store::conformance::{KEY_SET, START};
use keystile_store::{LoadError, Store, members, mirrored_kid};
use keystile_store_kube::{KubeStore, Options};
use keystile_system::SystemEntropy;
use keystile_testkit::ManualClock;
use serde_json::{Map, Value, json};

use crate::common::{KubePlace, NAMESPACE, base64, bytes};
use crate::proxy::{Fault, Proxy, Upstream};

const VERBS: [&str; 12] = [
    "init",
    "adopt",
    "prepare",
    "activate",
    "rotate",
    "rotate --emergency",
    "rollback",
    "revoke",
    "retire",
    "prune",
    "set-policy",
    "reconcile",
];
/// How many points are tried at once.
const AT_ONCE: usize = 8;
/// No verb takes so long, unless it waits for something that does not come.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a Secret holds, by name, encoded.
type Data = Map<String, Value>;

/// What a verb is about to be done on, and how.
struct Life {
    name: &'static str,
    /// The two Secrets, as far as they are there.
    secrets: [Option<Data>; 2],
    now: UnixTime,
    doing: Doing,
    before: Option<Manifest>,
}

enum Doing {
    Begin(First),
    Apply(Request),
    Rotate(Request),
    Reconcile,
}

impl Doing {
    async fn run(&self, operator: &Operator) -> Result<(), OperateError> {
        let run = async {
            match self {
                Self::Begin(first) => operator.begin(first, &mut Silent).await.map(|_| ()),
                Self::Apply(request) => operator.apply(request, &mut Silent).await.map(|_| ()),
                Self::Rotate(request) => {
                    operator.rotate(request, Rotation::default(), &mut Silent).await.map(|_| ())
                }
                Self::Reconcile => operator.reconcile(&Reconcile::default(), &mut Silent).await.map(|_| ()),
            }
        };
        tokio::time::timeout(PATIENCE, run).await.expect("it waits for nothing that does not come")
    }
}

/// A keyring in the cluster, and whoever changes it.
struct World {
    name: ObjectName,
    /// Straight to the API server.
    api: Arc<Api>,
    store: Arc<KubeStore>,
    operator: Operator,
    clock: ManualClock,
}

impl World {
    /// One that is changed through `api`, and looked at straight.
    fn new(place: &KubePlace, now: UnixTime, api: impl FnOnce(&ManualClock) -> Option<Arc<Api>>) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = ObjectName::new(NAMESPACE, &format!("{}-{number}", place.name.name())).unwrap();
        let clock = ManualClock::at(now);
        let open =
            |api| Arc::new(KubeStore::new(api, name.clone(), Arc::new(clock.clone()), Options::default()));
        let direct = place.api();
        let store = open(Arc::clone(&direct));
        let changed = api(&clock).map_or_else(|| Arc::clone(&store), open);
        let operator = Operator::new(changed, Arc::new(clock.clone()), Arc::new(SystemEntropy));
        Self { name, api: direct, store, operator, clock }
    }

    fn paths(&self) -> [String; 2] {
        ["", "-witness"]
            .map(|end| format!("/api/v1/namespaces/{NAMESPACE}/secrets/{}{end}", self.name.name()))
    }

    /// What the two Secrets hold.
    async fn secrets(&self) -> [Option<Data>; 2] {
        let [keyring, witness] = self.paths();
        let read = async |path: String| {
            let object: Option<Object> = self.api.find(Call::get(path)).await.unwrap();
            let encoded =
                |object: Object| object.data.into_iter().map(|(name, data)| (name, base64(&data.0).into()));
            object.map(|object| encoded(object).collect())
        };
        [read(keyring).await, read(witness).await]
    }

    async fn put(&self, secrets: &[Option<Data>; 2]) {
        for (path, data) in self.paths().into_iter().zip(secrets) {
            let (collection, name) = path.rsplit_once('/').unwrap();
            let secret = json!({"metadata": {"name": name}, "data": data});
            if data.is_some() {
                self.api.call(Call::create(collection, bytes(&secret))).await.unwrap();
            }
        }
    }

    async fn remove(&self) {
        for path in self.paths() {
            self.api.call(Call::delete(path)).await.ok();
        }
    }

    async fn apply(&self, verb: Verb) {
        self.operator.apply(&request(verb, None), &mut Silent).await.unwrap();
    }

    async fn active(&self) -> Kid {
        let manifest = self.store.load_public().await.unwrap().manifest;
        manifest.active_at(keystile_system::Clock::now(&self.clock)).unwrap().kid.clone()
    }

    /// The generation that is there, which must be whole; `None` where there is none yet.
    async fn look(&self, what: &str) -> Option<Manifest> {
        let manifest = match self.store.load().await {
            Ok(loaded) => loaded.manifest,
            Err(LoadError::Missing { .. } | LoadError::NotAdopted { .. }) => return None,
            Err(error) => panic!("{what}: {error}"),
        };
        let now = keystile_system::Clock::now(&self.clock);
        let present = manifest.keys.iter().filter(|key| key.private == PrivateState::Present);
        let mut expected: BTreeSet<String> = present.map(|key| members::private_key(&key.kid)).collect();
        expected.insert(members::MANIFEST.to_owned());
        expected.extend(members::MIRROR.map(str::to_owned));
        let [held, _] = self.secrets().await;
        let held: BTreeSet<String> = held.unwrap().keys().cloned().collect();
        assert_eq!(held, expected, "{what}: members");
        let single = self.store.read_key_set().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(Some(single.kid), mirrored_kid(&manifest, now), "{what}: the single-key members");
        Some(manifest)
    }
}

fn request(verb: Verb, id: Option<&str>) -> Request {
    let (reason, request_id) = (Some("a test".to_owned()), id.map(|id| id.parse().unwrap()));
    Request { verb, actor: "test".to_owned(), reason, request_id }
}

/// Nothing has to be waited for.
fn first(adopt: Option<Adoption>) -> First {
    let policy = Policy {
        token_ttl: 60,
        leeway: 5,
        max_skew: 2,
        max_staleness: 30,
        verify_staleness: 60,
        commit_delay: 10,
        verifier_cache: 0,
        activation_lead: 0,
        rollback_custody: 50,
        ..Policy::default()
    };
    First { gateway_id: GatewayId::new("openshell").unwrap(), policy, actor: "test".to_owned(), adopt }
}

/// Lives up to the verb of that name.
async fn life(place: &KubePlace, name: &'static str) -> Life {
    let world = World::new(place, START, |_| None);
    let emergency = || Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
    let leeway = |seconds| Verb::SetPolicy(PolicyChange([("leeway".to_owned(), Some(seconds))].into()));
    if !["init", "adopt"].contains(&name) {
        world.operator.begin(&first(None), &mut Silent).await.unwrap();
        world.clock.advance(100);
    }
    let apply = |verb| Doing::Apply(request(verb, Some("once")));
    let doing = match name {
        "init" => Doing::Begin(first(None)),
        "adopt" => {
            let set = KEY_SET.iter().map(|(name, bytes)| ((*name).to_owned(), base64(bytes).into()));
            world.put(&[Some(set.collect()), None]).await;
            Doing::Begin(first(Some(Adoption { longest_token: Lifetime::Bounded(3600) })))
        }
        "prepare" => apply(Verb::Prepare { no_rollback: false }),
        "activate" => {
            world.apply(Verb::Prepare { no_rollback: false }).await;
            world.clock.advance(1);
            apply(Verb::Activate { fleet: Fleet::Offline, no_rollback: false })
        }
        "rotate" => {
            let verb = Verb::Rotate { mode: Mode::Gated(Fleet::Offline), no_rollback: false };
            Doing::Rotate(request(verb, Some("once")))
        }
        "rotate --emergency" => apply(emergency()),
        "set-policy" => apply(leeway(9)),
        "reconcile" => {
            let [backup, _] = world.secrets().await;
            world.apply(leeway(7)).await;
            let [_, witness] = world.secrets().await;
            world.remove().await;
            world.put(&[backup, witness]).await;
            Doing::Reconcile
        }
        _ => {
            let old = world.active().await;
            world.apply(emergency()).await;
            world.clock.advance(1);
            match name {
                "rollback" => apply(Verb::Rollback { to: None }),
                "revoke" => apply(Verb::Revoke { kid: world.active().await, descendants: true }),
                "retire" => apply(Verb::Retire { kid: old, at: None, force: true }),
                "prune" => {
                    world.clock.advance(600);
                    apply(Verb::Prune)
                }
                other => panic!("no life up to {other}"),
            }
        }
    };
    let now = keystile_system::Clock::now(&world.clock);
    let before = world.look(name).await;
    let secrets = world.secrets().await;
    world.remove().await;
    Life { name, secrets, now, doing, before }
}

/// Does the verb with `fault` at one of its requests. What it came to, and which of its requests were changes.
async fn point(
    place: &KubePlace,
    upstream: Upstream,
    life: &Life,
    fault: Option<(usize, Fault)>,
    last: Option<u64>,
) -> (u64, Vec<bool>) {
    let what = format!("{} with {fault:?}", life.name);
    let proxy = Proxy::start(upstream, fault).await;
    let world = World::new(place, life.now, |clock| Some(proxy.api(Arc::new(clock.clone()))));
    world.put(&life.secrets).await;
    let done = life.doing.run(&world.operator).await;
    let changes = proxy.changes();
    proxy.over().await;

    let began = life.before.as_ref().map_or(0, |manifest| manifest.generation);
    let found = world.look(&what).await;
    let generation = found.as_ref().map_or(0, |manifest| manifest.generation);
    let last = last.unwrap_or(generation);
    assert!((began..=last).contains(&generation), "{what}: generation {generation} of {began} to {last}");
    if generation == began {
        assert_eq!(found, life.before, "{what}: not the old generation");
    }
    if done.is_ok() {
        assert_eq!(generation, last, "{what}: it is said to be done");
        assert_eq!(world.store.witness().await.unwrap(), found, "{what}: it is said to be done");
    }

    match life.doing.run(&world.operator).await {
        Ok(()) => {}
        // Nobody begins a second time.
        Err(OperateError::Refused(refusal))
            if refusal.code == Code::NotEmpty
                && generation == last
                && matches!(life.doing, Doing::Begin(_)) => {}
        Err(error) => panic!("{what}, run again: {error}"),
    }
    let again = world.look(&what).await.unwrap();
    assert_eq!(again.generation, last, "{what}, run again");
    match world.operator.reconcile(&Reconcile::default(), &mut Silent).await {
        Ok(_) => {}
        // No gateway runs here who could let a prepared key sign: the rest is mended.
        Err(OperateError::Refused(refusal)) if refusal.code == Code::NoReplicas && life.name == "prepare" => {
        }
        Err(error) => panic!("{what}, reconcile: {error}"),
    }
    let mended = world.look(&what).await;
    assert_eq!(world.store.witness().await.unwrap(), mended, "{what}: the witness after reconcile");
    world.remove().await;
    (last, changes)
}

/// Every point of one verb; how many.
async fn every_point(place: &Arc<KubePlace>, upstream: &Upstream, name: &'static str) -> usize {
    let life = Arc::new(life(place, name).await);
    let (last, changes) = point(place, upstream.clone(), &life, None, None).await;
    assert!(changes.contains(&true), "{name} changes something");
    let of = |change| if change { &Fault::OF_CHANGES[..] } else { &Fault::OF_QUESTIONS[..] };
    let points: Vec<_> = changes
        .iter()
        .enumerate()
        .flat_map(|(number, change)| of(*change).iter().map(move |fault| (number, *fault)))
        .collect();
    let count = points.len();
    let mut running = tokio::task::JoinSet::new();
    for fault in points {
        if running.len() >= AT_ONCE {
            running.join_next().await.unwrap().unwrap();
        }
        let (place, upstream, life) = (Arc::clone(place), upstream.clone(), Arc::clone(&life));
        running.spawn_local(async move { point(&place, upstream, &life, Some(fault), Some(last)).await });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    let changing = changes.iter().filter(|change| **change).count();
    println!("{name}: {} requests, {changing} of them changes: {count} points", changes.len());
    count
}

#[tokio::test]
async fn i6_and_i7_hold_whatever_befalls_any_request_of_any_verb() {
    let Some(place) = KubePlace::new() else { return };
    let place = Arc::new(place);
    let upstream = Upstream::of(&place.kubeconfig).await;
    let mut count = 0;
    let all = async {
        for name in VERBS {
            count += every_point(&place, &upstream, name).await;
        }
    };
    Box::pin(tokio::task::LocalSet::new().run_until(all)).await;
    // Not `println!`, which the test harness swallows.
    writeln!(std::io::stderr(), "{count} faults were injected into requests to the API server").unwrap();
}
