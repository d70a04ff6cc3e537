//! Notices changes: two watches, of the Secret and of its witness, each of metadata only.

use std::sync::Arc;
use std::time::Duration;

use keystile_kubernetes::{ApiError, Call, Meta, Object, ObjectName};
use keystile_system::Entropy;
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::Root;
use crate::secret::{collection, path};

/// How long the server is asked to keep a watch, seconds; up to a fifth less, so that a fleet's watches
/// do not all end at once.
const WATCHED: u64 = 300;
/// What a watch may take longer: then the connection is dead.
const GRACE: Duration = Duration::from_secs(15);
/// The first wait after a failure.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A watch that ends sooner was not one.
const SHORT: Duration = Duration::from_secs(1);

/// The running watches, until dropped.
pub(crate) struct Watch {
    ticks: watch::Receiver<u64>,
    tasks: Vec<JoinHandle<()>>,
}

impl Watch {
    /// Watches what `root` reads.
    pub(crate) fn start(root: &Arc<Root>) -> Self {
        let (tick, ticks) = watch::channel(0);
        let mut names = vec![root.witness.clone()];
        if !root.options.witness_only {
            names.push(root.secret.clone());
        }
        let Ok(runtime) = Handle::try_current() else {
            tracing::error!("the store is not watched: changes are found by the periodic read only");
            return Self { ticks, tasks: Vec::new() };
        };
        let spawn = |name: ObjectName| {
            let follower = Follower {
                root: Arc::clone(root),
                name,
                tick: tick.clone(),
                seen: Seen::Unknown,
                failures: 0,
            };
            runtime.spawn(follower.run())
        };
        Self { ticks, tasks: names.into_iter().map(spawn).collect() }
    }

    /// A receiver of its ticks.
    pub(crate) fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What was seen last.
#[derive(PartialEq, Eq)]
enum Seen {
    /// Nothing yet.
    Unknown,
    /// That there is no such object.
    Absent,
    /// Which object, and which version of it.
    Version(String, String),
}

struct Follower {
    root: Arc<Root>,
    name: ObjectName,
    tick: watch::Sender<u64>,
    seen: Seen,
    failures: u32,
}

/// Why a watch is over.
enum Over {
    /// As agreed: go on where it ended.
    Ended,
    /// The server no longer knows what happened since: look anew.
    Gone,
    /// Something failed.
    Failed(ApiError),
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: Changed,
}

#[derive(Deserialize)]
struct Changed {
    #[serde(default)]
    metadata: Meta,
    #[serde(default)]
    code: u16,
}

impl Follower {
    async fn run(mut self) {
        loop {
            let over = match self.look().await {
                Ok(version) => self.follow(version).await,
                Err(error) => Over::Failed(error),
            };
            let what = &self.name;
            match over {
                // A quick second look, and then ever slower ones.
                Over::Ended | Over::Gone if self.failures == 0 => self.failures = 1,
                Over::Ended | Over::Gone => self.wait().await,
                Over::Failed(error) => {
                    tracing::debug!(%what, %error, "the watch failed; looking anew");
                    self.wait().await;
                }
            }
        }
    }

    /// Reads the object's version; ticks if it is another one than was seen.
    async fn look(&mut self) -> Result<Option<String>, ApiError> {
        let call = Call::get(path(&self.name)).metadata_only();
        let found: Option<Object> = self.root.api.find(call).await?;
        let version = found.as_ref().map(|found| found.metadata.resource_version.clone());
        self.saw(found.map_or(Seen::Absent, |found| {
            Seen::Version(found.metadata.uid, found.metadata.resource_version)
        }));
        Ok(version)
    }

    fn saw(&mut self, seen: Seen) {
        if self.seen != seen {
            self.seen = seen;
            self.tick.send_modify(|count| *count += 1);
        }
    }

    /// Watches from `version` on, one watch after the other, until one fails.
    async fn follow(&mut self, mut version: Option<String>) -> Over {
        loop {
            let began = Instant::now();
            match self.watch(&mut version).await {
                Over::Ended if began.elapsed() >= SHORT => self.failures = 0,
                over => return over,
            }
        }
    }

    async fn watch(&mut self, version: &mut Option<String>) -> Over {
        let lasts = WATCHED - spread(self.root.options.entropy.as_ref(), WATCHED / 5);
        let call = Call::get(collection(self.name.namespace()))
            .with("watch", "true")
            .with("allowWatchBookmarks", "true")
            .with("fieldSelector", &format!("metadata.name={}", self.name.name()))
            .with("timeoutSeconds", &lasts.to_string())
            .metadata_only();
        let call = match version.as_deref() {
            Some(version) => call.with("resourceVersion", version),
            // There was no such object: whatever appears is new.
            None => call,
        };
        let mut lines = match self.root.api.lines(call).await {
            Ok(lines) => lines,
            Err(error) if error.code() == Some(410) => return Over::Gone,
            Err(error) => return Over::Failed(error),
        };
        let until = Duration::from_secs(lasts) + GRACE;
        loop {
            let line = match timeout(until, lines.next()).await {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) => return Over::Ended,
                Ok(Err(error)) => return Over::Failed(error),
                Err(_) => return Over::Failed(ApiError::Timeout(until)),
            };
            if let Err(over) = self.event(&line, version) {
                return over;
            }
        }
    }

    fn event(&mut self, line: &[u8], version: &mut Option<String>) -> Result<(), Over> {
        let event: Event = serde_json::from_slice(line)
            .map_err(|error| Over::Failed(ApiError::Garbage(error.to_string())))?;
        let Meta { uid, resource_version, .. } = event.object.metadata;
        match event.kind.as_str() {
            "ERROR" if event.object.code == 410 => return Err(Over::Gone),
            "ERROR" => {
                let what = format!("the watch ended with status {}", event.object.code);
                return Err(Over::Failed(ApiError::Garbage(what)));
            }
            "BOOKMARK" => {}
            "DELETED" => self.saw(Seen::Absent),
            _ => self.saw(Seen::Version(uid, resource_version.clone())),
        }
        self.failures = 0;
        *version = Some(resource_version);
        Ok(())
    }

    /// Waits: the longer, the more often it failed; by chance half of it less.
    async fn wait(&mut self) {
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.min(16)).min(LONGEST_WAIT);
        self.failures = self.failures.saturating_add(1);
        let millis = u64::try_from(doubled.as_millis()).unwrap_or(u64::MAX);
        let less = spread(self.root.options.entropy.as_ref(), millis / 2);
        sleep(Duration::from_millis(millis - less)).await;
    }
}

/// A number from 0 to `most`, by chance; `most` where there is none.
fn spread(entropy: &dyn Entropy, most: u64) -> u64 {
    let mut random = [0; 8];
    match entropy.fill(&mut random) {
        Ok(()) => u64::from_be_bytes(random) % most.saturating_add(1),
        Err(_) => most,
    }
}
