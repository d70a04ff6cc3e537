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

/// A public key, parsed once.
pub struct KeyVerifier(ParsedPublicKey);

impl KeyVerifier {
    /// `None` if the bytes are no point of the curve, not its one encoding, or a point of small order,
    /// by which one signature is good for every message.
    pub fn new(public_key: &PublicKey) -> Option<Self> {
        if !is_sound(&public_key.0) {
            return None;
        }
        ParsedPublicKey::new(&ED25519, public_key.0).ok().map(Self)
    }
}

impl Verifier for KeyVerifier {
    /// Strictly: S below the group's order, R the one encoding of a point that is not of small order, and
    /// the equation without the cofactor. Then replicas agree, whatever library each has.
    fn verify(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        // The library compares R with bytes that it has computed, so another encoding is never equal.
        signature.first_chunk().is_some_and(is_sound) && self.0.verify_sig(message, signature).is_ok()
    }
}

/// The y coordinates, sign bit cleared, of the points of order 1, 2, 4 and 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Whether 32 bytes, if they are a point at all, are the one encoding of it (RFC 8032 section 5.1.3: y below
/// 2^255 − 19) and the point is not of small order.
fn is_sound(encoded: &[u8; 32]) -> bool {
    let mut y = *encoded;
    y[31] &= 0x7f;
    let overflows = matches!(y, [0xed..=0xff, middle @ .., 0x7f] if middle.iter().all(|byte| *byte == 0xff));
    !overflows && !SMALL_ORDER.contains(&y)
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

    fn key(hex: &str) -> PublicKey {
        hex.parse().unwrap()
    }

    /// RFC 8032 section 7.1, TEST 2.
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    const OF_0X72: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                           085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    fn signature(hex: &str) -> [u8; 64] {
        let byte = |at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    #[test]
    fn rfc_8032_7_1_test_2() {
        let verifier = KeyVerifier::new(&key(PUBLIC)).unwrap();
        assert!(verifier.verify(&[0x72], &signature(OF_0X72)));
    }

    /// The group's order, little-endian: S and S plus this satisfy the same equation.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];

    #[test]
    fn s_at_or_above_the_order_is_refused() {
        let mut malleated = signature(OF_0X72);
        let mut carry = 0;
        for (byte, add) in malleated[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert!(!KeyVerifier::new(&key(PUBLIC)).unwrap().verify(&[0x72], &malleated));
    }

    /// Every encoding of a point of small order, and every one with y at or above 2^255 − 19.
    fn unsound() -> Vec<[u8; 32]> {
        let mut all = SMALL_ORDER.to_vec();
        for least in 0xed..=0xff {
            let mut y = [0xff; 32];
            (y[0], y[31]) = (least, 0x7f);
            all.push(y);
        }
        let signed: Vec<_> = all
            .iter()
            .map(|y| {
                let mut signed = *y;
                signed[31] |= 0x80;
                signed
            })
            .collect();
        all.extend(signed);
        all
    }

    #[test]
    fn a_public_key_of_small_order_or_in_another_encoding_is_refused() {
        assert_eq!(unsound().len(), 48);
        for bytes in unsound() {
            assert!(KeyVerifier::new(&PublicKey(bytes)).is_none(), "{}", PublicKey(bytes));
        }
    }

    /// Why: by the key that is the neutral element, one signature is good for every message, and the
    /// library says so.
    #[test]
    fn the_library_alone_would_take_a_key_that_vouches_for_everything() {
        let neutral = SMALL_ORDER[1];
        let mut forged = [0; 64];
        forged[0] = 1;
        let library = ParsedPublicKey::new(&ED25519, neutral).unwrap();
        assert!(library.verify_sig(b"anything", &forged).is_ok());
        assert!(KeyVerifier::new(&PublicKey(neutral)).is_none());
    }

    #[test]
    fn an_r_of_small_order_or_in_another_encoding_is_refused() {
        let verifier = KeyVerifier::new(&key(PUBLIC)).unwrap();
        for bytes in unsound() {
            let mut changed = signature(OF_0X72);
            changed[..32].copy_from_slice(&bytes);
            assert!(!verifier.verify(&[0x72], &changed));
        }
    }
}
