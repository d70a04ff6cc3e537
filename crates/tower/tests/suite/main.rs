//! Axum and tonic services on loopback sockets behind the layer, with real clients, a directory store that a real
//! operator changes, and a clock that tests move.
#![allow(unreachable_pub, reason = "the modules are one test binary")]
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod examples;
mod grpc;
mod limits;
mod logs;
mod refusals;
mod renewal;
mod store;
mod streams;
mod web;
mod world;
