//! Whole gateways on loopback sockets, with real clients, a directory store and a clock that tests move.
#![allow(unreachable_pub, reason = "the modules are one test binary")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod client;
mod happy;
mod store;
mod world;
