//! What was aimed at, what came of it, and where it is missed, why: by figures of the run.

use std::error::Error;
use std::fmt;

use crate::contenders::{JSONWEBTOKEN, KEYSTILE, RAW};
use crate::load::{EACH, NONE, Threads};
use crate::measure::{Measured, named};
use crate::run::{Results, names};

/// As fast as something else, but for 5 % more time.
const WITHIN_FIVE_PERCENT: f64 = 1.0 / 1.05;

/// Something that was aimed at.
pub struct Target {
    what: &'static str,
    aim: Aim,
    found: f64,
    /// Why it is missed, if it is.
    reason: String,
}

#[derive(Clone, Copy)]
enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Target {
    /// Whether it was reached.
    pub fn met(&self) -> bool {
        match self.aim {
            Aim::AtLeast(least) => self.found >= least,
            Aim::AtMost(most) => self.found <= most,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, found, reason, .. } = self;
        match self.aim {
            Aim::AtLeast(least) => write!(f, "| {what} | at least {least:.2} | {found:.2} |")?,
            Aim::AtMost(most) => write!(f, "| {what} | at most {most:.0} | {found:.0} |")?,
        }
        if self.met() { write!(f, " met |") } else { write!(f, " **missed**: {reason} |") }
    }
}

/// Times as fast as `peer` that `own` was to be, whose greatest part is `raw`, a signature by the same library.
struct Beside<'a> {
    own: &'a Measured,
    peer: &'a Measured,
    raw: &'a Measured,
    least: f64,
    link: &'static str,
}

impl Beside<'_> {
    fn target(&self, what: &'static str) -> Target {
        let Self { own, peer, raw, least, link } = self;
        let (ceiling, spent) = (raw.faster_than(peer), own.longer_than(raw) / 1e3);
        let allowed = (peer.median() / least - raw.median()) / 1e3;
        let reason = if ceiling < *least {
            format!(
                "the signature alone, by this library on this processor, is {ceiling:.2} times as fast, and no more \
                 can be reached with it{link}; {spent:.2} µs are spent besides"
            )
        } else {
            format!(
                "the signature alone is {ceiling:.2} times as fast, which leaves {allowed:.2} µs for all else; \
                 {spent:.2} are spent"
            )
        };
        Target { what, aim: Aim::AtLeast(*least), found: own.faster_than(peer), reason }
    }
}

/// What was aimed at, and what came of it.
pub fn targets(results: &Results) -> Result<Vec<Target>, Box<dyn Error>> {
    let mut all = of_verifying(results)?;
    all.push(of_threads(results)?);
    all.push(of_swaps(results)?);
    let mint = |name| named(&results.mint, name);
    let (own, peer, raw) = (mint(KEYSTILE)?, mint(JSONWEBTOKEN)?, mint(RAW)?);
    all.push(Beside { own, peer, raw, least: 1.8, link: "" }.target("mint, times as fast as jsonwebtoken"));
    all.push(within_five_percent("mint, times as fast as the signature alone", own, raw));
    Ok(all)
}

fn of_verifying(results: &Results) -> Result<Vec<Target>, Box<dyn Error>> {
    let verify = |name| named(&results.verify, name);
    let (own, peer, raw) = (verify(KEYSTILE)?, verify(JSONWEBTOKEN)?, verify(RAW)?);
    let libraries = results.verify.iter().filter(|one| one.name.starts_with('j'));
    let fastest = libraries.min_by(|a, b| a.median().total_cmp(&b.median())).unwrap_or(peer);
    let link = "; [why this library](adr/0001-ed25519-library.md)";
    let remembered = |what, name| -> Result<_, Box<dyn Error>> {
        let (one, near) = (verify(name)?, verify(names::ONE)?.median() / 1e3);
        let (took, would_do) = (one.median() / 1e3, peer.median() / 1e5);
        let fetched = if name == names::ONE {
            String::new()
        } else {
            let megabytes = results.megabytes();
            format!(
                "; {megabytes:.0} MB are gone through, and where all is in the nearest cache it is {near:.2}"
            )
        };
        let reason = format!("one takes {took:.2} µs, where {would_do:.2} would do{fetched}");
        Ok(Target { what, aim: Aim::AtLeast(100.0), found: one.faster_than(peer), reason })
    };
    Ok(vec![
        Beside { own, peer, raw, least: 1.2, link }
            .target("verify, first seen, times as fast as jsonwebtoken"),
        Target {
            what: "verify, first seen, times as fast as the fastest JWT library here",
            aim: Aim::AtLeast(1.0),
            found: own.faster_than(fastest),
            reason: format!(
                "{} takes {:.2} µs{link}, and what it asks of a signature",
                fastest.name,
                fastest.median() / 1e3
            ),
        },
        within_five_percent("verify, first seen, times as fast as the signature alone", own, raw),
        remembered("verify, remembered, one token, times as fast as jsonwebtoken", names::ONE)?,
        remembered("verify, remembered, 10,000 tokens in turn, times as fast as jsonwebtoken", names::TURNS)?,
        remembered("the same, out of the caches", names::COLD)?,
    ])
}

fn within_five_percent(what: &'static str, own: &Measured, raw: &Measured) -> Target {
    let (spent, allowed) = (own.longer_than(raw) / 1e3, raw.median() * 0.05 / 1e3);
    let reason = format!("{spent:.2} µs are spent besides the signature, where 5 % are {allowed:.2}");
    Target { what, aim: Aim::AtLeast(WITHIN_FIVE_PERCENT), found: own.faster_than(raw), reason }
}

fn of_threads(results: &Results) -> Result<Target, Box<dyn Error>> {
    let of = |name: &str| -> Result<&Threads, Box<dyn Error>> {
        let found = results.threads.iter().find(|threads| threads.what == name);
        found.ok_or_else(|| format!("{name} was not measured").into())
    };
    let [same, own, bare, fresh] =
        [names::SAME, names::OWN, names::BARE, names::FRESH].map(|name| of(name).map(Threads::ratio));
    let (same, own, bare, fresh) = (same?, own?, bare?, fresh?);
    let reason = if fresh < 1.8 {
        format!(
            "first seen, where threads share next to nothing, two do {fresh:.2} times as much: the machine gave no more"
        )
    } else {
        format!("without a replica's pointer and count it is {bare:.2}, and first seen {fresh:.2}")
    };
    let what =
        "verify, remembered, by a gateway, 2 threads beside 1, the lesser of two ways to share the tokens";
    Ok(Target { what, aim: Aim::AtLeast(1.8), found: same.min(own), reason })
}

/// A thread that verifies sleeps where it waits; what it sleeps without a swap is no swap's doing.
fn of_swaps(results: &Results) -> Result<Target, Box<dyn Error>> {
    let one = |what: &str| {
        let mut waits = results.waits.iter().filter(|waits| waits.readers == 1);
        waits.find(|waits| waits.what == what).ok_or("swaps were measured")
    };
    let (none, each) = (one(NONE)?, one(EACH)?);
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let found = each.slept as f64;
    let reason = format!(
        "of {} while {} generations were put in force; without, {} of {}. Whoever holds an old generation as the last frees it, \
         and may wait for the allocator; the replica has no lock for it",
        each.latencies.count(),
        each.swaps,
        none.slept,
        none.latencies.count(),
    );
    let what = "verifications that waited while another thread put new generations in force";
    Ok(Target { what, aim: Aim::AtMost(0.0), found, reason })
}
