//! What every test of the crate needs: manifests by hand, keys from seeds, and the real OpenShell's
//! key set. The keys protect nothing.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keystile_keyring::manifest::{
    Activation, Alg, Change, Lifetime, Origin, PrivateState, Revoked, SCHEMA, Superseded,
};
use keystile_keyring::{Digest, GatewayId, Key, Kid, Manifest, Policy, UnixTime};
use keystile_system::{Entropy, EntropyError};
use keystile_token::{
    Accepted, Keyring, PrivateKey, PrivateKeys, Reason, Rejection, Verdict, digest, kid_of,
};

use crate::forger::{Forger, ForgingKey};

/// Entropy that repeats one byte.
pub(crate) struct Repeat(pub u8);

impl Entropy for Repeat {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0);
        Ok(())
    }
}

/// The private key whose seed repeats one byte.
pub(crate) fn private_key(seed: u8) -> PrivateKey {
    PrivateKey::generate(&Repeat(seed)).unwrap()
}

/// The kid of [`private_key`].
pub(crate) fn kid(seed: u8) -> Kid {
    kid_of(&private_key(seed).public_key())
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// DER as PEM, as `openssl` writes it.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A key as the keyring holds it: generated at 0, signs tokens of up to an hour.
pub(crate) fn key(seed: u8) -> Key {
    Key {
        kid: kid(seed),
        alg: Alg::EdDsa,
        public_key: private_key(seed).public_key(),
        created_at: UnixTime(0),
        origin: Origin::Generated,
        longest_token: Lifetime::Bounded(3600),
        never_expires: false,
        superseded: None,
        revoked: None,
        private: PrivateState::Present,
    }
}

/// A manifest with default policy and these keys; `timeline` is (from, seed).
pub(crate) fn manifest(keys: Vec<Key>, timeline: &[(u64, u8)]) -> Manifest {
    let timeline = timeline.iter().map(|(from, seed)| Activation { from: UnixTime(*from), kid: kid(*seed) });
    Manifest {
        schema: SCHEMA.to_owned(),
        gateway_id: GatewayId::new("openshell").unwrap(),
        generation: 1,
        previous: None,
        policy: Policy::default(),
        policy_before: None,
        lineage_floor: None,
        keys,
        timeline: timeline.collect(),
        tombstones: Vec::new(),
        operation: None,
        requests: Vec::new(),
        history: vec![Change {
            generation: 1,
            at: UnixTime(0),
            verb: "init".to_owned(),
            actor: "test".to_owned(),
            reason: None,
            request_id: None,
        }],
    }
}

/// Bounds of a key that was superseded at `at`, with default policy.
pub(crate) fn superseded(at: u64) -> Superseded {
    let last_iat = UnixTime(at + 300 + 30 + 60);
    Superseded {
        at: UnixTime(at),
        last_iat,
        accept_until: Some(last_iat.plus(3600 + 60)),
        custody_until: UnixTime(at + 86_400),
    }
}

pub(crate) fn revoked(at: u64) -> Revoked {
    Revoked { at: UnixTime(at), reason: "stolen".to_owned() }
}

/// The keyring of a manifest, with the private keys of every seed below 16 that it holds.
pub(crate) fn open(manifest: Manifest) -> Keyring {
    let mut private = PrivateKeys::new();
    for seed in 0..16 {
        let kid = kid(seed);
        if manifest.key(&kid).is_some_and(|key| key.private == PrivateState::Present) {
            private.insert(kid, private_key(seed)).unwrap();
        }
    }
    let digest = digest(&manifest.to_json().unwrap());
    Keyring::open(manifest, digest, private).unwrap()
}

/// A keyring of one key, active from 1000 on.
pub(crate) fn simple() -> Keyring {
    open(manifest(vec![key(1)], &[(1000, 1)]))
}

pub(crate) fn no_digest() -> Digest {
    Digest([0; 32])
}

/// What the real OpenShell wrote.
pub(crate) struct OpenShell {
    pub(crate) kid: Kid,
    pub(crate) private_pem: String,
    pub(crate) public_pem: String,
    pub(crate) gateway_id: String,
    pub(crate) sandbox_id: String,
    pub(crate) tokens: BTreeMap<String, String>,
}

pub(crate) fn openshell() -> OpenShell {
    let text = include_str!("../../../../testdata/openshell-keyset.json");
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let text = |name: &str| json[name].as_str().unwrap().to_owned();
    let join = |token: &serde_json::Value| {
        ["header", "payload", "signature"].map(|part| token[part].as_str().unwrap()).join(".")
    };
    let tokens = json["tokens"].as_object().unwrap().iter();
    OpenShell {
        kid: Kid::new(text("kid")).unwrap(),
        private_pem: pem("PRIVATE KEY", &hex(&text("signing_pkcs8_v2_der_hex"))),
        public_pem: pem("PUBLIC KEY", &hex(&text("public_spki_der_hex"))),
        gateway_id: text("gateway_id"),
        sandbox_id: text("sandbox_id"),
        tokens: tokens.map(|(name, token)| (name.clone(), join(token))).collect(),
    }
}

/// The keyring that adopts OpenShell's key: active from the epoch on, nothing known of its past.
pub(crate) fn adopted() -> Manifest {
    let openshell = openshell();
    let private = PrivateKey::from_pem(openshell.private_pem.as_bytes()).unwrap();
    let mut adopted = key(0);
    adopted.kid = openshell.kid.clone();
    adopted.public_key = private.public_key();
    adopted.origin = Origin::Adopted;
    adopted.longest_token = Lifetime::Unbounded;
    adopted.never_expires = true;
    let mut manifest = manifest(vec![adopted], &[(0, 0)]);
    manifest.timeline[0].kid = openshell.kid;
    manifest
}

pub(crate) fn open_adopted(manifest: Manifest) -> Keyring {
    let openshell = openshell();
    let mut private = PrivateKeys::new();
    private.insert(openshell.kid, PrivateKey::from_pem(openshell.private_pem.as_bytes()).unwrap()).unwrap();
    for seed in 1..16 {
        if manifest.key(&kid(seed)).is_some() {
            private.insert(kid(seed), private_key(seed)).unwrap();
        }
    }
    Keyring::open(manifest, no_digest(), private).unwrap()
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Signs with the same key as [`private_key`].
pub(crate) fn forging_key(seed: u8) -> ForgingKey {
    ForgingKey::from_seed([seed; 32])
}

/// An honest sandbox token of the key, still to be changed or signed.
pub(crate) fn draft(seed: u8, iat: u64, exp: u64) -> Forger {
    Forger::sandbox(&private_key(seed), "sandbox-1", iat, exp)
}

/// An honest sandbox token of the key.
pub(crate) fn token(seed: u8, iat: u64, exp: u64) -> String {
    draft(seed, iat, exp).signed(&forging_key(seed))
}

#[track_caller]
pub(crate) fn accepted(keyring: &Keyring, token: &str, now: u64) -> Accepted {
    match keyring.verify(token.as_bytes(), UnixTime(now)) {
        Verdict::Accepted(accepted) => accepted,
        other => panic!("expected an accepted token, found {other:?}"),
    }
}

#[track_caller]
pub(crate) fn rejected(keyring: &Keyring, token: &str, now: u64) -> Rejection {
    match keyring.verify(token.as_bytes(), UnixTime(now)) {
        Verdict::Rejected(rejection) => rejection,
        other => panic!("expected a rejected token, found {other:?}"),
    }
}

#[track_caller]
pub(crate) fn reason(keyring: &Keyring, token: &str, now: u64) -> Reason {
    rejected(keyring, token, now).reason
}
