//! The manifest: the keyring as stored. Facts and instants, never a "current" flag.

use serde::{Deserialize, Serialize};

use crate::ident::{Digest, GatewayId, Kid, PublicKey, RequestId};
use crate::policy::{Maxima, Policy, PolicyBefore};
use crate::time::UnixTime;

/// The schema that this version reads and writes.
pub const SCHEMA: &str = "keystile/keyring/v1";

/// Limits on what a manifest may hold (invariant I12).
pub mod limits {
    /// Bytes of a stored manifest.
    pub const MANIFEST_BYTES: usize = 256 * 1024;
    /// The greatest generation: what every reader of JSON holds exactly (RFC 8259 section 6).
    pub const GENERATION: u64 = (1 << 53) - 1;
    /// Keys in a keyring.
    pub const KEYS: usize = 8;
    /// Activations in a timeline.
    pub const ACTIVATIONS: usize = 64;
    /// Tombstones kept.
    pub const TOMBSTONES: usize = 256;
    /// Request ids kept.
    pub const REQUESTS: usize = 256;
    /// Changes kept in the history.
    pub const HISTORY: usize = 64;
    /// Bytes of an actor's name or a reason.
    pub const TEXT_BYTES: usize = 256;
}

/// The keyring as stored: public facts only, one JSON document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// Binds the keyring to `iss` and `aud`.
    pub gateway_id: GatewayId,
    /// Strictly increasing; every committed change adds one. The first is 1.
    pub generation: u64,
    /// Digest of the manifest before this one; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    /// The rules.
    pub policy: Policy,
    /// Former maxima while they still count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_before: Option<PolicyBefore>,
    /// Lineages that began at or before this instant are refused, whatever key signed the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage_floor: Option<UnixTime>,
    /// The keys, in the order of their creation.
    pub keys: Vec<Key>,
    /// Which key signs from when, ascending; of equal instants the last wins.
    pub timeline: Vec<Activation>,
    /// Kids that are gone: refused with their own reason, never reused.
    #[serde(default)]
    pub tombstones: Vec<Tombstone>,
    /// The rotation in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// Request ids that are done, oldest first.
    #[serde(default)]
    pub requests: Vec<DoneRequest>,
    /// The last changes, oldest first.
    #[serde(default)]
    pub history: Vec<Change>,
}

/// One key of the keyring: its public facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// Names the key in a token's header.
    pub kid: Kid,
    /// The one algorithm that the key is used with (RFC 8725 section 3.1).
    pub alg: Alg,
    /// The public key.
    pub public_key: PublicKey,
    /// When the keyring first held it.
    pub created_at: UnixTime,
    /// Where it came from.
    pub origin: Origin,
    /// The longest finite lifetime that this key may have put on a token. Never lowered.
    pub longest_token: Lifetime,
    /// Whether it may have signed `exp = 0`. Never unset.
    pub never_expires: bool,
    /// Its bounds, once a successor's activation is committed; absent while it signs last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<Superseded>,
    /// Set when it was revoked; final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revoked>,
    /// Whether the store still holds the private key.
    pub private: PrivateState,
}

/// Signature algorithm (RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alg {
    /// Ed25519, as `alg` in a header: `EdDSA`.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Alg {
    /// The value of the header's `alg` member.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Where a key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Made by Keystile.
    Generated,
    /// Found in an OpenShell key set and taken over in place; its tokens are older than the keyring.
    Adopted,
    /// Brought by the operator.
    Imported,
}

/// The longest finite lifetime, in seconds, that a key may have put on a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lifetime {
    /// At most so many seconds.
    Bounded(u64),
    /// Nobody knows: only an adopted key whose past is not known.
    Unbounded,
}

impl Lifetime {
    /// Whether a token of `seconds` is within it.
    pub fn allows(self, seconds: u64) -> bool {
        match self {
            Self::Bounded(longest) => seconds <= longest,
            Self::Unbounded => true,
        }
    }
}

/// What superseding a key stored with it. No later policy computes these downwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Superseded {
    /// The end of the key's last active period.
    pub at: UnixTime,
    /// A token of the key with a later `iat` was signed after supersession: a thief's.
    pub last_iat: UnixTime,
    /// The last instant at which the key's tokens are accepted; absent while an unbounded key has
    /// no deadline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept_until: Option<UnixTime>,
    /// The last instant at which the private key is kept for a rollback.
    pub custody_until: UnixTime,
}

/// That a key was revoked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// The instant of the revocation.
    pub at: UnixTime,
    /// Why, in the operator's words.
    pub reason: String,
}

/// Whether the store still holds a private key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum PrivateState {
    /// The store holds it.
    Present,
    /// It is gone since the instant given.
    DestroyedAt(UnixTime),
}

/// "From this instant, this kid signs."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// The instant.
    pub from: UnixTime,
    /// The key.
    pub kid: Kid,
}

/// A kid that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tombstone {
    /// The kid: refused with its own reason, never reused.
    pub kid: Kid,
    /// How it ended.
    pub end: End,
    /// When it ended.
    pub at: UnixTime,
    /// The last instant at which a genuine token naming it can be alive; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_until: Option<UnixTime>,
}

/// How a key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Its window ran out, or it never signed.
    Retired,
    /// It was revoked.
    Revoked,
}

/// The rotation in flight: a key is published and does not sign yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// Names it in messages: `rotation-8`, after the generation that began it.
    pub id: String,
    /// The request that began it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// When the key was published.
    pub started_at: UnixTime,
    /// The key that signs.
    pub from_kid: Kid,
    /// The key that will.
    pub to_kid: Kid,
    /// Whether the old private key goes as soon as it need not sign any more.
    #[serde(default)]
    pub no_rollback: bool,
}

/// A request that is done, and its first outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoneRequest {
    /// The request.
    pub request_id: RequestId,
    /// The verb that it was.
    pub verb: String,
    /// The generation that finished it.
    pub generation: u64,
    /// When.
    pub at: UnixTime,
    /// The key it was about, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<Kid>,
}

/// One committed change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The generation that it made.
    pub generation: u64,
    /// When it was planned.
    pub at: UnixTime,
    /// The verb.
    pub verb: String,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The request it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
}

/// Why bytes are not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Larger than the limit.
    #[error("manifest has {found} bytes; expected at most {}", limits::MANIFEST_BYTES)]
    TooLarge {
        /// Its size.
        found: usize,
    },
    /// Not JSON, or not of the schema's shape.
    #[error("manifest is not a {SCHEMA} document: {0}")]
    Json(String),
    /// Another schema.
    #[error("manifest has schema {0:?}; this version reads {SCHEMA:?}")]
    Schema(String),
    /// It contradicts itself.
    #[error("manifest contradicts itself: {0}")]
    Broken(#[from] crate::check::Violation),
}

impl Manifest {
    /// Reads stored bytes, bounded, and checks them whole: no partial manifest comes out of here.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        if bytes.len() > limits::MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { found: bytes.len() });
        }
        let json = |error: serde_json::Error| ManifestError::Json(error.to_string());
        let head: Head = serde_json::from_slice(bytes).map_err(json)?;
        if head.schema != SCHEMA {
            return Err(ManifestError::Schema(head.schema.chars().take(64).collect()));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(json)?;
        crate::check::structure(&manifest)?;
        Ok(manifest)
    }

    /// The bytes to store: the same manifest always gives the same bytes.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        let mut bytes =
            serde_json::to_vec_pretty(self).map_err(|error| ManifestError::Json(error.to_string()))?;
        bytes.push(b'\n');
        if bytes.len() > limits::MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { found: bytes.len() });
        }
        Ok(bytes)
    }

    /// The key with this kid.
    pub fn key(&self, kid: &Kid) -> Option<&Key> {
        self.keys.iter().find(|key| key.kid == *kid)
    }

    pub(crate) fn key_mut(&mut self, kid: &Kid) -> Option<&mut Key> {
        self.keys.iter_mut().find(|key| key.kid == *kid)
    }

    /// The tombstone of this kid.
    pub fn tombstone(&self, kid: &Kid) -> Option<&Tombstone> {
        self.tombstones.iter().find(|tombstone| tombstone.kid == *kid)
    }

    /// The instant of the last change.
    pub fn changed_at(&self) -> UnixTime {
        self.history.last().map_or(UnixTime::EPOCH, |change| change.at)
    }

    /// The largest bounds that a replica may still apply at `now`.
    pub fn maxima(&self, now: UnixTime) -> Maxima {
        let today = Maxima {
            staleness: self.policy.max_staleness,
            skew: self.policy.max_skew,
            verifier_cache: self.policy.verifier_cache,
        };
        match &self.policy_before {
            Some(before) if now <= before.until => today.max(Maxima {
                staleness: before.staleness,
                skew: before.skew,
                verifier_cache: before.verifier_cache,
            }),
            _ => today,
        }
    }
}

impl Serialize for Lifetime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Bounded(seconds) => serializer.serialize_u64(*seconds),
            Self::Unbounded => serializer.serialize_str("unbounded"),
        }
    }
}

impl<'de> Deserialize<'de> for Lifetime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Raw {
            Seconds(u64),
            Word(String),
        }
        match Raw::deserialize(deserializer)? {
            Raw::Seconds(seconds) => Ok(Self::Bounded(seconds)),
            Raw::Word(word) if word == "unbounded" => Ok(Self::Unbounded),
            Raw::Word(_) => Err(serde::de::Error::custom("expected seconds or \"unbounded\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::Violation;
    use crate::testing::{at, kid, ring, ring_of};

    fn json_of(manifest: &Manifest) -> Value {
        serde_json::from_slice(&manifest.to_json().unwrap()).unwrap()
    }

    fn parse(value: &Value) -> Result<Manifest, ManifestError> {
        Manifest::from_json(&serde_json::to_vec(value).unwrap())
    }

    #[track_caller]
    fn assert_not_json(bytes: &[u8], why: &str) {
        match Manifest::from_json(bytes) {
            Err(ManifestError::Json(message)) => assert!(message.contains(why), "{message}"),
            other => panic!("expected {why:?}, found {other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read_and_always_the_same_bytes() {
        for manifest in [ring(), ring_of(&[("a", 100), ("b", 200), ("a", 300)])] {
            let bytes = manifest.to_json().unwrap();
            assert_eq!(Manifest::from_json(&bytes).as_ref(), Ok(&manifest));
            assert_eq!(manifest.to_json().unwrap(), bytes);
            assert!(bytes.ends_with(b"}\n"));
        }
    }

    #[test]
    fn an_unknown_member_is_refused_at_every_depth() {
        let places = ["", "/policy", "/keys/0", "/keys/0/superseded", "/timeline/0", "/history/0"];
        for place in places {
            let mut value = json_of(&ring_of(&[("a", 100), ("b", 200)]));
            value.pointer_mut(place).unwrap().as_object_mut().unwrap().insert("extra".into(), json!(1));
            let bytes = serde_json::to_vec(&value).unwrap();
            assert_not_json(&bytes, "unknown field `extra`");
        }
    }

    #[test]
    fn a_duplicate_member_is_refused_at_every_depth() {
        let text = String::from_utf8(ring().to_json().unwrap()).unwrap();
        for member in ["\"generation\": 1", "\"token_ttl\": 100", "\"alg\": \"EdDSA\"", "\"from\": 1000"] {
            assert!(text.contains(member), "{member}");
            let twice = text.replacen(member, &format!("{member}, {member}"), 1);
            assert_not_json(twice.as_bytes(), "duplicate field");
        }
        let schema = "\"schema\": \"keystile/keyring/v1\"";
        let twice = text.replacen(schema, &format!("\"schema\": \"keystile/keyring/v2\", {schema}"), 1);
        assert_not_json(twice.as_bytes(), "duplicate field");
    }

    #[test]
    fn another_schema_is_named_and_bounded() {
        let mut value = json_of(&ring());
        value["schema"] = json!("keystile/keyring/v2");
        value["a member of the future"] = json!({});
        let error = parse(&value).unwrap_err();
        assert_eq!(
            error.to_string(),
            "manifest has schema \"keystile/keyring/v2\"; this version reads \"keystile/keyring/v1\""
        );
        value["schema"] = json!("x".repeat(9000));
        assert_eq!(parse(&value), Err(ManifestError::Schema("x".repeat(64))));
    }

    #[test]
    fn a_truncated_manifest_is_refused_wherever_it_is_cut() {
        let bytes = ring().to_json().unwrap();
        for end in 0..bytes.len() - 2 {
            assert!(Manifest::from_json(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn trailing_data_is_refused() {
        let mut bytes = ring().to_json().unwrap();
        bytes.extend_from_slice(b"{}");
        assert_not_json(&bytes, "trailing characters");
    }

    #[test]
    fn a_manifest_is_bounded_before_it_is_parsed() {
        let mut bytes = ring().to_json().unwrap();
        bytes.resize(limits::MANIFEST_BYTES, b' ');
        assert!(Manifest::from_json(&bytes).is_ok());
        bytes.push(b' ');
        let found = limits::MANIFEST_BYTES + 1;
        assert_eq!(Manifest::from_json(&bytes), Err(ManifestError::TooLarge { found }));
    }

    #[test]
    fn a_manifest_that_is_too_large_is_not_written() {
        let mut manifest = ring();
        manifest.history[0].actor = "x".repeat(limits::MANIFEST_BYTES);
        assert!(matches!(manifest.to_json(), Err(ManifestError::TooLarge { .. })));
    }

    #[test]
    fn deep_nesting_is_an_error_not_a_crash() {
        let deep = format!("{{\"schema\":\"keystile/keyring/v1\",\"keys\":{}", "[".repeat(100_000));
        assert!(Manifest::from_json(deep.as_bytes()).is_err());
    }

    #[test]
    fn what_contradicts_itself_is_refused_whole() {
        let mut manifest = ring();
        manifest.generation = 0;
        let bytes = manifest.to_json().unwrap();
        assert_eq!(Manifest::from_json(&bytes), Err(ManifestError::Broken(Violation::GenerationZero)));
    }

    #[test]
    fn an_empty_set_is_not_a_keyring() {
        let mut value = json_of(&ring());
        value["keys"] = json!([]);
        let error = parse(&value).unwrap_err().to_string();
        assert_eq!(error, "manifest contradicts itself: keys has 0 entries; expected 1 to 8");
    }

    #[test]
    fn longest_token_is_seconds_or_unbounded() {
        let bounded: Lifetime = serde_json::from_str("3600").unwrap();
        assert_eq!(
            (bounded, serde_json::to_string(&bounded).unwrap().as_str()),
            (Lifetime::Bounded(3600), "3600")
        );
        let unbounded: Lifetime = serde_json::from_str("\"unbounded\"").unwrap();
        assert_eq!(serde_json::to_string(&unbounded).unwrap(), "\"unbounded\"");
        assert_eq!(unbounded, Lifetime::Unbounded);
        for text in ["\"forever\"", "-1", "1.5", "null", "[]"] {
            assert!(serde_json::from_str::<Lifetime>(text).is_err(), "{text}");
        }
        assert!(Lifetime::Bounded(5).allows(5) && !Lifetime::Bounded(5).allows(6));
        assert!(Lifetime::Unbounded.allows(u64::MAX) && Lifetime::Unbounded > Lifetime::Bounded(u64::MAX));
    }

    #[test]
    fn former_maxima_count_to_the_last_second() {
        let mut manifest = ring();
        let former = PolicyBefore { staleness: 400, skew: 1, verifier_cache: 50, until: at(2000) };
        manifest.policy_before = Some(former);
        let then = Maxima { staleness: 400, skew: 5, verifier_cache: 50 };
        let today = Maxima { staleness: 50, skew: 5, verifier_cache: 40 };
        assert_eq!((manifest.maxima(at(2000)), manifest.maxima(at(2001))), (then, today));
    }

    #[test]
    fn keys_and_tombstones_are_found_by_kid() {
        let manifest = ring();
        assert!(manifest.key(&kid("a")).is_some() && manifest.key(&kid("b")).is_none());
        assert!(manifest.tombstone(&kid("a")).is_none());
        assert_eq!(manifest.changed_at(), at(1000));
    }
}
