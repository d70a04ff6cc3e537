//! Every verb that writes, cut off at every call that it makes of its store: what is left is one generation or the
//! other, and whoever goes on ends where the whole would have ended.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::cut_off::CutOff;
use common::{NO_WAIT, World, policy, request, rotate};
use keystile_keyring::Kid;
use keystile_keyring::plan::{Mode, PolicyChange, Request, Verb};
use keystile_operator::{OperateError, Operator, Outcome, Reconcile, Silent};
use keystile_system::SystemEntropy;

/// An operator that is cut off after so many points.
fn hurried(world: &World, points: usize) -> (Arc<CutOff>, Operator) {
    let store = Arc::new(CutOff::after(world.store.clone(), points));
    let operator = Operator::new(store.clone(), Arc::new(world.clock.clone()), Arc::new(SystemEntropy));
    (store, operator)
}

/// Time passes and the replica reports, so that no gate holds for long.
async fn later(world: &World) {
    world.clock.advance(policy().verifier_cache + 1);
    world.report("gateway-1").await;
}

/// Rotates to the end, however often it is held.
async fn to_the_end(world: &World, request: &Request) -> Outcome {
    for _ in 0..4 {
        match world.operator.rotate(request, NO_WAIT, &mut Silent).await {
            Err(OperateError::Held { .. }) => later(world).await,
            done => return done.expect("nothing refuses it"),
        }
    }
    panic!("the gate never opened")
}

async fn in_order(world: &World, point: usize) {
    world
        .operator
        .reconcile(&Reconcile { actor: "test".to_owned(), ..Reconcile::default() }, &mut Silent)
        .await
        .unwrap_or_else(|error| panic!("point {point}: {error}"));
    let manifest =
        world.operator.newest().await.unwrap_or_else(|error| panic!("point {point}: {error}")).manifest;
    assert_eq!(world.store.witness().await.expect("readable"), Some(manifest), "point {point}");
}

/// A rotation in its three sittings, cut off at each point of each, and run again by somebody else.
#[tokio::test]
async fn a_rotation_that_is_cut_off_anywhere_is_finished_by_running_it_again() {
    let wanted = rotate(Some("2027-01"));
    let (mut points, mut finished) = (0, false);
    while !finished {
        let world = World::begun().await;
        let old = world.active().await;
        world.report("gateway-1").await;
        let (store, operator) = hurried(&world, points);
        finished = true;
        for _ in 0..3 {
            match store.cut(operator.rotate(&wanted, NO_WAIT, &mut Silent)).await {
                None => finished = false,
                Some(Err(OperateError::Held { .. })) => later(&world).await,
                Some(done) => drop(done.expect("nothing refuses it")),
            }
            if !finished {
                break;
            }
        }
        let _ = to_the_end(&world, &wanted).await;
        world.clock.advance(policy().activation_lead);
        in_order(&world, points).await;
        let manifest = world.manifest().await;
        assert_eq!(
            (manifest.keys.len(), manifest.generation),
            (2, 3),
            "point {points}: one new key, two changes"
        );
        assert_ne!(world.active().await, old, "point {points}");
        assert!(manifest.operation.is_none(), "point {points}");
        let again = to_the_end(&world, &wanted).await;
        assert!(matches!(again, Outcome::Done(_)), "point {points}: once for one request id, not {again:?}");
        points += 1;
    }
    println!("{points} points of a rotation");
    assert!(points > 20, "only {points} points were passed");
}

/// The verbs of one step: cut off, the change is there or it is not, and asking again makes it so.
#[tokio::test]
async fn a_change_that_is_cut_off_anywhere_is_made_by_asking_again() {
    let steps: [fn(Kid) -> Verb; 4] = [
        |_| Verb::Rotate { mode: Mode::Emergency, no_rollback: false },
        |active| Verb::Revoke { kid: active, descendants: true },
        |_| Verb::Rollback { to: None },
        |_| Verb::SetPolicy(PolicyChange([("leeway".to_owned(), Some(9))].into())),
    ];
    let mut cut = 0;
    for step in steps {
        for points in 0.. {
            let world = World::begun().await;
            world.rotate_now().await;
            let wanted = request(step(world.active().await), Some("a test"), None);
            let before = world.manifest().await;
            let (store, operator) = hurried(&world, points);
            let whole = store.cut(operator.apply(&wanted, &mut Silent)).await;
            let after = world.manifest().await;
            assert!(after.generation - before.generation <= 1, "point {points}");
            if after.generation == before.generation {
                world.operator.apply(&wanted, &mut Silent).await.expect("the same change is possible still");
            }
            in_order(&world, points).await;
            if let Some(done) = whole {
                drop(done.expect("nothing refuses it"));
                break;
            }
            cut += 1;
        }
    }
    println!("{cut} points of four verbs");
    assert!(cut > 20, "only {cut} points were passed");
}
