//! Which refusals a newer generation could change, and what happens when the store cannot be read.

use keystile_keyring::manifest::{End, Lifetime, Tombstone};
use keystile_keyring::{KeyState, Kid, Manifest, UnixTime};
use keystile_token::{Circumstance, Keyring, Reason, Signature, Verdict};

use crate::common::{draft, forging_key, key, kid, manifest, open, rejected, revoked, superseded, token};

/// Key 1 was superseded at 5000, key 2 signs, key 3 is prepared, key 4 was revoked at 4000.
fn fleet() -> Manifest {
    let mut all = manifest(vec![key(1), key(2), key(3), key(4)], &[(1000, 1), (5000, 2)]);
    all.keys[0].superseded = Some(superseded(5000));
    all.keys[2].longest_token = Lifetime::Bounded(0);
    all.keys[3].revoked = Some(revoked(4000));
    let gone = |name: &str, end| Tombstone {
        kid: Kid::new(name).unwrap(),
        end,
        at: UnixTime(500),
        named_until: None,
    };
    all.tombstones = vec![gone("pruned", End::Retired), gone("stolen", End::Revoked)];
    all
}

fn unreadable(keyring: &Keyring, token: &str, now: u64, confirmed_at: u64) -> Verdict {
    let circumstance = Circumstance::StoreUnreadable { confirmed_at: UnixTime(confirmed_at) };
    keyring.verify_with(token.as_bytes(), UnixTime(now), circumstance)
}

/// What is refused, and could be good under a newer generation: (token, now, reason).
fn changeable() -> Vec<(String, u64, Reason)> {
    vec![
        (draft(9, 6000, 9000).signed(&forging_key(9)), 6000, Reason::UnknownKid),
        (token(1, 5300, 8900), 9_051, Reason::RetiredKey),
        (token(3, 6000, 9000), 6000, Reason::KeyNotActive),
        (token(2, 4900, 8000), 6000, Reason::SignedBeforeActivation),
        (token(1, 5391, 8991), 6000, Reason::SignedAfterSupersession),
        (token(2, 6000, 9601), 6000, Reason::LifetimeExceedsPolicy),
        (token(2, 6000, 0), 6000, Reason::NeverExpiresNotAllowed),
    ]
}

#[test]
fn every_changeable_reason_asks_for_a_new_read() {
    let keyring = open(fleet());
    let mut seen = Vec::new();
    for (token, now, expected) in changeable() {
        // The retired key's token must not have expired, or no generation could save it.
        let now = if expected == Reason::RetiredKey { 8_950 } else { now };
        let keyring = if expected == Reason::RetiredKey { open(retired_early()) } else { open(fleet()) };
        let rejection = rejected(&keyring, &token, now);
        assert_eq!((rejection.reason, rejection.reread), (expected, true));
        seen.push(rejection.reason);
    }
    let all: Vec<_> = Reason::ALL.iter().filter(|reason| reason.newer_generation_could_change()).collect();
    assert_eq!(seen.iter().collect::<Vec<_>>(), all);
    drop(keyring);
}

/// The fleet after `retire --force`: key 1's window ends at 6000.
fn retired_early() -> Manifest {
    let mut fleet = fleet();
    if let Some(superseded) = &mut fleet.keys[0].superseded {
        superseded.accept_until = Some(UnixTime(6000));
    }
    fleet
}

#[test]
fn without_a_good_signature_a_known_kid_never_causes_a_read() {
    for (token, now, reason) in changeable() {
        if reason == Reason::UnknownKid {
            continue;
        }
        let (input, _) = token.rsplit_once('.').unwrap();
        let forged = crate::forger::sign_encoded(input, &forging_key(7));
        let rejection = rejected(&open(retired_early()), &forged, now);
        assert_eq!(rejection.signature, Signature::Bad);
        assert!(!rejection.reread && !rejection.alarm, "{reason}");
    }
}

#[test]
fn final_refusals_never_cause_a_read() {
    let keyring = open(fleet());
    let named = |kid: &str| draft(1, 5000, 8000).header("kid", kid).signed(&forging_key(1));
    let cases = [
        (token(4, 3000, 6000), Reason::RevokedKey),
        (named("stolen"), Reason::RevokedKey),
        // A tombstone is never lifted.
        (named("pruned"), Reason::RetiredKey),
        (draft(2, 5000, 8000).claim("aud", "x").signed(&forging_key(2)), Reason::WrongAudience),
        (draft(2, 5000, 8000).header("alg", "HS256").signed(&forging_key(2)), Reason::AlgMismatch),
    ];
    for (token, expected) in cases {
        let rejection = rejected(&keyring, &token, 6000);
        assert_eq!((rejection.reason, rejection.reread), (expected, false));
        assert_eq!(unreadable(&keyring, &token, 6000, 6000), Verdict::Rejected(rejection));
    }
}

#[test]
fn a_token_that_no_generation_can_save_causes_no_read() {
    let keyring = open(fleet());
    // Each breaks a changeable rule first, and then one that stays.
    let cases = [
        (token(9, 1000, 2000), Reason::UnknownKid),
        (draft(9, 6000, 9000).claim("aud", "x").signed(&forging_key(9)), Reason::UnknownKid),
        (draft(9, 6000, 9000).without_claim("sub").signed(&forging_key(9)), Reason::UnknownKid),
        (draft(2, 6000, 9601).claim("sub", "x").signed(&forging_key(2)), Reason::LifetimeExceedsPolicy),
    ];
    for (token, expected) in cases {
        let rejection = rejected(&keyring, &token, 6000);
        assert_eq!((rejection.reason, rejection.reread, rejection.fault), (expected, false, None));
        assert!(matches!(unreadable(&keyring, &token, 6000, 6000), Verdict::Rejected(_)));
    }
    let expired = rejected(&open(retired_early()), &token(1, 4000, 5000), 7000);
    assert_eq!((expired.reason, expired.reread), (Reason::RetiredKey, false));
}

#[test]
fn what_a_newer_generation_could_change_is_unavailable_while_the_store_is() {
    for (token, now, reason) in changeable() {
        let (keyring, now) = match reason {
            Reason::RetiredKey => (open(retired_early()), 8_950),
            _ => (open(fleet()), now),
        };
        // Confirmed too long ago to say anything of the prepared key.
        let Verdict::Unavailable(rejection) = unreadable(&keyring, &token, now, now + 31) else {
            panic!("{reason} is not unavailable");
        };
        assert_eq!(rejection.reason, reason);
        assert!(!rejection.alarm, "nothing is sure enough for an alarm");
    }
}

#[test]
fn c14_only_a_prepared_key_is_given_the_benefit_of_the_doubt() {
    for (token, now, reason) in changeable() {
        let (keyring, now) = match reason {
            Reason::RetiredKey => (open(retired_early()), 8_950),
            _ => (open(fleet()), now),
        };
        // Confirmed long before every `iat`.
        let accepted = unreadable(&keyring, &token, now, 0).is_accepted();
        assert_eq!(accepted, reason == Reason::KeyNotActive, "{reason}");
    }
}

#[test]
fn c14_a_prepared_keys_token_is_accepted_by_its_iat() {
    let keyring = open(fleet());
    let fresh = token(3, 5970, 9570);
    // Confirmed at 6000, less max_skew: 5970 is not before it.
    let Verdict::Accepted(accepted) = unreadable(&keyring, &fresh, 6050, 6000) else {
        panic!("a token that may be good is refused");
    };
    assert_eq!((accepted.state, accepted.kid), (KeyState::Prepared, kid(3)));
    assert!(matches!(unreadable(&keyring, &fresh, 6050, 6001), Verdict::Unavailable(_)));
    // Without the circumstance it is refused, with the alarm, once the store has been read again.
    let rejection = rejected(&keyring, &fresh, 6050);
    assert_eq!((rejection.reason, rejection.alarm, rejection.reread), (Reason::KeyNotActive, true, true));
}

#[test]
fn c14_an_activation_may_have_been_brought_forward() {
    // Key 3 was to sign from 9000; a revocation that this replica missed made it sign at 6000.
    let mut ahead = fleet();
    ahead.timeline.push(keystile_keyring::manifest::Activation { from: UnixTime(9000), kid: kid(3) });
    ahead.keys[1].superseded = Some(superseded(9000));
    ahead.keys[2].longest_token = Lifetime::Bounded(3600);
    let keyring = open(ahead);
    let fresh = token(3, 6000, 9600);
    assert!(matches!(unreadable(&keyring, &fresh, 6010, 5900), Verdict::Accepted(_)));
    let rejection = rejected(&keyring, &fresh, 6010);
    assert_eq!((rejection.reason, rejection.reread), (Reason::SignedBeforeActivation, true));
}

#[test]
fn c14_every_other_rule_still_holds() {
    let keyring = open(fleet());
    let verdict = |token: &str| unreadable(&keyring, token, 6000, 6000);
    // No activation that this replica can imagine lets it sign more than policy says.
    assert!(matches!(verdict(&token(3, 6000, 9600)), Verdict::Accepted(_)));
    assert!(matches!(verdict(&token(3, 6000, 9601)), Verdict::Unavailable(_)));
    assert!(matches!(verdict(&token(3, 6000, 0)), Verdict::Unavailable(_)));
    assert!(matches!(verdict(&token(3, 6031, 9600)), Verdict::Rejected(_)));
    let forged = draft(3, 6000, 9600).signed(&forging_key(2));
    assert_eq!(verdict(&forged).reason(), Some(Reason::BadSignature));
    let other = draft(3, 6000, 9600).claim("sub", "x").signed(&forging_key(3));
    assert_eq!(verdict(&other).reason(), Some(Reason::SubjectMismatch));
    let mut floored = fleet();
    floored.lineage_floor = Some(UnixTime(6000));
    assert_eq!(
        unreadable(&open(floored), &token(3, 6000, 9600), 6000, 6000).reason(),
        Some(Reason::LineageRevoked)
    );
}

#[test]
fn c14_where_policy_mints_for_ever_a_prepared_key_may_have_done_so() {
    let mut forever = fleet();
    forever.policy.token_ttl = 0;
    let keyring = open(forever);
    assert!(matches!(unreadable(&keyring, &token(3, 6000, 0), 6000, 6000), Verdict::Accepted(_)));
    assert!(matches!(unreadable(&keyring, &token(3, 6000, 6001), 6000, 6000), Verdict::Unavailable(_)));
}

#[test]
fn good_tokens_are_good_under_any_circumstance() {
    let keyring = open(fleet());
    for good in [token(1, 5000, 8600), token(2, 6000, 9600)] {
        assert!(unreadable(&keyring, &good, 6000, 0).is_accepted());
    }
}
