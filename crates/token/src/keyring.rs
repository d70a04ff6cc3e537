//! The compiled keyring: what a replica holds, and swaps as a whole.

use std::fmt;
use std::sync::Arc;

use keystile_keyring::check::{self, Violation};
use keystile_keyring::manifest::PrivateState;
use keystile_keyring::{Digest, Key, KeyState, Kid, Manifest, UnixTime};

use crate::jws::Header;
use crate::mint::Headers;
use crate::private_key::KeyError;
use crate::private_keys::PrivateKeys;
use crate::remembered::Author;
use crate::signer::{KeyVerifier, Signer, Verifier};

/// A manifest with its keys parsed and its signers at hand. Immutable.
pub struct Keyring {
    manifest: Arc<Manifest>,
    digest: Digest,
    issuer: String,
    keys: Vec<Compiled>,
}

struct Compiled {
    author: Arc<Author>,
    verifier: Box<dyn Verifier>,
    signer: Option<Box<dyn Signer>>,
    headers: Headers,
    /// What `headers.sandbox` says, as the strict parser reads it.
    sandbox_header: Option<Header>,
}

/// Why a keyring is refused whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The manifest contradicts itself.
    #[error("the manifest contradicts itself")]
    Manifest(#[from] Violation),
    /// The key that signs in the end has been revoked.
    #[error("key {0} is to sign, and is revoked; restore the store, or run keystile rotate --emergency")]
    SignerRevoked(Kid),
    /// A public key that is no point of the curve, or one by which anybody could sign.
    #[error("the public key of {0} is not a valid Ed25519 key: no point of the curve, or one of small order")]
    PublicKey(Kid),
    /// The store should hold a private key, and none was given.
    #[error("the private key of {0} is missing; the manifest says that it is there")]
    PrivateKeyMissing(Kid),
    /// The private key belongs to another public key.
    #[error("the private key of {0} does not belong to its public key in the manifest")]
    PrivateKeyMismatch(Kid),
    /// The private key cannot be used.
    #[error("the private key of {kid} cannot be used")]
    PrivateKey {
        /// The key.
        kid: Kid,
        /// Why.
        source: KeyError,
    },
}

impl Keyring {
    /// Compiles a keyring that verifies and signs. Every private key that the manifest says is present
    /// must be given and match; what is given besides is zeroed.
    pub fn open(manifest: Manifest, digest: Digest, mut private: PrivateKeys) -> Result<Self, KeyringError> {
        Self::compile(manifest, digest, |key| {
            let given = private.remove(&key.kid);
            if key.private != PrivateState::Present {
                return Ok(None);
            }
            let private = given.ok_or_else(|| KeyringError::PrivateKeyMissing(key.kid.clone()))?;
            if private.public_key() != key.public_key {
                return Err(KeyringError::PrivateKeyMismatch(key.kid.clone()));
            }
            let signer = private.into_signer();
            let signer =
                signer.map_err(|source| KeyringError::PrivateKey { kid: key.kid.clone(), source })?;
            Ok(Some(Box::new(signer) as Box<dyn Signer>))
        })
    }

    /// Compiles a keyring that verifies and cannot sign.
    pub fn verify_only(manifest: Manifest, digest: Digest) -> Result<Self, KeyringError> {
        Self::compile(manifest, digest, |_| Ok(None))
    }

    fn compile(
        manifest: Manifest,
        digest: Digest,
        mut signer: impl FnMut(&Key) -> Result<Option<Box<dyn Signer>>, KeyringError>,
    ) -> Result<Self, KeyringError> {
        check::structure(&manifest)?;
        let last = manifest.last_signer().and_then(|kid| manifest.key(kid));
        if let Some(last) = last.filter(|last| last.revoked.is_some()) {
            return Err(KeyringError::SignerRevoked(last.kid.clone()));
        }
        let issuer = manifest.gateway_id.issuer();
        let compiled = manifest.keys.iter().map(|key| {
            let verifier = KeyVerifier::new(&key.public_key);
            let verifier = verifier.ok_or_else(|| KeyringError::PublicKey(key.kid.clone()))?;
            let (kid, issuer, headers) = (key.kid.clone(), issuer.clone(), Headers::of(key));
            let author = Arc::new(Author { kid, alg: key.alg, public_key: key.public_key, issuer });
            let sandbox_header = Header::read(headers.sandbox.as_bytes()).ok();
            Ok(Compiled {
                author,
                verifier: Box::new(verifier),
                signer: signer(key)?,
                headers,
                sandbox_header,
            })
        });
        let keys = compiled.collect::<Result<_, KeyringError>>()?;
        Ok(Self { manifest: Arc::new(manifest), digest, issuer, keys })
    }

    /// The manifest that it was compiled from.
    pub fn manifest(&self) -> &Arc<Manifest> {
        &self.manifest
    }

    /// The digest of the manifest as stored.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The manifest's generation.
    pub fn generation(&self) -> u64 {
        self.manifest.generation
    }

    /// The value of `iss`, and of a sandbox token's `aud`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether it holds the private key of `kid`.
    pub fn can_sign_with(&self, kid: &Kid) -> bool {
        self.signer(kid).is_some()
    }

    pub(crate) fn verifier(&self, kid: &Kid) -> Option<&dyn Verifier> {
        self.compiled(kid).map(|key| key.verifier.as_ref())
    }

    pub(crate) fn signer(&self, kid: &Kid) -> Option<(&Headers, &dyn Signer)> {
        let key = self.compiled(kid)?;
        key.signer.as_ref().map(|signer| (&key.headers, signer.as_ref()))
    }

    /// What a header segment says that is byte for byte one of those that are minted here.
    pub(crate) fn recognise(&self, segment: &[u8]) -> Option<&Header> {
        let mut keys = self.keys.iter();
        keys.find(|key| key.headers.sandbox.as_bytes() == segment)?.sandbox_header.as_ref()
    }

    /// Who signs with the key of `kid`.
    pub(crate) fn author(&self, kid: &Kid) -> Option<&Arc<Author>> {
        self.compiled(kid).map(|key| &key.author)
    }

    /// Who signs with each key whose tokens may be good at `now`.
    pub(crate) fn verifying_authors(&self, now: UnixTime) -> impl Iterator<Item = &Arc<Author>> {
        let verifies = move |kid| self.manifest.state_at(kid, now).is_some_and(KeyState::published);
        self.keys.iter().map(|key| &key.author).filter(move |author| verifies(&author.kid))
    }

    /// The same, with the strict parser for every header: what the fuzzers compare with.
    #[cfg(any(test, fuzzing))]
    #[doc(hidden)]
    #[must_use]
    pub fn recognising_nothing(mut self) -> Self {
        self.keys.iter_mut().for_each(|key| key.sandbox_header = None);
        self
    }

    fn compiled(&self, kid: &Kid) -> Option<&Compiled> {
        self.keys.iter().find(|key| key.author.kid == *kid)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("issuer", &self.issuer)
            .field("generation", &self.generation())
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
