//! What the fuzzers put inputs to: the one of these tests, and the one led by coverage in `fuzz/`.

use std::sync::LazyLock;

use keystile_token::{Keyring, PrivateKey, inspect, public_key_from_pem, public_key_to_pem};

use crate::common::{draft, forging_key, simple, token};
use crate::differential::agree;
use crate::forger::sign_raw;
use crate::hostile::refused;

static KEYRING: LazyLock<Keyring> = LazyLock::new(simple);
static GOOD: LazyLock<Vec<u8>> = LazyLock::new(good_token);

pub(crate) fn good_token() -> Vec<u8> {
    token(1, 2000, 3000).into_bytes()
}

pub(crate) fn good_header() -> Vec<u8> {
    draft(1, 9000, 12_000).header_json().into_bytes()
}

pub(crate) fn good_claims() -> Vec<u8> {
    draft(1, 9000, 12_000).claims_json().into_bytes()
}

/// What is not byte for byte the good token is refused.
pub(crate) fn any_token(input: &[u8]) {
    assert!(input == *GOOD || refused(&KEYRING, input));
}

/// A header under a good signature: `jsonwebtoken` and we say the same, but for what is meant.
pub(crate) fn header_beside_jsonwebtoken(input: &[u8]) {
    let Ok(header) = std::str::from_utf8(input) else { return };
    let claims = draft(1, 9000, 12_000).claims_json();
    agree(&KEYRING, &sign_raw(header, &claims, &forging_key(1))).unwrap();
}

/// Claims under a good signature, the same.
pub(crate) fn claims_beside_jsonwebtoken(input: &[u8]) {
    let Ok(claims) = std::str::from_utf8(input) else { return };
    let header = draft(1, 9000, 12_000).header_json();
    let token = sign_raw(&header, claims, &forging_key(1));
    let _ = inspect(token.as_bytes());
    agree(&KEYRING, &token).unwrap();
}

/// A header under a good signature, recognised by its bytes or parsed strictly: the verdict is the same.
#[cfg(fuzzing)]
pub(crate) fn recognised_beside_the_strict_parser(input: &[u8]) {
    static STRICT: LazyLock<Keyring> = LazyLock::new(|| simple().recognising_nothing());
    let Ok(header) = std::str::from_utf8(input) else { return };
    let token = sign_raw(header, &draft(1, 9000, 12_000).claims_json(), &forging_key(1));
    let now = keystile_keyring::UnixTime(10_000);
    assert_eq!(KEYRING.verify(token.as_bytes(), now), STRICT.verify(token.as_bytes(), now));
}

/// PEM and the PKCS#8 or SubjectPublicKeyInfo in it: what is read is a key, and reads the same again.
pub(crate) fn pem(input: &[u8]) {
    if let Ok(key) = PrivateKey::from_pem(input) {
        let again = PrivateKey::from_pem(key.to_pem().as_bytes()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
    }
    if let Ok(key) = public_key_from_pem(input) {
        assert_eq!(public_key_from_pem(public_key_to_pem(&key).as_bytes()).unwrap(), key);
    }
}
