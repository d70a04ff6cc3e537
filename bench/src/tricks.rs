//! What each trick of the product is worth: beside the plainer way that it takes the place of, which is kept here only.

use std::collections::HashMap;
use std::error::Error;
use std::hash::{BuildHasher as _, RandomState};
use std::hint::black_box;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::Simd;
use base64::engine::general_purpose::{NO_PAD, URL_SAFE_NO_PAD};
use keystile_keyring::UnixTime;
use keystile_keyring::manifest::Revoked;
use keystile_system::{Clock as _, SystemClock};
use keystile_token::{Circumstance, Keyring, Remembered, Verdict, Vouched};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::contenders::{recalls, refused};
use crate::fixture::{NOW, manifest};
use crate::gateway::compiled;
use crate::load::{Seat, Threads, Work, threads};
use crate::measure::{Contender, Measured, measure};
use crate::rejections::respelt;

#[path = "../../crates/token/src/json.rs"]
#[expect(dead_code, reason = "the product's own file, for its reader of claims alone")]
mod json;
#[path = "../../crates/token/src/payload.rs"]
mod payload;

/// Where a trick is used.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// In a token's first verification.
    First,
    /// In that of a token that is remembered.
    Again,
    /// In minting.
    Mint,
}

/// A trick beside what it takes the place of.
pub struct Trick {
    /// The trick.
    pub what: &'static str,
    /// What it takes the place of.
    pub instead: &'static str,
    /// Where it is used.
    pub part: Part,
    /// The time with it.
    pub with: Measured,
    /// The time without.
    pub without: Measured,
}

type Pair<'a> = (&'static str, &'static str, Part, Contender<'a>, Contender<'a>);

/// Every trick that one thread shows, in nanoseconds of processor time.
pub fn tricks(token: &str, rounds: usize) -> Result<Vec<Trick>, Box<dyn Error>> {
    let mut revoked = manifest(1, 2)?;
    let first = revoked.keys.first_mut().ok_or("there are two keys")?;
    first.revoked = Some(Revoked { at: UnixTime(1), reason: "stolen".to_owned() });
    let (revoked, respelt) = (compiled(revoked)?, respelt(token)?);
    let mut pairs = reading(&revoked, token, &respelt)?;
    pairs.extend(remembering(token));
    pairs.extend(minting(token)?);
    let mut names = Vec::new();
    let mut contenders = Vec::new();
    for (what, instead, part, with, without) in pairs {
        names.push((what, instead, part));
        contenders.extend([with, without]);
    }
    let mut measured = measure(contenders, rounds)?.into_iter();
    let tricks = names.into_iter().map_while(|(what, instead, part)| {
        let (with, without) = (measured.next()?, measured.next()?);
        Some(Trick { what, instead, part, with, without })
    });
    Ok(tricks.collect())
}

/// A token whose key is revoked is refused before its signature is checked: what that costs is what all costs besides.
fn reading<'a>(
    revoked: &'a Keyring,
    token: &'a str,
    respelt: &'a str,
) -> Result<Vec<Pair<'a>>, Box<dyn Error>> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).ok_or("a token has three segments")?)?;
    let copied = claims.clone();
    let names = ["sub", "iss", "aud", "iat", "exp", "sandbox_id", "keystile"];
    let parse = move |own: bool, claims: &[u8]| {
        let Ok(object) = json::Object::parse(claims) else { return false };
        if own {
            let texts = names.map(|name| {
                let value = object.get(name).and_then(|value| match value {
                    json::Value::String(text) => Some(text.as_ref().to_owned()),
                    _ => None,
                });
                (name.to_owned(), value)
            });
            black_box(&texts);
        }
        black_box(&object).get("sub").is_some()
    };
    Ok(vec![
        (
            "the header is recognised",
            "the strict parser reads it",
            Part::First,
            refused("recognised", revoked, token, NOW),
            refused("parsed", revoked, respelt, NOW),
        ),
        (
            "the claims are borrowed",
            "each text is copied",
            Part::First,
            Contender::new("borrowed", move || parse(false, &claims)),
            Contender::new("copied", move || parse(true, &copied)),
        ),
    ])
}

fn remembering(token: &str) -> Vec<Pair<'_>> {
    let hasher = RandomState::new();
    let other = hasher.clone();
    let tail = token.get(token.len().saturating_sub(64)..).unwrap_or_default();
    let clock = SystemClock::default();
    let read = move |times: u32| (0..times).all(|_| black_box((clock.now(), clock.uptime())).0.0 > 0);
    vec![
        (
            "a token's place by a hash of 64 bytes",
            "by a hash of all",
            Part::Again,
            Contender::new("64", move || hasher.hash_one(tail.as_bytes()) != 0),
            Contender::new("all", move || other.hash_one(token.as_bytes()) != 0),
        ),
        (
            "the clocks are read once",
            "at each of three uses",
            Part::Again,
            Contender::new("once", move || read(1)),
            Contender::new("thrice", move || read(3)),
        ),
    ]
}

/// The claims of OpenShell and ours, as `serde_json` writes them.
#[derive(Serialize)]
struct Claims<'a> {
    sub: String,
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    sandbox_id: &'a str,
    keystile: Lineage<'a>,
}

#[derive(Serialize)]
struct Lineage<'a> {
    began: u64,
    method: &'a str,
}

#[derive(Serialize)]
struct Header<'a> {
    typ: &'a str,
    alg: &'a str,
    kid: &'a str,
}

const ISSUER: &str = "openshell-gateway:openshell";
const SANDBOX: &str = "6c7b0d2e-94f1-4c55-a8d3-000000000000";
const METHOD: &str = "service-account";

fn by_hand() -> Vec<u8> {
    let (issuer, sandbox_id, bootstrap_method) = black_box((ISSUER, SANDBOX, METHOD));
    let (issued_at, expires_at, lineage_began) = black_box((NOW.0, NOW.0 + 3600, NOW.0));
    let subject_prefix = "spiffe://openshell/sandbox/";
    payload::Payload {
        issuer,
        subject_prefix,
        sandbox_id,
        issued_at,
        expires_at,
        lineage_began,
        bootstrap_method,
    }
    .to_json()
}

fn by_serde() -> Vec<u8> {
    let (issuer, sandbox_id, method) = black_box((ISSUER, SANDBOX, METHOD));
    let (iat, exp, began) = black_box((NOW.0, NOW.0 + 3600, NOW.0));
    let sub = format!("spiffe://openshell/sandbox/{sandbox_id}");
    let keystile = Lineage { began, method };
    let claims = Claims { sub, iss: issuer, aud: issuer, iat, exp, sandbox_id, keystile };
    serde_json::to_vec(&claims).unwrap_or_default()
}

/// Encodes claims and a signature.
fn encoding(engine: impl Engine) -> impl FnMut() -> bool {
    let (claims, mut room) = (by_hand(), [0; 600]);
    move || {
        let [claims, signature] = [black_box(claims.as_slice()), black_box(&[0x5a; 64])];
        let written =
            [claims, signature].map(|bytes| engine.encode_slice(bytes, &mut room).unwrap_or_default());
        black_box(&room);
        written.iter().all(|bytes| *bytes > 64)
    }
}

fn minting(token: &str) -> Result<Vec<Pair<'_>>, Box<dyn Error>> {
    if by_hand() != by_serde() {
        return Err("both write the same claims".into());
    }
    let header = token.split('.').next().ok_or("a token has three segments")?;
    let kid = "aVbWxAFFu3Yr9GdXtN2ZQYZCOXJ4wM1aPBLYZq2kHdM";
    let build = move || {
        let header = Header { typ: "JWT", alg: "EdDSA", kid: black_box(kid) };
        serde_json::to_vec(&header).map(|json| URL_SAFE_NO_PAD.encode(json)).unwrap_or_default()
    };
    let room = move |header: &[u8]| {
        let mut room = Vec::with_capacity(600);
        room.extend_from_slice(black_box(header));
        black_box(&room).len() > 64
    };
    Ok(vec![
        (
            "the header is ready",
            "it is written for each token",
            Part::Mint,
            Contender::new("ready", move || room(header.as_bytes())),
            Contender::new("written", move || room(build().as_bytes())),
        ),
        (
            "the claims' JSON is written by hand",
            "by `serde_json`",
            Part::Mint,
            Contender::new("by hand", || black_box(by_hand()).len() > 64),
            Contender::new("serde_json", || black_box(by_serde()).len() > 64),
        ),
        (
            "base64url is written many bytes at a time",
            "three at a time, by a table",
            Part::Mint,
            Contender::new("many", encoding(Simd::url_safe(NO_PAD))),
            Contender::new("three", encoding(URL_SAFE_NO_PAD)),
        ),
        (
            "the token is zeroed as a `Box<str>`",
            "as a `String`, byte by byte",
            Part::Mint,
            Contender::new("box", move || {
                let token = Zeroizing::new(black_box(token).to_owned().into_boxed_str());
                black_box(&token).len() > 64
            }),
            Contender::new("string", move || {
                let token = Zeroizing::new(black_box(token).to_owned());
                black_box(&token).len() > 64
            }),
        ),
    ])
}

/// The tricks that several threads show: verifications of remembered tokens, each thread its own, with the keyring or
/// the memory held in plainer ways.
pub fn shared(many: &[String], rounds: usize) -> Result<Vec<Threads>, Box<dyn Error>> {
    let ring = Arc::new(crate::fixture::keyring(1, 1)?);
    let memory = Remembered::new(crate::run::MEMORY);
    let (whole, hashed) = plainly_remembered(&ring, many, &memory)?;
    let swapped = ArcSwap::from(Arc::clone(&ring));
    let (read_locked, locked) = (RwLock::new(Arc::clone(&ring)), Mutex::new(Arc::clone(&ring)));
    let own = |seat: Seat, number: usize| seat.of_its_part(many, number);
    let (ring, memory) = (&ring, &memory);
    let (swapped, read_locked, locked, whole, hashed) = (&swapped, &read_locked, &locked, &whole, &hashed);
    let again = |vouched: Option<&Vouched>| {
        vouched.is_some_and(|vouched| ring.verify_again(vouched, NOW, 0, Circumstance::Usual).is_accepted())
    };
    let times = 40_000;
    let all: Vec<(String, usize, Work<'_>)> = vec![
        (
            AS_IS.to_owned(),
            times,
            Box::new(move |seat, number| {
                own(seat, number).is_some_and(|token| recalls(&swapped.load(), token, memory))
            }),
        ),
        (
            "the keyring behind an atomic pointer, counted".to_owned(),
            times,
            Box::new(move |seat, number| {
                own(seat, number).is_some_and(|token| recalls(&swapped.load_full(), token, memory))
            }),
        ),
        (
            "the keyring behind an `RwLock`".to_owned(),
            times,
            Box::new(move |seat, number| {
                let ring = Arc::clone(&read_locked.read().unwrap_or_else(PoisonError::into_inner));
                own(seat, number).is_some_and(|token| recalls(&ring, token, memory))
            }),
        ),
        (
            "the keyring behind a `Mutex`".to_owned(),
            times,
            Box::new(move |seat, number| {
                let ring = Arc::clone(&locked.lock().unwrap_or_else(PoisonError::into_inner));
                own(seat, number).is_some_and(|token| recalls(&ring, token, memory))
            }),
        ),
        (
            "the memory a `HashMap` of tokens behind a `Mutex`".to_owned(),
            times,
            Box::new(move |seat, number| {
                let memory = whole.lock().unwrap_or_else(PoisonError::into_inner);
                own(seat, number).is_some_and(|token| again(memory.get(token.as_bytes())))
            }),
        ),
        (
            "the same by the tokens' SHA-256".to_owned(),
            times,
            Box::new(move |seat, number| {
                own(seat, number).is_some_and(|token| {
                    let key = sha256(token);
                    again(hashed.lock().unwrap_or_else(PoisonError::into_inner).get(&key))
                })
            }),
        ),
    ];
    threads(&all, rounds)
}

/// Two plain memories: by the tokens' bytes and by their SHA-256.
type Plain = (Mutex<HashMap<Box<[u8]>, Vouched>>, Mutex<HashMap<[u8; 32], Vouched>>);

/// Has `memory` remember all of the tokens, and two plain ones.
fn plainly_remembered(ring: &Keyring, many: &[String], memory: &Remembered) -> Result<Plain, Box<dyn Error>> {
    let (mut whole, mut hashed) = (HashMap::new(), HashMap::new());
    for token in many {
        let verdict = ring.verify_remembering(token.as_bytes(), NOW, Circumstance::Usual, memory);
        let Verdict::Accepted(accepted) = verdict else {
            return Err("an honest token was refused".into());
        };
        let vouched = ring.vouch(&accepted).ok_or("the keyring holds the key")?;
        hashed.insert(sha256(token), vouched.clone());
        whole.insert(token.as_bytes().into(), vouched);
    }
    Ok((Mutex::new(whole), Mutex::new(hashed)))
}

/// The product's way, in [`shared`].
pub const AS_IS: &str = "as it is";

fn sha256(token: &str) -> [u8; 32] {
    digest(&SHA256, token.as_bytes()).as_ref().try_into().unwrap_or_default()
}
