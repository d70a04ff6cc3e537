//! The run: every group of contenders, one after the other.

use std::error::Error;
use std::sync::Arc;

use keystile_keyring::UnixTime;
use keystile_keyring::manifest::Revoked;
use keystile_system::{Clock as _, SystemClock};
use keystile_token::{Keyring, Remembered};

use crate::contenders::{KEYSTILE, first_seen, mint, peers_verify, raw_verify, recalls, refused, remembered};
use crate::fixture::{NOW, grant, keyring, manifest, tokens};
use crate::gateway::{Gateway, compiled};
use crate::load::{self, Seat, Threads, Waits, Work};
use crate::measure::{Contender, Measured, measure, median};
use crate::rejections;
use crate::tricks::{self, Trick};

/// How many tokens a busy gateway knows.
pub const MANY: usize = 10_000;

/// The memory's size, as a gateway has it unless told otherwise.
pub const MEMORY: usize = 64 * 1024 * 1024;

/// As many operations as bring all of the tokens into the caches.
const WARM: u32 = 10_000;

/// Verifications between two swaps of the keyring.
pub const PER_SWAP: usize = 1000;

/// The names of what Keystile's own groups measure.
pub mod names {
    /// One token again and again.
    pub const ONE: &str = "Keystile, remembered: one token";
    /// Many in turn.
    pub const TURNS: &str = "Keystile, remembered: 10,000 tokens in turn";
    /// The same with the caches full of something else.
    pub const COLD: &str = "Keystile, remembered: 10,000 tokens in turn, out of the caches";
    /// Through the gateway's replica, all threads with all tokens.
    pub const SAME: &str = "remembered, each all of 10,000";
    /// The same, each thread with its part of them.
    pub const OWN: &str = "remembered, each its part of 10,000";
    /// The same with nothing shared but the memory.
    pub const BARE: &str = "the same by a keyring of its own, without a replica";
    /// Through the gateway's replica, nothing remembered.
    pub const FRESH: &str = "first seen";
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
    /// Verifications while another thread swaps.
    pub waits: Vec<Waits>,
    /// What each trick spares.
    pub tricks: Vec<Trick>,
    /// Keyring and memory shared in plainer ways.
    pub shared: Vec<Threads>,
    /// Verifications per second.
    pub threads: Vec<Threads>,
    /// Bytes in which [`MANY`] tokens are remembered.
    pub remembered_bytes: u64,
    /// Milliseconds in which [`MANY`] tokens of a revoked key are forgotten.
    pub forgetting: f64,
}

impl Results {
    /// Megabytes of [`MANY`] tokens and of what is remembered of them.
    pub fn megabytes(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "some millions")]
        let bytes = (self.remembered_bytes + (MANY * self.token_bytes) as u64) as f64;
        bytes / 1e6
    }
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
        remembered(names::TURNS, &ring, &many, &memory).warmed(WARM),
        remembered(names::COLD, &ring, &many, &memory),
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
        swaps: swaps(rounds)?,
        waits: load::waits(MANY, rounds)?,
        tricks: tricks::tricks(token, rounds)?,
        shared: tricks::shared(&many, rounds)?,
        threads: threads(&ring, &many, &memory, rounds)?,
        remembered_bytes: memory.counts().bytes,
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

/// Verifications by a gateway, with and without a new generation being put in force every so often.
fn swaps(rounds: usize) -> Result<Vec<Measured>, Box<dyn Error>> {
    let many = tokens(&keyring(1, 2)?, MANY)?;
    let gateways = [Gateway::new(keyring(1, 2)?, MEMORY), Gateway::new(keyring(1, 2)?, MEMORY)];
    gateways.iter().try_for_each(|gateway| gateway.see(&many))?;
    let [still, moving] = &gateways;
    let generations = [Arc::new(compiled(manifest(2, 2)?)?), Arc::new(compiled(manifest(3, 2)?)?)];
    let (mut turn, mut other) = (0, 0);
    let admits = |gateway: &Gateway, number: usize| {
        many.get(number % many.len()).is_some_and(|token| gateway.admits(token))
    };
    let contenders = vec![
        Contender::new("the same keyring", || {
            turn += 1;
            admits(still, turn)
        })
        .warmed(WARM),
        Contender::new("a new generation every 1,000 verifications", || {
            other += 1;
            if other % PER_SWAP == 0 {
                moving.put_in_force(Arc::clone(&generations[other / PER_SWAP % 2]));
            }
            admits(moving, other)
        })
        .warmed(WARM),
    ];
    Ok(measure(contenders, rounds)?)
}

/// What two threads do beside one, as a gateway: with the same tokens, as where the busiest sandbox has several
/// connections; each with its own, as where every sandbox has its own; and with none that is remembered. Beside them the same
/// without a replica, for what that adds.
fn threads(
    ring: &Keyring,
    many: &[String],
    memory: &Remembered,
    rounds: usize,
) -> Result<Vec<Threads>, Box<dyn Error>> {
    let gateway = Gateway::new(keyring(1, 1)?, MEMORY);
    gateway.see(many)?;
    let forgetful = Gateway::new(keyring(1, 1)?, 0);
    let (gateway, forgetful) = (&gateway, &forgetful);
    let same =
        move |seat: Seat, number: usize| many.get((number + seat.thread * many.len() / 2) % many.len());
    let own = move |seat: Seat, number: usize| seat.of_its_part(many, number);
    let is = |token: Option<&String>, good: &dyn Fn(&str) -> bool| token.is_some_and(|token| good(token));
    let work: Vec<(String, usize, Work<'_>)> = vec![
        (
            names::SAME.to_owned(),
            60_000,
            Box::new(move |seat, number| is(same(seat, number), &|token| gateway.admits(token))),
        ),
        (
            names::OWN.to_owned(),
            60_000,
            Box::new(move |seat, number| is(own(seat, number), &|token| gateway.admits(token))),
        ),
        (
            names::BARE.to_owned(),
            60_000,
            Box::new(move |seat, number| is(own(seat, number), &|token| recalls(ring, token, memory))),
        ),
        (
            names::FRESH.to_owned(),
            600,
            Box::new(move |seat, number| is(own(seat, number), &|token| forgetful.admits(token))),
        ),
    ];
    load::threads(&work, rounds)
}

/// How long a replica takes to forget what a revoked key has signed.
fn forgetting(many: &[String]) -> Result<f64, Box<dyn Error>> {
    let clock = SystemClock::default();
    let mut revoked = manifest(2, 2)?;
    let first = revoked.keys.first_mut().ok_or("there are two keys")?;
    first.revoked = Some(Revoked { at: UnixTime(1), reason: "stolen".to_owned() });
    let revoked = compiled(revoked)?;
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
