//! The page of results: every figure in it comes from the run.

use std::error::Error;
use std::fmt::Write as _;
use std::fs;

use crate::contenders::{JSONWEBTOKEN, KEYSTILE, RAW};
use crate::measure::Measured;
use crate::run::{PER_SWAP, Results, names};

/// The versions of everything, by the lock file that the bench was built with.
const LOCK: &str = include_str!("../Cargo.lock");

/// As fast as something else, but for 5 % more time.
const WITHIN_FIVE_PERCENT: f64 = 1.0 / 1.05;

/// Something that was aimed at.
pub struct Target {
    /// What.
    pub what: &'static str,
    /// The figure to reach.
    pub at_least: f64,
    /// The figure found.
    pub found: f64,
    /// Why it is missed, where it is.
    pub reason: &'static str,
}

impl Target {
    fn met(&self) -> bool {
        self.found >= self.at_least
    }
}

fn named<'m>(all: &'m [Measured], name: &str) -> Result<&'m Measured, Box<dyn Error>> {
    all.iter().find(|one| one.name == name).ok_or_else(|| format!("{name} was not measured").into())
}

/// What was aimed at, and what came of it.
pub fn targets(results: &Results) -> Result<Vec<Target>, Box<dyn Error>> {
    let verify = |name| named(&results.verify, name);
    let (own, peer, raw) = (verify(KEYSTILE)?, verify(JSONWEBTOKEN)?, verify(RAW)?);
    let (minted, encoded, signed) =
        (named(&results.mint, KEYSTILE)?, named(&results.mint, JSONWEBTOKEN)?, named(&results.mint, RAW)?);
    let peers = results.verify.iter().filter(|one| one.name.starts_with('j'));
    let ahead = peers.map(|one| own.faster_than(one)).fold(f64::INFINITY, f64::min);
    let remembered = results.threads.iter().filter(|threads| threads.what.starts_with("remembered"));
    let scale = remembered.map(|threads| threads.two / threads.one).fold(f64::INFINITY, f64::min);
    let target = |what, at_least, found, reason| Target { what, at_least, found, reason };
    Ok(vec![
        target(
            "verify, first seen, beside jsonwebtoken",
            1.2,
            own.faster_than(peer),
            "both check the same signature with the same library, and that is nearly all of it; \
             [why this library](adr/0001-ed25519-library.md)",
        ),
        target(
            "verify, first seen, beside the next JWT library",
            1.0,
            ahead,
            "another library checks signatures faster here",
        ),
        target(
            "verify, first seen, beside the signature alone",
            WITHIN_FIVE_PERCENT,
            own.faster_than(raw),
            "what is left is reading the claims strictly",
        ),
        target(
            "verify, remembered, beside jsonwebtoken",
            100.0,
            verify(names::ONE)?.faster_than(peer),
            "the machine was busy",
        ),
        target(
            "verify, remembered, 10,000 tokens in turn, beside jsonwebtoken",
            100.0,
            verify(names::TURNS)?.faster_than(peer),
            "10,000 tokens and what is remembered of them do not fit into the processor's nearer caches",
        ),
        target(
            "verify, remembered, 2 threads beside 1",
            1.8,
            scale,
            "something else had a part of the two processors, unless *first seen* below, where threads share nothing, comes near 2",
        ),
        target(
            "mint, beside jsonwebtoken",
            1.8,
            minted.faster_than(encoded),
            "the signature alone is little more than that much faster: the library reads a key quickly on this processor",
        ),
        target(
            "mint, beside the signature alone",
            WITHIN_FIVE_PERCENT,
            minted.faster_than(signed),
            "what is left is the claims' JSON, its base64url, and the zeroing of the token when it is dropped",
        ),
    ])
}

/// The page.
pub fn page(results: &Results) -> Result<String, Box<dyn Error>> {
    let mut page = String::new();
    let (processor, rounds) = (processor(), results.rounds);
    writeln!(
        page,
        "# Performance\n\n\
         <!-- written by `cargo run --release -- report` in bench/; do not edit -->\n\n\
         What a verification and a mint cost, beside the libraries that a gateway would use instead. Everything was measured \
         in one run on one machine ({processor}), turn by turn in {rounds} rounds: the figure is the median \
         round's processor time, and only ratios carry over to another machine; whatever else it does takes cache and cores. The token is that of one sandbox, {} bytes. \
         To measure again:\n\n```sh\ncd bench && cargo run --release -- report\n```\n",
        results.token_bytes,
    )?;
    writeln!(page, "![Time of a verification and of a mint, as bars](performance.svg)\n\n## Targets\n")?;
    writeln!(page, "| ratio | aimed at | found | |\n|---|---:|---:|---|")?;
    for target in targets(results)? {
        let verdict = if target.met() { "met".to_owned() } else { format!("**missed**: {}", target.reason) };
        writeln!(page, "| {} | {:.2} | {:.2} | {verdict} |", target.what, target.at_least, target.found)?;
    }
    let beside = |all: &[Measured], name| named(all, name).cloned();
    table(&mut page, "Verify", &results.verify, &beside(&results.verify, JSONWEBTOKEN)?)?;
    writeln!(
        page,
        "\n`jsonwebtoken` is called as OpenShell calls it: its key parsed once, the header decoded, then the token. \
         Keystile's figures include every rule of the keyring; the peers check issuer and audience, or only times. \
         *Remembered* is [a signature that was found good before](explanation/remembered.md).",
    )?;
    table(&mut page, "Mint", &results.mint, &beside(&results.mint, JSONWEBTOKEN)?)?;
    own(&mut page, results)?;
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

fn own(page: &mut String, results: &Results) -> Result<(), Box<dyn Error>> {
    plain(page, "Keys in the keyring", "", &results.keys)?;
    writeln!(
        page,
        "\n## Threads\n\n| verifications per second | 1 thread | 2 threads | ratio |\n|---|---:|---:|---:|"
    )?;
    for threads in &results.threads {
        let (one, two) = (threads.one, threads.two);
        writeln!(page, "| {} | {one:.0} | {two:.0} | {:.2} |", threads.what, two / one)?;
    }
    plain(page, "A new keyring under load", "remembered, 10,000 tokens in turn", &results.swaps)?;
    let [still, moving] = results.swaps.as_slice() else { return Err("both were measured".into()) };
    #[expect(clippy::cast_precision_loss, reason = "a small count")]
    let per_swap = ((moving.median() - still.median()) * PER_SWAP as f64 / 1e3).max(0.0);
    writeln!(
        page,
        "\nTo put a new generation in force costs {per_swap:.1} µs by that, and no request waits for it. To forget 10,000 \
         tokens of a key that was revoked takes {:.1} ms, {:.2} µs for each; a request waits for at most one set of some ten.",
        results.forgetting,
        results.forgetting / 10.0,
    )?;
    plain(page, "Refusals", "reason", &results.refused)?;
    writeln!(page, "\nA token that names no key of ours, or a revoked one, costs no signature check.")?;
    plain(page, "What each trick is worth", "", &results.tricks)?;
    writeln!(
        page,
        "\nRecognising the header is worth about as much as the rounds differ by. It is kept because it is a comparison of bytes with \
         what the strict parser has read, and no second parser.",
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
