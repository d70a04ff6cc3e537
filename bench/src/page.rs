//! The page of results: every figure in it comes from the run.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::contenders::{JSONWEBTOKEN, KEYSTILE, RAW};
use crate::load::{Threads, Waits};
use crate::measure::{Measured, named};
use crate::run::{PER_SWAP, Results, names};
use crate::targets::targets;
use crate::tricks::{AS_IS, Part, Trick};

/// The versions of everything, by the lock file that the bench was built with.
const LOCK: &str = include_str!("../Cargo.lock");

/// The page.
pub fn page(results: &Results) -> Result<String, Box<dyn Error>> {
    let mut page = String::new();
    let (processor, rounds) = (processor(), results.rounds);
    writeln!(
        page,
        "# Performance\n\n\
         <!-- written by `cargo run --release -- report` in bench/; do not edit -->\n\n\
         What a verification and a mint cost, beside the libraries that a gateway would use instead. Everything was measured \
         in one run on one machine ({processor}), in {rounds} rounds: in each, everybody of a table has a turn. A time is that \
         which the thread was on the processor, the median of the rounds; *times as fast* is the median of the rounds' ratios. \
         Whatever else is a table's figure is said there. Only ratios carry over to another machine, and what else this one does \
         takes cache and cores. The token is that of one sandbox, {} bytes. To measure again:\n\n\
         ```sh\ncd bench && cargo run --release -- report\n```\n",
        results.token_bytes,
    )?;
    writeln!(page, "![Time of a verification and of a mint, as bars](performance.svg)\n\n## Targets\n")?;
    writeln!(page, "| | aimed at | found | |\n|---|---:|---:|---|")?;
    for target in targets(results)? {
        writeln!(page, "{target}")?;
    }
    table(&mut page, "Verify", &results.verify, named(&results.verify, JSONWEBTOKEN)?)?;
    let (warm, cold) = (named(&results.verify, names::TURNS)?, named(&results.verify, names::COLD)?);
    writeln!(
        page,
        "\n`jsonwebtoken` is called as OpenShell calls it: its key parsed once, the header decoded, then the token. \
         Keystile's figures include every rule of the keyring; the peers check issuer and audience, or only times. \
         *Remembered* is [a signature that was found good before](explanation/remembered.md). 10,000 tokens and what is \
         remembered of them are {:.0} MB. *In turn*: they are run through once before each turn, as they would be in a \
         process that does nothing else. *Out of the caches*: not so, and the others' turns have had the caches to themselves. {}",
        results.megabytes(),
        if cold.faster_than(warm) < 0.95 {
            "A gateway, which has requests to read between two tokens, is between the two."
        } else {
            "To run through them before is no help here: they are more than the nearer caches hold."
        },
    )?;
    table(&mut page, "Mint", &results.mint, named(&results.mint, JSONWEBTOKEN)?)?;
    plain(&mut page, "Keys in the keyring", "", &results.keys)?;
    rates(&mut page, "Threads", &results.threads)?;
    writeln!(
        page,
        "\nBy the wall clock, from when all threads have warmed up until the last is done; the median of the rounds, and of their \
         ratios. A verification here is a gateway's: the replica reads its two clocks, loads the keyring behind its atomic \
         pointer, looks into the memory that all threads share, judges, and counts the token for its key.",
    )?;
    swaps(&mut page, results)?;
    plain(&mut page, "Refusals", "reason", &results.refused)?;
    writeln!(page, "\nA token that names no key of ours, or a revoked one, costs no signature check.")?;
    worth(&mut page, results)?;
    writeln!(page, "\n## Versions\n\n{}", versions())?;
    Ok(page)
}

fn table(page: &mut String, title: &str, all: &[Measured], beside: &Measured) -> std::fmt::Result {
    writeln!(page, "\n## {title}\n\n| | µs | times as fast as {} |\n|---|---:|---:|", beside.name)?;
    for one in all {
        writeln!(page, "| {} | {:.2} | {:.2} |", one.name, one.median() / 1e3, one.faster_than(beside))?;
    }
    Ok(())
}

fn plain(page: &mut String, title: &str, head: &str, all: &[Measured]) -> std::fmt::Result {
    writeln!(page, "\n## {title}\n\n| {head} | µs |\n|---|---:|")?;
    all.iter().try_for_each(|one| writeln!(page, "| {} | {:.2} |", one.name, one.median() / 1e3))
}

fn rates(page: &mut String, title: &str, all: &[Threads]) -> std::fmt::Result {
    writeln!(
        page,
        "\n## {title}\n\n| verifications per second | 1 thread | 2 threads | ratio |\n|---|---:|---:|---:|"
    )?;
    all.iter().try_for_each(|threads| {
        let (one, two) = (threads.one(), threads.two());
        writeln!(page, "| {} | {one:.0} | {two:.0} | {:.2} |", threads.what, threads.ratio())
    })
}

fn swaps(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    plain(page, "A new keyring under load", "remembered, 10,000 tokens in turn", &results.swaps)?;
    let [still, moving] = results.swaps.as_slice() else { return Err("both were measured".into()) };
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let per_swap = (moving.longer_than(still) * PER_SWAP as f64 / 1e3).max(0.0);
    writeln!(
        page,
        "\nTo put a new generation in force costs {per_swap:.1} µs by that (the median of the rounds' differences). To forget 10,000 tokens of a key that was revoked takes \
         {:.1} ms (the median of five times), {:.2} µs for each; a request waits for at most one set of some ten.\n\n\
         Now one or two threads verify while another does nothing but compile generations, and drops them or puts them in \
         force. Every verification of all rounds counts, by the wall clock and with what reading that takes. A thread *sleeps* where \
         it waits for a lock, also the allocator's; *preempted* is how often the system took its processor away, for \
         milliseconds if it has other work.\n\n\
         | threads | generations are | put in force | verifications | median, µs | 99 % | 99.9 % | 99.99 % | longest | slept | preempted |\n\
         |---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        results.forgetting,
        results.forgetting / 10.0,
    )?;
    for waits in &results.waits {
        let Waits { what, readers, swaps, slept, preempted, latencies } = waits;
        write!(page, "| {readers} | {what} | {swaps} | {} |", latencies.count())?;
        for one_in in [2, 100, 1_000, 10_000] {
            write!(page, " {:.2} |", micros(latencies.all_but_one_in(one_in)))?;
        }
        writeln!(page, " {:.0} | {slept} | {preempted} |", micros(latencies.longest()))?;
    }
    Ok(())
}

fn micros(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e6
}

/// What each trick spares, beside the whole of what it is a part of.
fn worth(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    let verify = named(&results.verify, KEYSTILE)?;
    let (first, besides) = (verify.median(), verify.longer_than(named(&results.verify, RAW)?));
    let again = named(&results.verify, names::ONE)?.median();
    let minted = named(&results.mint, KEYSTILE)?;
    let (mint, unsigned) = (minted.median(), minted.longer_than(named(&results.mint, RAW)?));
    writeln!(
        page,
        "\n## What each trick is worth\n\n\
         Beside the plainer way that it takes the place of. What it spares is a part of a verification first seen ({:.2} µs, of \
         which {:.2} are not the signature), of one remembered ({:.2} µs) or of a mint ({:.2} µs, of which {:.2} are not the \
         signature).\n\n\
         | trick | instead of | ns with | ns without | spared, of the whole | of what is not the signature |\n\
         |---|---|---:|---:|---:|---:|",
        first / 1e3,
        besides / 1e3,
        again / 1e3,
        mint / 1e3,
        unsigned / 1e3,
    )?;
    for trick in &results.tricks {
        let (with, without) = (trick.with.median(), trick.without.median());
        let (whole, besides) = match trick.part {
            Part::First => (first, Some(besides)),
            Part::Again => (again, None),
            Part::Mint => (mint, Some(unsigned)),
        };
        // Beside what would be spent without the trick.
        let share = |of: f64| format!("{:.1} %", 100.0 * (without - with) / (of + without - with));
        let besides = besides.map_or_else(|| "–".to_owned(), share);
        let Trick { what, instead, .. } = trick;
        writeln!(page, "| {what} | {instead} | {with:.0} | {without:.0} | {} | {besides} |", share(whole))?;
    }
    writeln!(
        page,
        "\nThe header's figures are those of a token whose key is revoked: all of a verification that comes before the \
         signature. Recognising it is a comparison of bytes with what the strict parser has read, and no second parser.",
    )?;
    rates(page, "Keyring and memory, shared in plainer ways", &results.shared)?;
    writeln!(
        page,
        "\nRemembered tokens, each thread its part of 10,000, taken as under *Threads*, without a replica. *{AS_IS}*: the keyring \
         behind an atomic pointer, read without a count; the memory a table of small sets, each with its own lock, in which the \
         whole token is compared.",
    )?;
    Ok(())
}

/// The processor's name.
fn processor() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |name: &str| {
        let line = cpuinfo.lines().find(|line| line.starts_with(name))?;
        line.split_once(": ").map(|(_, value)| value.trim().to_owned())
    };
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let name = value("model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    format!("{name}, family {}, {cores} processors", value("cpu family").unwrap_or_default())
}

fn versions() -> String {
    let of = |name: &str| {
        let packages =
            LOCK.split("[[package]]").filter(|package| package.contains(&format!("name = \"{name}\"\n")));
        let versions = packages.filter_map(|package| package.split("version = \"").nth(1)?.split('"').next());
        // The greatest is the one that is measured directly.
        versions.max().map(|version| format!("{name} {version}"))
    };
    let names = ["aws-lc-rs", "ed25519-dalek", "graviola", "jsonwebtoken", "jwt-compact", "jwt-simple"];
    names.into_iter().filter_map(of).collect::<Vec<_>>().join(", ") + "."
}
