//! A manifest, every question to it and every plan on it.
#![no_main]
#![allow(dead_code, unused_imports, reason = "shared with the tests, of which this is a part")]

#[path = "../../crates/keyring/tests/targets/mod.rs"]
mod targets;
#[path = "../../crates/keyring/tests/world/mod.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    targets::manifest(input);
});
