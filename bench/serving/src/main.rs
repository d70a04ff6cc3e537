//! Measures `keystile serve` under load, beside Envoy and small servers that do the same the usual way, each
//! on one processor, with the load on another. Every figure is of one run; what counts are the ratios.

mod error;
mod load;
mod peers;
mod report;
mod scenes;
mod server;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::{BenchError, because};
use peers::Peer;
use report::Figures;
use scenes::{Ground, REFRESHERS, VERIFIERS};

/// Measures a gateway under load beside its peers
#[derive(Debug, Parser)]
struct Args {
    /// How long each load lasts, seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,

    /// How often everything is measured; medians are shown
    #[arg(long, default_value_t = 3)]
    rounds: usize,

    /// The program to measure
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/release/keystile"))]
    keystile: PathBuf,

    /// Envoy
    #[arg(long, default_value = "envoy")]
    envoy: PathBuf,

    /// Write the page there
    #[arg(long, value_name = "FILE", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/serving.md"))]
    page: PathBuf,

    #[command(subcommand)]
    command: Option<Role>,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// Be one of the peers
    #[command(hide = true)]
    Peer { peer: Peer, address: SocketAddr, keys: PathBuf },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.map_err(because("start")).and_then(|runtime| runtime.block_on(run(&args)));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serving: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), BenchError> {
    if let Some(Role::Peer { peer, address, keys }) = &args.command {
        return peers::serve(*peer, *address, keys).await;
    }
    let programs = scenes::programs(&args.keystile, &args.envoy)?;
    let mut figures = Figures::default();
    for round in 1..=args.rounds.max(1) {
        eprintln!("round {round} of {}", args.rounds.max(1));
        // A keyring of its own for each: a change of the signing key stays in a keyring's timeline.
        let world = world::World::make().await?;
        let directory = world.path("");
        let ground =
            Ground { world: &world, programs: &programs, directory: &directory, seconds: args.seconds };
        measure(&ground, &mut figures).await?;
    }
    let text = report::text(&figures, args.seconds, args.rounds.max(1));
    print!("{text}");
    std::fs::write(&args.page, &text).map_err(because(format!("write {}", args.page.display())))
}

async fn measure(ground: &Ground<'_>, figures: &mut Figures) -> Result<(), BenchError> {
    for kind in VERIFIERS {
        figures.steady.entry(kind.name()).or_default().push(ground.steady(kind).await?);
    }
    for kind in REFRESHERS {
        figures.refresh.entry(kind.name()).or_default().push(ground.refreshing(kind).await?);
    }
    figures.flood.push(ground.flooded().await?);
    figures.idle.push(ground.idle().await?);
    figures.rotation.push(ground.rotating().await?);
    Ok(())
}
