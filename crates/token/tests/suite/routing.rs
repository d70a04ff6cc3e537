//! Whose token it is: ours, or another authenticator's. A token of our issuer or with a kid of ours
//! never falls through (invariant I10).

use keystile_keyring::manifest::{End, Tombstone};
use keystile_keyring::{Kid, UnixTime};
use keystile_token::{Keyring, Reason, Signature, Verdict};
use serde_json::json;

use crate::common::{
    draft, forging_key, key, kid, manifest, open, reason, rejected, simple, superseded, token,
};
use crate::forger::Forger;

const OTHER: &str = "https://idp.example.com/realms/people";

fn verdict(keyring: &Keyring, token: &str) -> Verdict {
    keyring.verify(token.as_bytes(), UnixTime(2000))
}

/// A token of an identity provider, as OIDC has it.
fn foreign() -> Forger {
    Forger::empty()
        .header("typ", "JWT")
        .header("alg", "RS256")
        .header("kid", "idp-key-1")
        .claim("iss", OTHER)
        .claim("sub", "alice")
        .claim("aud", json!(["account", "gateway"]))
        .claim("realm_access", json!({ "roles": ["openshell-user"] }))
        .claim("exp", 1.5)
}

#[test]
fn a_token_of_another_issuer_with_another_kid_falls_through_whatever_its_alg() {
    let keyring = simple();
    for alg in ["RS256", "ES256", "HS256", "EdDSA", "none", "no-such"] {
        let token = foreign().header("alg", alg).signed(&forging_key(9));
        assert_eq!(verdict(&keyring, &token), Verdict::NotOurs, "{alg}");
    }
    // A signature of another length, a typ of its own, no kid, a kid that no key of ours can have.
    assert_eq!(verdict(&keyring, &foreign().hmac(b"secret")), Verdict::NotOurs);
    let changed = [
        foreign().header("typ", "at+jwt"),
        foreign().without_header("kid"),
        foreign().header("kid", "a kid with blanks"),
        foreign().header("kid", "k".repeat(129)),
        foreign().header("crit", json!(["exp"])),
        foreign().without_claim("iss"),
    ];
    for foreign in changed {
        assert_eq!(verdict(&keyring, &foreign.signed(&forging_key(9))), Verdict::NotOurs);
    }
}

#[test]
fn i10_a_kid_of_ours_never_falls_through() {
    let mut gone = manifest(vec![key(1)], &[(1000, 1)]);
    let tombstone = |name: &str, end| Tombstone {
        kid: Kid::new(name).unwrap(),
        end,
        at: UnixTime(500),
        named_until: None,
    };
    gone.tombstones = vec![tombstone("pruned", End::Retired), tombstone("stolen", End::Revoked)];
    let keyring = open(gone);
    let own = kid(1);
    let expected =
        [(own.as_str(), Reason::AlgMismatch), ("pruned", Reason::RetiredKey), ("stolen", Reason::RevokedKey)];
    for (kid, expected) in expected {
        let token = foreign().header("kid", kid).signed(&forging_key(9));
        assert_eq!(reason(&keyring, &token, 2000), expected, "{kid}");
    }
    let token = draft(1, 2000, 3000).claim("iss", OTHER).signed(&forging_key(1));
    assert_eq!(reason(&keyring, &token, 2000), Reason::WrongIssuer);
    // Where `iss` is no string at all, the kid still decides.
    let token =
        draft(1, 2000, 3000).claim("iss", json!(["openshell-gateway:openshell"])).signed(&forging_key(1));
    assert_eq!(reason(&keyring, &token, 2000), Reason::MissingClaim);
}

#[test]
fn i10_our_issuer_never_falls_through() {
    let keyring = simple();
    let ours = draft(1, 2000, 3000).header("kid", "unheard-of");
    assert_eq!(reason(&keyring, &ours.signed(&forging_key(1)), 2000), Reason::UnknownKid);
    let rs256 = ours.header("alg", "RS256").signed(&forging_key(9));
    assert_eq!(reason(&keyring, &rs256, 2000), Reason::UnknownKid);
}

#[test]
fn an_issuer_that_is_no_string_hides_nothing() {
    let keyring = simple();
    for issuer in [json!(["openshell-gateway:openshell"]), json!(7), json!(null), json!({})] {
        let token = foreign().claim("iss", issuer).signed(&forging_key(9));
        assert_eq!(reason(&keyring, &token, 2000), Reason::Malformed);
    }
}

#[test]
fn t30_no_kid_and_an_unknown_kid_try_no_key() {
    let keyring = simple();
    // Signed well, by the one key that there is.
    let none = rejected(&keyring, &draft(1, 2000, 3000).without_header("kid").signed(&forging_key(1)), 2000);
    assert_eq!((none.reason, none.signature), (Reason::MissingKid, Signature::NotChecked));
    let unknown = rejected(
        &keyring,
        &draft(1, 2000, 3000).header("kid", kid(2).as_str()).signed(&forging_key(1)),
        2000,
    );
    assert_eq!((unknown.reason, unknown.signature), (Reason::UnknownKid, Signature::NotChecked));
}

#[test]
fn t30_each_kid_selects_its_own_key_and_no_other() {
    let mut two = manifest(vec![key(1), key(2)], &[(1000, 1), (2000, 2)]);
    two.keys[0].superseded = Some(superseded(2000));
    let keyring = open(two);
    for (named, signer, good) in [(1, 1, true), (2, 2, true), (1, 2, false), (2, 1, false)] {
        let token = draft(named, 2000, 3000).signed(&forging_key(signer));
        assert_eq!(keyring.verify(token.as_bytes(), UnixTime(2100)).is_accepted(), good, "{named} {signer}");
    }
}

#[test]
fn t26_a_retired_kid_of_our_issuer_is_unauthenticated() {
    let mut old = manifest(vec![key(1), key(2)], &[(1000, 1), (5000, 2)]);
    old.keys[0].superseded = Some(superseded(5000));
    let rejection = rejected(&open(old), &token(1, 5000, 8600), 100_000);
    assert_eq!(rejection.reason, Reason::RetiredKey);
    assert_eq!(rejection.answer().grpc, keystile_token::GrpcCode::Unauthenticated);
    assert_eq!(rejection.answer().text, "signing key not accepted");
}

#[test]
fn t31_alg_mismatch_is_rejected() {
    let keyring = simple();
    // Also `Ed25519` (RFC 9864) and other spellings: one name for one algorithm.
    for alg in ["none", "None", "HS256", "RS256", "ES256", "Ed25519", "eddsa", "EDDSA", ""] {
        let rejection =
            rejected(&keyring, &draft(1, 2000, 3000).header("alg", alg).signed(&forging_key(1)), 2000);
        assert_eq!(
            (rejection.reason, rejection.signature),
            (Reason::AlgMismatch, Signature::NotChecked),
            "{alg}"
        );
        assert!(!rejection.alarm && !rejection.reread);
    }
}
