//! Manifests of a kept corpus (`tests/corpus`), changed over and over, the same ones in every run:
//! `FUZZ_RUNS=1000000 cargo test -p keystile-keyring --test fuzz -- --nocapture` goes on for longer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

#[allow(dead_code, unreachable_pub, reason = "the test kit depends on this crate: by path")]
#[path = "../../testkit/src/mutations.rs"]
mod mutations;
mod world;

use std::path::Path;

use keystile_keyring::check::{postcondition, structure};
use keystile_keyring::plan::{Mode, Planned, PolicyChange, Verb};
use keystile_keyring::{Manifest, TokenTimes, UnixTime};

use serde_json::Value;

use mutations::{corpus, fuzz, runs};
use world::{Ring, kid, small};

const EMERGENCY: Verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
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

/// The manifests of a life: rotated, rolled back, revoked, its policy changed.
fn life() -> Vec<Vec<u8>> {
    let mut ring = Ring::begin(small(), 100);
    let revoke = Verb::Revoke { kid: kid("a"), descendants: true };
    let longer = Verb::SetPolicy(PolicyChange([("token_ttl".to_owned(), Some(9))].into()));
    let prepare = Verb::Prepare { no_rollback: false };
    let verbs = [EMERGENCY, Verb::Rollback { to: None }, longer, EMERGENCY, revoke, prepare];
    let mut all = vec![ring.manifest.to_json().unwrap()];
    for (verb, now) in verbs.into_iter().zip((110..).step_by(3)) {
        all.push(ring.verb(verb, now).manifest.to_json().unwrap());
    }
    all
}

/// What is read is sound, reads the same again, answers any question, and every plan on it is sound too.
#[test]
fn fuzz_manifest() {
    let mut inputs = corpus(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/manifest"));
    inputs.extend(life());
    inputs.extend(life().iter().flat_map(|json| other_values(json)));
    let mut read = 0;
    fuzz(&inputs, WORDS, runs(10_000), |input| {
        let Ok(manifest) = Manifest::from_json(input) else { return };
        read += 1;
        // What cannot be stored again is refused when it is written; nothing was lost.
        if let Ok(json) = manifest.to_json() {
            assert_eq!(Manifest::from_json(&json).as_ref(), Ok(&manifest));
        }
        ask(&manifest);
        for verb in [EMERGENCY, Verb::Rollback { to: None }, Verb::Prune] {
            let ring = Ring::of(manifest.clone());
            if let Ok(Planned::Change(plan)) = ring.try_verb(verb, 135) {
                assert_eq!(structure(&plan.next), Ok(()));
                assert_eq!(postcondition(&plan.next, plan.planned_at), Ok(()));
            }
        }
    });
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

fn ask(manifest: &Manifest) {
    for now in [0, 100, 112, 130, u64::MAX].map(UnixTime) {
        let _ = (
            manifest.next_event(now),
            manifest.rotation_due(now),
            manifest.key_age(now),
            manifest.maxima(now),
        );
        for key in &manifest.keys {
            let times = TokenTimes { issued_at: now, expires_at: Some(now.plus(4)), lineage_began: now };
            let accepted = manifest.admit(key, times, now).is_ok();
            assert!(!accepted || key.revoked.is_none());
            assert!(!accepted || manifest.state_of(key, now).published());
        }
    }
}
