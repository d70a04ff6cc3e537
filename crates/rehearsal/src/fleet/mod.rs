//! The gateways of a rehearsal: separate processes on one store.

mod guard;
mod ports;
mod process;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use keystile_system::Footprint;
use tokio::sync::Mutex;

use crate::certificates::{Authority, Pair};
use crate::client::{Gauges, Readiness, Wire};
use crate::dice::Dice;
use crate::error::RehearsalError;
use crate::replica::ReplicaName;
use guard::Guard;
use process::{Process, Spec};

/// How long a gateway may take to become ready.
const READY: Duration = Duration::from_secs(30);
/// How often a starting gateway is asked.
const POLL: Duration = Duration::from_millis(10);

/// What all gateways of a run have in common.
pub(crate) struct Common<'a> {
    pub(crate) binary: &'a Path,
    pub(crate) store: &'a Path,
    pub(crate) witness: &'a Path,
    pub(crate) server: &'a Pair,
    pub(crate) authority: &'a Authority,
    /// Where their logs go.
    pub(crate) logs: &'a Path,
    /// What comes before their names in the logs' names.
    pub(crate) label: &'a str,
    /// Variables of the environment that would configure them.
    pub(crate) without: &'a [String],
}

/// The gateways of a rehearsal.
pub(crate) struct Fleet {
    replicas: Vec<Replica>,
    _guard: Guard,
}

struct Replica {
    name: ReplicaName,
    address: SocketAddr,
    log: PathBuf,
    wire: Wire,
    gauges: Gauges,
    process: Mutex<Process>,
}

impl Fleet {
    /// Prepares one gateway for each of the clock shifts. None runs yet.
    pub(crate) fn prepare(
        common: &Common<'_>,
        shifts: &[i64],
        dice: &mut Dice,
    ) -> Result<Self, RehearsalError> {
        let guard = Guard::post()?;
        let mut addresses = ports::free(2 * shifts.len(), dice)?;
        let admins = addresses.split_off(shifts.len());
        let replica = |(index, ((address, admin), shift)): (usize, ((SocketAddr, SocketAddr), &i64))| {
            let name = ReplicaName::of_index(index);
            let log = common.logs.join(format!("{}{name}.log", common.label));
            // Gateways append, because they are started again: what another run left is not theirs.
            let _ = std::fs::remove_file(&log);
            let spec = Spec {
                name,
                binary: common.binary.to_owned(),
                store: common.store.to_owned(),
                witness: common.witness.to_owned(),
                address,
                admin,
                server: common.server.clone(),
                authority: common.authority.path(),
                shift: *shift,
                log: log.clone(),
                without: common.without.to_vec(),
                group: guard.group(),
            };
            let wire = Wire::to(address, common.authority.pem())?;
            let gauges = Gauges::of(admin)?;
            Ok(Replica { name, address, log, wire, gauges, process: Mutex::new(Process::new(spec)) })
        };
        let replicas: Result<Vec<_>, RehearsalError> =
            addresses.into_iter().zip(admins).zip(shifts).enumerate().map(replica).collect();
        Ok(Self { replicas: replicas?, _guard: guard })
    }

    /// The URLs of all gateways.
    pub(crate) fn urls(&self) -> impl Iterator<Item = String> + '_ {
        self.replicas.iter().map(|replica| format!("https://{}", replica.address))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.replicas.len()
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = ReplicaName> + '_ {
        self.replicas.iter().map(|replica| replica.name)
    }

    /// The connections to one.
    pub(crate) fn wire(&self, name: ReplicaName) -> Option<&Wire> {
        self.replica(name).map(|replica| &replica.wire)
    }

    /// What its gauges say that its process takes of the machine; `None` if they do not answer or say.
    pub(crate) async fn footprint(&self, name: ReplicaName) -> Option<Footprint> {
        self.replica(name)?.gauges.footprint().await
    }

    fn replica(&self, name: ReplicaName) -> Option<&Replica> {
        self.replicas.get(name.index())
    }

    /// Starts a gateway and waits until it is ready.
    pub(crate) async fn start(&self, name: ReplicaName) -> Result<Readiness, RehearsalError> {
        let replica = self.replica(name).ok_or_else(|| RehearsalError::gateways(name.index() + 1))?;
        replica.process.lock().await.start()?;
        let ready = tokio::time::timeout(READY, becomes_ready(replica)).await;
        let log = replica.log.clone();
        match ready {
            Ok(Ok(readiness)) => Ok(readiness),
            Ok(Err(how)) => Err(RehearsalError::Died { replica: name, how, log }),
            Err(_) => Err(RehearsalError::NotReady { replica: name, seconds: READY.as_secs(), log }),
        }
    }

    /// Kills a gateway with SIGKILL.
    pub(crate) async fn kill(&self, name: ReplicaName) {
        if let Some(replica) = self.replica(name) {
            replica.process.lock().await.kill().await;
        }
    }

    /// Asks a gateway to stop and waits. False if it had to be killed.
    pub(crate) async fn stop(&self, name: ReplicaName) -> bool {
        match self.replica(name) {
            Some(replica) => replica.process.lock().await.stop().await,
            None => true,
        }
    }

    /// Lets a gateway's process stand still.
    pub(crate) async fn freeze(&self, name: ReplicaName) {
        if let Some(replica) = self.replica(name) {
            replica.process.lock().await.freeze();
        }
    }

    /// Lets a gateway's process go on.
    pub(crate) async fn thaw(&self, name: ReplicaName) {
        if let Some(replica) = self.replica(name) {
            replica.process.lock().await.thaw();
        }
    }

    /// Gateways that ended by themselves since the last time, and how.
    pub(crate) fn died(&self) -> Vec<(ReplicaName, String)> {
        let mut died = Vec::new();
        for replica in &self.replicas {
            // Whoever holds the lock is starting or stopping it.
            if let Ok(mut process) = replica.process.try_lock()
                && let Some(how) = process.died()
            {
                died.push((replica.name, how));
            }
        }
        died
    }
}

/// Asks until it is ready; how it ended, if it did.
async fn becomes_ready(replica: &Replica) -> Result<Readiness, String> {
    loop {
        if let Some(readiness) = replica.wire.readiness(Duration::from_secs(1)).await
            && readiness.ready
        {
            return Ok(readiness);
        }
        if let Some(how) = replica.process.lock().await.died() {
            return Err(how);
        }
        tokio::time::sleep(POLL).await;
    }
}
