//! The closed list of reasons: each is reached, and each has one answer. And OpenShell's table of
//! results (its sandbox authenticator at commit 2f7fb65591ee), row by row.

use std::collections::BTreeSet;

use keystile_keyring::{Manifest, UnixTime};
use keystile_token::{
    Answer, Audience, BootstrapMethod, Claim, ClaimFault, FaultKind, GrpcCode, MintError, Reason,
    SandboxGrant, SandboxId, Signature,
};
use serde_json::{Value, json};

use crate::common::{
    accepted, draft, forging_key, key, manifest, open, rejected, revoked, simple, superseded, token,
};
use crate::forger::Forger;

/// Key 1 superseded at 5000, 2 active, 3 prepared, 4 revoked.
fn fleet() -> Manifest {
    let mut all = manifest(vec![key(1), key(2), key(3), key(4)], &[(1000, 1), (5000, 2)]);
    all.keys[0].superseded = Some(superseded(5000));
    all.keys[3].revoked = Some(revoked(4000));
    all
}

fn good() -> Forger {
    draft(2, 6000, 9000)
}

fn signed(forger: &Forger) -> String {
    forger.signed(&forging_key(2))
}

/// A token for every reason that verification gives, at 6000.
fn specimens() -> Vec<(Reason, String)> {
    vec![
        (Reason::Malformed, "garbage".to_owned()),
        (Reason::TooLarge, "x".repeat(8193)),
        (Reason::ExtensionToken, signed(&good().header("typ", "openshell-ext+jwt"))),
        (Reason::WrongType, signed(&good().header("typ", "openshell-gateway-session+jwt"))),
        (Reason::MissingKid, signed(&good().without_header("kid"))),
        (Reason::UnknownKid, signed(&good().header("kid", "unheard-of"))),
        (Reason::RevokedKey, token(4, 2000, 5000)),
        (Reason::KeyNotActive, token(3, 6000, 9000)),
        (Reason::AlgMismatch, signed(&good().header("alg", "HS256"))),
        (Reason::BadSignature, good().signed(&forging_key(3))),
        (Reason::WrongIssuer, signed(&good().claim("iss", "openshell-gateway:other"))),
        (Reason::WrongAudience, signed(&good().claim("aud", "openshell-gateway:other"))),
        (Reason::MissingClaim, signed(&good().without_claim("exp"))),
        (Reason::Expired, token(2, 5000, 5939)),
        (Reason::IssuedInFuture, token(2, 6031, 9000)),
        (Reason::SignedBeforeActivation, token(2, 4000, 7000)),
        (Reason::SignedAfterSupersession, token(1, 5500, 7000)),
        (Reason::LifetimeExceedsPolicy, token(2, 6000, 9601)),
        (Reason::NeverExpiresNotAllowed, token(2, 6000, 0)),
        (Reason::LineageInvalid, signed(&good().claim("keystile", "x"))),
        (Reason::LineageRevoked, signed(&good().lineage(100, "token-file"))),
        (Reason::SubjectMismatch, signed(&good().claim("sub", "spiffe://openshell/sandbox/other"))),
    ]
}

#[test]
fn every_reason_is_reached() {
    let mut floored = fleet();
    floored.lineage_floor = Some(UnixTime(100));
    let keyring = open(floored);
    let mut reached = BTreeSet::new();
    for (expected, token) in specimens() {
        assert_eq!(rejected(&keyring, &token, 6000).reason, expected);
        reached.insert(expected);
    }
    // A retired key needs another instant; the age of a lineage is looked at when it is passed on.
    assert_eq!(rejected(&keyring, &token(1, 5000, 8600), 9100).reason, Reason::RetiredKey);
    reached.insert(Reason::RetiredKey);
    reached.insert(old_lineage());
    assert_eq!(reached.iter().collect::<Vec<_>>(), Reason::ALL.iter().collect::<Vec<_>>());
}

fn old_lineage() -> Reason {
    let mut capped = fleet();
    capped.policy.max_lineage_age = Some(1000);
    let grant =
        SandboxGrant::bootstrap(SandboxId::new("s").unwrap(), BootstrapMethod::TokenFile, UnixTime(5000));
    let error = open(capped).mint(&grant, UnixTime(6001)).unwrap_err();
    assert_eq!(error, MintError::LineageTooOld { age: 1001, longest: 1000 });
    Reason::LineageTooOld
}

#[test]
fn labels_are_distinct_kebab_case_words() {
    let labels: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(labels.len(), Reason::ALL.len());
    let kebab = |label: &str| label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    assert!(labels.iter().all(|label| kebab(label)));
    assert_eq!(Reason::LifetimeExceedsPolicy.to_string(), "lifetime-exceeds-policy");
}

#[test]
fn every_refusal_is_unauthenticated_and_tells_little() {
    for reason in Reason::ALL {
        let text = reason.text();
        let known = text.starts_with("invalid token")
            || text == "signing key not accepted"
            || text == "extension tokens cannot authenticate to the gateway"
            || text == "token lineage too old: bootstrap again";
        assert!(known, "{text}");
    }
    let mut floored = fleet();
    floored.lineage_floor = Some(UnixTime(100));
    let keyring = open(floored);
    for (reason, token) in specimens() {
        let answer = rejected(&keyring, &token, 6000).answer();
        assert_eq!((answer.grpc, answer.http), (GrpcCode::Unauthenticated, 401), "{reason}");
    }
    assert_eq!(GrpcCode::Unauthenticated as i32, 16);
    assert_eq!((Answer::UNAVAILABLE.grpc as i32, Answer::UNAVAILABLE.http), (14, 503));
    assert_eq!(Answer::NOT_OURS.text, "missing authorization header");
}

#[test]
fn alarms_are_raised_after_a_good_signature_only() {
    let mut floored = fleet();
    floored.lineage_floor = Some(UnixTime(100));
    let keyring = open(floored);
    for (reason, token) in specimens() {
        let rejection = rejected(&keyring, &token, 6000);
        assert_eq!(rejection.alarm, reason.betrays_a_thief(), "{reason}");
        assert!(!rejection.alarm || rejection.signature == Signature::Good);
        assert_eq!(
            rejection.sandbox_id.is_some(),
            rejection.signature == Signature::Good && reason != Reason::MissingClaim
        );
    }
}

#[test]
fn key_state_comes_before_the_signature_and_the_signature_before_the_claims() {
    let keyring = open(fleet());
    let bad = |forger: Forger| rejected(&keyring, &forger.signed(&forging_key(9)), 6000);
    let revoked = bad(draft(4, 2000, 3000));
    assert_eq!((revoked.reason, revoked.signature), (Reason::RevokedKey, Signature::NotChecked));
    assert_eq!(bad(good().without_claim("exp")).reason, Reason::BadSignature);
    assert_eq!(bad(good().claim("iss", "x").header("alg", "none")).reason, Reason::AlgMismatch);
    assert_eq!(bad(good().header("alg", "none").header("typ", "x")).reason, Reason::WrongType);
    let both = signed(&good().claim("iss", "x").claim("aud", "x"));
    assert_eq!(rejected(&keyring, &both, 6000).reason, Reason::WrongIssuer);
    // The key's retirement is told even if the signature is not good: it came first.
    let retired = rejected(&keyring, &draft(1, 5000, 8000).signed(&forging_key(9)), 9100);
    assert_eq!((retired.reason, retired.signature), (Reason::RetiredKey, Signature::Bad));
}

fn text(forger: &Forger, now: u64) -> String {
    rejected(&simple(), &forger.signed(&forging_key(1)), now).answer().text.into_owned()
}

#[test]
fn openshells_rows_that_are_accepted() {
    let keyring = simple();
    let sign = |forger: Forger| forger.signed(&forging_key(1));
    let row = || draft(1, 2000, 5000);
    accepted(&keyring, &sign(row()), 2000);
    accepted(&keyring, &sign(row().without_header("typ")), 2000);
    accepted(&keyring, &sign(row().claim("nbf", 4000)), 2000);
    accepted(&keyring, &sign(row()), 5055);
    let mut forever = manifest(vec![key(1)], &[(1000, 1)]);
    forever.keys[0].never_expires = true;
    accepted(&open(forever), &sign(draft(1, 2000, 0)), 2000);
}

#[test]
fn openshells_rows_where_we_are_stricter() {
    assert_eq!(text(&draft(1, 2000, 5000).header("typ", "at+jwt"), 2000), "invalid token");
    assert_eq!(text(&draft(1, 2031, 5000), 2000), "invalid token: ImmatureSignature");
    let other = draft(1, 2000, 5000).claim("sub", "spiffe://openshell/sandbox/sandbox-2");
    assert_eq!(text(&other, 2000), "invalid token: InvalidSubject");
    let nobody = draft(1, 2000, 5000).claim("sandbox_id", "").claim("sub", "spiffe://openshell/sandbox/");
    assert_eq!(text(&nobody, 2000), "invalid token: Missing required claim: sandbox_id");
    // These fall through there.
    assert_eq!(text(&draft(1, 2000, 5000).header("kid", "other"), 2000), "signing key not accepted");
    assert_eq!(text(&draft(1, 2000, 5000).without_header("kid"), 2000), "invalid token");
    assert_eq!(text(&draft(1, 2000, 5000).header("alg", "HS256"), 2000), "invalid token");
}

#[test]
fn openshells_rows_that_are_refused() {
    let row = || draft(1, 2000, 5000);
    let keyring = simple();
    let forged = rejected(&keyring, &row().signed(&forging_key(2)), 2000).answer();
    assert_eq!(forged.text, "invalid token: InvalidSignature");
    let good = row().signed(&forging_key(1));
    let (_, signature) = good.rsplit_once('.').unwrap();
    let other = row().claim("sandbox_id", "sandbox-2").signed(&forging_key(1));
    let (input, _) = other.rsplit_once('.').unwrap();
    let tampered = rejected(&keyring, &format!("{input}.{signature}"), 2000).answer();
    assert_eq!(tampered.text, "invalid token: InvalidSignature");
    assert_eq!(text(&row().claim("iss", "openshell-gateway:other"), 2000), "invalid token: InvalidIssuer");
    assert_eq!(text(&row().claim("aud", "openshell-gateway:other"), 2000), "invalid token: InvalidAudience");
    assert_eq!(text(&row(), 5070), "invalid token: ExpiredSignature");
    assert_eq!(text(&row().claim("exp", -1), 2000), "invalid token: Missing required claim: exp");
    assert_eq!(
        rejected(&keyring, &row().header("alg", "none").unsigned(), 2000).answer().text,
        "invalid token"
    );
    assert_eq!(rejected(&keyring, "garbage", 2000).answer().text, "invalid token");
    let extension = row().header("typ", "openshell-ext+jwt");
    assert_eq!(text(&extension, 2000), "extension tokens cannot authenticate to the gateway");
}

#[test]
fn openshells_rows_about_missing_and_mistyped_claims() {
    for claim in ["exp", "sandbox_id", "iss", "sub", "aud", "iat"] {
        let expected = format!("invalid token: JSON error: missing field `{claim}`");
        assert_eq!(text(&draft(1, 2000, 5000).without_claim(claim), 2000), expected);
    }
    let mistyped: [(&str, Value); 7] = [
        ("aud", json!(["openshell-gateway:openshell"])),
        ("exp", json!(5000.0)),
        ("exp", json!("5000")),
        ("exp", json!(18_446_744_073_709_551_615_u64)),
        ("iat", json!(2000.5)),
        ("sandbox_id", json!(7)),
        ("sub", json!(null)),
    ];
    for (claim, value) in mistyped {
        let expected = format!("invalid token: JSON error: invalid type of `{claim}`");
        assert_eq!(text(&draft(1, 2000, 5000).claim(claim, value), 2000), expected);
    }
}

#[test]
fn a_claim_out_of_its_range_is_named() {
    let keyring = simple();
    let cases: [(&str, Value, Claim); 5] = [
        ("exp", json!(-5000), Claim::Exp),
        ("iat", json!(-1), Claim::Iat),
        ("sandbox_id", json!("s".repeat(129)), Claim::SandboxId),
        ("sandbox_id", json!("a b"), Claim::SandboxId),
        ("sandbox_id", json!("caf\u{e9}"), Claim::SandboxId),
    ];
    for (name, value, claim) in cases {
        let token = draft(1, 2000, 5000).claim(name, value).signed(&forging_key(1));
        let fault = rejected(&keyring, &token, 2000).fault;
        assert_eq!(fault, Some(ClaimFault { claim, kind: FaultKind::OutOfRange }));
    }
    let longest = Forger::sandbox(&crate::common::private_key(1), &"s".repeat(128), 2000, 5000);
    accepted(&keyring, &longest.signed(&forging_key(1)), 2000);
    assert!(Audience::new("").is_err());
}
