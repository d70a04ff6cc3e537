//! Broken rules are found: each weakness fails lives, and by the claim that it should.

use crate::life::{Life, live};
use crate::lives::told;
use crate::oracle::Claim;
use crate::weakness::Weakness;

/// The seeds in which a weakness must be found.
const SEEDS: u64 = 400;

/// The first life that breaks `claim` where a rule is weakened so; it says which.
fn found(weakness: Weakness, claim: Claim) {
    let breaks = |life: &Life| life.violations.iter().any(|violation| violation.claim == claim);
    for seed in 0..SEEDS {
        let life = live(seed, weakness);
        if breaks(&life) {
            println!("{weakness:?} is found by {}", told(&life));
            return;
        }
    }
    panic!("{weakness:?} breaks {claim:?} in none of {SEEDS} lives");
}

#[test]
fn a_reread_that_brings_nothing_is_found() {
    found(Weakness::RereadBringsNothing, Claim::GoodIsNotRejected);
}

#[test]
fn gateways_that_never_grow_stale_are_found() {
    found(Weakness::NeverStale, Claim::BadIsNotAccepted);
}

#[test]
fn a_gate_that_takes_no_notice_of_replicas_is_found() {
    found(Weakness::GateIsBlind, Claim::GateHolds);
}

#[test]
fn revocations_that_a_loaded_generation_does_not_apply_are_found() {
    found(Weakness::ForgetsRevocations, Claim::BadIsNotAccepted);
}

#[test]
fn a_start_from_a_backup_is_found() {
    found(Weakness::StartsFromABackup, Claim::RevokedStaysRevoked);
}

#[test]
fn a_supervisor_that_gives_up_is_found() {
    found(Weakness::SupervisorGivesUp, Claim::EverySupervisorRecovers);
}
