//! Minting, and what is minted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_keyring::manifest::{Lifetime, PrivateState};
use keystile_keyring::{KeyState, Manifest, UnixTime};
use keystile_token::{
    Accepted, BootstrapMethod, GrpcCode, Keyring, Lineage, MintError, Minted, Reason, SandboxGrant,
    SandboxId, inspect,
};
use serde_json::{Value, json};

use crate::common::{
    accepted, adopted, draft, forging_key, key, kid, manifest, no_digest, open, open_adopted, openshell,
    revoked, simple, superseded,
};

fn grant(now: u64) -> SandboxGrant {
    SandboxGrant::bootstrap(SandboxId::new("sandbox-1").unwrap(), BootstrapMethod::TokenFile, UnixTime(now))
}

fn mint(keyring: &Keyring, now: u64) -> Result<Minted, MintError> {
    keyring.mint(&grant(now), UnixTime(now))
}

fn accept(keyring: &Keyring, minted: &Minted, now: u64) -> Accepted {
    accepted(keyring, minted.token.expose(), now)
}

fn rotated() -> Manifest {
    let mut manifest = manifest(vec![key(1), key(2)], &[(1000, 1), (5000, 2)]);
    manifest.keys[0].superseded = Some(superseded(5000));
    manifest
}

#[test]
fn what_is_minted_is_accepted() {
    let keyring = simple();
    let minted = mint(&keyring, 5000).unwrap();
    assert_eq!((&minted.kid, minted.expires_at), (&kid(1), Some(UnixTime(8600))));
    let accepted = accept(&keyring, &minted, 5000);
    assert_eq!(accepted.claims.sandbox_id.as_str(), "sandbox-1");
    assert_eq!(
        accepted.claims.lineage,
        Lineage { began: UnixTime(5000), method: BootstrapMethod::TokenFile }
    );
    assert_eq!(accepted.state, KeyState::Active);
    accept(&keyring, &minted, 8660);
}

#[test]
fn the_token_has_openshells_members_and_one_more() {
    let minted = mint(&simple(), 5000).unwrap();
    let parts = inspect(minted.token.expose().as_bytes()).unwrap();
    assert_eq!(parts.header, json!({ "typ": "JWT", "alg": "EdDSA", "kid": kid(1).as_str() }));
    let expected = json!({
        "sub": "spiffe://openshell/sandbox/sandbox-1",
        "iss": "openshell-gateway:openshell",
        "aud": "openshell-gateway:openshell",
        "iat": 5000,
        "exp": 8600,
        "sandbox_id": "sandbox-1",
        "keystile": { "began": 5000, "method": "token-file" },
    });
    assert_eq!(parts.claims, expected);
    assert_eq!(parts.signature_bytes, 64);
    assert_eq!(parts.kid, Some(kid(1)));
}

#[test]
fn the_header_is_openshells_byte_for_byte() {
    let minted = mint(&open_adopted(adopted()), 1_795_407_622).unwrap();
    let openshell = openshell();
    let header = |token: &str| token.split('.').next().unwrap().to_owned();
    assert_eq!(header(minted.token.expose()), header(&openshell.tokens["ten_years"]));
    // The claims begin with OpenShell's, in its order.
    let claims = minted.token.expose().split('.').nth(1).unwrap().to_owned();
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
    let members = ["\"sub\"", "\"iss\"", "\"aud\"", "\"iat\"", "\"exp\"", "\"sandbox_id\"", "\"keystile\""];
    let places: Vec<_> = members.iter().map(|member| text.find(member).unwrap()).collect();
    assert!(places.is_sorted());
}

#[test]
fn ttl_0_mints_exp_0() {
    let mut forever = manifest(vec![key(1)], &[(0, 1)]);
    forever.policy.token_ttl = 0;
    forever.keys[0].never_expires = true;
    let keyring = open(forever);
    let minted = mint(&keyring, 5000).unwrap();
    assert_eq!(minted.expires_at, None);
    assert_eq!(inspect(minted.token.expose().as_bytes()).unwrap().claims["exp"], Value::from(0));
    assert_eq!(accept(&keyring, &minted, 4_000_000_000).claims.expires_at, None);
}

#[test]
fn the_active_key_signs_at_each_instant() {
    let keyring = open(rotated());
    for (now, signer) in [(1000, 1), (4999, 1), (5000, 2), (100_000, 2)] {
        assert_eq!(mint(&keyring, now).unwrap().kid, kid(signer), "{now}");
    }
}

#[test]
fn t24_a_refreshed_token_is_signed_by_the_new_key_and_keeps_its_lineage() {
    let keyring = open(rotated());
    let old = mint(&keyring, 4000).unwrap();
    assert_eq!(old.kid, kid(1));
    let seen = accept(&keyring, &old, 6000);
    assert_eq!(seen.state, KeyState::VerifyOnly);

    let fresh = keyring.mint(&SandboxGrant::refresh(&seen), UnixTime(6000)).unwrap();
    assert_eq!(fresh.kid, kid(2));
    assert_eq!(inspect(fresh.token.expose().as_bytes()).unwrap().header["kid"], Value::from(kid(2).as_str()));
    let seen = accept(&keyring, &fresh, 6000);
    assert_eq!(seen.kid, kid(2));
    assert_eq!(seen.claims.sandbox_id.as_str(), "sandbox-1");
    assert_eq!(seen.claims.lineage, Lineage { began: UnixTime(4000), method: BootstrapMethod::TokenFile });
}

#[test]
fn a_token_without_lineage_starts_one_with_its_iat() {
    let keyring = open_adopted(adopted());
    let seen = accepted(&keyring, &openshell().tokens["never_expires"], 1_795_500_000);
    let fresh = keyring.mint(&SandboxGrant::refresh(&seen), UnixTime(1_795_500_000)).unwrap();
    let lineage = accept(&keyring, &fresh, 1_795_500_000).claims.lineage;
    assert_eq!(lineage, Lineage { began: UnixTime(1_795_407_622), method: BootstrapMethod::Unknown });
}

#[test]
fn a_method_of_a_newer_version_is_unknown_and_accepted() {
    let keyring = simple();
    let token = draft(1, 2000, 3000).lineage(1500, "quantum-handshake").signed(&forging_key(1));
    let lineage = accepted(&keyring, &token, 2000).claims.lineage;
    assert_eq!(lineage, Lineage { began: UnixTime(1500), method: BootstrapMethod::Unknown });
}

#[test]
fn every_method_goes_out_and_in() {
    use BootstrapMethod::{ClientCertificate, ServiceAccount, TokenFile, Unknown};
    let keyring = simple();
    for method in [TokenFile, ClientCertificate, ServiceAccount, Unknown] {
        let grant = SandboxGrant::bootstrap(SandboxId::new("s").unwrap(), method, UnixTime(2000));
        let minted = keyring.mint(&grant, UnixTime(2000)).unwrap();
        assert_eq!(accept(&keyring, &minted, 2000).claims.lineage.method, method);
        let claims = inspect(minted.token.expose().as_bytes()).unwrap().claims;
        assert_eq!(claims["keystile"]["method"], Value::from(method.as_str()));
    }
}

#[test]
fn a_lineage_from_a_faster_clock_is_cut_to_the_tokens_iat() {
    let keyring = simple();
    let minted = keyring.mint(&grant(5020), UnixTime(5000)).unwrap();
    assert_eq!(accept(&keyring, &minted, 5000).claims.lineage.began, UnixTime(5000));
}

#[test]
fn a_lineage_may_grow_as_old_as_policy_says() {
    let mut capped = manifest(vec![key(1)], &[(1000, 1)]);
    capped.policy.max_lineage_age = Some(1000);
    let keyring = open(capped);
    assert!(keyring.mint(&grant(5000), UnixTime(6000)).is_ok());
    let error = keyring.mint(&grant(5000), UnixTime(6001)).unwrap_err();
    assert_eq!(error, MintError::LineageTooOld { age: 1001, longest: 1000 });
    // The caller is told to bootstrap again: OpenShell's supervisors do so on this code only.
    assert_eq!(error.answer().grpc, GrpcCode::Unauthenticated);
    assert!(mint(&keyring, 6001).is_ok());
}

#[test]
fn t34_without_a_signer_minting_fails_loudly() {
    let keyring = simple();
    assert_eq!(mint(&keyring, 999).unwrap_err(), MintError::NoSigner(UnixTime(999)));
    let public = Keyring::verify_only(manifest(vec![key(1)], &[(1000, 1)]), no_digest()).unwrap();
    let error = mint(&public, 2000).unwrap_err();
    assert_eq!(error, MintError::NoPrivateKey(kid(1)));
    assert_eq!(error.answer().grpc, GrpcCode::Unavailable);
    // Destroyed by the manifest's own word.
    let mut destroyed = manifest(vec![key(1)], &[(1000, 1)]);
    destroyed.keys[0].private = PrivateState::DestroyedAt(UnixTime(1500));
    assert_eq!(mint(&open(destroyed), 2000).unwrap_err(), MintError::NoPrivateKey(kid(1)));
}

#[test]
fn t34_a_token_that_we_would_refuse_is_not_minted() {
    let stillborn = |manifest: Manifest| mint(&open(manifest), 2000).unwrap_err();
    let base = || manifest(vec![key(1)], &[(1000, 1)]);
    let mut long = base();
    long.keys[0].longest_token = Lifetime::Bounded(3599);
    assert_eq!(stillborn(long), MintError::Stillborn(Reason::LifetimeExceedsPolicy));
    let mut forever = base();
    forever.policy.token_ttl = 0;
    assert_eq!(stillborn(forever), MintError::Stillborn(Reason::NeverExpiresNotAllowed));
    let mut floored = base();
    floored.lineage_floor = Some(UnixTime(2000));
    assert_eq!(stillborn(floored.clone()), MintError::Stillborn(Reason::LineageRevoked));
    assert!(mint(&open(floored), 2001).is_ok());
}

#[test]
fn c17_a_revoked_key_does_not_sign() {
    // The private part is there, and the key is revoked; its replacement signs.
    let mut restored = manifest(vec![key(1), key(2)], &[(1000, 1), (5000, 2)]);
    restored.keys[0].revoked = Some(revoked(5000));
    let keyring = open(restored);
    assert!(keyring.can_sign_with(&kid(1)));
    for now in [4980, 5000, 6000] {
        assert_eq!(mint(&keyring, now).unwrap().kid, kid(2));
    }
}

#[test]
fn sandbox_ids_are_bounded() {
    assert!(SandboxId::new("s".repeat(128)).is_ok());
    for bad in [String::new(), "s".repeat(129), "a b".to_owned(), "a\n".to_owned(), "\u{e9}".to_owned()] {
        assert!(SandboxId::new(bad).is_err());
    }
    let subject = SandboxId::from_subject("spiffe://openshell/sandbox/a").unwrap();
    assert_eq!((subject.as_str(), subject.subject().as_str()), ("a", "spiffe://openshell/sandbox/a"));
    for other in
        ["", "spiffe://openshell/sandbox/", "spiffe://other/sandbox/a", "a", "SPIFFE://openshell/sandbox/a"]
    {
        assert_eq!(SandboxId::from_subject(other), None);
    }
}
