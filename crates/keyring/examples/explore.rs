//! Explores the small worlds as deep as asked: `cargo run --release -p keystile-keyring --example explore -- 1`.
//!
//! The number says how many acts more than the tests explore. Prints what was explored, and PASS or FAIL with the
//! timeline of the counterexample.

#![allow(clippy::print_stdout, reason = "it is a command")]

#[path = "../tests/explore/explorer/mod.rs"]
mod explorer;
#[path = "../tests/world/mod.rs"]
mod world;

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;

use explorer::rules::Rules;
use explorer::search::{Counts, explore};
use explorer::settings::{ALL, Setting};

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let more = match arguments.as_slice() {
        [] => Some(0),
        [more, ..] => more.parse().ok().filter(|more| (0..=9).contains(more)),
    };
    let Some(more) = more else {
        println!("usage: explore [MORE ACTS: 0 to 9] [WORLD: a part of its name]");
        return ExitCode::from(2);
    };
    let wanted =
        |setting: &&&Setting| arguments.get(1).is_none_or(|part| setting.name.contains(part.as_str()));
    let waiting = Mutex::new(ALL.iter().filter(wanted).collect::<Vec<_>>());
    let (total, failed) = (Mutex::new(Counts::default()), Mutex::new(0));
    let explore_all = || {
        while let Some(setting) = waiting.lock().ok().and_then(|mut waiting| waiting.pop()) {
            let (counts, outcome) = explore(setting, setting.acts + more, &Rules::KEYRING);
            let verdict = if outcome.is_ok() { "PASS" } else { "FAIL" };
            println!("{verdict}  {}, up to {} acts: {counts}", setting.name, setting.acts + more);
            if let Err(violation) = outcome {
                println!("{violation}");
                *failed.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            }
            *total.lock().unwrap_or_else(PoisonError::into_inner) += counts;
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(explore_all);
        }
    });
    let (total, failed) = (
        total.into_inner().unwrap_or_else(PoisonError::into_inner),
        failed.into_inner().unwrap_or_else(PoisonError::into_inner),
    );
    let verdict = if failed == 0 { "PASS" } else { "FAIL" };
    println!("{verdict}  all worlds: {total}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
