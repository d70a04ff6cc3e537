//! `jsonwebtoken`, configured as OpenShell configures it, as an oracle: what we accept, it accepts, and
//! with the same claims; what is honestly made by it, we accept. Where only one of us accepts, it is
//! meant: `deliberately_stricter` and `deliberately_laxer` say where and why.
//!
//! The oracle does not judge time (it reads the system's clock); the rules on time are stated here a
//! second time, for the one keyring of these tests: active from 1000 on, an hour at most.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use keystile_keyring::UnixTime;
use keystile_token::{Accepted, Keyring, Reason, Verdict, inspect, public_key_to_pem};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::common::{draft, forging_key, kid, private_key, simple};
use crate::forger::{Forger, sign_raw};

const NOW: u64 = 10_000;
const ISSUER: &str = "openshell-gateway:openshell";

/// OpenShell's own claims.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SandboxClaims {
    sub: String,
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    sandbox_id: String,
}

/// What OpenShell's sandbox authenticator does with a token of the key, time aside.
fn oracle(token: &str) -> Option<SandboxClaims> {
    let pem = public_key_to_pem(&private_key(1).public_key());
    let key = DecodingKey::from_ed_pem(pem.as_bytes()).unwrap();
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.validate_exp = false;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    decode::<SandboxClaims>(token, &key, &validation).ok().map(|data| data.claims)
}

/// The rules on time, stated again.
fn in_time(claims: &SandboxClaims) -> bool {
    let now = i64::try_from(NOW).unwrap();
    claims.exp != 0
        && claims.exp >= now - 60
        && claims.iat <= now + 30
        && claims.iat >= 1000 - 30
        && claims.exp.saturating_sub(claims.iat) <= 3600
}

/// Reasons for which we refuse what the oracle accepts.
///
/// * `typ`: OpenShell looks for the extension `typ` only.
/// * kid: the oracle has one key and no choice; OpenShell compares the kid before it.
/// * Malformed: duplicate members that no field of the oracle's is named after, `crit`, `b64`, limits,
///   base64url with trailing bits, a kid that no key can have.
/// * A sandbox id that is empty, too long or not visible ASCII; a negative `iat`.
/// * `sub` that names another sandbox, and the lineage that only Keystile has.
fn deliberately_stricter(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ExtensionToken
            | Reason::WrongType
            | Reason::MissingKid
            | Reason::UnknownKid
            | Reason::Malformed
            | Reason::MissingClaim
            | Reason::SubjectMismatch
            | Reason::LineageInvalid
    )
}

/// What we ignore, as RFC 7515 section 4 and RFC 7519 section 4 want it, and the oracle has a type for:
/// further members of the header, and `nbf`, which OpenShell does not use.
fn deliberately_laxer(token: &str) -> bool {
    let parts = inspect(token.as_bytes()).unwrap();
    let header = parts.header.as_object().unwrap();
    header.keys().any(|name| !matches!(name.as_str(), "typ" | "alg" | "kid"))
        || parts.claims.get("nbf").is_some()
}

pub(crate) fn agree(keyring: &Keyring, token: &str) -> Result<(), TestCaseError> {
    let verdict = keyring.verify(token.as_bytes(), UnixTime(NOW));
    let theirs = oracle(token);
    match (verdict, theirs) {
        (Verdict::Accepted(ours), Some(theirs)) => {
            prop_assert!(in_time(&theirs), "accepted outside its time: {theirs:?}");
            same(&ours, &theirs)?;
        }
        (Verdict::Accepted(ours), None) => prop_assert!(deliberately_laxer(token), "only we accept {ours:?}"),
        (Verdict::Rejected(rejection), Some(theirs)) if in_time(&theirs) => {
            prop_assert!(deliberately_stricter(rejection.reason), "only we refuse: {rejection:?} {theirs:?}");
        }
        (Verdict::NotOurs, Some(theirs)) => prop_assert!(false, "theirs to accept, not ours: {theirs:?}"),
        (Verdict::Unavailable(_), _) => prop_assert!(false, "nothing was unreadable"),
        (Verdict::Rejected(_) | Verdict::NotOurs, _) => {}
    }
    Ok(())
}

fn same(ours: &Accepted, theirs: &SandboxClaims) -> Result<(), TestCaseError> {
    prop_assert_eq!(ours.claims.sandbox_id.as_str(), &theirs.sandbox_id);
    prop_assert_eq!(i64::try_from(ours.claims.issued_at.0).unwrap(), theirs.iat);
    let exp = ours.claims.expires_at.map_or(0, |exp| i64::try_from(exp.0).unwrap());
    prop_assert_eq!(exp, theirs.exp);
    prop_assert_eq!(&ours.claims.sandbox_id.subject(), &theirs.sub);
    prop_assert_eq!(&theirs.iss, ISSUER);
    prop_assert_eq!(&theirs.aud, ISSUER);
    Ok(())
}

/// A token that `jsonwebtoken` signs for an honest gateway.
fn honest(claims: &impl Serialize) -> String {
    let key = EncodingKey::from_ed_pem(private_key(1).to_pem().as_bytes()).unwrap();
    let header = Header { kid: Some(kid(1).to_string()), ..Header::new(Algorithm::EdDSA) };
    encode(&header, claims, &key).unwrap()
}

fn sandbox_id() -> impl Strategy<Value = String> {
    prop_oneof!["[!-~]{1,128}", "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}"]
}

/// Values that a claim could be given.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (5000_i64..15_000).prop_map(Value::from),
        prop_oneof![Just(0_i64), Just(-1), Just(9940), Just(9939), Just(10_030), Just(10_031), Just(13_600)]
            .prop_map(Value::from),
        (5000.0..15_000.0).prop_map(|number: f64| Value::from(number)),
        "\\PC{0,8}".prop_map(Value::from),
        Just(json!(ISSUER)),
        Just(json!([ISSUER])),
        Just(json!("openshell-gateway:other")),
        Just(json!("sandbox-1")),
        Just(json!("spiffe://openshell/sandbox/sandbox-1")),
        Just(json!({ "began": 9000, "method": "token-file" })),
        Just(json!({ "began": 9001, "method": "token-file" })),
        Just(json!({ "began": -1, "method": "token-file" })),
        Just(json!({ "began": 1, "method": 1 })),
    ]
}

fn claim_name() -> impl Strategy<Value = String> {
    let known = ["sub", "iss", "aud", "iat", "exp", "sandbox_id", "keystile", "nbf", "jti", "unknown"];
    prop::sample::select(known.to_vec()).prop_map(str::to_owned)
}

/// Members that the header could be given.
fn header_member() -> impl Strategy<Value = (String, Value)> {
    let member = |name: &str, value: Value| Just((name.to_owned(), value));
    prop_oneof![
        member("alg", json!("EdDSA")),
        member("alg", json!("HS256")),
        member("alg", json!("none")),
        member("alg", json!("RS256")),
        member("typ", json!("JWT")),
        member("typ", json!("at+jwt")),
        member("typ", json!("openshell-ext+jwt")),
        member("kid", json!("unheard-of")),
        member("kid", json!("")),
        member("kid", json!(7)),
        member("crit", json!(["exp"])),
        member("b64", json!("true")),
        member("jku", json!("https://evil.example")),
        member("cty", json!("JWT")),
        member("extra", json!("text")),
    ]
}

#[derive(Clone, Debug)]
enum Change {
    Claim(String, Value),
    WithoutClaim(String),
    Header(String, Value),
    WithoutHeader(String),
}

fn change() -> impl Strategy<Value = Change> {
    let header = prop::sample::select(vec!["alg", "typ", "kid"]);
    prop_oneof![
        4 => (claim_name(), value()).prop_map(|(name, value)| Change::Claim(name, value)),
        1 => claim_name().prop_map(Change::WithoutClaim),
        2 => header_member().prop_map(|(name, value)| Change::Header(name, value)),
        1 => header.prop_map(|name| Change::WithoutHeader(name.to_owned())),
    ]
}

fn apply(forger: Forger, change: Change) -> Forger {
    match change {
        Change::Claim(name, value) => forger.claim(&name, value),
        Change::WithoutClaim(name) => forger.without_claim(&name),
        Change::Header(name, value) => forger.header(&name, value),
        Change::WithoutHeader(name) => forger.without_header(&name),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn honest_tokens_are_accepted_by_both(sandbox_id in sandbox_id(), age in 0_u64..3600, life in 1_u64..=3600) {
        let (iat, exp) = (NOW - age, NOW - age + life);
        let claims = json!({
            "sub": format!("spiffe://openshell/sandbox/{sandbox_id}"), "iss": ISSUER, "aud": ISSUER,
            "iat": iat, "exp": exp, "sandbox_id": sandbox_id, "unknown": [1, { "a": null }],
        });
        let token = honest(&claims);
        prop_assert!(oracle(&token).is_some());
        let verdict = simple().verify(token.as_bytes(), UnixTime(NOW));
        prop_assert_eq!(verdict.is_accepted(), exp + 60 >= NOW, "{:?}", verdict);
        agree(&simple(), &token)?;
    }

    #[test]
    fn what_we_mint_openshell_accepts(sandbox_id in sandbox_id(), ttl in 1_u64..=3600) {
        let mut manifest = crate::common::manifest(vec![crate::common::key(1)], &[(1000, 1)]);
        manifest.policy.token_ttl = ttl;
        let keyring = crate::common::open(manifest);
        let grant = keystile_token::SandboxGrant::bootstrap(
            keystile_token::SandboxId::new(sandbox_id.clone()).unwrap(),
            keystile_token::BootstrapMethod::ServiceAccount,
            UnixTime(NOW),
        );
        let minted = keyring.mint(&grant, UnixTime(NOW)).unwrap();
        let claims = oracle(minted.token.expose()).expect("OpenShell accepts it");
        prop_assert_eq!(claims.sandbox_id, sandbox_id);
        prop_assert_eq!(claims.exp - claims.iat, i64::try_from(ttl).unwrap());
        agree(&keyring, minted.token.expose())?;
    }

    #[test]
    fn changed_and_signed_tokens_get_one_verdict(changes in prop::collection::vec(change(), 1..4), thief in prop::bool::weighted(0.1)) {
        let forger = changes.into_iter().fold(draft(1, 9000, 12_000), apply);
        let token = forger.signed(&forging_key(if thief { 2 } else { 1 }));
        agree(&simple(), &token)?;
    }

    #[test]
    fn texts_changed_under_a_good_signature_get_one_verdict(
        in_header in any::<bool>(),
        at in any::<prop::sample::Index>(),
        insert in prop_oneof![
            Just("\"exp\":12000,".to_owned()), Just("\"unknown\":1,".to_owned()), Just("\"alg\":\"EdDSA\",".to_owned()),
            Just(",".to_owned()), Just(" ".to_owned()), Just("\\u0061".to_owned()), Just("0".to_owned()),
            Just("\u{0}".to_owned()), "[ -~]{1,3}",
        ],
    ) {
        let forger = draft(1, 9000, 12_000).claim("unknown", 7);
        let (mut header, mut claims) = (forger.header_json(), forger.claims_json());
        let text = if in_header { &mut header } else { &mut claims };
        let at = at.index(text.len());
        text.insert_str(at, &insert);
        agree(&simple(), &sign_raw(&header, &claims, &forging_key(1)))?;
    }

    #[test]
    fn bytes_changed_after_signing_get_one_verdict(at in any::<prop::sample::Index>(), byte in "[A-Za-z0-9_.=+/-]") {
        let mut token = draft(1, 9000, 12_000).signed(&forging_key(1));
        let at = at.index(token.len());
        token.replace_range(at..=at, &byte);
        agree(&simple(), &token)?;
    }
}

#[test]
fn the_oracle_works() {
    let good = draft(1, 9000, 12_000).signed(&forging_key(1));
    assert!(oracle(&good).is_some_and(|claims| in_time(&claims)));
    assert!(oracle(&draft(1, 9000, 12_000).signed(&forging_key(2))).is_none());
    assert!(oracle(&draft(1, 9000, 12_000).claim("aud", "x").signed(&forging_key(1))).is_none());
}
