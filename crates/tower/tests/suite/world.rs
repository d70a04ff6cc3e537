//! A keyring in a directory, an operator, and verifiers that follow it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::plan::{Mode, Request, Verb};
use keystile_keyring::{GatewayId, Kid, Policy, UnixTime};
use keystile_operator::{First, Operator, Silent};
use keystile_store::{DirectoryStore, Store};
use keystile_system::{Clock, SystemClock, SystemEntropy};
use keystile_testkit::{FaultyStore, ManualClock};
use keystile_token::{BootstrapMethod, Keyring, SandboxGrant, SandboxId};
use keystile_tower::{Limits, Verifier};
use tempfile::TempDir;

use crate::logs::Log;

pub const START: UnixTime = UnixTime(1_800_000_000);
pub const SANDBOX: &str = "sandbox-1";

pub struct World {
    pub clock: Arc<dyn Clock>,
    pub manual: ManualClock,
    pub store: Arc<FaultyStore>,
    pub directory: TempDir,
    /// The same place, without faults.
    own: Arc<dyn Store>,
}

impl World {
    /// A keyring whose one key has been signing for 1,000 s, by a clock that stands still.
    pub async fn begun() -> Self {
        Self::with(policy()).await
    }

    pub async fn with(policy: Policy) -> Self {
        let manual = ManualClock::at(START);
        let world = Self::at(Arc::new(manual.clone()), manual, policy).await;
        world.manual.advance(1000);
        world
    }

    /// The same by the clock of this machine.
    pub async fn in_real_time(policy: Policy) -> Self {
        Self::at(Arc::new(SystemClock::default()), ManualClock::at(START), policy).await
    }

    async fn at(clock: Arc<dyn Clock>, manual: ManualClock, policy: Policy) -> Self {
        Log::begun();
        let directory = tempfile::tempdir().unwrap();
        let place = || DirectoryStore::new(directory.path().join("keyring"), clock.clone()).unwrap();
        let own: Arc<dyn Store> = Arc::new(place());
        let store = Arc::new(FaultyStore::new(Arc::new(place())));
        let world = Self { clock: clock.clone(), manual, store, own, directory };
        let gateway_id = GatewayId::new("openshell").unwrap();
        let first = First { gateway_id, policy, actor: "test".to_owned(), adopt: None };
        world.operator().begin(&first, &mut Silent).await.expect("an empty place takes a keyring");
        world
    }

    fn operator(&self) -> Operator {
        Operator::new(self.own.clone(), self.clock.clone(), Arc::new(SystemEntropy))
    }

    pub async fn apply(&self, verb: Verb) {
        let reason = Some("test".to_owned());
        let request = Request { verb, actor: "test".to_owned(), reason, request_id: None };
        self.operator().apply(&request, &mut Silent).await.expect("the change is planned and committed");
    }

    /// A switch to a new key that asks nobody.
    pub async fn rotate(&self) {
        self.apply(Verb::Rotate { mode: Mode::Emergency, no_rollback: false }).await;
        self.manual.advance(1);
    }

    pub async fn active(&self) -> Kid {
        let manifest = self.own.load_public().await.unwrap().manifest;
        manifest.active_at(self.clock.now()).expect("a key signs").kid.clone()
    }

    /// Throws out the key that signs.
    pub async fn revoke(&self) {
        let kid = self.active().await;
        self.apply(Verb::Revoke { kid, descendants: false }).await;
    }

    pub async fn token(&self) -> String {
        self.token_of(SANDBOX).await
    }

    /// What an operator's `keystile mint` gives.
    pub async fn token_of(&self, sandbox: &str) -> String {
        let loaded = self.own.load().await.unwrap();
        let keyring = Keyring::open(loaded.manifest, loaded.digest, loaded.private).unwrap();
        let id = SandboxId::new(sandbox).unwrap();
        let grant = SandboxGrant::bootstrap(id, BootstrapMethod::TokenFile, self.clock.now());
        keyring.mint(&grant, self.clock.now()).unwrap().token.expose().to_owned()
    }

    pub async fn verifier(&self) -> Verifier {
        self.verifier_within(Limits::default()).await
    }

    pub async fn verifier_within(&self, limits: Limits) -> Verifier {
        self.verifier_on(self.store.clone(), limits).await
    }

    pub async fn verifier_on(&self, store: Arc<dyn Store>, limits: Limits) -> Verifier {
        let verifier = Verifier::follow(store, self.clock.clone(), &SystemEntropy, limits).await;
        verifier.expect("there is a keyring to follow")
    }

    /// The store, with faults of its own, that never says that something changed.
    pub fn silent_store(&self) -> Arc<FaultyStore> {
        Arc::new(FaultyStore::silent(self.own.clone()))
    }
}

/// Read every 5 s where nothing changes.
pub fn policy() -> Policy {
    Policy { max_staleness: 300, verify_staleness: 3600, token_ttl: 3600, leeway: 60, ..Policy::default() }
}

/// Read four times a second: that is how soon a clock that a test moved is noticed.
pub fn quick() -> Policy {
    Policy { max_staleness: 1, verify_staleness: 24 * 3600, ..policy() }
}

/// The same, and after an hour without a read nobody can know.
pub fn soon_stale() -> Policy {
    Policy { max_staleness: 1, ..policy() }
}

/// The outcome, or a failure: no test waits for ever.
pub async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("not seen: {what}"))
}

/// Asks again and again until it is so.
pub async fn until(what: &str, mut is: impl FnMut() -> bool) {
    soon(what, async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
