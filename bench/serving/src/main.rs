//! Measures `keystile serve` under load, beside Envoy and small servers that do the same the usual way, each
//! on one processor, with the load on another. Every figure is of one run; what counts are the ratios.

mod call;
mod error;
mod figures;
mod generator;
mod load;
mod peers;
mod report;
mod scenes;
mod server;
mod targets;
mod usage;
mod world;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::{BenchError, because};
use figures::Figures;
use generator::Plan;
use peers::Peer;
use scenes::Ground;

/// Measures a gateway under load beside its peers
#[derive(Debug, Parser)]
struct Args {
    /// How long each load lasts, seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=30))]
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
    /// Make a load
    #[command(hide = true)]
    Load(Plan),
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
    match &args.command {
        Some(Role::Peer { peer, address, keys }) => peers::serve(*peer, *address, keys).await,
        Some(Role::Load(plan)) => generator::run(plan).await,
        None => measure(args).await,
    }
}

async fn measure(args: &Args) -> Result<(), BenchError> {
    let programs = scenes::programs(&args.keystile, &args.envoy)?;
    let ground = Ground { programs: &programs, seconds: args.seconds };
    let mut figures = Figures::default();
    let rounds = args.rounds.max(1);
    let run = report::Run { seconds: args.seconds, rounds, place: report::place(&args.envoy) };
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        ground.round(round == 1, &mut figures).await?;
    }
    let text = report::text(&figures, &run);
    print!("{text}");
    std::fs::write(&args.page, &text).map_err(because(format!("write {}", args.page.display())))
}
