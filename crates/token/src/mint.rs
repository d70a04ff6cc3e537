//! Minting: the key that is active now signs; nothing is minted that we would refuse ourselves.

use keystile_keyring::{Key, Kid, TokenTimes, UnixTime, in_words};
use serde::Serialize;

use crate::answer::{Answer, GrpcCode};
use crate::claims::Claims;
use crate::extension::ExtensionError;
use crate::judge::{Kind, excuses, reason_of};
use crate::jws::{SANDBOX_TYP, append_segment, encode, encoded_length};
use crate::keyring::Keyring;
use crate::lineage::{BootstrapMethod, Lineage};
use crate::payload::Payload;
use crate::reason::Reason;
use crate::sandbox_id::{SUBJECT_PREFIX, SandboxId};
use crate::secret::SecretToken;
use crate::signer::SignError;
use crate::verdict::Accepted;

/// What a sandbox token is minted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxGrant {
    /// The sandbox.
    pub sandbox_id: SandboxId,
    /// The bootstrap that the token descends from.
    pub lineage: Lineage,
}

/// A freshly minted token.
#[derive(Debug)]
pub struct Minted {
    /// The token: a secret.
    pub token: SecretToken,
    /// `exp`; `None` if it never expires.
    pub expires_at: Option<UnixTime>,
    /// The key that signed it.
    pub kid: Kid,
}

/// Why no token was minted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// No key is active.
    #[error("no key of the keyring signs at {0}; run keystile doctor")]
    NoSigner(UnixTime),
    /// The active key's private part is not here.
    #[error("key {0} is to sign, and its private key is not in this process (a replica that only verifies?)")]
    NoPrivateKey(Kid),
    /// Signing failed.
    #[error("key {kid} does not sign")]
    Sign {
        /// The key.
        kid: Kid,
        /// Why.
        source: SignError,
    },
    /// A chain of refreshes has grown too old.
    #[error("the lineage began {} ago; max_lineage_age is {}: bootstrap again", in_words(*.age), in_words(*.longest))]
    LineageTooOld {
        /// Seconds since the bootstrap.
        age: u64,
        /// `max_lineage_age`, in seconds.
        longest: u64,
    },
    /// Every replica would refuse the token.
    #[error("a token minted now would be refused: {0}")]
    Stillborn(Reason),
    /// The claims could not be written.
    #[error("cannot encode the claims: {0}")]
    Encoding(String),
    /// Contract rules on extension tokens.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
}

impl MintError {
    /// What the caller who asked for the token is told.
    pub fn answer(&self) -> Answer {
        let unavailable = |text| Answer { text, ..Answer::UNAVAILABLE };
        match self {
            Self::LineageTooOld { .. } => Answer::unauthenticated(Reason::LineageTooOld.text()),
            Self::Sign { .. }
            | Self::Stillborn(_)
            | Self::Encoding(_)
            | Self::Extension(ExtensionError::Entropy) => {
                unavailable("no token can be minted now; try again".into())
            }
            Self::Extension(error) => {
                Answer { grpc: GrpcCode::InvalidArgument, http: 400, text: error.to_string().into() }
            }
            Self::NoSigner(_) | Self::NoPrivateKey(_) => {
                unavailable("sandbox JWT minting is not configured on this gateway".into())
            }
        }
    }
}

impl SandboxGrant {
    /// A first token: its lineage begins now.
    pub fn bootstrap(sandbox_id: SandboxId, method: BootstrapMethod, now: UnixTime) -> Self {
        Self { sandbox_id, lineage: Lineage::begin(now, method) }
    }

    /// A token that follows an accepted one of the same sandbox, and passes its lineage on.
    pub fn refresh(accepted: &Accepted<Claims>) -> Self {
        Self { sandbox_id: accepted.claims.sandbox_id.clone(), lineage: accepted.claims.lineage }
    }
}

impl Keyring {
    /// Mints a sandbox token at `now`, with the lifetime that policy says.
    pub fn mint(&self, grant: &SandboxGrant, now: UnixTime) -> Result<Minted, MintError> {
        let policy = &self.manifest().policy;
        let age = now.since(grant.lineage.began);
        if let Some(longest) = policy.max_lineage_age.filter(|longest| age > *longest) {
            return Err(MintError::LineageTooOld { age, longest });
        }
        let expires_at = (!policy.mints_forever()).then(|| now.plus(policy.token_ttl));
        // The clock of the replica that saw the bootstrap may be ahead of ours.
        let lineage = Lineage { began: grant.lineage.began.min(now), ..grant.lineage };
        let key = self.signing_key(now)?;
        self.viable::<Claims>(
            key,
            TokenTimes { issued_at: now, expires_at, lineage_began: lineage.began },
            now,
        )?;
        let payload = Payload {
            issuer: self.issuer(),
            subject_prefix: SUBJECT_PREFIX,
            sandbox_id: grant.sandbox_id.as_str(),
            issued_at: now.0,
            expires_at: expires_at.map_or(0, |exp| exp.0),
            lineage_began: lineage.began.0,
            bootstrap_method: lineage.method.as_str(),
        };
        let token = self.sign(key, |headers| &headers.sandbox, &payload.to_json())?;
        Ok(Minted { token, expires_at, kid: key.kid.clone() })
    }

    /// The key that is active at `now`.
    pub(crate) fn signing_key(&self, now: UnixTime) -> Result<&Key, MintError> {
        self.manifest().active_at(now).ok_or(MintError::NoSigner(now))
    }

    /// Whether we would accept the token ourselves.
    pub(crate) fn viable<C: Kind>(
        &self,
        key: &Key,
        times: TokenTimes,
        now: UnixTime,
    ) -> Result<(), MintError> {
        let mut breaches = self.manifest().breaches(Some(key), times, now);
        let breach = breaches.find(|breach| !excuses::<C>(*breach, key));
        breach.map_or(Ok(()), |breach| Err(MintError::Stillborn(reason_of(breach, true))))
    }

    /// Encodes and signs claims, as JSON, with `key`.
    pub(crate) fn sign(
        &self,
        key: &Key,
        header: impl FnOnce(&Headers) -> &str,
        claims: &[u8],
    ) -> Result<SecretToken, MintError> {
        let (headers, signer) =
            self.signer(&key.kid).ok_or_else(|| MintError::NoPrivateKey(key.kid.clone()))?;
        let header = header(headers);
        // Room for all of it at once: growing would take time and leave a copy behind.
        let length = header.len() + encoded_length(claims.len()) + encoded_length(64) + 2;
        let mut token = Vec::with_capacity(length);
        token.extend_from_slice(header.as_bytes());
        append_segment(&mut token, claims);
        let signature = signer.sign(&token);
        append_segment(
            &mut token,
            &signature.map_err(|source| MintError::Sign { kid: key.kid.clone(), source })?,
        );
        let token =
            String::from_utf8(token).map_err(|error| MintError::Encoding(error.utf8_error().to_string()))?;
        Ok(SecretToken::new(token))
    }
}

/// The encoded headers of one key's tokens.
pub(crate) struct Headers {
    pub(crate) sandbox: String,
    pub(crate) extension: String,
}

impl Headers {
    pub(crate) fn of(key: &Key) -> Self {
        let header = |typ| {
            #[derive(Serialize)]
            struct Header<'a> {
                typ: &'a str,
                alg: &'a str,
                kid: &'a str,
            }
            let header = Header { typ, alg: key.alg.as_str(), kid: key.kid.as_str() };
            serde_json::to_vec(&header).map(|bytes| encode(&bytes)).unwrap_or_default()
        };
        Self { sandbox: header(SANDBOX_TYP), extension: header(crate::extension::EXTENSION_TYP) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Serialize)]
    struct Plain<'a> {
        sub: String,
        iss: &'a str,
        aud: &'a str,
        iat: UnixTime,
        exp: u64,
        sandbox_id: &'a str,
        keystile: Lineage,
    }

    /// Any number, and often one of few digits.
    fn number() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), 0..1_000_u64, Just(u64::MAX)]
    }

    proptest! {
        /// Every sandbox id, every gateway id, every instant.
        #[test]
        fn claims_are_written_as_serde_json_writes_them(
            id in "[!-~]{1,128}",
            gateway in "[!-~]{1,128}",
            times in (number(), number(), number()),
            method in prop::sample::select(vec![BootstrapMethod::ServiceAccount, BootstrapMethod::Unknown]),
        ) {
            let (sandbox_id, issuer) = (SandboxId::new(id).unwrap(), format!("openshell-gateway:{gateway}"));
            let plain = Plain {
                sub: sandbox_id.subject(),
                iss: &issuer,
                aud: &issuer,
                iat: UnixTime(times.0),
                exp: times.1,
                sandbox_id: sandbox_id.as_str(),
                keystile: Lineage { began: UnixTime(times.2), method },
            };
            let payload = Payload {
                issuer: &issuer,
                subject_prefix: SUBJECT_PREFIX,
                sandbox_id: sandbox_id.as_str(),
                issued_at: times.0,
                expires_at: times.1,
                lineage_began: times.2,
                bootstrap_method: method.as_str(),
            };
            prop_assert_eq!(payload.to_json(), serde_json::to_vec(&plain).unwrap());
        }
    }
}
