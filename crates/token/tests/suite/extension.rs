//! Extension tokens, and that neither kind passes as the other (T29).

use keystile_keyring::manifest::Lifetime;
use keystile_keyring::{KeyState, Manifest, UnixTime};
use keystile_system::{Entropy, EntropyError, SystemEntropy};
use keystile_token::{
    Accepted, Audience, Caller, ExtensionClaims, ExtensionError, ExtensionGrant, ExtensionKind, GrpcCode,
    Keyring, MintError, Minted, Reason, Rejection, SandboxId, Verdict, inspect,
};
use serde_json::{Value, json};

use crate::common::{
    Repeat, draft, forging_key, key, kid, manifest, open, private_key, reason, revoked, simple, superseded,
    token,
};
use crate::forger::Forger;

const SERVICE: &str = "urn:openshell:extension:middleware:audit";

fn audience() -> Audience {
    Audience::new(SERVICE).unwrap()
}

fn grant(caller: Caller, ttl: u64) -> ExtensionGrant {
    ExtensionGrant { audience: audience(), caller, ttl }
}

fn supervisor() -> Caller {
    Caller::Supervisor(SandboxId::new("sandbox-1").unwrap())
}

fn mint(keyring: &Keyring, caller: Caller, ttl: u64) -> Result<Minted, MintError> {
    keyring.mint_extension(&grant(caller, ttl), UnixTime(2000), &SystemEntropy)
}

fn verify(keyring: &Keyring, token: &str, now: u64) -> Verdict<ExtensionClaims> {
    keyring.verify_extension(token.as_bytes(), &audience(), UnixTime(now))
}

#[track_caller]
fn accepted(keyring: &Keyring, token: &str, now: u64) -> Accepted<ExtensionClaims> {
    match verify(keyring, token, now) {
        Verdict::Accepted(accepted) => accepted,
        other => panic!("expected an accepted token, found {other:?}"),
    }
}

#[track_caller]
fn rejected(keyring: &Keyring, token: &str, now: u64) -> Rejection {
    match verify(keyring, token, now) {
        Verdict::Rejected(rejection) => rejection,
        other => panic!("expected a rejected token, found {other:?}"),
    }
}

fn forged(iat: u64, exp: u64) -> Forger {
    Forger::extension(&private_key(1), SERVICE, "sandbox-1", iat, exp)
}

fn why(forger: &Forger) -> Reason {
    rejected(&simple(), &forger.signed(&forging_key(1)), 2000).reason
}

#[test]
fn a_supervisors_token_has_the_claims_of_the_contract() {
    let keyring = simple();
    let minted = mint(&keyring, supervisor(), 900).unwrap();
    assert_eq!((minted.expires_at, &minted.kid), (Some(UnixTime(2900)), &kid(1)));
    let parts = inspect(minted.token.expose().as_bytes()).unwrap();
    assert_eq!(parts.header, json!({ "typ": "openshell-ext+jwt", "alg": "EdDSA", "kid": kid(1).as_str() }));
    let jti = parts.claims["jti"].as_str().unwrap().to_owned();
    let expected = json!({
        "iss": "openshell-gateway:openshell", "aud": SERVICE, "sub": "spiffe://openshell/sandbox/sandbox-1",
        "iat": 2000, "exp": 2900, "jti": jti, "caller_kind": "supervisor", "sandbox_id": "sandbox-1",
    });
    assert_eq!(parts.claims, expected);
    let seen = accepted(&keyring, minted.token.expose(), 2000);
    assert_eq!(seen.claims.caller, supervisor());
    assert_eq!((seen.claims.expires_at, seen.claims.token_id), (UnixTime(2900), jti));
    assert_eq!(seen.state, KeyState::Active);
}

#[test]
fn a_gateways_token_names_no_sandbox() {
    let keyring = simple();
    let minted = mint(&keyring, Caller::Gateway, 3600).unwrap();
    let claims = inspect(minted.token.expose().as_bytes()).unwrap().claims;
    assert_eq!(claims["sub"], claims["iss"]);
    assert_eq!(claims["caller_kind"], Value::from("gateway"));
    assert!(claims.get("sandbox_id").is_none());
    assert_eq!(accepted(&keyring, minted.token.expose(), 2000).claims.caller, Caller::Gateway);
}

#[test]
fn token_ids_are_random_uuids_of_version_4() {
    let jti = |entropy: &dyn Entropy| {
        let minted = simple().mint_extension(&grant(Caller::Gateway, 60), UnixTime(2000), entropy).unwrap();
        inspect(minted.token.expose().as_bytes()).unwrap().claims["jti"].as_str().unwrap().to_owned()
    };
    assert_eq!(jti(&Repeat(0)), "00000000-0000-4000-8000-000000000000");
    assert_eq!(jti(&Repeat(0xff)), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    assert_ne!(jti(&SystemEntropy), jti(&SystemEntropy));
}

#[test]
fn the_rules_of_minting_have_the_contracts_texts() {
    let keyring = simple();
    let own =
        ExtensionGrant { audience: Audience::new(keyring.issuer()).unwrap(), ..grant(supervisor(), 60) };
    let error = keyring.mint_extension(&own, UnixTime(2000), &SystemEntropy).unwrap_err();
    assert_eq!(error.to_string(), "extension audience must not equal the gateway sandbox audience");
    assert_eq!((error.answer().grpc, error.answer().http), (GrpcCode::InvalidArgument, 400));
    assert_eq!(GrpcCode::InvalidArgument as i32, 3);
    for ttl in [0, 3601, u64::MAX] {
        let error = mint(&keyring, supervisor(), ttl).unwrap_err();
        assert_eq!(error.to_string(), "extension token TTL must be between 1 and 3600 seconds");
        assert_eq!(error.answer().text, error.to_string());
    }
    assert!(mint(&keyring, supervisor(), 1).is_ok());
    for bad in ["", " ", " a", "a ", "a\nb", "a\u{0}", "a\u{7f}", "\u{85}a", &"a".repeat(257)] {
        assert!(Audience::new(bad).is_err(), "{bad:?}");
    }
    assert!(Audience::new("a".repeat(256)).is_ok());
}

#[test]
fn default_audiences_name_the_service() {
    let name = |kind| Audience::of_service(kind, "audit").unwrap().as_str().to_owned();
    assert_eq!(name(ExtensionKind::Middleware), SERVICE);
    assert_eq!(name(ExtensionKind::Interceptor), "urn:openshell:extension:interceptor:audit");
}

#[test]
fn the_lifetime_follows_policy() {
    let ttl = |token_ttl| {
        let mut manifest = manifest(vec![key(1)], &[(1000, 1)]);
        manifest.policy.token_ttl = token_ttl;
        open(manifest).extension_ttl()
    };
    assert_eq!([ttl(0), ttl(60), ttl(3600), ttl(86_400)], [900, 60, 3600, 3600]);
}

#[test]
fn a_token_never_outlives_the_window_of_its_key() {
    let mut short = manifest(vec![key(1)], &[(1000, 1)]);
    short.policy.token_ttl = 60;
    short.keys[0].longest_token = Lifetime::Bounded(60);
    let keyring = open(short);
    assert!(mint(&keyring, supervisor(), 60).is_ok());
    let error = mint(&keyring, supervisor(), 61).unwrap_err();
    assert_eq!(error, MintError::Extension(ExtensionError::OutlivesKey { longest: 60 }));
}

#[test]
fn a_key_that_signs_for_ever_signs_extension_tokens_too() {
    let mut forever = manifest(vec![key(1)], &[(1000, 1)]);
    forever.policy.token_ttl = 0;
    forever.keys[0].never_expires = true;
    forever.keys[0].longest_token = Lifetime::Bounded(0);
    let keyring = open(forever);
    let minted = mint(&keyring, supervisor(), keyring.extension_ttl()).unwrap();
    accepted(&keyring, minted.token.expose(), 2000);
}

/// A key that signs tokens without an end: every other bound holds for its tokens that have one, of either kind.
#[test]
fn a_key_that_signs_for_ever_is_excused_a_lifetime_and_nothing_else() {
    let mut forever = manifest(vec![key(1), key(2)], &[(1000, 1), (5000, 2)]);
    forever.keys[0].never_expires = true;
    forever.keys[0].longest_token = Lifetime::Bounded(0);
    forever.keys[0].superseded = Some(superseded(5000));
    let keyring = open(forever);
    let extension =
        |iat, now| rejected(&keyring, &forged(iat, iat + 900).signed(&forging_key(1)), now).reason;
    accepted(&keyring, &forged(4000, 4900).signed(&forging_key(1)), 4960);
    assert_eq!(extension(4000, 4961), Reason::Expired);
    assert_eq!(extension(6000, 5900), Reason::IssuedInFuture);
    assert_eq!(extension(900, 1000), Reason::SignedBeforeActivation);
    assert_eq!(extension(5391, 5400), Reason::SignedAfterSupersession);
    let sandbox = |iat, now| reason(&keyring, &token(1, iat, iat + 900), now);
    assert_eq!(sandbox(4000, 4100), Reason::LifetimeExceedsPolicy, "it signed none that ends");
    assert_eq!(sandbox(4000, 4961), Reason::Expired);
    assert_eq!(sandbox(6000, 5900), Reason::IssuedInFuture);
}

#[test]
fn a_rejection_names_the_sandbox_of_a_well_signed_token() {
    let of = |forger: &Forger, signer: u8| {
        rejected(&simple(), &forger.signed(&forging_key(signer)), 3061).sandbox_id.map(|id| id.to_string())
    };
    assert_eq!(of(&forged(2000, 3000), 1).as_deref(), Some("sandbox-1"));
    assert_eq!(of(&forged(2000, 3000), 2), None, "anybody can write that");
    let gateway = forged(2000, 3000)
        .claim("caller_kind", "gateway")
        .claim("sub", "openshell-gateway:openshell")
        .without_claim("sandbox_id");
    assert_eq!(of(&gateway, 1), None);
}

#[test]
fn t34_no_key_and_no_randomness_are_no_token() {
    struct Dry;
    impl Entropy for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
            Err(EntropyError)
        }
    }
    let keyring = simple();
    let at = |now| keyring.mint_extension(&grant(supervisor(), 60), UnixTime(now), &SystemEntropy);
    assert_eq!(at(999).unwrap_err(), MintError::NoSigner(UnixTime(999)));
    let error = keyring.mint_extension(&grant(supervisor(), 60), UnixTime(2000), &Dry).unwrap_err();
    assert_eq!(error, MintError::Extension(ExtensionError::Entropy));
}

#[test]
fn t34_a_token_that_we_would_refuse_is_not_minted() {
    let mut floored = manifest(vec![key(1)], &[(1000, 1)]);
    floored.lineage_floor = Some(UnixTime(2000));
    let error = mint(&open(floored), supervisor(), 60).unwrap_err();
    assert_eq!(error, MintError::Stillborn(Reason::LineageRevoked));
}

#[test]
fn t29_neither_kind_passes_as_the_other() {
    let keyring = simple();
    let extension = mint(&keyring, supervisor(), 900).unwrap();
    assert_eq!(reason(&keyring, extension.token.expose(), 2000), Reason::ExtensionToken);
    assert_eq!(rejected(&keyring, &token(1, 2000, 3000), 2000).reason, Reason::WrongType);
    // Nor with the claims of the one under the `typ` of the other, whatever its audience.
    let issuer = "openshell-gateway:openshell";
    let as_sandbox = forged(2000, 3000).header("typ", "JWT").claim("aud", SERVICE).signed(&forging_key(1));
    assert_eq!(reason(&keyring, &as_sandbox, 2000), Reason::WrongAudience);
    let as_extension = draft(1, 2000, 3000).header("typ", "openshell-ext+jwt").signed(&forging_key(1));
    assert_eq!(rejected(&keyring, &as_extension, 2000).reason, Reason::MissingClaim);
    let own = Audience::new(issuer).unwrap();
    let verdict = keyring.verify_extension(token(1, 2000, 3000).as_bytes(), &own, UnixTime(2000));
    assert_eq!(verdict.reason(), Some(Reason::WrongType));
    for typ in ["jwt", "JWT", "openshell-ext+JWT", "application/openshell-ext+jwt", "OPENSHELL-EXT+JWT"] {
        assert_eq!(why(&forged(2000, 3000).header("typ", typ)), Reason::WrongType);
        let sandbox = draft(1, 2000, 3000).header("typ", typ).signed(&forging_key(1));
        assert_eq!(keyring.verify(sandbox.as_bytes(), UnixTime(2000)).is_accepted(), typ == "JWT");
    }
    assert_eq!(why(&forged(2000, 3000).without_header("typ")), Reason::WrongType);
}

#[test]
fn t29_an_extension_token_of_anybody_reaches_no_other_authenticator() {
    let stranger = forged(2000, 3000).header("kid", "other").claim("iss", "openshell-gateway:other");
    assert_eq!(reason(&simple(), &stranger.signed(&forging_key(9)), 2000), Reason::ExtensionToken);
}

#[test]
fn the_signature_the_issuer_and_the_audience_are_exact() {
    assert_eq!(
        rejected(&simple(), &forged(2000, 3000).signed(&forging_key(2)), 2000).reason,
        Reason::BadSignature
    );
    assert_eq!(why(&forged(2000, 3000).header("alg", "HS256")), Reason::AlgMismatch);
    assert_eq!(why(&forged(2000, 3000).claim("iss", "openshell-gateway:other")), Reason::WrongIssuer);
    assert_eq!(why(&forged(2000, 3000).claim("aud", format!("{SERVICE}2"))), Reason::WrongAudience);
    assert_eq!(why(&forged(2000, 3000).claim("aud", json!([SERVICE]))), Reason::MissingClaim);
    assert_eq!(why(&forged(2000, 3000).header("kid", "other")), Reason::UnknownKid);
    assert_eq!(why(&forged(2000, 3000).header("kid", "other").claim("iss", "x")), Reason::WrongIssuer);
    assert_eq!(why(&forged(2000, 3000).without_header("kid")), Reason::MissingKid);
    assert_eq!(why(&forged(2000, 3000).header("kid", "a b")), Reason::Malformed);
    assert_eq!(why(&forged(2000, 3000).header("crit", json!(["exp"]))), Reason::Malformed);
}

#[test]
fn exp_is_positive_and_bounded() {
    let keyring = simple();
    for exp in [json!(0), json!(-1), json!("3000"), json!(null)] {
        assert_eq!(why(&forged(2000, 3000).claim("exp", exp)), Reason::MissingClaim);
    }
    let edge = forged(2000, 3000).signed(&forging_key(1));
    accepted(&keyring, &edge, 3060);
    assert_eq!(rejected(&keyring, &edge, 3061).reason, Reason::Expired);
    // Also from a key of unknown past, an hour is the longest.
    let mut unbounded = manifest(vec![key(1)], &[(0, 1)]);
    unbounded.keys[0].longest_token = Lifetime::Unbounded;
    let keyring = open(unbounded);
    accepted(&keyring, &forged(2000, 5600).signed(&forging_key(1)), 2000);
    let long = rejected(&keyring, &forged(2000, 5601).signed(&forging_key(1)), 2000);
    assert_eq!((long.reason, long.reread, long.alarm), (Reason::LifetimeExceedsPolicy, false, true));
}

#[test]
fn caller_subject_and_sandbox_agree() {
    let gateway = || {
        forged(2000, 3000)
            .claim("caller_kind", "gateway")
            .claim("sub", "openshell-gateway:openshell")
            .without_claim("sandbox_id")
    };
    accepted(&simple(), &gateway().signed(&forging_key(1)), 2000);
    let disagree = [
        gateway().claim("sandbox_id", "sandbox-1"),
        gateway().claim("sub", "spiffe://openshell/sandbox/sandbox-1"),
        gateway().claim("caller_kind", "supervisor"),
        gateway().claim("caller_kind", "operator"),
        forged(2000, 3000).without_claim("sandbox_id"),
        forged(2000, 3000).claim("sub", "spiffe://openshell/sandbox/sandbox-2"),
        forged(2000, 3000).claim("sub", "openshell-gateway:openshell"),
    ];
    for forger in disagree {
        assert_eq!(why(&forger), Reason::SubjectMismatch);
    }
    for claim in ["iss", "aud", "sub", "iat", "exp", "jti", "caller_kind"] {
        assert_eq!(why(&forged(2000, 3000).without_claim(claim)), Reason::MissingClaim, "{claim}");
    }
    assert_eq!(why(&forged(2000, 3000).claim("sandbox_id", "")), Reason::MissingClaim);
}

#[test]
fn the_key_rules_are_those_of_sandbox_tokens() {
    let mut fleet: Manifest = manifest(vec![key(1), key(2), key(3), key(4)], &[(1000, 1), (5000, 2)]);
    fleet.keys[0].superseded = Some(superseded(5000));
    fleet.keys[3].revoked = Some(revoked(4000));
    fleet.lineage_floor = Some(UnixTime(1500));
    let keyring = open(fleet);
    let of = |seed: u8, iat: u64| {
        Forger::extension(&private_key(seed), SERVICE, "sandbox-1", iat, iat + 900).signed(&forging_key(seed))
    };
    assert_eq!(accepted(&keyring, &of(1, 5390), 6000).state, KeyState::VerifyOnly);
    let expected = [
        (of(1, 5391), 6000, Reason::SignedAfterSupersession),
        (of(1, 5000), 9051, Reason::RetiredKey),
        (of(2, 4969), 5000, Reason::SignedBeforeActivation),
        (of(3, 6000), 6000, Reason::KeyNotActive),
        (of(4, 3000), 3000, Reason::RevokedKey),
        (of(2, 6031), 6000, Reason::IssuedInFuture),
        (of(1, 1500), 2000, Reason::LineageRevoked),
    ];
    for (token, now, expected) in expected {
        assert_eq!(rejected(&keyring, &token, now).reason, expected);
    }
}
