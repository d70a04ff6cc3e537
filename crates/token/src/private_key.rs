//! The one type that holds private key bytes (invariant I11).

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystile_keyring::PublicKey;
use keystile_system::{Entropy, EntropyError};
use zeroize::Zeroizing;

use crate::pem;
use crate::secret::PrivatePem;
use crate::signer::PairSigner;

/// The greatest size of a PEM file, in bytes.
pub(crate) const PEM_BYTES: usize = 8 * 1024;

/// Everything of an Ed25519 PKCS#8 version 1 document before the 32 bytes of the seed (RFC 8410).
const PKCS8_V1_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const LABEL: &str = "PRIVATE KEY";

/// An Ed25519 private key.
///
/// It cannot be printed, serialized or copied, and its bytes are zeroed when it is dropped.
pub struct PrivateKey {
    /// Boxed, so that moving the key leaves no copy of it behind.
    seed: Box<Zeroizing<[u8; 32]>>,
    public_key: PublicKey,
}

/// Why something is not a key. Holds nothing of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Larger than any PEM file of one key.
    #[error("the PEM text has {found} bytes; expected at most {PEM_BYTES}")]
    TooLarge {
        /// Its size in bytes.
        found: usize,
    },
    /// Not PEM (RFC 7468).
    #[error("the {what} is not PEM: {why}")]
    NotPem {
        /// Which key.
        what: &'static str,
        /// What is wrong with it.
        why: pem_rfc7468::Error,
    },
    /// PEM of something else.
    #[error("the PEM block is {found:?}; expected {expected:?}")]
    Label {
        /// Its label, cut to 32 characters.
        found: String,
        /// The label of what was wanted.
        expected: &'static str,
    },
    /// Not the private key of an Ed25519 pair.
    #[error(
        "the private key is not PKCS#8 of one Ed25519 key, or the public key in it belongs to another; \
         expected what `openssl genpkey -algorithm ed25519` writes"
    )]
    NotEd25519Private,
    /// Not the public key of an Ed25519 pair.
    #[error("the public key is not an Ed25519 SubjectPublicKeyInfo (RFC 8410)")]
    NotEd25519Public,
    /// No randomness.
    #[error("cannot make a key")]
    Entropy(#[from] EntropyError),
}

impl KeyError {
    pub(crate) fn label(found: &str, expected: &'static str) -> Self {
        Self::Label { found: found.chars().take(32).collect(), expected }
    }
}

impl PrivateKey {
    /// Makes a key from fresh randomness.
    pub fn generate(entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let mut seed = Box::new(Zeroizing::new([0; 32]));
        entropy.fill(seed.as_mut_slice())?;
        Self::from_seed(seed)
    }

    /// Reads PKCS#8 of version 1 (what `openssl` writes) or 2 (what OpenShell writes) from PEM. The
    /// public key that version 2 may carry must be the private key's own.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        if pem.len() > PEM_BYTES {
            return Err(KeyError::TooLarge { found: pem.len() });
        }
        let mut buffer = Zeroizing::new(vec![0; pem.len()]);
        let (label, der) = pem::decode(pem.trim_ascii_end(), &mut buffer)
            .map_err(|why| KeyError::NotPem { what: "private key", why })?;
        if label != LABEL {
            return Err(KeyError::label(label, LABEL));
        }
        Self::from_pkcs8(der)
    }

    /// The key as PEM of PKCS#8 version 1, which every reader understands.
    pub fn to_pem(&self) -> PrivatePem {
        let mut der = Zeroizing::new([0; 48]);
        for (out, byte) in der.iter_mut().zip(PKCS8_V1_PREFIX.iter().chain(self.seed.iter())) {
            *out = *byte;
        }
        // Room for all of it at once: growing would leave a copy behind.
        let mut pem = Zeroizing::new(String::with_capacity(128));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        STANDARD.encode_string(der.as_slice(), &mut pem);
        pem.push_str("\n-----END PRIVATE KEY-----\n");
        PrivatePem::new(pem)
    }

    /// The public part.
    pub fn public_key(&self) -> PublicKey {
        self.public_key
    }

    /// The key, ready to sign with.
    pub(crate) fn into_signer(self) -> Result<PairSigner, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(self.seed.as_slice());
        Ok(PairSigner::new(pair.map_err(|_| KeyError::NotEd25519Private)?, self.public_key))
    }

    fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let refused = KeyError::NotEd25519Private;
        // The library reads the first document and leaves what follows it.
        if !is_one_sequence(der) {
            return Err(refused);
        }
        let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| refused.clone())?;
        let v1: Pkcs8V1Der<'static> = pair.as_der().map_err(|_| refused.clone())?;
        let found = v1.as_ref().strip_prefix(&PKCS8_V1_PREFIX).filter(|found| found.len() == 32);
        let mut seed = Box::new(Zeroizing::new([0; 32]));
        for (out, byte) in seed.iter_mut().zip(found.ok_or(refused)?) {
            *out = *byte;
        }
        Self::from_seed(seed)
    }

    fn from_seed(seed: Box<Zeroizing<[u8; 32]>>) -> Result<Self, KeyError> {
        let pair =
            Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| KeyError::NotEd25519Private)?;
        let public_key = pair.public_key().as_ref().try_into().map_err(|_| KeyError::NotEd25519Private)?;
        Ok(Self { seed, public_key: PublicKey(public_key) })
    }
}

/// Whether `der` is one `SEQUENCE` and nothing after it. Longer ones than any key have no form here.
fn is_one_sequence(der: &[u8]) -> bool {
    match der {
        [0x30, length @ 0..=0x7f, body @ ..] | [0x30, 0x81, length @ 0x80..=0xff, body @ ..] => {
            body.len() == usize::from(*length)
        }
        _ => false,
    }
}
