//! What is particular to the directory store.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests assert")]

#[path = "../common/mod.rs"]
mod common;

mod crash;
mod durability;
mod faults;
mod layout;
mod loading;
mod locking;
mod mount;
mod occupied;
mod readers;
mod reporting;
mod surroundings;
mod watching;
mod witnessing;
