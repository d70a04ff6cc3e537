//! The replicas' reports.

use keystile_keyring::{ReplicaId, ReplicaReport};

use super::{Place, START, Sample, report_of};
use crate::{LoadError, Store, StoreError};

/// The reports without what only the store can tell, in the order of their replicas.
async fn replicas(store: &dyn Store) -> Vec<ReplicaReport> {
    let mut reports = store.replicas().await.unwrap();
    reports.sort_by(|a, b| a.replica.cmp(&b.replica));
    reports.into_iter().map(|report| ReplicaReport { clock_offset: None, ..report }).collect()
}

/// Whatever is reported is read by others, whatever the replica is called.
pub async fn a_report_comes_back_as_it_was_written(place: &impl Place) {
    let store = place.open();
    Sample::new().create(&*store).await;
    let mut reports =
        vec![report_of("gateway-1", 1), report_of("../../gateway/2", 3), report_of("gateway~2", 2)];
    for report in &reports {
        store.report(report).await.unwrap();
    }
    reports.sort_by(|a, b| a.replica.cmp(&b.replica));
    assert_eq!(replicas(&*place.open()).await, reports);
}

/// One replica has one report.
pub async fn a_report_replaces_the_last_one_of_its_replica(place: &impl Place) {
    let store = place.open();
    Sample::new().create(&*store).await;
    for generation in 1..=3 {
        store.report(&report_of("gateway-1", generation)).await.unwrap();
    }
    assert_eq!(replicas(&*store).await, vec![report_of("gateway-1", 3)]);
}

/// A replica that stopped gracefully is remembered as such.
pub async fn a_withdrawn_report_is_still_there(place: &impl Place) {
    let store = place.open();
    Sample::new().create(&*store).await;
    let withdrawn = ReplicaReport { withdrawn_at: Some(START.plus(9)), ..report_of("gateway-1", 2) };
    store.report(&report_of("gateway-1", 1)).await.unwrap();
    store.report(&withdrawn).await.unwrap();
    assert_eq!(replicas(&*store).await, vec![withdrawn]);
}

/// Forgetting is for one replica, and for one that is not there no error.
pub async fn a_forgotten_report_is_gone(place: &impl Place) {
    let store = place.open();
    Sample::new().create(&*store).await;
    store.report(&report_of("gateway-1", 1)).await.unwrap();
    store.report(&report_of("gateway-2", 1)).await.unwrap();
    for _ in 0..2 {
        store.forget(&ReplicaId::new("gateway-1").unwrap()).await.unwrap();
    }
    assert_eq!(replicas(&*store).await, vec![report_of("gateway-2", 1)]);
}

/// The store's own clock tells by how much a replica's is off: a minute and a half, give or take
/// what the test itself takes.
pub async fn a_clock_that_is_off_shows(place: &impl Place) {
    let store = place.open();
    Sample::new().create(&*store).await;
    store.report(&report_of("right", 1)).await.unwrap();
    let right = store.replicas().await.unwrap().remove(0);
    let Some(offset) = right.clock_offset else {
        return; // This store cannot tell.
    };
    let mut ahead = report_of("ahead", 1);
    ahead.reported_at = ahead.reported_at.plus(90);
    store.report(&ahead).await.unwrap();
    let reports = store.replicas().await.unwrap();
    let ahead = reports.iter().find(|report| report.replica.as_str() == "ahead").unwrap();
    let apart = ahead.clock_offset.unwrap() - offset;
    assert!((60..=90).contains(&apart), "{apart} s");
}

/// A report that readers would skip is not written.
pub async fn a_report_that_no_reader_takes_is_refused(place: &impl Place) {
    let store = place.open();
    Sample::new().create(&*store).await;
    let mut report = report_of("gateway-1", 1);
    report.build = "x".repeat(crate::members::limits::REPORT_BYTES);
    let error = store.report(&report).await.unwrap_err();
    assert!(matches!(error, StoreError::ReportTooLarge { .. }), "{error}");
    assert_eq!(replicas(&*store).await, vec![]);
}

/// Otherwise an empty place would look used: one that is not there, and one where something else is.
pub async fn t06_a_place_without_a_keyring_takes_no_report(place: &impl Place) {
    for something in [false, true] {
        if something {
            place.put(&[("README", b"keys will live here")]);
        }
        let error = place.open().report(&report_of("gateway-1", 1)).await.unwrap_err();
        assert!(matches!(error, StoreError::Load(LoadError::Missing { .. })), "{error}");
    }
    Sample::new().create(&*place.open()).await;
}
