//! Every bound at its exact edge.

use keystile_keyring::manifest::{Activation, Lifetime};
use keystile_keyring::{KeyState, Manifest, UnixTime};
use keystile_token::{BootstrapMethod, Keyring, Reason};

use crate::common::{
    accepted, draft, forging_key, key, kid, manifest, open, reason, rejected, simple, superseded, token,
};

/// Key 1 from 1000, key 2 from 5000; default policy, so that key 1 has `last_iat` 5390 and is accepted
/// until 9050.
fn rotated() -> Manifest {
    let mut manifest = manifest(vec![key(1), key(2)], &[(1000, 1), (5000, 2)]);
    manifest.keys[0].superseded = Some(superseded(5000));
    manifest
}

#[test]
fn exp_with_leeway_is_inclusive() {
    let (keyring, token) = (simple(), token(1, 2000, 3000));
    accepted(&keyring, &token, 3060);
    assert_eq!(reason(&keyring, &token, 3061), Reason::Expired);
}

#[test]
fn t32_iat_may_be_ahead_by_the_skew_of_any_two_clocks() {
    let (keyring, token) = (simple(), token(1, 2030, 3000));
    accepted(&keyring, &token, 2000);
    assert_eq!(reason(&keyring, &token, 1999), Reason::IssuedInFuture);
}

#[test]
fn t32_a_fresh_token_is_good_on_a_slower_clock_around_the_activation() {
    // The mint's clock shows 5000 and signs with key 2; the verifier's is behind by max_skew.
    let keyring = open(rotated());
    assert_eq!(accepted(&keyring, &token(2, 5000, 8600), 4970).state, KeyState::Prepared);
    // And the reverse: the mint's clock is behind and still signs with key 1.
    assert_eq!(accepted(&keyring, &token(1, 4999, 8599), 5029).state, KeyState::VerifyOnly);
}

#[test]
fn a_token_may_be_older_than_its_keys_activation_by_the_skew() {
    let keyring = open(rotated());
    accepted(&keyring, &token(2, 4970, 8000), 5000);
    let early = rejected(&keyring, &token(2, 4969, 8000), 5000);
    assert_eq!((early.reason, early.alarm), (Reason::SignedBeforeActivation, true));
}

#[test]
fn a_verify_only_key_is_bounded_by_its_last_iat() {
    let keyring = open(rotated());
    accepted(&keyring, &token(1, 5390, 8990), 5400);
    let late = rejected(&keyring, &token(1, 5391, 8991), 5400);
    assert_eq!((late.reason, late.alarm), (Reason::SignedAfterSupersession, true));
}

#[test]
fn t12_a_key_verifies_nothing_after_accept_until() {
    let keyring = open(rotated());
    let last = token(1, 5390, 8990);
    assert_eq!(accepted(&keyring, &last, 9050).state, KeyState::VerifyOnly);
    // Expired at the same instant, by construction of the bound; the key's state comes first.
    assert_eq!(reason(&keyring, &last, 9051), Reason::RetiredKey);
    let fresh = rejected(&keyring, &token(1, 5000, 9500), 9051);
    assert_eq!(fresh.reason, Reason::RetiredKey);
}

#[test]
fn a_lifetime_may_be_the_longest_and_no_longer() {
    let keyring = simple();
    accepted(&keyring, &token(1, 2000, 5600), 2000);
    let long = rejected(&keyring, &token(1, 2000, 5601), 2000);
    assert_eq!((long.reason, long.alarm), (Reason::LifetimeExceedsPolicy, true));
}

#[test]
fn t13_the_bound_is_what_the_key_may_have_signed_not_todays_policy() {
    // 24 hours once; policy was lowered to an hour before key 1 was superseded.
    let mut rotated = rotated();
    let day = 86_400;
    rotated.keys[0].longest_token = Lifetime::Bounded(day);
    if let Some(superseded) = &mut rotated.keys[0].superseded {
        superseded.accept_until = Some(superseded.last_iat.plus(day + 60));
    }
    let keyring = open(rotated);
    let old = token(1, 4000, 4000 + day);
    accepted(&keyring, &old, 80_000);
    accepted(&keyring, &old, 4000 + day + 60);
    // A stranger's token of the same key is bounded by the same.
    assert_eq!(reason(&keyring, &token(1, 4000, 4001 + day), 80_000), Reason::LifetimeExceedsPolicy);
}

#[test]
fn t14_exp_0_is_accepted_only_from_a_key_that_may_have_signed_such() {
    let refused = rejected(&simple(), &token(1, 2000, 0), 2000);
    assert_eq!((refused.reason, refused.alarm), (Reason::NeverExpiresNotAllowed, true));

    let mut rotated = rotated();
    rotated.keys[0].never_expires = true;
    rotated.keys[0].superseded = rotated.keys[0]
        .superseded
        .map(|bounds| keystile_keyring::manifest::Superseded { accept_until: None, ..bounds });
    let keyring = open(rotated.clone());
    let forever = token(1, 2000, 0);
    assert_eq!(accepted(&keyring, &forever, 1_000_000_000).claims.expires_at, None);
    // The operator's deadline ends them.
    if let Some(superseded) = &mut rotated.keys[0].superseded {
        superseded.accept_until = Some(UnixTime(20_000));
    }
    let keyring = open(rotated);
    accepted(&keyring, &forever, 20_000);
    assert_eq!(reason(&keyring, &forever, 20_001), Reason::RetiredKey);
}

#[test]
fn an_adopted_key_of_unknown_past_allows_any_lifetime() {
    let mut unbounded = manifest(vec![key(1)], &[(0, 1)]);
    unbounded.keys[0].longest_token = Lifetime::Unbounded;
    accepted(&open(unbounded), &token(1, 2000, 4_000_000_000), 2000);
}

#[test]
fn c07_a_key_that_signs_again_has_no_last_iat() {
    // Superseded at 5000, rolled back to at 5500; this clock is behind and calls it verify-only still.
    let mut back = manifest(vec![key(1), key(2)], &[(1000, 1), (5000, 2), (5500, 1)]);
    back.keys[1].superseded = Some(superseded(5500));
    let keyring = open(back);
    let fresh = accepted(&keyring, &token(1, 5500, 9100), 5480);
    assert_eq!(fresh.state, KeyState::VerifyOnly);
}

#[test]
fn the_lineage_floor_is_inclusive() {
    let mut floored = manifest(vec![key(1)], &[(1000, 1)]);
    floored.lineage_floor = Some(UnixTime(3000));
    let keyring = open(floored);
    let of = |began| draft(1, 4000, 5000).lineage(began, "service-account").signed(&forging_key(1));
    assert_eq!(reason(&keyring, &of(3000), 4000), Reason::LineageRevoked);
    assert_eq!(accepted(&keyring, &of(3001), 4000).claims.lineage.method, BootstrapMethod::ServiceAccount);
    // Without the claim the lineage began with the token.
    assert_eq!(reason(&keyring, &token(1, 3000, 4000), 3500), Reason::LineageRevoked);
    accepted(&keyring, &token(1, 3001, 4000), 3500);
}

#[test]
fn c16_a_lineage_never_begins_after_its_token() {
    let keyring = simple();
    let of = |began| draft(1, 4000, 5000).lineage(began, "token-file").signed(&forging_key(1));
    assert_eq!(accepted(&keyring, &of(4000), 4000).claims.lineage.began, UnixTime(4000));
    let forged = rejected(&keyring, &of(4001), 4000);
    assert_eq!((forged.reason, forged.alarm), (Reason::LineageInvalid, true));
}

#[test]
fn a_replacement_signs_at_once_also_on_a_slower_clock() {
    // Key 1 was revoked at 5000 by a clock that is ahead of this one.
    let mut replaced = manifest(vec![key(1), key(2)], &[(1000, 1), (5000, 2)]);
    replaced.keys[0].revoked = Some(crate::common::revoked(5000));
    replaced.keys[0].private = keystile_keyring::manifest::PrivateState::DestroyedAt(UnixTime(5000));
    let keyring = open(replaced);
    assert_eq!(accepted(&keyring, &token(2, 4980, 8580), 4980).state, KeyState::Active);
    assert_eq!(reason(&keyring, &token(1, 4900, 8500), 4980), Reason::RevokedKey);
}

#[test]
fn only_the_activations_of_the_tokens_own_key_count() {
    let mut two = rotated();
    two.timeline = vec![
        Activation { from: UnixTime(1000), kid: kid(1) },
        Activation { from: UnixTime(5000), kid: kid(2) },
    ];
    let keyring: Keyring = open(two);
    assert_eq!(reason(&keyring, &token(2, 2000, 3000), 2500), Reason::SignedBeforeActivation);
}

#[test]
fn instants_at_the_end_of_time_do_not_overflow() {
    let mut forever = manifest(vec![key(1)], &[(0, 1)]);
    forever.keys[0].longest_token = Lifetime::Unbounded;
    let keyring = open(forever);
    let last = i64::MAX.unsigned_abs();
    accepted(&keyring, &token(1, 0, last), 0);
    accepted(&keyring, &token(1, last, last), last);
    assert_eq!(reason(&keyring, &token(1, last, 1), 0), Reason::IssuedInFuture);
    assert_eq!(reason(&keyring, &token(1, last, last), u64::MAX), Reason::Expired);
}
