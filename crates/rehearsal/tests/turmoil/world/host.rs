//! A machine: its clocks, whether it sleeps, and how it sees the store.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::chance::Chance;
use super::network::{BOTH_WAYS, Link, cut, mend};
use super::store::Ailment;
use super::time::HostClock;

pub struct Host {
    pub name: String,
    pub chance: Chance,
    pub clock: Arc<HostClock>,
    asleep: watch::Sender<bool>,
    ailment: Mutex<Ailment>,
}

impl Host {
    pub fn new(name: String, chance: Chance, clock: HostClock) -> Arc<Self> {
        let asleep = watch::Sender::new(false);
        Arc::new(Self { name, chance, clock: Arc::new(clock), asleep, ailment: Mutex::default() })
    }

    /// From now on its clocks stand still, and nothing comes or goes.
    pub fn fall_asleep(&self, links: &[Arc<Link>]) {
        self.clock.fall_asleep();
        self.asleep.send_replace(true);
        cut(links, &BOTH_WAYS);
    }

    /// The clocks show how late it is before anything else happens.
    pub fn wake(&self, links: &[Arc<Link>]) {
        self.clock.wake();
        self.asleep.send_replace(false);
        mend(links, &BOTH_WAYS);
    }

    /// Done once it is awake.
    pub async fn awake(&self) {
        let _ = self.asleep.subscribe().wait_for(|asleep| !*asleep).await;
    }

    pub fn ailment(&self) -> Ailment {
        self.ailing().clone()
    }

    pub fn ail(&self, change: impl FnOnce(&mut Ailment)) {
        change(&mut self.ailing());
    }

    fn ailing(&self) -> MutexGuard<'_, Ailment> {
        self.ailment.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
