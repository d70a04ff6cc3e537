//! Everything that a run takes from outside, so that a test can pass its own.

use std::io::{IsTerminal, Read};
use std::sync::{Arc, Mutex};

use jiff::tz::TimeZone;
use keystile_kubernetes::{Access, Api, ObjectName};
use keystile_store::{DirectoryStore, Store, StoreError, directory};
use keystile_store_kube::{KubeStore, Pod};
use keystile_system::{
    Clock, Entropy, Environment, Guarded, ProcessEnvironment, SystemClock, SystemEntropy, guard_memory,
};

use crate::console::Stream;
use crate::logs::{Journal, Logs};
use crate::place::Place;

/// Opens the store at a place, by a clock.
pub type OpenStore = Box<dyn Fn(&Place, Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> + Send + Sync>;

/// What a run takes from outside.
pub struct World {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// The same with the wall clock put forward by so many seconds.
    pub shifted: Box<dyn Fn(i64) -> Arc<dyn Clock> + Send + Sync>,
    /// Where new keys come from.
    pub entropy: Arc<dyn Entropy>,
    /// Opens the store at a place.
    pub stores: OpenStore,
    /// Begins the log.
    pub logs: Box<dyn Fn(Logs) -> Journal + Send + Sync>,
    /// Keeps this process's memory out of core dumps and swap.
    pub guard_memory: Box<dyn Fn() -> Guarded + Send + Sync>,
    /// Configuration strings.
    pub environment: Arc<dyn Environment>,
    /// The time zone that instants are shown in.
    pub zone: TimeZone,
    /// Who is at work, for the history: `user@host`.
    pub actor: String,
    /// Standard input.
    pub stdin: Mutex<Box<dyn Read + Send>>,
    /// Standard output: what was asked for.
    pub stdout: Stream,
    /// Standard error: what went wrong, and progress.
    pub stderr: Stream,
    /// Lets standard error end where standard output does.
    pub join_streams: Box<dyn Fn() -> std::io::Result<()> + Send + Sync>,
}

impl World {
    /// The world of this process.
    pub fn of_this_process() -> Self {
        Self {
            clock: Arc::new(SystemClock::default()),
            shifted: Box::new(|seconds| Arc::new(SystemClock::shifted(seconds))),
            entropy: Arc::new(SystemEntropy),
            stores: Box::new(open),
            logs: Box::new(Logs::install),
            guard_memory: Box::new(guard_memory),
            environment: Arc::new(ProcessEnvironment),
            zone: TimeZone::try_system().unwrap_or(TimeZone::UTC),
            actor: actor(&ProcessEnvironment),
            stdin: Mutex::new(Box::new(std::io::stdin())),
            stdout: stream(std::io::stdout),
            stderr: stream(std::io::stderr),
            join_streams: Box::new(|| Ok(rustix::stdio::dup2_stderr(std::io::stdout())?)),
        }
    }
}

fn open(place: &Place, clock: Arc<dyn Clock>) -> Result<Arc<dyn Store>, StoreError> {
    match place {
        Place::Directory { path, witness } => {
            let options = directory::Options { witness: witness.clone(), ..directory::Options::default() };
            Ok(Arc::new(DirectoryStore::with(path, clock, options)?))
        }
        Place::Secret { name, witness_only } => {
            Ok(Arc::new(kube_store(&ProcessEnvironment, name, *witness_only, clock)))
        }
    }
}

/// The store in that Secret of the cluster that the environment leads to.
pub(crate) fn kube_store(
    environment: &dyn Environment,
    name: &ObjectName,
    witness_only: bool,
    clock: Arc<dyn Clock>,
) -> KubeStore {
    let api = Api::new(Access::of(environment), Arc::clone(&clock));
    let pod = this_pod(environment);
    let options = keystile_store_kube::Options { witness_only, pod, ..Default::default() };
    KubeStore::new(Arc::new(api), name.clone(), clock, options)
}

/// The pod that this process runs in, as the downward API tells it.
fn this_pod(environment: &dyn Environment) -> Option<Pod> {
    let [namespace, name, uid] = ["POD_NAMESPACE", "POD_NAME", "POD_UID"].map(|name| environment.get(name));
    Some(Pod { name: ObjectName::new(&namespace?, &name?).ok()?, uid: uid? })
}

/// The width of a terminal that does not tell it.
const USUAL_COLUMNS: u16 = 80;

fn stream<F>(open: impl Fn() -> F + Send + Sync + 'static) -> Stream
where
    F: IsTerminal + rustix::fd::AsFd + std::io::Write + Send + 'static,
{
    let file = open();
    if !file.is_terminal() {
        return Stream::pipe(file);
    }
    Stream::terminal(file, move || {
        let size = rustix::termios::tcgetwinsize(open()).ok();
        size.map(|size| size.ws_col).filter(|columns| *columns > 0).unwrap_or(USUAL_COLUMNS)
    })
}

fn actor(environment: &dyn Environment) -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| environment.get(name));
    let user = user.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()));
    let system = rustix::system::uname();
    let host = system.nodename().to_string_lossy();
    format!("{user}@{host}").chars().filter(char::is_ascii_graphic).take(128).collect()
}
