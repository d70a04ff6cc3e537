//! Explores the small worlds as deep as asked: `cargo run --release -p keystile-keyring --example explore -- 1`.
//!
//! The number says how many acts more than the tests explore; the world of every kind of act is explored as it is,
//! for an act more has too many states. Prints what was explored, and PASS or FAIL with the
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
use explorer::settings::{ALL, Setting, WIDE};

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
    let wanted = |(setting, _): &(&Setting, usize)| {
        arguments.get(1).is_none_or(|part| setting.name.contains(part.as_str()))
    };
    // The wide are taken first, for they take longest.
    let deeper = ALL.iter().map(|setting| (*setting, setting.acts + more));
    let all = deeper.chain(WIDE.iter().map(|setting| (*setting, setting.acts)));
    let waiting = Mutex::new(all.filter(wanted).collect::<Vec<_>>());
    let worlds = waiting.lock().map_or(0, |waiting| waiting.len());
    let (total, failed) = (Mutex::new(Counts::default()), Mutex::new(0));
    let explore_all = || {
        while let Some((setting, acts)) = waiting.lock().ok().and_then(|mut waiting| waiting.pop()) {
            let (counts, outcome) = explore(setting, acts, &Rules::KEYRING);
            let verdict = if outcome.is_ok() { "PASS" } else { "FAIL" };
            println!("{verdict}  {}, up to {acts} acts: {counts}", setting.name);
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
    println!("{verdict}  all {worlds} worlds: {total}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
