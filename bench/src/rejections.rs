//! One token for each reason to refuse one, and the keyring that refuses them.

use std::error::Error;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_keyring::manifest::{Activation, Revoked, Superseded};
use keystile_keyring::{Manifest, UnixTime};
use keystile_token::{Keyring, Reason, digest};
use serde_json::{Value, json};

use crate::fixture::{LIFETIME, NOW, manifest, seed};

/// Key 0's window ran out, key 1 verifies only, key 2 signs, key 3 is prepared, key 4 was revoked.
pub fn keyring() -> Result<Keyring, Box<dyn Error>> {
    let mut manifest = manifest(1, 5)?;
    let switched = NOW.minus(1000);
    let ended = |at: UnixTime, last_iat: UnixTime, accept_until| {
        let accept_until = Some(accept_until);
        Some(Superseded { at, last_iat, accept_until, custody_until: NOW.plus(86_400) })
    };
    let retired = NOW.minus(20_000);
    let [first, second, third, fourth, fifth] = manifest.keys.as_mut_slice() else {
        return Err("five keys were asked for".into());
    };
    first.superseded = ended(retired, retired.plus(390), retired.plus(4050));
    second.superseded = ended(switched, switched.plus(390), switched.plus(4050));
    (third.superseded, fourth.superseded) = (None, None);
    fifth.revoked = Some(Revoked { at: NOW.minus(500), reason: "stolen".to_owned() });
    let activations = [(UnixTime(0), &*first), (retired, &*second), (switched, &*third)];
    manifest.timeline =
        activations.map(|(from, key)| Activation { from, kid: key.kid.clone() }).into_iter().collect();
    manifest.lineage_floor = Some(NOW.minus(50_000));
    let digest = digest(&manifest.to_json()?);
    Ok(Keyring::verify_only(manifest, digest)?)
}

/// A token to be refused for one reason.
pub struct Refused {
    /// The reason.
    pub reason: Reason,
    /// The token.
    pub token: String,
}

/// A token for every reason but `lineage-too-old`, for which minting is refused, not a token.
pub fn tokens(keyring: &Keyring) -> Result<Vec<Refused>, Box<dyn Error>> {
    let forge = Forge(keyring.manifest());
    let mut all = vec![
        Refused { reason: Reason::Malformed, token: "a.b.c".to_owned() },
        Refused { reason: Reason::TooLarge, token: "x".repeat(9000) },
    ];
    all.extend(forge.by_header()?);
    all.extend(forge.by_key()?);
    all.extend(forge.by_claims()?);
    for Refused { reason, token } in &all {
        let found = keyring.verify(token.as_bytes(), NOW).reason();
        if found != Some(*reason) {
            return Err(format!("expected a token that is refused as {reason}, found {found:?}").into());
        }
    }
    Ok(all)
}

struct Forge<'a>(&'a Manifest);

impl Forge<'_> {
    fn header(&self, key: usize) -> Value {
        let kid = self.0.keys.get(key).map(|key| key.kid.as_str());
        json!({ "typ": "JWT", "alg": "EdDSA", "kid": kid.unwrap_or("nobodys") })
    }

    fn claims(&self) -> Value {
        let (issuer, iat) = (self.0.gateway_id.issuer(), NOW.0 - 100);
        json!({
            "sub": "spiffe://openshell/sandbox/sandbox-1", "iss": issuer, "aud": issuer, "iat": iat,
            "exp": iat + LIFETIME, "sandbox_id": "sandbox-1",
        })
    }

    fn by_header(&self) -> Result<Vec<Refused>, Box<dyn Error>> {
        let with = |reason, name: &str, value: Value| {
            let mut header = self.header(2);
            header[name] = value;
            signed(reason, &header, &self.claims(), 2)
        };
        let mut unnamed = self.header(2);
        unnamed.as_object_mut().ok_or("a header is an object")?.remove("kid");
        Ok(vec![
            with(Reason::ExtensionToken, "typ", json!("openshell-ext+jwt"))?,
            with(Reason::WrongType, "typ", json!("at+jwt"))?,
            with(Reason::AlgMismatch, "alg", json!("HS256"))?,
            signed(Reason::MissingKid, &unnamed, &self.claims(), 2)?,
        ])
    }

    fn by_key(&self) -> Result<Vec<Refused>, Box<dyn Error>> {
        let of = |reason, key: usize, signer| signed(reason, &self.header(key), &self.claims(), signer);
        let mut late = self.claims();
        late["iat"] = json!(NOW.0 - 1000 + 391);
        Ok(vec![
            of(Reason::UnknownKid, 9, 9)?,
            of(Reason::RetiredKey, 0, 0)?,
            of(Reason::RevokedKey, 4, 4)?,
            of(Reason::KeyNotActive, 3, 3)?,
            of(Reason::BadSignature, 2, 3)?,
            signed(Reason::SignedAfterSupersession, &self.header(1), &late, 1)?,
        ])
    }

    fn by_claims(&self) -> Result<Vec<Refused>, Box<dyn Error>> {
        let with = |reason, members: &[(&str, Value)]| {
            let mut claims = self.claims();
            for (name, value) in members {
                claims[*name] = value.clone();
            }
            signed(reason, &self.header(2), &claims, 2)
        };
        let at = |seconds: u64| json!(seconds);
        let began = |began: u64| json!({ "began": began, "method": "token-file" });
        Ok(vec![
            with(Reason::WrongIssuer, &[("iss", json!("another"))])?,
            with(Reason::WrongAudience, &[("aud", json!("another"))])?,
            with(Reason::MissingClaim, &[("exp", Value::Null)])?,
            with(Reason::Expired, &[("iat", at(NOW.0 - 900)), ("exp", at(NOW.0 - 61))])?,
            with(Reason::IssuedInFuture, &[("iat", at(NOW.0 + 60))])?,
            with(Reason::SignedBeforeActivation, &[("iat", at(NOW.0 - 1100))])?,
            with(Reason::LifetimeExceedsPolicy, &[("exp", at(NOW.0 + LIFETIME))])?,
            with(Reason::NeverExpiresNotAllowed, &[("exp", at(0))])?,
            with(Reason::LineageInvalid, &[("keystile", began(NOW.0))])?,
            with(Reason::LineageRevoked, &[("keystile", began(NOW.0 - 60_000))])?,
            with(Reason::SubjectMismatch, &[("sub", json!("spiffe://openshell/sandbox/sandbox-2"))])?,
        ])
    }
}

/// A token of this header and these claims, signed with key `signer`.
fn signed(reason: Reason, header: &Value, claims: &Value, signer: u8) -> Result<Refused, Box<dyn Error>> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed(signer)).map_err(|_| "a seed is a key")?;
    let encode = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let input = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(input.as_bytes()));
    Ok(Refused { reason, token: format!("{input}.{signature}") })
}

/// `token` with its header spelt in another way, and signed again: the strict parser reads it.
pub fn respelt(token: &str) -> Result<String, Box<dyn Error>> {
    let mut segments = token.split('.');
    let (Some(header), Some(claims)) = (segments.next(), segments.next()) else {
        return Err("a token has three segments".into());
    };
    let header = String::from_utf8(URL_SAFE_NO_PAD.decode(header)?)?.replace(',', ", ");
    let input = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header));
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed(0)).map_err(|_| "a seed is a key")?;
    let signature = URL_SAFE_NO_PAD.encode(pair.sign(input.as_bytes()));
    Ok(format!("{input}.{signature}"))
}
