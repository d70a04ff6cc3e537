//! Public keys as `SubjectPublicKeyInfo` (RFC 8410), in DER and PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystile_keyring::PublicKey;

use crate::pem;
use crate::private_key::{KeyError, PEM_BYTES};

/// Everything of an Ed25519 `SubjectPublicKeyInfo` before the 32 bytes of the key.
const SPKI_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const LABEL: &str = "PUBLIC KEY";
const END: &[u8] = b"-----END PUBLIC KEY-----";

/// The 44 bytes of the `SubjectPublicKeyInfo`.
pub(crate) fn to_spki(key: &PublicKey) -> [u8; 44] {
    let mut spki = [0; 44];
    for (out, byte) in spki.iter_mut().zip(SPKI_PREFIX.iter().chain(&key.0)) {
        *out = *byte;
    }
    spki
}

/// The key as a PEM `PUBLIC KEY` block, as OpenShell's `public.pem` has it.
pub fn public_key_to_pem(key: &PublicKey) -> String {
    format!("-----BEGIN {LABEL}-----\n{}\n-----END {LABEL}-----\n", STANDARD.encode(to_spki(key)))
}

/// Reads the first PEM block of `pem`, which must be an Ed25519 `PUBLIC KEY`; what follows it is
/// ignored, as OpenShell does.
pub fn public_key_from_pem(pem: &[u8]) -> Result<PublicKey, KeyError> {
    if pem.len() > PEM_BYTES {
        return Err(KeyError::TooLarge { found: pem.len() });
    }
    let mut buffer = vec![0; pem.len()];
    let (label, der) = pem::decode(first_block(pem).trim_ascii_end(), &mut buffer)
        .map_err(|why| KeyError::NotPem { what: "public key", why })?;
    if label != LABEL {
        return Err(KeyError::label(label, LABEL));
    }
    let raw = der.strip_prefix(&SPKI_PREFIX).and_then(|raw| raw.try_into().ok());
    raw.map(PublicKey).ok_or(KeyError::NotEd25519Public)
}

fn first_block(pem: &[u8]) -> &[u8] {
    let end = pem.windows(END.len()).position(|window| window == END);
    end.and_then(|at| pem.get(..at + END.len())).unwrap_or(pem)
}
