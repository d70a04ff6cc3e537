//! The crate from outside: every rule, reason and bound, through the public API.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod common;
mod mint;
mod openshell;
