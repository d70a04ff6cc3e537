//! The bytes of a connection to a gateway: HTTP/1.1 and HTTP/2.
#![no_main]
#![allow(dead_code, unused_imports, reason = "shared with the tests, of which this is a part")]

#[path = "../../crates/gateway/tests/suite/store.rs"]
mod store;
#[path = "../../crates/gateway/tests/suite/targets.rs"]
mod targets;
#[path = "../../crates/gateway/tests/suite/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::connection(input));
