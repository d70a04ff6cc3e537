//! The store against an API server that says what a test tells it to: answers that a real one gives
//! seldom, and never when a test wants them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests assert")]

mod server;
mod watching;
mod writing;
