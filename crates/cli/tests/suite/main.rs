//! What the program says and does, from outside.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod cluster;
mod help;
mod json;
mod log;
mod memory;
mod process;
mod secrets;
mod stories;
mod story;
mod terminal;
mod traces;
mod umask;
