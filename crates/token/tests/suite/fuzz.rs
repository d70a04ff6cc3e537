//! Inputs of a kept corpus (`tests/corpus`), changed over and over, the same ones in every run:
//! `FUZZ_RUNS=1000000 cargo test -p keystile-token fuzz_ -- --nocapture` goes on for longer.

use std::path::Path;

use keystile_token::public_key_to_pem;

use crate::common::private_key;
use crate::mutations::{corpus, fuzz, runs};
use crate::targets;

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

#[test]
fn fuzz_token() {
    let mut inputs = kept("token");
    inputs.push(targets::good_token());
    fuzz(&inputs, WORDS, runs(5_000), targets::any_token);
}

#[test]
fn fuzz_header_beside_jsonwebtoken() {
    let mut inputs = kept("header");
    inputs.push(targets::good_header());
    fuzz(&inputs, WORDS, runs(3_000), targets::header_beside_jsonwebtoken);
}

#[test]
fn fuzz_claims_beside_jsonwebtoken() {
    let mut inputs = kept("claims");
    inputs.push(targets::good_claims());
    fuzz(&inputs, WORDS, runs(3_000), targets::claims_beside_jsonwebtoken);
}

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
    fuzz(&inputs, words, runs(5_000), targets::pem);
}
