//! Operators, who change the keyring at random, and whoever gives sandboxes their token files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keystile_keyring::plan::{Mode, PolicyChange, Request, Verb};
use keystile_keyring::{Fleet, KeyState, Manifest};
use keystile_operator::{OperateError, Operator, Outcome, Reconcile, Rotation, Silent};
use keystile_supervisor::{State, Supervisor};
use keystile_system::Clock as _;
use keystile_token::{BootstrapMethod, Keyring, SandboxGrant, SandboxId};

use super::World;
use super::chance::{Chance, SeededEntropy};
use super::host::Host;
use super::store::View;
use crate::oracle::{Facts, short};

/// How long an operator waits for a rotation before it leaves it in flight.
const PATIENCE: Duration = Duration::from_secs(20);

/// One operation.
enum Act {
    Rotate,
    Apply(Verb),
    Reconcile,
}

pub struct OperatorHost {
    world: Arc<World>,
    number: usize,
    host: Arc<Host>,
    chance: Chance,
    view: Arc<View>,
    operator: Operator,
}

impl OperatorHost {
    pub fn new(world: &Arc<World>, number: usize) -> Self {
        let host = Arc::clone(&world.operators[number]);
        let view = View::new(&host, &world.truth, &world.oracle, None);
        let entropy = Arc::new(SeededEntropy::new(host.chance.stream("keys", 0)));
        let operator = Operator::new(view.clone(), host.clock.clone(), entropy);
        Self { world: Arc::clone(world), number, chance: host.chance.stream("acts", 0), host, view, operator }
    }

    /// Acts at random until `end`.
    pub async fn run(mut self, end: Duration) {
        loop {
            tokio::time::sleep(self.chance.millis(500, 10_000)).await;
            if self.world.time.now() >= end {
                return;
            }
            let Some(newest) = self.world.truth.newest() else { continue };
            let (act, reason) = self.draw(&newest.manifest);
            let name = match &act {
                Act::Rotate => "rotate, gated".to_owned(),
                Act::Apply(verb) => format!("{verb:?}"),
                Act::Reconcile => "reconcile".to_owned(),
            };
            self.view.gated.store(!matches!(act, Act::Apply(_)), Ordering::SeqCst);
            // Now and then an operator is cut off in the middle.
            let cut_off = if self.chance.percent(10) { self.chance.millis(1, 400) } else { Duration::MAX };
            let done = tokio::time::timeout(cut_off, self.act(act, reason)).await;
            let said = done.unwrap_or_else(|_| "cut off".to_owned());
            self.view.gated.store(false, Ordering::SeqCst);
            self.world.oracle.note(format!("{}: {name}: {said}", self.host.name));
        }
    }

    async fn act(&self, act: Act, reason: Option<String>) -> String {
        let actor = format!("operator-{}", self.number);
        let request = |verb| Request { verb, actor: actor.clone(), reason: reason.clone(), request_id: None };
        let rotation = Rotation { no_wait: false, timeout: Some(PATIENCE) };
        match act {
            Act::Rotate => {
                let verb = Verb::Rotate { mode: Mode::Gated(Fleet::Reporting), no_rollback: false };
                said(self.operator.rotate(&request(verb), rotation, &mut Silent).await)
            }
            Act::Apply(verb) => said(self.operator.apply(&request(verb), &mut Silent).await),
            Act::Reconcile => {
                let how = Reconcile { actor: actor.clone(), rotation, accept: None };
                match self.operator.reconcile(&how, &mut Silent).await {
                    Ok(did) => format!("did {did:?}"),
                    Err(error) => error.to_string(),
                }
            }
        }
    }

    fn draw(&mut self, manifest: &Manifest) -> (Act, Option<String>) {
        let reason = Some("turmoil".to_owned());
        let now = self.host.clock.now();
        let mut of_state = |state: KeyState| {
            let keys: Vec<_> =
                manifest.keys.iter().filter(|key| manifest.state_of(key, now) == state).collect();
            keys.get(self.chance.index(keys.len())).map(|key| key.kid.clone())
        };
        let (active, superseded) = (of_state(KeyState::Active), of_state(KeyState::VerifyOnly));
        let descendants = self.chance.percent(30);
        let act = match self.chance.between(1, 100) {
            1..=33 => Act::Rotate,
            34..=43 => Act::Apply(Verb::Rotate { mode: Mode::Emergency, no_rollback: false }),
            44..=56 => Act::Apply(Verb::Rollback { to: None }),
            57..=63 => match active {
                Some(kid) => Act::Apply(Verb::Revoke { kid, descendants }),
                None => Act::Reconcile,
            },
            64..=71 => match superseded {
                Some(kid) => Act::Apply(Verb::Revoke { kid, descendants }),
                None => Act::Rotate,
            },
            72..=76 => match superseded {
                Some(kid) => Act::Apply(Verb::Retire { kid, at: None, force: true }),
                None => Act::Rotate,
            },
            77..=84 => Act::Apply(Verb::SetPolicy(self.policy_change())),
            _ => Act::Reconcile,
        };
        (act, reason)
    }

    fn policy_change(&mut self) -> PolicyChange {
        let (name, least, most) = match self.chance.index(3) {
            0 => ("token_ttl", 20, 45),
            1 => ("max_staleness", 8, 16),
            _ => ("verifier_cache", 0, 6),
        };
        PolicyChange(BTreeMap::from([(name.to_owned(), Some(self.chance.between(least, most)))]))
    }
}

fn said(outcome: Result<Outcome, OperateError>) -> String {
    match outcome {
        Ok(Outcome::Committed(done)) => {
            format!(
                "generation {}{}",
                done.generation,
                done.made.map_or(String::new(), |kid| format!(", made {}", short(&kid)))
            )
        }
        Ok(Outcome::Done(_)) => "done before".to_owned(),
        Ok(Outcome::Nothing(why)) => why,
        Err(error) => error.to_string(),
    }
}

/// A sandbox's token file, and what was last put into it.
pub struct TokenFile {
    pub path: PathBuf,
    held: Mutex<Option<Facts>>,
}

impl TokenFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path, held: Mutex::default() }
    }

    /// What it says, if anything was put into it.
    pub fn facts(&self) -> Option<Facts> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the file whole.
    pub fn put(&self, token: &str) {
        let beside = self.path.with_extension("new");
        std::fs::write(&beside, token).expect("a file can be written");
        std::fs::rename(&beside, &self.path).expect("a file can be replaced");
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Facts::of(token);
    }
}

/// Mints token files, as `keystile mint` does: from a store that is in order.
pub struct Provisioner {
    operator: Operator,
    host: Arc<Host>,
}

/// How often sandboxes are looked after.
pub const PROVISION: Duration = Duration::from_secs(1);

impl Provisioner {
    pub fn new(world: &World, host: &Arc<Host>) -> Self {
        let view = View::new(host, &world.truth, &world.oracle, None);
        let entropy = Arc::new(SeededEntropy::new(host.chance.stream("mint", 0)));
        Self { operator: Operator::new(view, host.clock.clone(), entropy), host: Arc::clone(host) }
    }

    /// A first token for the sandbox with this number.
    pub async fn mint(&self, number: usize) -> Option<String> {
        let loaded = self.operator.newest().await.ok()?;
        let keyring = Keyring::open(loaded.manifest, loaded.digest, loaded.private).ok()?;
        let sandbox = SandboxId::new(format!("sandbox-{number}")).expect("a short id");
        let now = self.host.clock.now();
        let grant = SandboxGrant::bootstrap(sandbox, BootstrapMethod::TokenFile, now);
        Some(keyring.mint(&grant, now).ok()?.token.expose().to_owned())
    }

    /// Gives whoever is stranded a new token file, for ever.
    pub async fn run(self, world: Arc<World>, supervisors: Vec<Supervisor>) {
        loop {
            tokio::time::sleep(PROVISION).await;
            for (number, supervisor) in supervisors.iter().enumerate() {
                let stranded = matches!(&*supervisor.state().borrow(), State::Stranded { .. });
                if !stranded {
                    continue;
                }
                if let Some(token) = self.mint(number).await {
                    world.genuine(&token);
                    world.files[number].put(&token);
                    world.oracle.note(format!("a new token file for supervisor-{number}"));
                }
            }
        }
    }
}
