//! The JWK Set (RFC 7517, RFC 8037) that outside verifiers fetch.

use keystile_keyring::{Key, UnixTime};
use serde::Serialize;

use crate::jws::encode;
use crate::keyring::Keyring;

/// A JWK Set: every key whose tokens can be good, now or after a switch that replicas know of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JwkSet {
    /// The keys, ascending by kid.
    pub keys: Vec<Jwk>,
}

/// One public key of a JWK Set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the members are those of RFC 7517 section 4 and RFC 8037 section 2")]
pub struct Jwk {
    pub kty: &'static str,
    pub crv: &'static str,
    pub alg: &'static str,
    #[serde(rename = "use")]
    pub key_use: &'static str,
    pub kid: String,
    pub x: String,
}

impl Jwk {
    fn of(key: &Key) -> Self {
        Self {
            kty: "OKP",
            crv: "Ed25519",
            alg: key.alg.as_str(),
            key_use: "sig",
            kid: key.kid.to_string(),
            x: encode(&key.public_key.0),
        }
    }
}

impl Keyring {
    /// The keys that are published at `now`: prepared, active and verify-only. Never empty, since the
    /// keyring was refused unless the key that signs in the end is good.
    pub fn jwk_set(&self, now: UnixTime) -> JwkSet {
        let manifest = self.manifest();
        let published = manifest.keys.iter().filter(|key| manifest.state_of(key, now).published());
        let mut keys: Vec<_> = published.map(Jwk::of).collect();
        keys.sort_by(|one, other| one.kid.cmp(&other.kid));
        JwkSet { keys }
    }
}
