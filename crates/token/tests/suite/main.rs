//! The crate from outside: every rule, reason and bound, through the public API.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod bounds;
mod common;
mod differential;
mod documents;
mod edge_cases;
mod extension;
// By path: the test kit depends on the store, and the store on this crate.
#[allow(dead_code, unreachable_pub, reason = "this suite uses a part of it")]
#[path = "../../../testkit/src/forger.rs"]
mod forger;
mod fuzz;
mod hostile;
mod jose;
mod keyring;
mod keys;
mod mint;
#[allow(dead_code, unreachable_pub, reason = "the same")]
#[path = "../../../testkit/src/mutations.rs"]
mod mutations;
mod openshell;
mod panics;
mod promise;
mod reasons;
mod remembered;
mod reread;
mod routing;
mod secrecy;
mod targets;
