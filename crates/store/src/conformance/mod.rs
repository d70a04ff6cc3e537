//! What every store must do. A store's tests name a [`Place`] and get one test for each case:
//!
//! ```text
//! keystile_store::conformance_tests!(MyPlace::new());
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a suite of tests: it asserts"
)]

mod commits;
mod key_sets;
mod reports;
mod samples;
mod witness;

use std::sync::Arc;

use keystile_keyring::UnixTime;

use crate::Store;

pub use commits::*;
pub use key_sets::*;
pub use reports::*;
pub use samples::{KEY_SET, START, Sample, report_of};
pub use witness::*;

/// Somewhere that a store can be, never used before.
pub trait Place {
    /// A store there, as a process of its own would open it.
    fn open(&self) -> Arc<dyn Store>;

    /// Sets the clock of every store there.
    fn set_clock(&self, now: UnixTime);

    /// Puts members there as OpenShell does. Called before the first [`open`](Self::open).
    fn put(&self, members: &[(&str, &[u8])]);

    /// Loses the keyring, as `rm -r` or `kubectl delete` do; the witness stays.
    fn lose(&self);
}

/// One test for each case, against a fresh `$place` each.
#[macro_export]
macro_rules! conformance_tests {
    ($place:expr) => {
        $crate::conformance_tests! { @cases $place;
            a_place_never_used_is_empty_and_has_no_keyring,
            the_first_generation_is_loaded_as_it_was_committed,
            a_public_load_needs_no_private_key,
            a_second_first_generation_is_refused,
            each_generation_names_the_one_before_it,
            a_wrong_generation_is_a_conflict,
            t49_another_digest_of_the_same_generation_is_a_conflict,
            a_change_of_an_empty_place_is_a_conflict,
            t03_of_two_concurrent_changes_exactly_one_wins,
            a_generation_that_does_not_follow_is_refused,
            a_present_key_without_its_private_key_is_refused,
            t23_a_private_key_of_another_key_is_refused,
            t39_a_manifest_over_its_limit_is_refused_and_the_old_one_stays,
            private_keys_that_the_manifest_does_not_call_present_are_not_stored,
            t05_reading_changes_nothing,
            a_change_ticks_every_watcher,
            any_kid_can_be_stored,
            a_report_comes_back_as_it_was_written,
            a_report_replaces_the_last_one_of_its_replica,
            a_withdrawn_report_is_still_there,
            a_forgotten_report_is_gone,
            a_clock_that_is_off_shows,
            a_report_that_no_reader_takes_is_refused,
            t06_a_place_without_a_keyring_takes_no_report,
            the_witness_remembers_the_newest,
            t08_the_witness_never_goes_back,
            the_witness_takes_no_other_manifest_of_its_generation,
            t06_a_place_that_its_witness_remembers_is_not_empty,
            a_store_that_went_back_takes_only_what_follows_its_witness,
            i8_a_forked_store_takes_only_a_repair,
            i8_the_witness_never_forgets_a_revocation,
            the_mirror_shows_the_key_that_signs,
            the_mirror_shows_the_next_key_within_its_lead,
            a_stale_mirror_is_told_and_repaired,
            a_key_set_is_recognised_and_read,
            a_key_set_is_adopted_in_place,
            t06_a_key_set_is_not_overwritten,
            t06_a_partial_key_set_is_not_overwritten,
            t23_a_key_set_of_two_keys_is_refused,
            an_empty_kid_is_refused,
        }
    };
    (@cases $place:expr; $($case:ident,)+) => {
        $(
            #[tokio::test]
            async fn $case() {
                let place = $place;
                $crate::conformance::$case(&place).await;
            }
        )+
    };
}
