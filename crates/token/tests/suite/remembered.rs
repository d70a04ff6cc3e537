//! Remembered signatures: the same verdicts, sooner, and nothing that outlives its key.

use keystile_keyring::manifest::Superseded;
use keystile_keyring::{GatewayId, KeyState, Manifest, UnixTime};
use keystile_token::{Circumstance, Keyring, Reason, Remembered, RememberedCounts, Verdict};
use proptest::prelude::*;

use crate::common::{draft, forging_key, key, kid, manifest, open, private_key, revoked, superseded, token};
use crate::forger::{Forger, sign_raw};

/// Room for some ten tokens, in one set: which token goes does not depend on chance.
const ONE_SET: usize = 8 * 1024;

fn ask(keyring: &Keyring, token: &str, now: u64, remembered: &Remembered) -> Verdict {
    keyring.verify_remembering(token.as_bytes(), UnixTime(now), Circumstance::Usual, remembered)
}

/// The manifest as generation `number`.
fn generation(number: u64, mut manifest: Manifest) -> Manifest {
    manifest.generation = number;
    manifest.history[0].generation = number;
    manifest
}

/// Key 1 signed from 1000 to 5000, key 2 signs since.
fn rotated() -> Manifest {
    let mut rotated = manifest(vec![key(1), key(2)], &[(1000, 1), (5000, 2)]);
    rotated.keys[0].superseded = Some(superseded(5000));
    generation(2, rotated)
}

/// The same after key 1 was revoked.
fn revoked_one() -> Manifest {
    let mut after = rotated();
    after.keys[0].revoked = Some(revoked(5000));
    generation(3, after)
}

fn sandbox(number: u64) -> String {
    Forger::sandbox(&private_key(1), &format!("sandbox-{number}"), 2000, 5000).signed(&forging_key(1))
}

#[test]
fn a_token_that_comes_again_is_found() {
    let (keyring, remembered) = (open(rotated()), Remembered::new(ONE_SET));
    let token = token(2, 6000, 9000);
    let first = ask(&keyring, &token, 6000, &remembered);
    assert_eq!(ask(&keyring, &token, 6001, &remembered), first);
    let RememberedCounts { hits, misses, entries, .. } = remembered.counts();
    assert_eq!((hits, misses, entries), (1, 1, 1));
    assert_eq!(first, keyring.verify(token.as_bytes(), UnixTime(6000)));
}

#[test]
fn t51_a_revoked_keys_remembered_token_is_refused_at_once() {
    let remembered = Remembered::new(ONE_SET);
    let token = token(1, 4000, 7000);
    assert!(ask(&open(rotated()), &token, 5500, &remembered).is_accepted());
    let after = open(revoked_one());
    let verdict = ask(&after, &token, 5500, &remembered);
    assert_eq!(verdict.reason(), Some(Reason::RevokedKey));
    assert_eq!(remembered.counts().hits, 1, "it was remembered, and refused all the same");
    remembered.settle(&after, UnixTime(5500));
    assert_eq!(remembered.counts().entries, 0, "and it is gone as soon as the keyring is in force");
}

#[test]
fn what_a_retired_key_signed_goes_when_its_window_ends() {
    let (keyring, remembered) = (open(rotated()), Remembered::new(ONE_SET));
    let (old, new) = (token(1, 4000, 7000), token(2, 6000, 9000));
    for token in [&old, &new] {
        assert!(ask(&keyring, token, 6000, &remembered).is_accepted());
    }
    remembered.settle(&keyring, UnixTime(6000));
    assert_eq!(remembered.counts().entries, 2);
    let Some(Superseded { accept_until: Some(end), .. }) = keyring.manifest().keys[0].superseded else {
        panic!("key 1 has an end");
    };
    assert_eq!(keyring.manifest().state_at(&kid(1), end.plus(1)), Some(KeyState::Retired));
    remembered.settle(&keyring, end.plus(1));
    assert_eq!(remembered.counts().entries, 1);
    assert!(ask(&keyring, &new, 6000, &remembered).is_accepted());
    assert_eq!(remembered.counts().hits, 1, "the other key's token stays");
}

#[test]
fn a_request_that_began_before_a_revocation_brings_nothing_back() {
    let (before, after, remembered) = (open(rotated()), open(revoked_one()), Remembered::new(ONE_SET));
    remembered.settle(&after, UnixTime(5500));
    assert!(ask(&before, &token(1, 4000, 7000), 5500, &remembered).is_accepted(), "by what it held");
    assert_eq!(remembered.counts().entries, 0);
}

#[test]
fn the_keyring_in_force_may_add_what_it_accepts() {
    let (keyring, remembered) = (open(rotated()), Remembered::new(ONE_SET));
    remembered.settle(&keyring, UnixTime(6000));
    assert!(ask(&keyring, &token(2, 6000, 9000), 6000, &remembered).is_accepted());
    assert_eq!(remembered.counts().entries, 1);
}

#[test]
fn a_new_generation_with_the_same_keys_forgets_nothing() {
    let remembered = Remembered::new(ONE_SET);
    let token = token(1, 4000, 7000);
    assert!(ask(&open(rotated()), &token, 5500, &remembered).is_accepted());
    let mut next = generation(3, rotated());
    next.policy.leeway = 30;
    let next = open(next);
    remembered.settle(&next, UnixTime(5500));
    assert!(ask(&next, &token, 5500, &remembered).is_accepted());
    assert_eq!(remembered.counts().hits, 1);
}

#[test]
fn a_flood_of_bad_tokens_takes_no_memory() {
    let (keyring, remembered) = (open(rotated()), Remembered::new(ONE_SET));
    let good = token(2, 6000, 9000);
    let bad = [
        token(1, 100, 200),
        token(9, 6000, 9000),
        draft(2, 6000, 9000).claim("aud", "another").signed(&forging_key(2)),
        draft(2, 6000, 9000).signed(&forging_key(9)),
        "a.b.c".to_owned(),
    ];
    for token in &bad {
        assert!(!ask(&keyring, token, 6000, &remembered).is_accepted(), "{token}");
    }
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] ^= 1;
        let verdict = keyring.verify_remembering(&changed, UnixTime(6000), Circumstance::Usual, &remembered);
        assert!(!verdict.is_accepted(), "byte {at}");
    }
    let counts = remembered.counts();
    assert_eq!((counts.entries, counts.bytes, counts.hits), (0, 0, 0));
}

/// All bytes count: not those alone that choose the place.
#[test]
fn a_token_with_one_other_byte_is_not_the_remembered_one() {
    let (keyring, remembered) = (open(rotated()), Remembered::new(ONE_SET));
    let good = token(2, 6000, 9000);
    assert!(ask(&keyring, &good, 6000, &remembered).is_accepted());
    for at in 0..good.len() {
        let mut changed = good.clone().into_bytes();
        changed[at] ^= 1;
        let verdict = keyring.verify_remembering(&changed, UnixTime(6000), Circumstance::Usual, &remembered);
        assert!(!verdict.is_accepted(), "byte {at}");
    }
    assert_eq!(remembered.counts().hits, 0);
}

#[test]
fn the_memory_stays_within_its_bytes() {
    let keyring = open(rotated());
    for bytes in [ONE_SET, 5 * ONE_SET + 7] {
        let remembered = Remembered::new(bytes);
        for number in 0..200 {
            assert!(ask(&keyring, &sandbox(number), 5000, &remembered).is_accepted());
            assert!(remembered.counts().bytes <= bytes as u64, "after {number} tokens");
        }
        assert!(remembered.counts().entries > 5, "it is used: {remembered:?}");
    }
}

#[test]
fn too_small_or_switched_off_remembers_nothing() {
    let keyring = open(rotated());
    for bytes in [0, 1, 100] {
        let remembered = Remembered::new(bytes);
        for _ in 0..2 {
            assert!(ask(&keyring, &token(2, 6000, 9000), 6000, &remembered).is_accepted());
        }
        let counts = remembered.counts();
        assert_eq!((counts.hits, counts.entries), (0, 0));
    }
}

#[test]
fn a_very_long_token_is_not_remembered() {
    let (keyring, remembered) = (open(rotated()), Remembered::new(ONE_SET));
    let long = draft(2, 6000, 9000).claim("padding", "x".repeat(1800)).signed(&forging_key(2));
    assert!(long.len() > 2048);
    assert!(ask(&keyring, &long, 6000, &remembered).is_accepted());
    assert_eq!(remembered.counts().entries, 0);
}

/// Whoever can have many tokens minted pushes out his own.
#[test]
fn a_flood_of_new_tokens_spares_one_in_use() {
    let (keyring, remembered) = (open(rotated()), Remembered::new(ONE_SET));
    let used = token(2, 5000, 8000);
    assert!(ask(&keyring, &used, 5000, &remembered).is_accepted());
    for number in 0..100 {
        assert!(ask(&keyring, &used, 5000, &remembered).is_accepted());
        // Several new ones between two requests of the caller who waits his turn.
        for part in 0..4 {
            assert!(ask(&keyring, &sandbox(4 * number + part), 5000, &remembered).is_accepted());
        }
    }
    let RememberedCounts { hits, misses, .. } = remembered.counts();
    assert_eq!((hits, misses), (100, 401), "every request but the first was found");
}

#[test]
fn another_gateway_or_another_key_of_the_same_name_is_not_recalled() {
    let remembered = Remembered::new(ONE_SET);
    let token = token(2, 6000, 9000);
    assert!(ask(&open(rotated()), &token, 6000, &remembered).is_accepted());

    let mut elsewhere = rotated();
    elsewhere.gateway_id = GatewayId::new("elsewhere").unwrap();
    assert_eq!(ask(&open(elsewhere), &token, 6000, &remembered).reason(), Some(Reason::WrongIssuer));

    let mut renamed = rotated();
    renamed.keys[1].public_key = private_key(7).public_key();
    let renamed = Keyring::verify_only(renamed, crate::common::no_digest()).unwrap();
    assert_eq!(ask(&renamed, &token, 6000, &remembered).reason(), Some(Reason::BadSignature));
    assert_eq!(remembered.counts().hits, 0);
}

#[test]
fn t48_what_is_remembered_is_not_printed() {
    let (keyring, remembered) = (open(rotated()), Remembered::new(ONE_SET));
    let token = token(2, 6000, 9000);
    assert!(ask(&keyring, &token, 6000, &remembered).is_accepted());
    let shown = format!("{remembered:?} {remembered:#?}");
    assert!(token.split('.').all(|segment| !shown.contains(segment)), "{shown}");
    assert!(!shown.contains("sandbox-1"), "{shown}");
}

/// Keyrings as a replica may hold one after the other.
fn keyrings() -> Vec<Keyring> {
    let first = manifest(vec![key(1)], &[(1000, 1)]);
    let mut floor = generation(4, rotated());
    floor.lineage_floor = Some(UnixTime(4500));
    let mut strict = generation(5, rotated());
    strict.policy.leeway = 0;
    [first, rotated(), revoked_one(), floor, strict].map(open).into()
}

/// Tokens of every kind, honest or not, some with their header in another encoding.
fn tokens() -> Vec<String> {
    let mut tokens = Vec::new();
    for (seed, iat, exp) in
        [(1, 2000, 5600), (1, 4400, 8000), (1, 5389, 8989), (1, 5391, 8991), (2, 5000, 8600), (9, 5000, 8600)]
    {
        tokens.push(token(seed, iat, exp));
        let forger = draft(seed, iat, exp);
        let respelt = forger.header_json().replace(',', ", ");
        tokens.push(sign_raw(&respelt, &forger.claims_json(), &forging_key(seed)));
        tokens.push(draft(seed, iat, exp).claim("aud", "another").signed(&forging_key(seed)));
        tokens.push(draft(seed, iat, exp).signed(&forging_key(3)));
    }
    tokens
}

proptest! {
    /// Whatever was asked before, of whatever keyring, at whatever instant.
    #[test]
    fn with_and_without_the_memory_verdicts_are_equal(
        requests in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1900_u64..13_000, 0..3),
            1..60,
        ),
    ) {
        let (keyrings, tokens, remembered) = (keyrings(), tokens(), Remembered::new(4 * ONE_SET));
        for (which, token, now, kind) in requests {
            let (keyring, now) = (&keyrings[which.index(keyrings.len())], UnixTime(now));
            let token = tokens[token.index(tokens.len())].as_bytes();
            let circumstance = match kind {
                0 => Circumstance::StoreUnreadable { confirmed_at: now.minus(40) },
                _ => Circumstance::Usual,
            };
            let with = keyring.verify_remembering(token, now, circumstance, &remembered);
            prop_assert_eq!(with, keyring.verify_with(token, now, circumstance));
            if kind == 1 {
                remembered.settle(keyring, now);
            }
        }
    }
}
