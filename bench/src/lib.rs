//! Keystile's hot path beside its peers, all of it measured in one run.
//!
//! `cargo run --release -- report` prints the table and writes `docs/performance.md`; `cargo bench` measures the same
//! contenders one by one.

pub mod contenders;
pub mod fixture;
pub mod gateway;
pub mod load;
pub mod measure;
pub mod page;
pub mod picture;
pub mod rejections;
pub mod run;
pub mod targets;
pub mod tricks;
