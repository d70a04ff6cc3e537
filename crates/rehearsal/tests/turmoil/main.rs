//! Lives under turmoil: real gateways, supervisors and operators in one process and in virtual time, with faults that
//! a seed decides. See docs/explanation/turmoil.md.
//!
//! * `world` is what they live in: clocks, network, store, and what starts the real parts on them;
//! * `faults` draws what goes wrong, `life` lets it happen;
//! * `oracle` knows what is true, and judges every answer;
//! * `lives` lives a thousand seeds, `kept` those that once failed, `weakened` shows that broken rules are found.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    unreachable_pub,
    reason = "a test that cannot go on fails"
)]

mod adversary;
mod faults;
mod kept;
mod life;
mod lives;
mod oracle;
mod weakened;
mod weakness;
mod world;
