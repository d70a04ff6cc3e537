//! Signing and verifying behind two small traits: a private key may live elsewhere than in memory.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, ParsedPublicKey};
use keystile_keyring::PublicKey;

/// Signs with one Ed25519 private key, wherever that is kept.
pub trait Signer: Send + Sync {
    /// The public part of the key.
    fn public_key(&self) -> PublicKey;

    /// The Ed25519 signature of `message` (RFC 8032).
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError>;
}

/// Verifies with one public key, parsed once.
pub trait Verifier: Send + Sync {
    /// Whether `signature` is the key's over `message`.
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool;
}

/// A signature could not be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign: {0}")]
pub struct SignError(pub String);

/// A key pair in memory.
pub(crate) struct PairSigner {
    pair: Ed25519KeyPair,
    public_key: PublicKey,
}

impl PairSigner {
    pub(crate) fn new(pair: Ed25519KeyPair, public_key: PublicKey) -> Self {
        Self { pair, public_key }
    }
}

impl Signer for PairSigner {
    fn public_key(&self) -> PublicKey {
        self.public_key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], SignError> {
        let failed = || SignError("the cryptography library refused".to_owned());
        let signature = self.pair.try_sign(message).map_err(|_| failed())?;
        signature.as_ref().try_into().map_err(|_| failed())
    }
}

/// A parsed public key.
pub(crate) struct KeyVerifier(ParsedPublicKey);

impl KeyVerifier {
    /// `None` if the bytes are no point of the curve.
    pub(crate) fn new(public_key: &PublicKey) -> Option<Self> {
        ParsedPublicKey::new(&ED25519, public_key.0).ok().map(Self)
    }
}

impl Verifier for KeyVerifier {
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jws::encode;
    use crate::private_key::PrivateKey;

    /// RFC 8037 appendix A.1, as PKCS#8.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";
    /// RFC 8037 appendix A.4.
    const SIGNING_INPUT: &[u8] = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const SIGNATURE: &str =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

    fn signer() -> PairSigner {
        PrivateKey::from_pem(KEY.as_bytes()).unwrap().into_signer().unwrap()
    }

    #[test]
    fn rfc_8037_a4_signing() {
        assert_eq!(encode(&signer().sign(SIGNING_INPUT).unwrap()), SIGNATURE);
    }

    #[test]
    fn rfc_8037_a5_validation() {
        let signature = signer().sign(SIGNING_INPUT).unwrap();
        let verifier = KeyVerifier::new(&signer().public_key()).unwrap();
        assert!(verifier.verify(SIGNING_INPUT, &signature));
        assert!(!verifier.verify(&SIGNING_INPUT[1..], &signature));
        for at in 0..64 {
            let mut changed = signature;
            changed[at] ^= 1;
            assert!(!verifier.verify(SIGNING_INPUT, &changed), "byte {at}");
        }
    }
}
