//! Keys that sign whatever they are given.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keystile_token::PrivateKey;

use crate::error::RehearsalError;

/// A key that signs whatever it is given: one of the rehearsal's own keyring, which protects nothing else,
/// or a thief's.
pub(crate) struct ForgingKey(Ed25519KeyPair);

impl ForgingKey {
    /// A key of the thief's own.
    pub(crate) fn of_a_thief(seed: u64) -> Result<Self, RehearsalError> {
        let mut bytes = [0x5a; 32];
        for (byte, seed) in bytes.iter_mut().zip(seed.to_be_bytes()) {
            *byte = seed;
        }
        let pair = Ed25519KeyPair::from_seed_unchecked(&bytes);
        pair.map(Self).map_err(|_| RehearsalError::Token("no key could be made for the adversary".to_owned()))
    }

    /// The same key as a keyring's.
    pub(crate) fn of(key: &PrivateKey) -> Result<Self, RehearsalError> {
        let pem = key.to_pem();
        let body = pem.lines().find(|line| !line.starts_with('-')).unwrap_or_default();
        let pair = STANDARD.decode(body).ok().and_then(|der| Ed25519KeyPair::from_pkcs8(&der).ok());
        pair.map(Self).ok_or_else(|| RehearsalError::Token("a key of the keyring cannot be read".to_owned()))
    }

    /// The raw public key.
    pub(crate) fn public_bytes(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The JWS signature of `message`, encoded.
    pub(crate) fn sign(&self, message: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()))
    }
}
