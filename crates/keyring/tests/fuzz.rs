//! Manifests of a kept corpus (`tests/corpus`), changed over and over, the same ones in every run:
//! `FUZZ_RUNS=1000000 cargo test -p keystile-keyring --test fuzz -- --nocapture` goes on for longer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[allow(dead_code, unreachable_pub, reason = "the test kit depends on this crate: by path")]
#[path = "../../testkit/src/mutations.rs"]
mod mutations;
mod targets;
mod world;

use std::path::Path;

use serde_json::Value;

use mutations::{corpus, fuzz, runs};

const WORDS: &[&str] = &[
    "0",
    "18446744073709551615",
    "-1",
    "1e999",
    "null",
    "[]",
    "{}",
    "\"\"",
    "\"a\"",
    "\"b\"",
    "110",
    "120",
    "9",
    ",",
    "\"revoked\"",
    "\"retired\"",
    "\"unbounded\"",
    "\"present\"",
    "true",
    "\\u0000",
];

#[test]
fn fuzz_manifest() {
    let mut inputs = corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/manifest"));
    inputs.extend(targets::life());
    inputs.extend(targets::life().iter().flat_map(|json| other_values(json)));
    let mut read = 0;
    fuzz(&inputs, WORDS, runs(10_000), |input| read += u32::from(targets::manifest(input)));
    println!("{read} of them were manifests");
    assert!(read > 1_000, "many changes leave a manifest: {read}");
}

/// The manifest with each of its numbers and texts in turn replaced by others that stand in it: still JSON of its
/// shape, and often a manifest.
fn other_values(json: &[u8]) -> Vec<Vec<u8>> {
    let whole: Value = serde_json::from_slice(json).unwrap();
    let mut leaves = Vec::new();
    gather(&whole, String::new(), &mut leaves);
    let mut changed = Vec::new();
    for (at, (pointer, value)) in leaves.iter().enumerate() {
        let alike = leaves.iter().map(|(_, other)| other).filter(|other| other.is_u64() == value.is_u64());
        for other in alike.skip(at % 7).step_by(7).chain([&Value::from(u64::MAX), &Value::Null]) {
            let mut next = whole.clone();
            *next.pointer_mut(pointer).unwrap() = other.clone();
            changed.push(serde_json::to_vec(&next).unwrap());
        }
    }
    changed
}

/// Every value that holds no others, with its JSON pointer.
fn gather(value: &Value, pointer: String, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                gather(item, format!("{pointer}/{index}"), leaves);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                gather(member, format!("{pointer}/{name}"), leaves);
            }
        }
        leaf => leaves.push((pointer, leaf.clone())),
    }
}
