//! A forger of tokens: any header, any claims, any key.
#![allow(clippy::expect_used, reason = "a fake that cannot do its work ends the test")]

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keystile_token::{PrivateKey, kid_of};
use serde_json::{Map, Value, json};

/// A token in the making.
#[derive(Clone, Debug)]
pub struct Forger {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// A key that signs whatever it is given.
pub struct ForgingKey(Ed25519KeyPair);

impl ForgingKey {
    /// The key of a seed.
    ///
    /// # Panics
    /// If the cryptography library refuses the seed, which it does not.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&seed).expect("any 32 bytes are a seed"))
    }

    /// The same key as a keyring's.
    ///
    /// # Panics
    /// If the key's PEM is not one line of PKCS#8, which it is.
    pub fn of(key: &PrivateKey) -> Self {
        let pem = key.to_pem();
        let line = pem.lines().find(|line| !line.starts_with('-')).expect("PEM has a body");
        let der = STANDARD.decode(line).expect("PEM is base64");
        Self(Ed25519KeyPair::from_pkcs8(&der).expect("PEM holds PKCS#8"))
    }

    /// The raw public key.
    pub fn public_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

impl Forger {
    /// What an honest gateway `openshell` would put on a sandbox token of the key.
    pub fn sandbox(key: &PrivateKey, sandbox_id: &str, iat: u64, exp: u64) -> Self {
        let kid = kid_of(&key.public_key());
        Self::empty()
            .header("typ", "JWT")
            .header("alg", "EdDSA")
            .header("kid", kid.as_str())
            .claim("sub", format!("spiffe://openshell/sandbox/{sandbox_id}"))
            .claim("iss", "openshell-gateway:openshell")
            .claim("aud", "openshell-gateway:openshell")
            .claim("iat", iat)
            .claim("exp", exp)
            .claim("sandbox_id", sandbox_id)
    }

    /// What an honest gateway would put on an extension token for a supervisor.
    pub fn extension(key: &PrivateKey, audience: &str, sandbox_id: &str, iat: u64, exp: u64) -> Self {
        Self::sandbox(key, sandbox_id, iat, exp)
            .header("typ", "openshell-ext+jwt")
            .claim("aud", audience)
            .claim("jti", "6a2f41a3-c54c-4ce8-8d2a-8a3a29d5b1b0")
            .claim("caller_kind", "supervisor")
    }

    /// No header members and no claims.
    pub fn empty() -> Self {
        Self { header: Map::new(), claims: Map::new() }
    }

    /// Sets a member of the header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Sets a claim.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Sets the claim that says when the chain of refreshes began.
    #[must_use]
    pub fn lineage(self, began: u64, method: &str) -> Self {
        self.claim("keystile", json!({ "began": began, "method": method }))
    }

    /// Removes a member of the header.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Removes a claim.
    #[must_use]
    pub fn without_claim(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// The token, signed by `key` whatever the header says.
    pub fn signed(&self, key: &ForgingKey) -> String {
        sign_raw(&self.header_json(), &self.claims_json(), key)
    }

    /// The token with an HMAC-SHA-256 over it.
    pub fn hmac(&self, secret: &[u8]) -> String {
        let input = signing_input(&self.header_json(), &self.claims_json());
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    /// The token with an empty signature.
    pub fn unsigned(&self) -> String {
        format!("{}.", signing_input(&self.header_json(), &self.claims_json()))
    }

    /// The header's JSON text.
    pub fn header_json(&self) -> String {
        Value::Object(self.header.clone()).to_string()
    }

    /// The claims' JSON text.
    pub fn claims_json(&self) -> String {
        Value::Object(self.claims.clone()).to_string()
    }
}

/// A token of exactly these texts, JSON or not.
pub fn sign_raw(header: &str, payload: &str, key: &ForgingKey) -> String {
    sign_encoded(&signing_input(header, payload), key)
}

/// A token over two segments that are encoded already, well or badly.
pub fn sign_encoded(signing_input: &str, key: &ForgingKey) -> String {
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(key.sign(signing_input.as_bytes())))
}

fn signing_input(header: &str, payload: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
}
