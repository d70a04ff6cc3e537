//! Whole gateways on loopback sockets, with real clients, a directory store and a clock that tests move.
#![allow(unreachable_pub, reason = "the modules are one test binary")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod abuse;
mod authorisation;
mod bootstrap;
mod client;
mod extension;
mod flood;
mod frames;
mod fuzz;
mod happy;
mod limits;
mod logs;
mod observe;
mod openapi;
mod published;
mod refusals;
mod remembered;
mod reports;
mod rotation;
mod shutdown;
mod smuggling;
mod staleness;
mod start;
mod store;
mod store_faults;
mod targets;
mod tls;
mod tls_profile;
#[path = "../../../keyring/tests/validator/mod.rs"]
mod validator;
mod witness;
mod world;
