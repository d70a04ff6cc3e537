//! Claims under a good signature, beside `jsonwebtoken`.
#![no_main]
#![allow(dead_code, unused_imports, reason = "shared with the tests, of which this is a part")]

#[path = "../../crates/token/tests/suite/common.rs"]
mod common;
#[path = "../../crates/token/tests/suite/differential.rs"]
mod differential;
#[path = "../../crates/testkit/src/forger.rs"]
mod forger;
#[path = "../../crates/token/tests/suite/hostile.rs"]
mod hostile;
#[path = "../../crates/token/tests/suite/targets.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::claims_beside_jsonwebtoken(input));
