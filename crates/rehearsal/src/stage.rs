//! Everything that runs in one run: keyring, gateways, supervisors, adversaries.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keystile_keyring::{GatewayId, Kid, Manifest};
use keystile_operator::{First, Operator, Silent};
use keystile_store::directory::Options as StoreOptions;
use keystile_store::{DirectoryStore, Store};
use keystile_system::{Clock, Entropy};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use crate::adversary::Arsenal;
use crate::certificates::Authority;
use crate::dice::Dice;
use crate::error::RehearsalError;
use crate::event::{Event, ReplicaEvent};
use crate::fleet::{Common, Fleet};
use crate::load::{Crew, Events, Field, Sandbox, attack, keep_calling};
use crate::moment::RunClock;
use crate::record::{Process, Sample};
use crate::settings::Settings;
use crate::work::WorkDir;

/// Who presents bad tokens at a time.
const ATTACKERS: usize = 6;
/// How often the supervisors' counters are read and the gateways looked after.
const LOOK: Duration = Duration::from_millis(200);
/// How often it is measured what processes take of the machine.
const MEASURE: Duration = Duration::from_secs(1);
/// The most keys that a script can name by their number.
const MOST_NUMBERED: usize = 200;
/// Who changes the keyring, in its history.
pub(crate) const ACTOR: &str = "rehearsal";

/// What a rehearsal takes from outside.
#[derive(Clone)]
pub struct Means {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Where keys come from.
    pub entropy: Arc<dyn Entropy>,
    /// The program whose `serve` is a gateway.
    pub binary: PathBuf,
    /// Where the run's own directory is made.
    pub temporary: PathBuf,
    /// Where the gateways' logs go; it must be there.
    pub logs: PathBuf,
    /// Variables of the environment that would configure the gateways.
    pub variables: Vec<String>,
}

/// Where the run's keyring is.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) directory: PathBuf,
    pub(crate) witness: PathBuf,
}

/// Everything that runs in one run.
pub(crate) struct Stage {
    pub(crate) settings: Settings,
    pub(crate) field: Field,
    pub(crate) operator: Operator,
    pub(crate) place: Place,
    pub(crate) crew: Crew,
    pub(crate) arsenal: Arc<RwLock<Arsenal>>,
    first: First,
    entropy: Arc<dyn Entropy>,
    keys: Mutex<Vec<Kid>>,
    files: AtomicU64,
    work: WorkDir,
}

impl Stage {
    /// Makes keyring and certificates, starts gateways and supervisors, and returns when each supervisor
    /// has its first token. `label` comes before the names of the gateways' logs.
    pub(crate) async fn set(
        settings: Settings,
        means: &Means,
        label: &str,
        keep: bool,
        events: Events,
    ) -> Result<Self, RehearsalError> {
        // Two runs with one seed may run at once: their directories and ports must differ.
        let chance = chance(means.entropy.as_ref());
        let work = WorkDir::make(&means.temporary, chance, keep)?;
        let authority = Authority::make(&work.directory("certificates")?)?;
        let place = Place { directory: work.join("keyring"), witness: work.join("witness.json") };
        let operator = operator(&place, means)?;
        let first = first(&settings)?;
        operator.begin(&first, &mut Silent).await?;
        let fleet = fleet(&place, &authority, means, label, (&settings.shifts(), chance))?;
        start_all(&fleet).await?;
        let mut crew = crew(&settings, &authority, &work)?;
        let files = crew.write_files(operator.store().as_ref(), means.clock.as_ref()).await?;
        crew.start(&fleet, settings.policy.token_ttl, &means.clock, &means.entropy).await?;
        let (arsenal, manifest) = arsenal(&operator, &settings).await?;
        let clock = RunClock::begin(Arc::clone(&means.clock)).await;
        let field = Field::new(fleet, clock, events, settings.supervisors + ATTACKERS);
        let stage = Self {
            settings,
            field,
            operator,
            place,
            crew,
            arsenal: Arc::new(RwLock::new(arsenal)),
            first,
            entropy: Arc::clone(&means.entropy),
            keys: Mutex::new(Vec::new()),
            files: AtomicU64::new(files),
            work,
        };
        stage.committed(&manifest);
        Ok(stage)
    }

    /// The run's own directory.
    pub(crate) fn directory(&self) -> &Path {
        self.work.path()
    }

    /// Starts everything that runs until the end, in the background. It ends when the set is dropped.
    pub(crate) fn play(self: &Arc<Self>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        let dice = Dice::new(self.settings.seed);
        for (index, supervisor) in self.crew.supervisors().iter().enumerate() {
            let dice = dice.fork(1000 + index as u64);
            tasks.spawn(keep_calling(self.field.clone(), index, supervisor.clone(), dice));
        }
        for index in 0..ATTACKERS {
            let dice = dice.fork(500 + index as u64);
            let store = Arc::clone(self.operator.store());
            tasks.spawn(attack(self.field.clone(), Arc::clone(&self.arsenal), store, dice));
        }
        let (pacer, clock) = (Arc::clone(&self.field.pacer), Arc::clone(self.field.clock.clock()));
        tasks.spawn(async move { pacer.run(clock.as_ref()).await });
        tasks.spawn(Arc::clone(self).look_after());
        tasks.spawn(Arc::clone(self).follow());
        if self.settings.soak {
            tasks.spawn(Arc::clone(self).measure());
        }
        tasks
    }

    /// Reads the supervisors' counters, and notices gateways that died.
    async fn look_after(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.tell_supply();
            for (replica, how) in self.field.fleet.died() {
                let what = ReplicaEvent::Died(how);
                self.field.tell(Event::Replica { at: self.field.clock.moment(), replica, what });
            }
        }
    }

    /// Measures what every process takes of the machine.
    async fn measure(self: Arc<Self>) {
        let tell = |process, took| {
            let at = self.field.clock.moment();
            self.field.tell(Event::Measured { process, sample: Sample { at, took } });
        };
        loop {
            tokio::time::sleep(MEASURE).await;
            for name in self.field.fleet.names() {
                if let Some(took) = self.field.fleet.footprint(name).await {
                    tell(Process::Gateway(name), took);
                }
            }
            if let Some(took) = keystile_system::footprint() {
                tell(Process::Own, took);
            }
        }
    }

    pub(crate) fn tell_supply(&self) {
        let files = self.files.load(Ordering::Relaxed);
        self.field.tell(Event::Supply { obtained: self.crew.obtained(), files });
    }

    /// Steals the keys of every generation as soon as it is there.
    async fn follow(self: Arc<Self>) {
        let mut changes = self.operator.store().watch();
        while changes.changed().await.is_ok() {
            self.steal().await;
        }
    }

    /// Steals the keys of the newest generation. A store that cannot be read gives nothing away.
    pub(crate) async fn steal(&self) {
        if let Ok(loaded) = self.operator.store().load().await {
            let _ = self.arsenal.write().await.steal(Arc::new(loaded.manifest), &loaded.private);
        }
    }

    /// A generation was committed.
    pub(crate) fn committed(&self, manifest: &Manifest) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        for key in &manifest.keys {
            if keys.len() < MOST_NUMBERED && !keys.contains(&key.kid) {
                keys.push(key.kid.clone());
            }
        }
        drop(keys);
        let manifest = Arc::new(manifest.clone());
        self.field.tell(Event::Generation { at: self.field.clock.moment(), manifest });
    }

    /// The n-th key that appeared, from 1.
    pub(crate) fn key_number(&self, number: usize) -> Option<Kid> {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        keys.get(number.checked_sub(1)?).cloned()
    }

    /// Writes a new token file for every supervisor that lives by one. How many.
    pub(crate) async fn write_files(&self) -> Result<u64, RehearsalError> {
        let store = self.operator.store().as_ref();
        let written = self.crew.write_files(store, self.field.clock.clock().as_ref()).await?;
        self.files.fetch_add(written, Ordering::Relaxed);
        Ok(written)
    }

    /// Stops supervisors and gateways.
    pub(crate) async fn close(&self) {
        let mut stopping = JoinSet::new();
        for supervisor in self.crew.supervisors() {
            let supervisor = supervisor.clone();
            stopping.spawn(async move { supervisor.shutdown().await });
        }
        while stopping.join_next().await.is_some() {}
        for name in self.field.fleet.names() {
            let fleet = Arc::clone(&self.field.fleet);
            stopping.spawn(async move {
                fleet.stop(name).await;
            });
        }
        while stopping.join_next().await.is_some() {}
    }

    /// Makes a first keyring where there is none any more.
    pub(crate) async fn begin_anew(&self) -> Result<(), RehearsalError> {
        let clock = Arc::clone(self.field.clock.clock());
        let operator = Operator::new(Arc::clone(self.operator.store()), clock, Arc::clone(&self.entropy));
        operator.begin(&self.first, &mut Silent).await?;
        Ok(())
    }
}

fn operator(place: &Place, means: &Means) -> Result<Operator, RehearsalError> {
    let options = StoreOptions {
        witness: Some(place.witness.clone()),
        poll: Duration::from_millis(100),
        ..StoreOptions::default()
    };
    let store = DirectoryStore::with(&place.directory, Arc::clone(&means.clock), options)?;
    let store: Arc<dyn Store> = Arc::new(store);
    Ok(Operator::new(store, Arc::clone(&means.clock), Arc::clone(&means.entropy)))
}

fn first(settings: &Settings) -> Result<First, RehearsalError> {
    let gateway_id = GatewayId::new("rehearsal");
    let gateway_id = gateway_id.map_err(|error| RehearsalError::Token(error.to_string()))?;
    Ok(First { gateway_id, policy: settings.policy.clone(), actor: ACTOR.to_owned(), adopt: None })
}

fn fleet(
    place: &Place,
    authority: &Authority,
    means: &Means,
    label: &str,
    (shifts, chance): (&[i64], u64),
) -> Result<Arc<Fleet>, RehearsalError> {
    let server = authority.server()?;
    let common = Common {
        binary: &means.binary,
        store: &place.directory,
        witness: &place.witness,
        server: &server,
        authority,
        logs: &means.logs,
        label,
        without: &means.variables,
    };
    Ok(Arc::new(Fleet::prepare(&common, shifts, &mut Dice::new(chance))?))
}

/// What can be stolen at the begin, and the keyring that it is from.
async fn arsenal(
    operator: &Operator,
    settings: &Settings,
) -> Result<(Arsenal, Arc<Manifest>), RehearsalError> {
    let loaded = operator.store().load().await?;
    let manifest = Arc::new(loaded.manifest);
    let seed = Dice::new(settings.seed).fork(2).next();
    let mut arsenal = Arsenal::new(Arc::clone(&manifest), seed, settings.skew)?;
    arsenal.steal(Arc::clone(&manifest), &loaded.private)?;
    Ok((arsenal, manifest))
}

fn crew(settings: &Settings, authority: &Authority, work: &WorkDir) -> Result<Crew, RehearsalError> {
    work.directory("tokens")?;
    let sandboxes = settings.bootstraps().into_iter().enumerate();
    let sandboxes = sandboxes.map(|(number, by)| Sandbox::prepare(number, by, authority, work));
    Ok(Crew::of(sandboxes.collect::<Result<_, _>>()?))
}

/// Starts all gateways side by side.
pub(crate) async fn start_all(fleet: &Arc<Fleet>) -> Result<(), RehearsalError> {
    let mut starting = JoinSet::new();
    for name in fleet.names() {
        let fleet = Arc::clone(fleet);
        starting.spawn(async move { fleet.start(name).await });
    }
    while let Some(started) = starting.join_next().await {
        // A task that panicked has told so itself.
        if let Ok(started) = started {
            started?;
        }
    }
    Ok(())
}

fn chance(entropy: &dyn Entropy) -> u64 {
    let mut bytes = [0; 8];
    // Without chance the names are as good as the process id makes them.
    let _ = entropy.fill(&mut bytes);
    u64::from_be_bytes(bytes) >> 16
}
