//! A store that goes away in the middle of a rotation: it is waited for, within bounds.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;

use common::{World, policy, rotate};
use keystile_keyring::manifest::Operation;
use keystile_keyring::plan::Plan;
use keystile_keyring::{Gate, UnixTime};
use keystile_operator::{Failure, OperateError, Outcome, Progress, Rotation};
use keystile_store::CommitError;
use keystile_testkit::{Fault, FaultyStore};
use tokio::sync::mpsc;

/// What a rotation said.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Committed(u64),
    Waits,
    Interrupted,
}

struct Told(mpsc::UnboundedSender<Said>);

impl Progress for Told {
    fn committed(&mut self, plan: &Plan) {
        let _ = self.0.send(Said::Committed(plan.next.generation));
    }
    fn waiting(&mut self, _: &Operation, _: &Gate, _: UnixTime) {
        let _ = self.0.send(Said::Waits);
    }
    fn interrupted(&mut self, _: &OperateError) {
        let _ = self.0.send(Said::Interrupted);
    }
    fn did(&mut self, _: &str) {}
}

/// A keyring in a store that fails on demand, one replica, and a rotation that goes on in the background.
struct Scene {
    world: World,
    store: Arc<FaultyStore>,
    said: mpsc::UnboundedReceiver<Said>,
    rotation: tokio::task::JoinHandle<Result<Outcome, OperateError>>,
}

impl Scene {
    async fn rotating(fault: Option<Fault>) -> Self {
        let begun = World::begun().await;
        let store = Arc::new(FaultyStore::new(begun.store.clone()));
        let world = World::on(begun.clock.clone(), store.clone());
        world.report("gateway-1").await;
        if let Some(fault) = fault {
            store.fail(fault);
        }
        let (tell, said) = mpsc::unbounded_channel();
        let rotating = World::on(begun.clock.clone(), store.clone());
        let rotation = tokio::spawn(async move {
            rotating.operator.rotate(&rotate(None), Rotation::default(), &mut Told(tell)).await
        });
        Self { world, store, said, rotation }
    }

    async fn hears(&mut self, what: Said) {
        while self.said.recv().await.expect("it goes on") != what {}
    }

    /// The replica takes the new key, and the caches run out.
    async fn ends_well(self) -> Outcome {
        self.world.clock.advance(1);
        self.world.report("gateway-1").await;
        self.world.clock.advance(policy().verifier_cache);
        self.world.report("gateway-1").await;
        self.rotation.await.expect("no panic").expect("it ends well")
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_outlasts_a_store_that_is_away_while_it_waits() {
    let mut scene = Scene::rotating(None).await;
    scene.hears(Said::Waits).await;
    scene.store.fail(Fault::Unreachable);
    for _ in 0..10 {
        scene.hears(Said::Interrupted).await;
        scene.world.clock.advance(1);
    }
    scene.store.heal();
    scene.hears(Said::Waits).await;
    let world = World::on(scene.world.clock.clone(), scene.world.store.clone());
    assert!(matches!(scene.ends_well().await, Outcome::Committed(_)));
    assert_eq!(world.manifest().await.keys.len(), 2, "one new key");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stays_away_is_told_after_five_minutes() {
    let mut scene = Scene::rotating(None).await;
    scene.hears(Said::Waits).await;
    scene.store.fail(Fault::Unreachable);
    scene.hears(Said::Interrupted).await;
    scene.world.clock.advance(301);
    let error = scene.rotation.await.expect("no panic").expect_err("it gives up");
    assert_eq!(error.class(), Failure::Store, "{error}");
}

/// It may be the wrong store.
#[tokio::test(start_paused = true)]
async fn a_store_that_never_answered_is_told_at_once() {
    let mut scene = Scene::rotating(Some(Fault::Unreachable)).await;
    let error = scene.rotation.await.expect("no panic").expect_err("there is no store");
    assert_eq!(error.class(), Failure::Store, "{error}");
    assert_eq!(scene.said.recv().await, None, "nothing was waited for");
}

/// T37: the key that signs next is announced once more where nobody knows whether it was; what makes it sign is not.
#[tokio::test(start_paused = true)]
async fn t37_a_switch_of_unknown_fate_is_told_and_not_made_again() {
    let mut scene = Scene::rotating(None).await;
    scene.hears(Said::Waits).await;
    scene.store.fail(Fault::CommitLost);
    scene.world.clock.advance(1);
    scene.world.report("gateway-1").await;
    scene.world.clock.advance(policy().verifier_cache);
    scene.world.report("gateway-1").await;
    let told = tokio::time::timeout(std::time::Duration::from_mins(1), scene.rotation).await;
    let error = told.expect("it tries no more").expect("no panic").expect_err("nobody knows");
    assert!(matches!(error, OperateError::Commit(CommitError::Unknown(_))), "{error}");
}
