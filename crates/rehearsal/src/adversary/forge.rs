//! Tokens with any header, any claims and any signature.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_keyring::{Kid, UnixTime};
use serde_json::{Value, json};

use super::key::ForgingKey;

/// What a forged token says.
#[derive(Clone, Debug)]
pub(crate) struct Forgery {
    pub(crate) alg: &'static str,
    pub(crate) typ: &'static str,
    pub(crate) kid: Kid,
    pub(crate) issuer: String,
    pub(crate) sandbox: String,
    pub(crate) issued_at: UnixTime,
    /// `None` is `exp = 0`.
    pub(crate) expires_at: Option<UnixTime>,
    pub(crate) began: UnixTime,
}

/// How a forged token is signed.
#[derive(Clone, Copy)]
pub(crate) enum Seal<'a> {
    /// By a key.
    Key(&'a ForgingKey),
    /// With an HMAC over a secret that everybody knows.
    Hmac(&'a [u8]),
    /// Not at all.
    Nothing,
}

impl Forgery {
    /// The token in compact serialization.
    pub(crate) fn seal(&self, seal: Seal<'_>) -> String {
        let header = json!({ "typ": self.typ, "alg": self.alg, "kid": self.kid.as_str() });
        let claims = json!({
            "sub": format!("spiffe://openshell/sandbox/{}", self.sandbox),
            "iss": self.issuer,
            "aud": self.issuer,
            "iat": self.issued_at.0,
            "exp": self.expires_at.map_or(0, |expires_at| expires_at.0),
            "sandbox_id": self.sandbox,
            "keystile": { "began": self.began.0.min(self.issued_at.0), "method": "client-certificate" },
        });
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let signature = match seal {
            Seal::Key(key) => key.sign(&signed),
            Seal::Hmac(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()))
            }
            Seal::Nothing => String::new(),
        };
        format!("{signed}.{signature}")
    }
}

/// `token` with another sandbox in its claims and the signature that it had.
pub(crate) fn tamper(token: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (header, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let mut claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    let members = claims.as_object_mut()?;
    members.insert("sandbox_id".to_owned(), "sandbox-of-another".into());
    members.insert("sub".to_owned(), "spiffe://openshell/sandbox/sandbox-of-another".into());
    Some(format!("{header}.{}.{signature}", encode(&claims)))
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
