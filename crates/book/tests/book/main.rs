//! The documentation is what the source says, and the source keeps the house rules.
#![allow(clippy::expect_used, reason = "these are tests, helpers included")]

mod architecture;
mod house;
mod pages;
