//! The one task that reads the store: when it changes, when a request needs it, and every few seconds,
//! so that a quiet store is still confirmed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::chain::chain;
use crate::jump::Pace;
use crate::reader::{Read, Reader};
use crate::{Held, Replica};

/// The least time between two reads that requests ask for (invariant I10).
const PACE: Duration = Duration::from_secs(1);

/// The longest time between two reads.
const LONGEST: Duration = Duration::from_secs(5);

/// The shortest, whatever policy says.
const SHORTEST: Duration = Duration::from_millis(250);

/// Who counts what a [`Reloader`] does.
pub trait Tally: Send + Sync + 'static {
    /// A new generation was loaded.
    fn reloaded(&self);
    /// The store was read because a request asked for it.
    fn reread(&self);
    /// A read did not confirm the newest keyring, for this cause: a word of a closed list.
    fn failed(&self, cause: &'static str);
}

/// Nobody counts.
impl Tally for () {
    fn reloaded(&self) {}
    fn reread(&self) {}
    fn failed(&self, _cause: &'static str) {}
}

/// Keeps a replica's keyring the newest.
pub struct Reloader {
    /// What reads.
    pub reader: Reader,
    /// Whose keyring it keeps.
    pub replica: Arc<Replica>,
    /// Who counts.
    pub tally: Arc<dyn Tally>,
}

impl Reloader {
    /// Reads for ever.
    pub async fn run(self) {
        let mut store = self.reader.store.watch();
        let mut watched = true;
        let mut pace = Pace::of(self.replica.moment());
        loop {
            let began = Instant::now();
            self.read().await;
            if pace.jumped(self.replica.moment()) {
                self.replica.look_again();
            }
            let wanted = async {
                self.replica.rereads.wanted().await;
                sleep_until(began + PACE).await;
            };
            tokio::select! {
                changed = store.changed(), if watched => watched = changed.is_ok(),
                () = wanted => self.tally.reread(),
                () = sleep_until(began + self.period()) => {}
            }
        }
    }

    /// A quarter of what staleness allows: three reads may fail before minting stops.
    fn period(&self) -> Duration {
        let held = self.replica.held();
        (Duration::from_secs(held.keyring.manifest().policy.max_staleness) / 4).clamp(SHORTEST, LONGEST)
    }

    async fn read(&self) {
        let number = self.replica.rereads.begin();
        let before = self.replica.held();
        let read = self.reader.again(&before).await;
        let confirmed = read.confirmed;
        self.put_in_force(&before, read);
        self.replica.rereads.end(number, confirmed);
    }

    fn put_in_force(&self, before: &Held, read: Read) {
        let Read { mut held, newer, confirmed: _, error } = read;
        let trouble = error.as_ref().map(|error| Arc::from(chain(error)));
        if let Some(error) = &error {
            self.tally.failed(error.label());
        }
        let news = newer || trouble != before.trouble;
        match &trouble {
            Some(why) if before.trouble != trouble => {
                tracing::error!(held = before.generation(), %why, "the keyring held stays in force");
            }
            None if before.trouble.is_some() => tracing::info!("the store is in order again"),
            _ => {}
        }
        held.trouble = trouble;
        if newer {
            self.tally.reloaded();
            tracing::info!(from = before.generation(), to = held.generation(), "loaded a new generation");
        }
        self.replica.put_in_force(held);
        if news {
            self.replica.tell();
        }
    }
}
