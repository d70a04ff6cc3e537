//! `cargo run --release -- report` measures everything, prints the page and writes it with its picture into `docs/`.
//! `report ROUNDS` takes another number of rounds than 41.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use keystile_bench::page::page;
use keystile_bench::picture::picture;
use keystile_bench::run::run;

const ROUNDS: usize = 41;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let rounds = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["report"] => Some(ROUNDS),
        ["report", rounds] => rounds.parse().ok().filter(|rounds| (1..=1001).contains(rounds)),
        _ => None,
    };
    let Some(rounds) = rounds else {
        eprintln!("usage: keystile-bench report [ROUNDS, 1 to 1001]");
        return ExitCode::from(2);
    };
    match report(rounds) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn report(rounds: usize) -> Result<(), Box<dyn Error>> {
    let results = run(rounds)?;
    let text = page(&results)?;
    print!("{text}");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    std::fs::write(docs.join("performance.md"), text)?;
    let groups = [("Verify", results.verify.as_slice()), ("Mint", results.mint.as_slice())];
    std::fs::write(docs.join("performance.svg"), picture(&groups)?)?;
    Ok(())
}
