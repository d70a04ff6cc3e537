//! The verbs end to end on a store: read, plan, commit, witness.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::overtaken::Overtaken;
use common::{Heard, NO_WAIT, World, committed, done, first, policy, request, rotate};
use keystile_keyring::plan::{Mode, Planned, PolicyChange, Verb};
use keystile_keyring::{Code, Fleet, Gate, KeyState};
use keystile_operator::{Failure, OperateError, Outcome, Rotation, Silent};
use keystile_system::Clock;

fn code(error: &OperateError) -> Code {
    match error {
        OperateError::Refused(refusal) => refusal.code,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[tokio::test]
async fn init_makes_generation_1_and_tells_the_witness() {
    let world = World::begun().await;
    let manifest = world.manifest().await;
    assert_eq!(manifest.generation, 1);
    assert_eq!(world.store.witness().await.expect("readable"), Some(manifest));
}

#[tokio::test]
async fn init_refuses_a_place_that_holds_a_keyring() {
    let world = World::begun().await;
    let error = world.operator.begin(&first(), &mut Silent).await.expect_err("refused");
    assert_eq!((code(&error), error.class()), (Code::NotEmpty, Failure::Refused));
    assert_eq!(world.manifest().await.generation, 1);
}

/// Two at once: the loser is refused like anybody who comes later.
#[tokio::test]
async fn of_two_inits_at_once_one_is_refused_and_told_what_to_do() {
    let world = World::empty();
    let (wanted, mut quiet, mut silent) = (first(), Silent, Silent);
    let other = world.operator.clone();
    let both = tokio::join!(world.operator.begin(&wanted, &mut quiet), other.begin(&wanted, &mut silent));
    let loser = [both.0.err(), both.1.err()].into_iter().flatten().next().expect("one of the two is late");
    assert_eq!(code(&loser), Code::NotEmpty);
}

/// Nobody reports who could open the gate: said at once, not waited for.
#[tokio::test]
async fn a_rotation_in_flight_without_replicas_is_refused_and_not_waited_for() {
    let world = World::begun().await;
    world.apply(Verb::Prepare { no_rollback: false }, None).await.expect("prepared");
    let wait = Rotation::default();
    let error = world.operator.rotate(&rotate(None), wait, &mut Silent).await.expect_err("nobody reports");
    assert_eq!(code(&error), Code::NoReplicas);
    assert!(error.to_string().contains("no live replica reports"), "{error}");
}

/// Not a second rotation, nor a refusal because the first one's activation lies ahead.
#[tokio::test(start_paused = true)]
async fn a_rotation_that_another_run_finishes_is_done_for_whoever_waits_with_it() {
    let world = World::begun().await;
    world.report("gateway-1").await;
    let request = rotate(None);
    let waits = async { world.operator.rotate(&request, Rotation::default(), &mut Silent).await };
    let finishes = async {
        while world.manifest().await.operation.is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        world.report("gateway-1").await;
        world.clock.advance(policy().verifier_cache);
        world.report("gateway-1").await;
        world.operator.rotate(&rotate(None), NO_WAIT, &mut Silent).await
    };
    let (waited, other) = tokio::join!(waits, finishes);
    assert_eq!(committed(other.expect("the gate is open")).generation, 3);
    let Ok(Outcome::Nothing(why)) = waited else { panic!("{waited:?}") };
    assert!(why.contains("is done: another run let"), "{why}");
    assert_eq!(world.manifest().await.generation, 3);
}

/// Whoever waits does not begin a rotation that somebody has just decided against, not even to keep a request.
#[tokio::test(start_paused = true)]
async fn a_rotation_that_is_rolled_back_is_over_for_whoever_waits_with_it() {
    for request_id in [None, Some("job-7")] {
        let world = World::begun().await;
        world.report("gateway-1").await;
        let request = rotate(request_id);
        let waits = async { world.operator.rotate(&request, Rotation::default(), &mut Silent).await };
        let drops = async {
            while world.manifest().await.operation.is_none() {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            world.apply(Verb::Rollback { to: None }, None).await
        };
        let both = Box::pin(async { tokio::join!(waits, drops) });
        let both = tokio::time::timeout(std::time::Duration::from_hours(1), both).await;
        let (waited, rolled_back) = both.expect("it does not wait with another one");
        assert_eq!(committed(rolled_back.expect("nothing signs by it yet")).generation, 3);
        let error = waited.expect_err("it was rolled back");
        assert_eq!(error.class(), Failure::Conflict, "{error}");
        assert!(error.to_string().contains("was rolled back by test while this run waited"), "{error}");
        let manifest = world.manifest().await;
        assert_eq!((manifest.generation, manifest.operation), (3, None));
    }
}

#[tokio::test]
async fn t01_a_new_key_signs_only_after_every_verifier_can_know_it() {
    let world = World::begun().await;
    let old = world.active().await;
    world.report("gateway-1").await;
    let mut heard = Heard::default();
    let held = world.operator.rotate(&rotate(None), NO_WAIT, &mut heard).await;
    assert!(matches!(held, Err(OperateError::Held { gate: Gate::Replicas { .. }, .. })), "{held:?}");
    assert_eq!(heard.generations, [2], "the key is published");
    world.clock.advance(1);
    world.report("gateway-1").await;
    world.clock.advance(policy().verifier_cache - 1);
    let held = world.operator.rotate(&rotate(None), NO_WAIT, &mut heard).await;
    assert!(matches!(held, Err(OperateError::Held { gate: Gate::Caches { .. }, .. })), "{held:?}");
    assert_eq!(world.active().await, old);
    world.clock.advance(1);
    let outcome = world.operator.rotate(&rotate(None), NO_WAIT, &mut heard).await.expect("open");
    assert_eq!(committed(outcome).generation, 3);
    assert_eq!(world.active().await, old, "the switch lies activation_lead ahead");
    world.clock.advance(policy().activation_lead);
    assert_ne!(world.active().await, old);
}

#[tokio::test]
async fn t02_a_replica_that_lags_is_named_and_emergency_overrides_it() {
    let world = World::begun().await;
    for name in ["gateway-1", "gateway-2", "gateway-3"] {
        world.report(name).await;
    }
    let _ = world.operator.rotate(&rotate(None), NO_WAIT, &mut Silent).await;
    world.clock.advance(1);
    world.report("gateway-1").await;
    world.report("gateway-3").await;
    world.clock.advance(policy().verifier_cache);
    let error = world.apply(Verb::Activate { fleet: Fleet::Reporting, no_rollback: false }, None).await;
    let error = error.expect_err("gateway-2 lags");
    assert_eq!(code(&error), Code::ReplicaBehind);
    assert!(error.to_string().contains("gateway-2") && !error.to_string().contains("gateway-1"), "{error}");
    let emergency = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
    world.apply(emergency, Some("the old key leaked")).await.expect("emergency skips the gate");
    let manifest = world.manifest().await;
    let last = manifest.history.last().expect("a history");
    assert_eq!(
        (last.verb.as_str(), last.reason.as_deref()),
        ("rotate", Some("the old key leaked")),
        "audited"
    );
}

/// The second one finds, as it publishes its key, that another one was faster.
#[tokio::test]
async fn t03_two_rotations_at_once_make_one_key() {
    let world = World::begun().await;
    world.report("gateway-1").await;
    let slow = Overtaken {
        inner: world.store.clone(),
        rival: world.operator.clone(),
        request: rotate(None),
        late: false,
        done: AtomicBool::new(false),
    };
    let slow = World::on(world.clock.clone(), Arc::new(slow));
    let mut heard = Heard::default();
    let held = slow.operator.rotate(&rotate(None), NO_WAIT, &mut heard).await;
    assert!(matches!(held, Err(OperateError::Held { .. })), "it goes on with the other's key: {held:?}");
    assert_eq!(heard.generations, Vec::<u64>::new(), "it publishes none of its own");
    let manifest = world.manifest().await;
    assert_eq!((manifest.generation, manifest.keys.len()), (2, 2), "one new key, nothing lost");
}

/// Whoever goes on from a change tells the witness of more: the change has succeeded all the same.
#[tokio::test]
async fn a_change_that_is_gone_on_from_before_its_witness_is_told_succeeds() {
    let world = World::begun().await;
    let leeway = |value| Verb::SetPolicy(PolicyChange([("leeway".to_owned(), Some(value))].into()));
    let rival = Overtaken {
        inner: world.store.clone(),
        rival: world.operator.clone(),
        request: request(leeway(7), None, None),
        late: true,
        done: AtomicBool::new(false),
    };
    let before = world.manifest().await.generation;
    let world = World::on(world.clock.clone(), Arc::new(rival));
    world.apply(leeway(6), None).await.expect("it was committed");
    let manifest = world.manifest().await;
    assert_eq!((manifest.generation, manifest.policy.leeway), (before + 2, 7));
    assert_eq!(world.store.witness().await.expect("readable"), Some(manifest));
}

#[tokio::test]
async fn i6_of_two_concurrent_changes_one_wins_and_the_loser_is_told() {
    let world = World::begun().await;
    world.rotate_now().await;
    let request = request(Verb::Rollback { to: None }, None, None);
    let slow = Overtaken {
        inner: world.store.clone(),
        rival: world.operator.clone(),
        request: request.clone(),
        late: false,
        done: AtomicBool::new(false),
    };
    let before = world.manifest().await.generation;
    let slow = World::on(world.clock.clone(), Arc::new(slow));
    let error = slow.operator.apply(&request, &mut Silent).await.expect_err("the other was first");
    assert_eq!(world.manifest().await.generation, before + 1, "exactly one change landed");
    assert_eq!(error.class(), Failure::Conflict, "{error:?}");
    assert!(error.to_string().contains("rollback of test"), "{error}");
}

#[tokio::test]
async fn a_rotation_needs_somebody_who_reports_before_a_key_is_published() {
    let world = World::begun().await;
    let error = world.operator.rotate(&rotate(None), NO_WAIT, &mut Silent).await.expect_err("nobody reports");
    assert_eq!(code(&error), Code::NoReplicas);
    assert_eq!(world.manifest().await.generation, 1);
}

#[tokio::test(start_paused = true)]
async fn rotate_gives_up_after_its_timeout_and_can_be_resumed() {
    let world = World::begun().await;
    world.report("gateway-1").await;
    let timeout = Rotation { no_wait: false, timeout: Some(std::time::Duration::ZERO) };
    let held = world.operator.rotate(&rotate(Some("nov")), timeout, &mut Silent).await;
    assert!(matches!(held, Err(OperateError::Held { .. })), "{held:?}");
    world.clock.advance(1);
    world.report("gateway-1").await;
    world.clock.advance(policy().verifier_cache);
    let outcome = world.operator.rotate(&rotate(Some("nov")), timeout, &mut Silent).await.expect("resumed");
    assert_eq!(committed(outcome).generation, 3);
}

#[tokio::test]
async fn a_request_id_rotates_once_whatever_came_between() {
    let world = World::begun().await;
    world.report("gateway-1").await;
    let _ = world.operator.rotate(&rotate(Some("2026-11")), NO_WAIT, &mut Silent).await;
    world.clock.advance(1);
    world.report("gateway-1").await;
    world.clock.advance(policy().verifier_cache);
    // Resumed by hand, without the id: it is the same rotation.
    let resumed = world.operator.rotate(&rotate(None), NO_WAIT, &mut Silent).await.expect("open");
    let generation = committed(resumed).generation;
    world.clock.advance(policy().activation_lead);
    let again = world.operator.rotate(&rotate(Some("2026-11")), NO_WAIT, &mut Silent).await.expect("a no-op");
    assert_eq!(done(again).generation, generation);
    assert_eq!(world.manifest().await.generation, generation);
}

#[tokio::test]
async fn t17_rollback_needs_no_wait_and_keeps_the_new_keys_tokens() {
    let world = World::begun().await;
    let old = world.active().await;
    world.rotate_now().await;
    let new = world.active().await;
    world.apply(Verb::Rollback { to: None }, None).await.expect("in the window");
    assert_eq!(world.active().await, old);
    let state = world.manifest().await.state_at(&new, world.clock.now());
    assert_eq!(state, Some(KeyState::VerifyOnly));
}

#[tokio::test]
async fn t18_rollback_to_a_destroyed_key_is_refused_with_the_way_forward() {
    let world = World::begun().await;
    world.rotate_now().await;
    world.clock.advance(policy().rollback_custody + policy().max_skew + 1);
    world.apply(Verb::Prune, None).await.expect("custody has ended");
    let error = world.apply(Verb::Rollback { to: None }, None).await.expect_err("too late");
    let OperateError::Refused(refusal) = &error else { panic!("{error:?}") };
    assert_eq!(refusal.code, Code::RollbackTooLate);
    assert!(refusal.remedy.contains("keystile rotate"), "{}", refusal.remedy);
}

#[tokio::test]
async fn t19_revoking_the_active_key_replaces_it_in_the_same_commit() {
    let world = World::begun().await;
    let stolen = world.active().await;
    let revoke = Verb::Revoke { kid: stolen.clone(), descendants: false };
    let outcome = world.apply(revoke, Some("leaked")).await.expect("replaced at once");
    let committed = committed(outcome);
    assert_eq!(committed.generation, 2);
    let made = committed.made.expect("a replacement was made");
    assert_eq!(world.active().await, made);
    let kept = world.store.load().await.expect("readable").private;
    assert_eq!(kept.kids().collect::<Vec<_>>(), [&made], "the stolen private key is gone from the store");
}

#[tokio::test]
async fn dry_run_changes_nothing() {
    let world = World::begun().await;
    world.report("gateway-1").await;
    let before = world.manifest().await;
    let planned = world.operator.preview(&rotate(None)).await.expect("a plan");
    assert!(matches!(planned, Planned::Change(plan) if plan.next.generation == 2));
    assert_eq!(world.manifest().await, before);
}

#[tokio::test]
async fn a_second_prune_has_nothing_to_do() {
    let world = World::begun().await;
    let outcome = world.apply(Verb::Prune, None).await.expect("nothing is no failure");
    assert!(matches!(outcome, Outcome::Nothing(_)), "{outcome:?}");
}
