//! Inputs of a kept corpus (`tests/corpus`), changed over and over, the same ones in every run:
//! `FUZZ_RUNS=1000000 cargo test -p keystile-token fuzz_ -- --nocapture` goes on for longer.

use std::path::Path;

use keystile_token::{PrivateKey, inspect, public_key_from_pem, public_key_to_pem};

use crate::common::{draft, forging_key, private_key, simple, token};
use crate::differential::agree;
use crate::forger::sign_raw;
use crate::hostile::refused;
use crate::mutations::{corpus, fuzz, runs};

const WORDS: &[&str] = &[
    "\"exp\":0",
    "\"exp\":12000,",
    "\"iat\":-1",
    "\"nbf\":1,",
    "\"aud\":[",
    "\"kid\":\"",
    "\"alg\":\"none\"",
    "\"crit\":[\"exp\"],",
    "\"b64\":false,",
    "\"keystile\":{\"began\":9000,\"method\":\"token-file\"}",
    "null",
    "true",
    "[]",
    "{}",
    "{",
    "}",
    "]",
    ",",
    ":",
    "\"",
    "\\u0000",
    "\\ud800",
    "1e999",
    "-0",
    "18446744073709551615",
    "9223372036854775808",
    " ",
    "\n",
    "\u{feff}",
    "..",
    "=",
    "A",
    "\"jwk\":{},",
    "\"typ\":\"openshell-ext+jwt\",",
];

fn kept(target: &str) -> Vec<Vec<u8>> {
    corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target))
}

/// What is not byte for byte the good token is refused.
#[test]
fn fuzz_token() {
    let good = token(1, 2000, 3000).into_bytes();
    let mut inputs = kept("token");
    inputs.push(good.clone());
    let keyring = simple();
    fuzz(&inputs, WORDS, runs(5_000), |input| assert!(input == good || refused(&keyring, input)));
}

/// A header under a good signature: `jsonwebtoken` and we say the same, but for what is meant.
#[test]
fn fuzz_header_beside_jsonwebtoken() {
    let good = draft(1, 9000, 12_000);
    let mut inputs = kept("header");
    inputs.push(good.header_json().into_bytes());
    let keyring = simple();
    fuzz(&inputs, WORDS, runs(3_000), |input| {
        let Ok(header) = std::str::from_utf8(input) else { return };
        agree(&keyring, &sign_raw(header, &good.claims_json(), &forging_key(1))).unwrap();
    });
}

/// Claims under a good signature, the same.
#[test]
fn fuzz_claims_beside_jsonwebtoken() {
    let good = draft(1, 9000, 12_000);
    let mut inputs = kept("claims");
    inputs.push(good.claims_json().into_bytes());
    let keyring = simple();
    fuzz(&inputs, WORDS, runs(3_000), |input| {
        let Ok(claims) = std::str::from_utf8(input) else { return };
        let token = sign_raw(&good.header_json(), claims, &forging_key(1));
        let _ = inspect(token.as_bytes());
        agree(&keyring, &token).unwrap();
    });
}

/// PEM and the PKCS#8 or SubjectPublicKeyInfo in it: what is read is a key, and reads the same again.
#[test]
fn fuzz_pem() {
    let mut inputs = kept("pem");
    inputs.push(private_key(1).to_pem().as_bytes().to_vec());
    inputs.push(public_key_to_pem(&private_key(1).public_key()).into_bytes());
    let words = &[
        "-----BEGIN PRIVATE KEY-----\n",
        "-----END PRIVATE KEY-----",
        "-----",
        "\n",
        "\r\n",
        "=",
        "MC4CAQAwBQYDK2VwBCIEI",
        " ",
    ];
    fuzz(&inputs, words, runs(5_000), |input| {
        if let Ok(key) = PrivateKey::from_pem(input) {
            let again = PrivateKey::from_pem(key.to_pem().as_bytes()).unwrap();
            assert_eq!(again.public_key(), key.public_key());
        }
        if let Ok(key) = public_key_from_pem(input) {
            assert_eq!(public_key_from_pem(public_key_to_pem(&key).as_bytes()).unwrap(), key);
        }
    });
}
