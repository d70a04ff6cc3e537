//! Every small world, explored: the keyring's rules hold, and each is needed. See `explorer`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod explorer;
#[path = "../world/mod.rs"]
mod world;

use explorer::rules::Rules;
use explorer::search::explore;
use explorer::settings::{self, Setting};
use explorer::story::Violation;
use explorer::weaker;

/// Explores what a few acts can bring about; `cargo run --example explore` goes further.
#[track_caller]
fn holds(setting: &'static Setting) {
    let (counts, outcome) = explore(setting, setting.acts, &Rules::KEYRING);
    println!("{}: {counts}", setting.name);
    if let Err(violation) = outcome {
        panic!("{}: {violation}", setting.name);
    }
}

/// Explores with a weaker rule until `invariant` breaks, where `says` stands in the last line of the timeline.
#[track_caller]
fn found(rules: Rules, setting: &'static Setting, invariant: &str, says: &str) -> Violation {
    for acts in 1..=3 {
        let (counts, outcome) = explore(setting, acts, &rules);
        let Err(violation) = outcome else { continue };
        println!("{counts}\n{violation}");
        assert_eq!(violation.invariant, invariant, "{violation}");
        assert!(violation.what().contains(says), "{violation}");
        return violation;
    }
    panic!("the rule is not needed in {}", setting.name);
}

#[test]
fn i1_to_i4_hold_in_every_small_world_of_planned_rotations_without_a_read() {
    holds(&settings::PLANNED);
}

#[test]
fn i1_to_i4_hold_in_every_small_world_of_planned_rotations_with_a_lead_without_a_read() {
    holds(&settings::PLANNED_AHEAD);
}

#[test]
fn i1_to_i4_hold_in_every_small_world_of_rotations_and_rollbacks() {
    holds(&settings::ROTATIONS);
}

#[test]
fn i1_to_i4_hold_in_every_small_world_of_activations_ahead() {
    holds(&settings::ROTATIONS_AHEAD);
}

#[test]
fn i1_to_i4_hold_in_every_small_world_of_changes_of_policy() {
    holds(&settings::POLICY);
}

#[test]
fn i3_holds_in_every_small_world_of_a_raise_before_an_activation() {
    holds(&settings::RAISES);
}

#[test]
fn i1_to_i4_hold_in_every_small_world_of_emergencies_and_rollbacks() {
    holds(&settings::TO_AND_FRO);
}

#[test]
#[ignore = "takes a minute: the command explores it"]
fn all_hold_in_every_small_world_of_every_kind_of_act() {
    holds(&settings::EVERYTHING);
}

#[test]
fn i3_and_i4_hold_in_every_small_world_of_tokens_without_an_end() {
    holds(&settings::ENDLESS);
}

#[test]
fn i8_holds_in_every_small_world_of_theft() {
    holds(&settings::THEFT);
}

#[test]
fn i5_and_i8_hold_in_every_small_world_of_restores() {
    holds(&settings::RESTORES);
}

#[test]
fn i8_holds_in_every_small_world_that_only_the_witness_remembers() {
    holds(&settings::RESTORES_UNSEEN);
}

#[test]
fn i5_and_i8_hold_in_every_small_world_that_only_replicas_remember() {
    holds(&settings::RESTORES_OF_ALL);
}

#[test]
fn i12_holds_in_every_small_world_of_a_full_keyring() {
    holds(&settings::FULL);
}

#[test]
fn i1_to_i4_hold_in_every_small_world_of_windows_without_a_leeway() {
    holds(&settings::PRUNED);
}

#[test]
fn c01_is_found_when_a_rollback_removes_an_activation() {
    found(weaker::C01, &settings::ROTATIONS_AHEAD, "I3", "its kid is unknown");
}

#[test]
fn c02_is_found_when_a_revocation_leaves_an_activation_ahead() {
    found(weaker::C02, &settings::ROTATIONS_AHEAD, "I1", "0 keys are active");
}

#[test]
fn c03_is_found_when_an_activation_does_not_raise_the_longest_token() {
    found(weaker::C03, &settings::RAISES, "I3", "LifetimeExceedsPolicy");
}

#[test]
fn c04_is_found_when_a_raise_reaches_only_signers() {
    found(weaker::C04, &settings::POLICY, "I3", "LifetimeExceedsPolicy");
}

#[test]
fn c05_is_found_when_a_lowered_staleness_counts_at_once() {
    found(weaker::C05_AT_ONCE, &settings::POLICY, "I3", "SignedAfterSupersession");
}

#[test]
fn c05_is_found_when_a_lowered_staleness_reaches_back() {
    found(weaker::C05_ANEW, &settings::POLICY, "I3", "SignedAfterSupersession");
}

#[test]
fn c06_is_found_when_the_delay_of_the_commit_is_left_out() {
    found(weaker::C06, &settings::ROTATIONS, "I3", "SignedAfterSupersession");
}

#[test]
fn c06_is_found_when_a_late_commit_is_not_extended() {
    found(weaker::C06_LATE, &settings::ROTATIONS, "I3", "SignedAfterSupersession");
}

#[test]
fn c07_is_found_when_a_key_that_signs_again_keeps_its_bounds() {
    found(weaker::C07, &settings::TO_AND_FRO, "I3", "SignedAfterSupersession");
}

#[test]
fn c08_is_found_when_skew_is_the_distance_from_true_time() {
    found(Rules::KEYRING, &settings::TWICE_THE_SKEW, "I3", "IssuedInFuture");
}

#[test]
fn c09_is_found_without_the_gate() {
    found(weaker::C09_NO_GATE, &settings::PLANNED, "I2", "never heard of it");
}

#[test]
fn c09_is_found_when_a_schedule_is_too_short() {
    found(weaker::C09_SCHEDULE, &settings::PLANNED, "I2", "never heard of it");
}

#[test]
fn c10_is_found_when_a_replica_verifies_for_ever() {
    found(weaker::C10, &settings::THEFT, "I8", "accepts a token of a");
}

#[test]
fn c11_is_found_when_prune_does_not_wait_for_slower_clocks() {
    found(weaker::C11_PRUNE, &settings::PRUNED, "I3", "its key is gone");
}

#[test]
fn c11_is_found_when_the_old_private_key_goes_before_the_new_one_signs() {
    found(weaker::C11_CUSTODY, &settings::PLANNED, "I1", "its private key is gone");
}

#[test]
fn c12_is_found_when_a_deadline_cuts_off_finite_tokens() {
    found(weaker::C12, &settings::ENDLESS, "I3", "KeyRetired");
}

#[test]
fn c13_is_found_when_a_rollback_returns_to_the_key_before() {
    found(weaker::C13, &settings::TO_AND_FRO, "rollback", "which a rollback went back from");
}

#[test]
fn c14_is_found_without_the_benefit_of_the_doubt() {
    found(weaker::C14, &settings::PLANNED_AHEAD, "I3", "cannot read its store");
}

#[test]
fn c15_is_found_when_the_last_change_must_be_recent() {
    found(weaker::C15, &settings::TO_AND_FRO, "an ordinary day", "is refused");
}

#[test]
fn c16_is_found_when_lineages_before_the_key_are_spared() {
    found(weaker::C16, &settings::THEFT, "I8", "it descends from a token forged of");
}

#[test]
fn c17_is_found_when_whatever_came_back_may_sign() {
    found(weaker::C17, &settings::RESTORES_UNSEEN, "I8", "was revoked");
}

#[test]
fn i3_needs_the_staleness_in_the_last_iat() {
    found(weaker::NO_STALENESS, &settings::ROTATIONS, "I3", "SignedAfterSupersession");
}

#[test]
fn i3_needs_the_skew_in_the_last_iat() {
    found(weaker::NO_SKEW, &settings::ROTATIONS, "I3", "SignedAfterSupersession");
}

#[test]
fn i3_needs_the_longest_token_in_the_window() {
    found(weaker::NO_LIFETIME, &settings::ROTATIONS, "I3", "KeyRetired");
}

#[test]
fn i3_needs_the_read_before_a_refusal() {
    found(weaker::NO_REREAD, &settings::ROTATIONS, "I3", "refuses it");
}

#[test]
fn i4_needs_an_end_that_follows_from_the_bounds() {
    found(weaker::NO_END, &settings::ROTATIONS, "I4", "after it was superseded");
}

#[test]
fn i4_needs_the_bounds_of_a_superseded_key() {
    found(weaker::NO_BOUNDS, &settings::ROTATIONS, "I4", "a forged token of a is accepted");
}

#[test]
fn i2_needs_the_skew_before_a_silent_replica_is_forgotten() {
    found(weaker::GATE_FORGETS_EARLY, &settings::PLANNED, "I2", "still serves");
}

#[test]
fn i2_needs_the_wait_for_outside_verifiers() {
    found(weaker::NO_CACHES, &settings::PLANNED_AHEAD, "I2", "fetched the JWK Set");
}

#[test]
fn i5_needs_a_repair_that_is_above_all_that_was() {
    found(weaker::I5_STORE_ONLY, &settings::RESTORES_UNSEEN, "I5", "never loads it");
}

#[test]
fn i8_needs_the_witness() {
    found(weaker::I8_NO_WITNESS, &settings::RESTORES_UNSEEN, "I8", "a replica that starts now");
}

#[test]
fn i8_needs_what_only_replicas_remember() {
    found(weaker::I8_ASKS_NO_REPLICA, &settings::RESTORES_OF_ALL, "I8", "was revoked");
}

#[test]
fn i9_needs_every_key_that_verifies_in_the_jwk_set() {
    found(weaker::I9_SIGNERS_ONLY, &settings::ROTATIONS, "I9", "its JWK Set lacks a");
}

#[test]
fn i9_needs_a_timeline_of_keys_that_are_held() {
    found(weaker::I9_LEFT_IN_THE_TIMELINE, &settings::PRUNED, "I9", "no replica can load it");
}

#[test]
fn i12_needs_the_limit_of_keys() {
    found(weaker::I12_NO_LIMIT, &settings::FULL, "I12", "it holds 4 keys");
}

#[test]
fn i8_needs_a_repair_that_keeps_revocations() {
    found(weaker::I8_FORGETS, &settings::RESTORES_UNSEEN, "I8", "was revoked");
}

#[test]
fn i8_needs_descendants_from_the_first_instant_at_which_a_thief_passes() {
    found(
        weaker::DESCENDANTS_FROM_THE_ACTIVATION,
        &settings::THEFT,
        "I8",
        "it descends from a token forged of",
    );
}
