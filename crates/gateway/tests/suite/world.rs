//! A keyring in a directory, an operator, and gateways that serve it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use keystile_gateway::{Config, Gateway, StartError};
use keystile_keyring::plan::{Mode, Request, Verb};
use keystile_keyring::{GatewayId, Kid, Manifest, Policy, ReplicaId, UnixTime};
use keystile_kubernetes::Api;
use keystile_operator::{First, Operator, Outcome, Silent};
use keystile_store::{DirectoryStore, Store};
use keystile_system::{Clock, SystemEntropy};
use keystile_testkit::ManualClock;
use keystile_testkit::forger::{Forger, ForgingKey};
use keystile_token::{BootstrapMethod, Keyring, PrivateKey, SandboxGrant, SandboxId};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::store::Flaky;

pub const START: UnixTime = UnixTime(1_800_000_000);
pub const SANDBOX: &str = "7f3a0c52-6d0f-4b0e-9a55-2f6c1f3f0a01";

pub struct World {
    pub clock: ManualClock,
    pub store: Arc<Flaky>,
    pub operator: Operator,
    directory: TempDir,
}

impl World {
    /// A place where a keyring could be.
    pub fn empty() -> Self {
        let clock = ManualClock::at(START);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let inner = DirectoryStore::new(directory.path().join("keyring"), Arc::new(clock.clone()));
        let store = Arc::new(Flaky::over(Arc::new(inner.expect("a usable path"))));
        let operator = Operator::new(store.clone(), Arc::new(clock.clone()), Arc::new(SystemEntropy));
        Self { clock, store, operator, directory }
    }

    /// A keyring whose one key has been signing for 1,000 s.
    pub async fn begun() -> Self {
        Self::with(policy()).await
    }

    pub async fn with(policy: Policy) -> Self {
        let world = Self::empty();
        let gateway_id = GatewayId::new("openshell").expect("a name");
        let first = First { gateway_id, policy, actor: "test".to_owned(), adopt: None };
        world.operator.begin(&first, &mut Silent).await.expect("an empty place takes a keyring");
        world.clock.advance(1000);
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub async fn manifest(&self) -> Manifest {
        self.store.inner.load_public().await.expect("the store holds a keyring").manifest
    }

    pub async fn active(&self) -> Kid {
        self.manifest().await.active_at(self.clock.now()).expect("a key signs").kid.clone()
    }

    pub async fn apply(&self, verb: Verb, reason: Option<&str>) -> Outcome {
        let request =
            Request { verb, actor: "test".to_owned(), reason: reason.map(str::to_owned), request_id: None };
        self.operator.apply(&request, &mut Silent).await.expect("the change is planned and committed")
    }

    /// A switch to a new key that asks nobody. Gives the new key.
    pub async fn rotate(&self) -> Kid {
        self.operator.apply(&emergency(), &mut Silent).await.expect("the change is planned and committed");
        self.clock.advance(1);
        self.active().await
    }

    /// What an operator's `keystile mint` gives.
    pub async fn token(&self) -> String {
        let loaded = self.store.inner.load().await.expect("the store holds a keyring");
        let keyring = Keyring::open(loaded.manifest, loaded.digest, loaded.private).expect("a good keyring");
        let grant = SandboxGrant::bootstrap(sandbox(), BootstrapMethod::TokenFile, self.clock.now());
        keyring.mint(&grant, self.clock.now()).expect("a token").token.expose().to_owned()
    }

    /// A token that `gateway` would mint, whatever the store holds.
    pub async fn token_of(&self, gateway: &Running) -> String {
        let key = self.store.inner.load().await.expect("the store holds a keyring");
        let kid = key.private.kids().next().expect("a private key").clone();
        let now = self.clock.now().0;
        let private = self.private_key(&kid).await;
        assert!(!gateway.task.is_finished());
        Forger::sandbox(&private, SANDBOX, now, now + 3600).signed(&ForgingKey::of(&private))
    }

    /// A change made behind the back of what goes through the faulty store.
    pub async fn apply_on_disk(&self, verb: Verb) {
        let operator =
            Operator::new(self.store.inner.clone(), Arc::new(self.clock.clone()), Arc::new(SystemEntropy));
        let request =
            Request { verb, actor: "test".to_owned(), reason: Some("test".to_owned()), request_id: None };
        operator.apply(&request, &mut Silent).await.expect("the change is planned and committed");
    }

    /// The private key of `kid`, to forge with.
    pub async fn private_key(&self, kid: &Kid) -> PrivateKey {
        let mut loaded = self.store.inner.load().await.expect("the store holds a keyring");
        loaded.private.remove(kid).expect("the store holds the private key")
    }

    pub async fn gateway(&self) -> Running {
        self.gateway_with(config()).await.expect("the gateway starts")
    }

    pub async fn gateway_with(&self, config: Config) -> Result<Running, StartError> {
        self.gateway_on(self.store.clone(), config).await
    }

    /// A gateway whose clock shows another time than the store's and the operator's.
    pub async fn gateway_at(&self, clock: ManualClock) -> Running {
        self.start(self.store.clone(), config(), clock).await.expect("the gateway starts")
    }

    pub fn clock_now(&self) -> UnixTime {
        self.clock.now()
    }

    pub async fn gateway_on(&self, store: Arc<dyn Store>, config: Config) -> Result<Running, StartError> {
        self.start(store, config, self.clock.clone()).await
    }

    async fn start(
        &self,
        store: Arc<dyn Store>,
        config: Config,
        clock: ManualClock,
    ) -> Result<Running, StartError> {
        self.start_in(store, config, clock, None).await
    }

    /// A gateway that may ask a cluster.
    pub async fn start_in(
        &self,
        store: Arc<dyn Store>,
        config: Config,
        clock: ManualClock,
        cluster: Option<Arc<Api>>,
    ) -> Result<Running, StartError> {
        let gateway = Gateway::bind(config, store, Arc::new(clock), Arc::new(SystemEntropy), cluster).await?;
        let (addr, admin, replica) = (gateway.addr, gateway.admin_addr, gateway.replica_id().clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(gateway.run(async move { drop(stopped.await) }));
        Ok(Running { addr, admin, replica, stop: Some(stop), task })
    }

    /// Copies the keyring's directory aside, as a backup does.
    pub fn backup(&self, name: &str) {
        copy(&self.path("keyring"), &self.path(name));
    }

    /// Puts a backup in place of the keyring's directory; the witness stays. By renaming: a gateway that is just
    /// writing its report writes it into the old directory or the new one, and hinders nobody.
    pub fn restore(&self, name: &str) {
        let (new, old) = (self.path(&format!("{name}.new")), self.path(&format!("{name}.replaced")));
        copy(&self.path(name), &new);
        std::fs::rename(self.path("keyring"), old).expect("the directory goes");
        std::fs::rename(new, self.path("keyring")).expect("the backup comes");
    }

    /// A switch to a new key in the backup, where no gateway is and no replica reports. Gives the new key.
    pub async fn rotate_backup(&self, name: &str) -> Kid {
        let clock = Arc::new(self.clock.clone());
        let store = Arc::new(DirectoryStore::new(self.path(name), clock.clone()).expect("a usable path"));
        let operator = Operator::new(store.clone(), clock, Arc::new(SystemEntropy));
        operator.apply(&emergency(), &mut Silent).await.expect("the change is planned and committed");
        let manifest = store.load_public().await.expect("the backup is a keyring").manifest;
        manifest.active_at(self.clock.now()).expect("a key signs").kid.clone()
    }
}

/// A switch to a new key that asks nobody.
fn emergency() -> Request {
    let verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
    Request { verb, actor: "test".to_owned(), reason: Some("test".to_owned()), request_id: None }
}

fn copy(from: &Path, to: &Path) {
    let done = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().expect("cp runs");
    assert!(done.success());
}

/// A gateway that serves until it is dropped or stopped.
pub struct Running {
    pub addr: SocketAddr,
    pub admin: SocketAddr,
    pub replica: ReplicaId,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<bool>,
}

impl Running {
    /// Asks the gateway to stop, and does not wait.
    pub fn ask_to_stop(&mut self) {
        self.stop.take();
    }

    /// Waits until the gateway has stopped. Whether everything in flight ended.
    pub async fn stopped(self) -> bool {
        drop(self.stop);
        self.task.await.expect("the gateway does not panic")
    }
}

pub fn config() -> Config {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    Config {
        listen: any,
        admin_listen: any,
        report_interval: Duration::from_millis(100),
        shutdown_grace: Duration::from_secs(5),
        ..Config::default()
    }
}

pub fn policy() -> Policy {
    Policy { max_staleness: 300, verify_staleness: 3600, token_ttl: 3600, ..Policy::default() }
}

/// The store is read four times a second; the keyring is stale after one, of a clock that stands still.
pub fn quick() -> Policy {
    Policy { max_staleness: 1, ..policy() }
}

pub fn sandbox() -> SandboxId {
    SandboxId::new(SANDBOX).expect("an id")
}
