//! Seeds whose lives once failed, each with what was wrong.

use crate::life::live;
use crate::lives::must_hold;
use crate::weakness::Weakness;

fn kept(seed: u64) {
    must_hold(&[live(seed, Weakness::None)]);
}

/// A supervisor whose file held the very token that it held was stale for ever after an outage, and told nobody.
/// `a_token_that_is_refused_after_an_outage_strands_though_the_file_holds_it_too` is the same without chance.
#[test]
fn seed_162_supervisors_tell_that_they_are_stranded() {
    kept(162);
}

/// The same after another outage.
#[test]
fn seed_381_a_supervisor_tells_that_it_is_stranded() {
    kept(381);
}
