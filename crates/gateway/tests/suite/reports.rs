//! What replicas tell operators through the store.

use std::sync::Arc;

use keystile_gateway::Config;
use keystile_keyring::plan::{Mode, Verb};
use keystile_keyring::report::{Condition, Presence};
use keystile_keyring::{ReplicaReport, UnixTime};
use keystile_store::Store;
use keystile_testkit::forger::{Forger, ForgingKey};
use keystile_testkit::{Fault, FaultyStore};

use crate::client::*;
use crate::world::*;

async fn report_of(world: &World, gateway: &Running) -> Option<ReplicaReport> {
    let reports = world.store.inner_reports().await;
    reports.into_iter().find(|report| report.replica == gateway.replica)
}

#[tokio::test]
async fn t42_a_replica_reports_before_it_loads_and_what_it_holds_afterwards() {
    let world = World::begun().await;
    let reports = world.store.record_reports();
    let gateway = world.gateway().await;
    let seen = until("a report of generation 1", || async {
        let seen = reports.lock().expect("not poisoned").clone();
        seen.iter().any(|report: &ReplicaReport| report.generation == 1).then_some(seen)
    })
    .await;
    let first = seen.first().expect("a report");
    assert_eq!((first.generation, &first.condition), (0, &Condition::Loading));
    assert_eq!(first.build, env!("CARGO_PKG_VERSION"), "the version tells old programs from new ones");
    let last = report_of(&world, &gateway).await.expect("it reports");
    assert_eq!(last.condition, Condition::Ready);
    assert_eq!(last.digest, Some(world.store.load_digest().await));
    assert!(last.keys.iter().all(|key| key.from_start), "it never served without them");
}

/// Who commits before the report does not wait for the replica: it must not hold what it read before.
#[tokio::test]
async fn i2_a_replica_holds_what_it_read_after_it_reported() {
    let world = Arc::new(World::begun().await);
    let behind = Arc::clone(&world);
    world.store.as_it_loads(async move {
        behind.apply_on_disk(Verb::Rotate { mode: Mode::Emergency, no_rollback: false }).await;
    });
    world.store.silence();
    let reports = world.store.record_reports();
    let _gateway = world.gateway().await;
    let held: Vec<_> = reports.lock().expect("not poisoned").iter().map(|report| report.generation).collect();
    assert_eq!(held.get(..2), Some([0, 2].as_slice()), "{held:?}");
}

/// The store changes for the worse between a replica's first report and its second read.
#[tokio::test]
async fn a_replica_that_fails_to_load_leaves_the_reports_as_it_found_them() {
    let world = World::begun().await;
    let named = || Config { replica: Some("gateway-1".parse().expect("a name")), ..config() };
    let refuses = async || {
        let store = Arc::clone(&world.store);
        world.store.as_it_loads(async move { store.fail(true) });
        world.gateway_with(named()).await.err().expect("the store fails");
        world.store.fail(false);
        world.store.inner_reports().await
    };
    assert_eq!(refuses().await, [], "it never served");
    world.gateway_with(named()).await.expect("it starts").stopped().await;
    let left = world.store.inner_reports().await;
    assert_eq!(left.iter().map(|report| report.generation).collect::<Vec<_>>(), [1]);
    assert_eq!(refuses().await, left, "what the process before it said stands");
}

#[tokio::test]
async fn reports_that_cannot_be_written_are_counted_and_stop_nothing() {
    let world = World::begun().await;
    let faulty = Arc::new(FaultyStore::new(world.store.clone()));
    faulty.fail(Fault::ReportFails);
    let gateway = world.gateway_on(faulty.clone(), config()).await.expect("it starts");
    let failures = async || metric(gateway.admin, "keystile_report_failures_total").await;
    assert!(failures().await >= Some(1.0));
    assert_eq!(verify(gateway.addr, &world.token().await).await.code, http::StatusCode::OK);
    assert!(report_of(&world, &gateway).await.is_none());
    faulty.heal();
    until("a report", || report_of(&world, &gateway)).await;
}

#[tokio::test]
async fn a_key_that_came_later_is_reported_with_the_instant_it_came() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    world.clock.advance(50);
    let new = world.rotate().await;
    let report = until("a report of generation 2", || async {
        report_of(&world, &gateway).await.filter(|report| report.generation == 2)
    })
    .await;
    let key = report.key(&new).expect("it holds the new key");
    assert!(!key.from_start);
    assert!(key.held_since >= START.plus(1050), "{key:?}");
}

/// What a repair asks of the replicas where store and witness were both put back.
#[tokio::test]
async fn i8_a_replica_reports_what_it_knows_to_be_final() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let old = world.active().await;
    world.rotate().await;
    world.apply(Verb::Revoke { kid: old.clone(), descendants: true }, Some("stolen")).await;
    let report = until("a report of generation 3", || async {
        report_of(&world, &gateway).await.filter(|report| report.generation == 3)
    })
    .await;
    assert_eq!(report.revoked, [old]);
    assert_eq!(report.lineage_floor, world.manifest().await.lineage_floor);
    assert!(report.lineage_floor.is_some());
}

#[tokio::test]
async fn a_replica_that_was_killed_and_started_again_is_no_newcomer() {
    let world = World::begun().await;
    let named = || Config { replica: Some("gateway-1".parse().expect("a short name")), ..config() };
    let first = world.gateway_on(world.store.clone(), named()).await.expect("it starts");
    let replica = first.replica.clone();
    until("a report", || async { report_of(&world, &first).await.filter(|report| report.generation == 1) })
        .await;
    let killed = report_of(&world, &first).await.expect("it reports");
    assert!(first.stopped().await);
    // Killed, it would not have withdrawn: the store still has what it said last.
    world.store.report(&killed).await.expect("written");
    world.clock.advance(50);
    let new = world.rotate().await;
    let again = world.gateway_on(world.store.clone(), named()).await.expect("it starts again");
    assert_eq!(again.replica, replica);
    let report = until("a report of generation 2", || async {
        report_of(&world, &again).await.filter(|report| report.generation == 2)
    })
    .await;
    let key = report.key(&new).expect("it holds the new key");
    assert!(!key.from_start, "a process of its name served without the key");
    assert_eq!(key.held_since, world.clock_now(), "until it was killed, at the latest");
    let old = report.keys.iter().find(|key| key.kid != new).expect("the first key");
    assert!(old.from_start && old.held_since < key.held_since, "what it said before goes on: {old:?}");
}

#[tokio::test]
async fn a_replica_that_stops_gracefully_withdraws_its_report() {
    let world = World::begun().await;
    let gateway = world.gateway().await;
    let replica = gateway.replica.clone();
    until("a report", || async { report_of(&world, &gateway).await.filter(|report| report.generation == 1) })
        .await;
    assert!(gateway.stopped().await);
    let reports = world.store.inner_reports().await;
    let last = reports.iter().find(|report| report.replica == replica).expect("its last words");
    let maxima = world.manifest().await.maxima(world.clock_now());
    assert_eq!(last.presence(world.clock_now(), maxima), Presence::Withdrawn(START.plus(1000)));
}

#[tokio::test]
async fn the_census_counts_sandboxes_by_key_and_method_and_names_tokens_without_end() {
    let policy = keystile_keyring::Policy { token_ttl: 0, ..policy() };
    let world = World::with(policy).await;
    let gateway = world.gateway().await;
    let old = world.active().await;
    let key = world.private_key(&old).await;
    let now = world.clock_now().0;
    for sandbox in ["s1", "s2", "s3"] {
        let token =
            Forger::sandbox(&key, sandbox, now, 0).lineage(now, "token-file").signed(&ForgingKey::of(&key));
        assert_eq!(verify(gateway.addr, &token).await.code, http::StatusCode::OK);
    }
    let usage = until("three sandboxes", || async {
        let report = report_of(&world, &gateway).await?;
        let usage = report.key(&old)?.usage.clone();
        (usage.sandboxes == 3).then_some(usage)
    })
    .await;
    assert_eq!(usage.never_expires, ["s1", "s2", "s3"]);
    assert_eq!(usage.methods.get("token-file"), Some(&3));
    assert_eq!(usage.last_use, Some(UnixTime(now)));
    // A refresh moves a sandbox to the new key.
    let token = Forger::sandbox(&key, "s1", now, 0).signed(&ForgingKey::of(&key));
    let new = world.rotate().await;
    until_generation(gateway.admin, 2).await;
    refresh(&channel(gateway.addr).await, Some(&token)).await.expect("refreshed");
    until("one sandbox on the new key", || async {
        let report = report_of(&world, &gateway).await?;
        let count = |kid| report.key(kid).map(|key| key.usage.sandboxes);
        (count(&old) == Some(2) && count(&new) == Some(1)).then_some(())
    })
    .await;
}
