//! Notices changes: inotify wakes it, a poll underneath makes sure.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

use super::names::DATA;

/// Compares what the file system says of the store, on a thread of its own, until dropped.
pub(super) struct Watch {
    stop: Sender<Wake>,
    ticks: watch::Receiver<u64>,
}

enum Wake {
    Look,
    Stop,
}

impl Watch {
    /// Watches the directory and the witness, and looks every `poll` whatever happens.
    pub(super) fn start(directory: PathBuf, witness: PathBuf, poll: Duration) -> Self {
        let (stop, wakes) = mpsc::channel();
        let (tick, ticks) = watch::channel(0);
        let wake = stop.clone();
        // The first look is taken here: what changes after `start` returns is noticed.
        let seen = Seen::look(&directory, &witness);
        let run = move || {
            let mut seen = seen;
            let mut notifier = Notifier::new(wake);
            loop {
                notifier.follow(&directory, seen.directory);
                let now = Seen::look(&directory, &witness);
                if now != seen {
                    seen = now;
                    tick.send_modify(|count| *count += 1);
                    continue;
                }
                match wakes.recv_timeout(poll) {
                    Ok(Wake::Look) | Err(RecvTimeoutError::Timeout) => {}
                    Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        let thread = std::thread::Builder::new().name("keystile-watch".to_owned());
        if let Err(error) = thread.spawn(run) {
            tracing::error!(%error, "the store is not watched: changes are found by the periodic read only");
        }
        Self { stop, ticks }
    }

    /// A receiver of its ticks.
    pub(super) fn ticks(&self) -> watch::Receiver<u64> {
        self.ticks.clone()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread may be gone already.
        let _ = self.stop.send(Wake::Stop);
    }
}

/// What tells one state of the store from the next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    directory: Option<Stamp>,
    link: Option<PathBuf>,
    generation: Option<Stamp>,
    witness: Option<(Stamp, i64, i64)>,
}

type Stamp = (u64, u64);

impl Seen {
    fn look(directory: &Path, witness: &Path) -> Self {
        use std::os::unix::fs::MetadataExt;
        let data = directory.join(DATA);
        let stamp = |path: &Path| std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        let witness = std::fs::metadata(witness).ok();
        Self {
            directory: stamp(directory),
            link: std::fs::read_link(&data).ok(),
            generation: stamp(&data),
            witness: witness.map(|found| ((found.dev(), found.ino()), found.mtime(), found.mtime_nsec())),
        }
    }
}

/// Wakes the thread when the system says that the directory changed.
struct Notifier {
    wake: Sender<Wake>,
    watcher: Option<RecommendedWatcher>,
    followed: Option<Stamp>,
}

impl Notifier {
    fn new(wake: Sender<Wake>) -> Self {
        Self { wake, watcher: None, followed: None }
    }

    /// Follows the directory that has the name now; another one after a deletion.
    fn follow(&mut self, directory: &Path, stamp: Option<Stamp>) {
        if stamp == self.followed {
            return;
        }
        self.watcher = None;
        self.followed = stamp;
        if stamp.is_none() {
            return;
        }
        match self.watcher(directory) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "no change notifications: the store is looked at periodically");
            }
        }
    }

    fn watcher(&self, directory: &Path) -> notify::Result<RecommendedWatcher> {
        let wake = self.wake.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let reading = event.as_ref().is_ok_and(|event| event.kind.is_access());
            if !reading {
                let _ = wake.send(Wake::Look);
            }
        })?;
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    }
}
