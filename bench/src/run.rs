//! The run: every group of contenders, one after the other.

use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use arc_swap::ArcSwap;
use keystile_keyring::UnixTime;
use keystile_keyring::manifest::Revoked;
use keystile_system::{Clock as _, SystemClock};
use keystile_token::{Keyring, Remembered, digest};

use crate::contenders::{KEYSTILE, first_seen, mint, peers_verify, raw_verify, recalls, refused, remembered};
use crate::fixture::{NOW, grant, keyring, manifest, tokens};
use crate::measure::{Contender, Measured, measure, median};
use crate::rejections;

/// How many tokens a busy gateway knows.
pub const MANY: usize = 10_000;

/// The memory's size, as a gateway has it unless told otherwise.
pub const MEMORY: usize = 64 * 1024 * 1024;

/// Verifications between two swaps of the keyring.
pub const PER_SWAP: usize = 1000;

/// The names of what Keystile's own groups measure.
pub mod names {
    /// One token again and again.
    pub const ONE: &str = "Keystile, remembered: one token";
    /// Many in turn.
    pub const TURNS: &str = "Keystile, remembered: 10,000 tokens in turn";
}

/// Everything that was measured.
pub struct Results {
    /// How many rounds there were.
    pub rounds: usize,
    /// The size of the token, in bytes.
    pub token_bytes: usize,
    /// A token that nobody has seen, and one that somebody has.
    pub verify: Vec<Measured>,
    /// Minting.
    pub mint: Vec<Measured>,
    /// Each reason to refuse.
    pub refused: Vec<Measured>,
    /// Keyrings of 1, 2, 4 and 8 keys.
    pub keys: Vec<Measured>,
    /// Verifications with and without swaps between them.
    pub swaps: Vec<Measured>,
    /// What each trick spares.
    pub tricks: Vec<Measured>,
    /// Verifications per second.
    pub threads: Vec<Threads>,
    /// Milliseconds in which [`MANY`] tokens of a revoked key are forgotten.
    pub forgetting: f64,
}

/// The rate of two threads beside that of one.
pub struct Threads {
    /// What they do.
    pub what: &'static str,
    /// Per second, with one thread.
    pub one: f64,
    /// Per second, with two.
    pub two: f64,
}

/// Measures everything, in `rounds` rounds.
pub fn run(rounds: usize) -> Result<Results, Box<dyn Error>> {
    let ring = keyring(1, 1)?;
    let many = tokens(&ring, MANY)?;
    let token = many.first().ok_or("there are tokens")?;
    let memory = filled(&ring, &many)?;
    let mut verify = vec![
        first_seen(KEYSTILE, &ring, token),
        remembered(names::ONE, &ring, many.get(..1).unwrap_or_default(), &memory),
        remembered(names::TURNS, &ring, &many, &memory),
    ];
    verify.extend(peers_verify(&ring, token)?);
    verify.extend(raw_verify(token)?);
    let sandbox = grant(0)?;
    Ok(Results {
        rounds,
        token_bytes: token.len(),
        verify: measure(verify, rounds)?,
        mint: measure(mint(&ring, &sandbox, token)?, rounds)?,
        refused: each_reason(rounds)?,
        keys: by_keys(rounds)?,
        swaps: swaps(&many, rounds)?,
        tricks: tricks(&ring, token, rounds)?,
        threads: threads(&ring, &many, &memory, 2 * rounds)?,
        forgetting: forgetting(&many)?,
    })
}

/// A memory in which each token has been seen.
fn filled(ring: &Keyring, many: &[String]) -> Result<Remembered, Box<dyn Error>> {
    let memory = Remembered::new(MEMORY);
    for token in many {
        if !recalls(ring, token, &memory) {
            return Err("an honest token was refused".into());
        }
    }
    Ok(memory)
}

fn each_reason(rounds: usize) -> Result<Vec<Measured>, Box<dyn Error>> {
    let ring = rejections::keyring()?;
    let all = rejections::tokens(&ring)?;
    let contenders = all.iter().map(|one| refused(one.reason.as_str(), &ring, &one.token, NOW));
    Ok(measure(contenders.collect(), rounds.min(21))?)
}

fn by_keys(rounds: usize) -> Result<Vec<Measured>, Box<dyn Error>> {
    let counts = [1, 2, 4, 8];
    let rings = counts.iter().map(|count| keyring(1, *count)).collect::<Result<Vec<_>, _>>()?;
    let tokens = rings.iter().map(|ring| tokens(ring, 1)).collect::<Result<Vec<_>, _>>()?;
    let memories = rings.iter().zip(&tokens).map(|(ring, tokens)| filled(ring, tokens));
    let memories = memories.collect::<Result<Vec<_>, _>>()?;
    let mut contenders = Vec::new();
    for (((count, ring), tokens), memory) in counts.iter().zip(&rings).zip(&tokens).zip(&memories) {
        let token = tokens.first().ok_or("there is a token")?;
        contenders.push(first_seen(&format!("keys: {count}, first seen"), ring, token));
        contenders.push(remembered(&format!("keys: {count}, remembered"), ring, tokens, memory));
    }
    Ok(measure(contenders, rounds)?)
}

/// Verifications through the atomic pointer that a replica has, with and without a new generation being put in
/// force every so often.
fn swaps(many: &[String], rounds: usize) -> Result<Vec<Measured>, Box<dyn Error>> {
    let generations = [Arc::new(keyring(1, 2)?), Arc::new(keyring(2, 2)?)];
    let ring = keyring(1, 2)?;
    let many = tokens(&ring, many.len())?;
    let memory = filled(&ring, &many)?;
    let held = ArcSwap::from(Arc::clone(&generations[0]));
    let verify = |number: usize| {
        many.get(number % many.len()).is_some_and(|token| recalls(&held.load(), token, &memory))
    };
    let (mut still, mut moving) = (0, 0);
    let contenders = vec![
        Contender::new("the same keyring", || {
            still += 1;
            verify(still)
        }),
        Contender::new("a new generation every 1,000 verifications", || {
            moving += 1;
            if moving % PER_SWAP == 0 {
                let next = &generations[moving / PER_SWAP % 2];
                held.store(Arc::clone(next));
                memory.settle(next, NOW);
            }
            verify(moving)
        }),
    ];
    Ok(measure(contenders, rounds)?)
}

fn tricks(ring: &Keyring, token: &str, rounds: usize) -> Result<Vec<Measured>, Box<dyn Error>> {
    let respelt = rejections::respelt(token)?;
    let hasher = RandomState::new();
    let tail = token.get(token.len().saturating_sub(64)..).unwrap_or_default();
    let contenders = vec![
        first_seen("first seen, header recognised", ring, token),
        first_seen("first seen, header parsed", ring, &respelt),
        Contender::new("place chosen by a hash of 64 bytes", || hasher.hash_one(tail.as_bytes()) != 0),
        Contender::new("place chosen by a hash of the token", || hasher.hash_one(token.as_bytes()) != 0),
    ];
    Ok(measure(contenders, rounds)?)
}

/// What two threads do beside one: with the same tokens, as in no gateway but the busiest for one sandbox; each with
/// its own, as where every sandbox has its connection; and without anything that they share.
fn threads(
    ring: &Keyring,
    many: &[String],
    memory: &Remembered,
    rounds: usize,
) -> Result<Vec<Threads>, Box<dyn Error>> {
    let half = many.len() / 2;
    let token = |number: usize| many.get(number % many.len());
    let same = |thread: usize, number: usize| {
        token(number + thread * half).is_some_and(|token| recalls(ring, token, memory))
    };
    let own = |thread: usize, number: usize| {
        token(number % half + thread * half).is_some_and(|token| recalls(ring, token, memory))
    };
    let first = |thread: usize, number: usize| {
        token(number + thread * half).is_some_and(|token| ring.verify(token.as_bytes(), NOW).is_accepted())
    };
    let mut rates = [const { [const { Vec::new() }; 2] }; 3];
    for _ in 0..rounds {
        let [with_same, with_own, with_none] = &mut rates;
        for threads in 1..=2 {
            let index = threads - 1;
            with_same[index].push(rate(threads, 60_000, &same)?);
            with_own[index].push(rate(threads, 60_000, &own)?);
            with_none[index].push(rate(threads, 600, &first)?);
        }
    }
    // Whatever else runs takes a core from two threads more often than from one: the best round is the one in
    // which nothing did.
    let best = |rates: &Vec<f64>| rates.iter().copied().fold(0.0, f64::max);
    let names = ["remembered, both the same 10,000", "remembered, each its own 5,000", "first seen"];
    let of = |(what, [one, two]): (_, &[Vec<f64>; 2])| Threads { what, one: best(one), two: best(two) };
    Ok(names.into_iter().zip(&rates).map(of).collect())
}

/// Operations per second of `threads` threads together, by the wall clock.
fn rate(
    threads: usize,
    times: usize,
    verify: &(impl Fn(usize, usize) -> bool + Sync),
) -> Result<f64, Box<dyn Error>> {
    let clock = SystemClock::default();
    let began = clock.uptime();
    let good = std::thread::scope(|scope| {
        let start = |thread: usize| scope.spawn(move || (0..times).all(|number| verify(thread, number)));
        let running: Vec<_> = (0..threads).map(start).collect();
        running.into_iter().all(|thread| thread.join().unwrap_or_default())
    });
    let took = clock.uptime().saturating_sub(began);
    if !good {
        return Err("an honest token was refused".into());
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    Ok((threads * times) as f64 / took.as_secs_f64())
}

/// How long a replica takes to forget what a revoked key has signed.
fn forgetting(many: &[String]) -> Result<f64, Box<dyn Error>> {
    let clock = SystemClock::default();
    let mut revoked = manifest(2, 2)?;
    let first = revoked.keys.first_mut().ok_or("there are two keys")?;
    first.revoked = Some(Revoked { at: UnixTime(1), reason: "stolen".to_owned() });
    let digest = digest(&revoked.to_json()?);
    let revoked = Keyring::verify_only(revoked, digest)?;
    let ring = keyring(1, 1)?;
    let mut took = Vec::new();
    for _ in 0..5 {
        let memory = filled(&ring, many)?;
        let began = clock.uptime();
        memory.settle(&revoked, NOW);
        took.push(clock.uptime().saturating_sub(began).as_secs_f64() * 1e3);
        if memory.counts().entries != 0 {
            return Err("what a revoked key signed is still remembered".into());
        }
    }
    Ok(median(&took))
}
