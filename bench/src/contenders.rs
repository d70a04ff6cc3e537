//! Who is measured: Keystile, the JWT libraries that a gateway would use instead, and signatures alone.

use std::error::Error;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, Verifier as _};
use jsonwebtoken as jwt;
use jwt_compact::AlgorithmExt as _;
use jwt_compact::alg::VerifyingKey as _;
use jwt_simple::algorithms::EdDSAPublicKeyLike as _;
use keystile_keyring::UnixTime;
use keystile_token::{Circumstance, Keyring, Remembered, SandboxGrant};
use serde::{Deserialize, Serialize};

use crate::fixture::{LIFETIME, NOW, private_key, seed};
use crate::measure::Contender;

/// The names that the report looks up.
pub const KEYSTILE: &str = "Keystile";
/// OpenShell's library, called as OpenShell calls it.
pub const JSONWEBTOKEN: &str = "jsonwebtoken (aws-lc-rs)";
/// The signature alone, by the library that Keystile uses.
pub const RAW: &str = "aws-lc-rs: the signature alone";

/// The claims as OpenShell declares them.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: String,
    iss: String,
    aud: String,
    iat: i64,
    exp: i64,
    sandbox_id: String,
}

/// The claims that `jwt-compact` and `jwt-simple` do not know themselves.
#[derive(Debug, Serialize, Deserialize)]
struct Custom {
    sandbox_id: String,
}

/// The parts of one token that raw signatures need.
struct Parts<'t> {
    input: &'t [u8],
    signature: [u8; 64],
}

fn parts(token: &str) -> Result<Parts<'_>, Box<dyn Error>> {
    let (input, signature) = token.rsplit_once('.').ok_or("a token has three segments")?;
    let signature = URL_SAFE_NO_PAD.decode(signature)?.try_into().map_err(|_| "a signature has 64 bytes")?;
    Ok(Parts { input: input.as_bytes(), signature })
}

fn pair() -> Result<Ed25519KeyPair, Box<dyn Error>> {
    Ok(Ed25519KeyPair::from_seed_unchecked(&seed(0)).map_err(|_| "a seed is a key")?)
}

fn public_key() -> Result<[u8; 32], Box<dyn Error>> {
    Ok(pair()?.public_key().as_ref().try_into()?)
}

/// Keystile verifies `token`, never having seen it.
pub fn first_seen<'a>(name: &str, keyring: &'a Keyring, token: &'a str) -> Contender<'a> {
    Contender::new(name, move || keyring.verify(token.as_bytes(), NOW).is_accepted())
}

/// Keystile verifies `tokens` in turn, having seen them all.
pub fn remembered<'a>(
    name: &str,
    keyring: &'a Keyring,
    tokens: &'a [String],
    memory: &'a Remembered,
) -> Contender<'a> {
    let mut turn = tokens.iter().cycle();
    Contender::new(name, move || turn.next().is_some_and(|token| recalls(keyring, token, memory)))
}

/// Whether a token is good, by the memory if it is there.
pub fn recalls(keyring: &Keyring, token: &str, memory: &Remembered) -> bool {
    keyring.verify_remembering(token.as_bytes(), NOW, Circumstance::Usual, memory).is_accepted()
}

/// Keystile refuses `token` at `now`.
pub fn refused<'a>(name: &str, keyring: &'a Keyring, token: &'a str, now: UnixTime) -> Contender<'a> {
    Contender::new(name, move || !keyring.verify(token.as_bytes(), now).is_accepted())
}

/// The peers that verify a whole token. Each has its key parsed once.
pub fn peers_verify<'a>(keyring: &Keyring, token: &'a str) -> Result<Vec<Contender<'a>>, Box<dyn Error>> {
    let raw = public_key()?;
    // Two calls, as OpenShell's gateway makes them: the header decides what is to be done with the token.
    let key = jwt::DecodingKey::from_ed_der(&raw);
    let mut validation = jwt::Validation::new(jwt::Algorithm::EdDSA);
    validation.set_issuer(&[keyring.issuer()]);
    validation.set_audience(&[keyring.issuer()]);
    validation.validate_exp = false;
    let jsonwebtoken = Contender::new(JSONWEBTOKEN, move || {
        let header = jwt::decode_header(token).is_ok_and(|header| header.kid.is_some());
        header
            && jwt::decode::<Claims>(token, &key, &validation)
                .is_ok_and(|token| NOW.0 < token.claims.exp.unsigned_abs())
    });
    let key = <jwt_compact::alg::Ed25519 as jwt_compact::Algorithm>::VerifyingKey::from_slice(&raw)
        .map_err(|error| error.to_string())?;
    let compact = Contender::new("jwt-compact (dalek)", move || {
        let validator = jwt_compact::alg::Ed25519.validator::<Custom>(&key);
        let untrusted = jwt_compact::UntrustedToken::new(token);
        untrusted.is_ok_and(|untrusted| validator.validate(&untrusted).is_ok())
    });
    let key =
        jwt_simple::algorithms::Ed25519PublicKey::from_bytes(&raw).map_err(|error| error.to_string())?;
    let simple = Contender::new("jwt-simple (ed25519-compact)", move || {
        let artificial_time = Some(jwt_simple::prelude::UnixTimeStamp::from_secs(NOW.0));
        let options = jwt_simple::prelude::VerificationOptions { artificial_time, ..Default::default() };
        key.verify_token::<Custom>(token, Some(options)).is_ok()
    });
    Ok(vec![jsonwebtoken, compact, simple])
}

/// The signature check alone, by each library.
pub fn raw_verify(token: &str) -> Result<Vec<Contender<'_>>, Box<dyn Error>> {
    let (raw, Parts { input, signature }) = (public_key()?, parts(token)?);
    let aws = ParsedPublicKey::new(&ED25519, raw).map_err(|_| "a public key")?;
    let graviola =
        graviola::signing::eddsa::Ed25519VerifyingKey::from_bytes(&raw).map_err(|_| "a public key")?;
    let dalek = ed25519_dalek::VerifyingKey::from_bytes(&raw)?;
    let of_dalek = ed25519_dalek::Signature::from_bytes(&signature);
    Ok(vec![
        Contender::new(RAW, move || aws.verify_sig(input, &signature).is_ok()),
        Contender::new("graviola: the signature alone", move || graviola.verify(&signature, input).is_ok()),
        Contender::new("ed25519-dalek: the signature alone", move || dalek.verify(input, &of_dalek).is_ok()),
        Contender::new("ed25519-dalek, strict: the signature alone", move || {
            dalek.verify_strict(input, &of_dalek).is_ok()
        }),
    ])
}

/// Keystile and `jsonwebtoken` mint, and each library signs what they sign.
pub fn mint<'a>(
    keyring: &'a Keyring,
    grant: &'a SandboxGrant,
    token: &'a str,
) -> Result<Vec<Contender<'a>>, Box<dyn Error>> {
    let Parts { input, .. } = parts(token)?;
    let key = jwt::EncodingKey::from_ed_pem(private_key(0)?.to_pem().as_bytes())?;
    let mut header = jwt::Header::new(jwt::Algorithm::EdDSA);
    header.kid = keyring.manifest().keys.first().map(|key| key.kid.to_string());
    let encode = move || {
        let (issuer, iat) = (keyring.issuer(), NOW.0.cast_signed());
        let claims = Claims {
            sub: grant.sandbox_id.subject(),
            iss: issuer.to_owned(),
            aud: issuer.to_owned(),
            iat,
            exp: iat + LIFETIME.cast_signed(),
            sandbox_id: grant.sandbox_id.as_str().to_owned(),
        };
        jwt::encode(&header, &claims, &key).is_ok()
    };
    let (aws, dalek) = (pair()?, ed25519_dalek::SigningKey::from_bytes(&seed(0)));
    let graviola =
        graviola::signing::eddsa::Ed25519SigningKey::from_bytes(&seed(0)).map_err(|_| "a seed is a key")?;
    Ok(vec![
        Contender::new(KEYSTILE, || keyring.mint(grant, NOW).is_ok()),
        Contender::new(JSONWEBTOKEN, encode),
        Contender::new(RAW, move || aws.try_sign(input).is_ok()),
        Contender::new("graviola: the signature alone", move || graviola.sign(input) != [0; 64]),
        Contender::new("ed25519-dalek: the signature alone", move || dalek.try_sign(input).is_ok()),
    ])
}
