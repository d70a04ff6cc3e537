//! Reports that somebody else wrote, or that speak for a pod.

use std::time::Duration;

use keystile_keyring::ReplicaReport;
use keystile_keyring::report::Condition;
use keystile_kubernetes::{Call, Object, ObjectName};
use keystile_store::Store;
use keystile_store::conformance::{Place, START, Sample, report_of};
use keystile_store_kube::{Options, Pod};
use serde_json::{Value, json};

use crate::common::{KubePlace, NAMESPACE, bytes};

#[derive(serde::Deserialize)]
struct List {
    items: Vec<Object>,
}

/// The Lease of the only replica of a store whose name begins like this.
async fn lease(place: &KubePlace, replica: &str) -> Object {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    let list: List = place.api().json(Call::get(path)).await.unwrap();
    let prefix = format!("keystile-{replica}-");
    list.items.into_iter().find(|lease| lease.metadata.name.starts_with(&prefix)).expect("a Lease")
}

async fn meddle(place: &KubePlace, lease: &Object, change: &Value) {
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{}", lease.metadata.name);
    place.api().call(Call::merge(path, bytes(change))).await.unwrap();
}

/// A replica's name that no other test has.
fn replica(place: &KubePlace) -> String {
    place.name.name().replace("test", "replica")
}

fn unreadable(report: &ReplicaReport) -> &str {
    match &report.condition {
        Condition::Unreadable(why) => why,
        condition => panic!("{condition:?}"),
    }
}

/// I2: nobody may take what cannot be read for a replica's consent.
#[tokio::test]
async fn i2_a_report_that_somebody_spoilt_holds_up_a_rotation() {
    let Some(place) = KubePlace::new() else { return };
    let store = place.open();
    Sample::new().create(&*store).await;
    let name = replica(&place);
    store.report(&report_of(&name, 3)).await.unwrap();
    place.set_clock(START.plus(10));
    let found = lease(&place, &name).await;
    for (spoilt, why) in [
        (json!({"keystile/report": "{"}), "EOF"),
        (json!({"keystile/report": null}), "no annotation"),
        (
            json!({"keystile/report": serde_json::to_string(&report_of("another", 9)).unwrap()}),
            "another Lease",
        ),
    ] {
        meddle(&place, &found, &json!({"metadata": {"annotations": spoilt}})).await;
        let reports = store.replicas().await.unwrap();
        assert_eq!(reports.len(), 1);
        assert!(unreadable(&reports[0]).contains(why), "{reports:?}");
        assert_eq!((reports[0].generation, reports[0].reported_at), (0, START.plus(3)), "renewTime");
    }
}

/// Leases of other stores, and of other programs, are none of ours.
#[tokio::test]
async fn reports_of_another_store_are_not_ours() {
    let (Some(place), Some(other)) = (KubePlace::new(), KubePlace::new()) else { return };
    for place in [&place, &other] {
        let store = place.open();
        Sample::new().create(&*store).await;
        store.report(&report_of("gateway-1", 1)).await.unwrap();
    }
    assert_eq!(place.open().replicas().await.unwrap().len(), 1);
}

/// The clock offset is that at the time of the report, by the API server's clock.
#[tokio::test]
async fn the_servers_clock_is_remembered_with_the_report() {
    let Some(place) = KubePlace::new() else { return };
    let store = place.store(Options::default());
    Sample::new().create(&store).await;
    let api = place.api();
    assert_eq!(api.time(), None, "nobody was asked");
    api.call(Call::get("/version")).await.unwrap();
    let server = api.time().expect("a Date");
    place.set_clock(server.plus(45));
    let report = ReplicaReport { reported_at: server.plus(45), ..report_of(&replica(&place), 1) };
    store.report(&report).await.unwrap();
    let offset = store.replicas().await.unwrap()[0].clock_offset.expect("told");
    assert!((40..=46).contains(&offset), "{offset} s");
    place.clock.advance(600);
    assert_eq!(store.replicas().await.unwrap()[0].clock_offset, Some(offset), "whenever it is read");
}

async fn pod(place: &KubePlace, name: &str) -> Pod {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "none"}], "automountServiceAccountToken": false},
    });
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods");
    let api = place.api();
    // The namespace is new, and its default ServiceAccount may not be there yet.
    let made: Object = loop {
        match api.json(Call::create(&path, bytes(&pod))).await {
            Ok(made) => break made,
            Err(error) if error.to_string().contains("serviceaccount") => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(error) => panic!("{error}"),
        }
    };
    Pod { name: ObjectName::new(NAMESPACE, name).unwrap(), uid: made.metadata.uid }
}

/// A report in the name of a pod whose name another one has taken is nobody's consent; one of a pod that is
/// merely gone is what it is, and counts until it is too old.
#[tokio::test]
async fn i2_a_report_in_the_name_of_a_pod_that_was_replaced_is_unreadable() {
    let Some(place) = KubePlace::new() else { return };
    let name = replica(&place);
    let first = pod(&place, &name).await;
    let store = place.store(Options { pod: Some(first.clone()), ..Options::default() });
    Sample::new().create(&store).await;
    store.report(&report_of(&name, 1)).await.unwrap();
    assert_eq!(store.replicas().await.unwrap()[0].generation, 1);
    // A pod that was found is not asked for again for ten seconds.
    place.clock.advance(10);
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{name}");
    place.api().call(Call::delete(&path).with("gracePeriodSeconds", "0")).await.unwrap();
    assert_eq!(store.replicas().await.unwrap()[0].generation, 1, "a pod that is gone");
    let second = pod(&place, &name).await;
    assert_ne!(first.uid, second.uid);
    assert_eq!(store.replicas().await.unwrap()[0].generation, 1, "its last report was before its successor");
    let later = place.api();
    later.call(Call::get("/version")).await.unwrap();
    let later = later.time().unwrap().plus(90).0.to_string();
    let found = lease(&place, &name).await;
    meddle(&place, &found, &json!({"metadata": {"annotations": {"keystile/server-time": later}}})).await;
    let reports = store.replicas().await.unwrap();
    assert!(unreadable(&reports[0]).contains(&second.uid), "{reports:?}");
    assert_eq!(reports[0].generation, 0);
}

/// A pod of another namespace is not looked for where the Secret is: there it would be another pod of that name.
#[tokio::test]
async fn a_pod_of_another_namespace_is_not_named() {
    let Some(place) = KubePlace::new() else { return };
    let elsewhere = Pod { name: ObjectName::new("elsewhere", "gateway-0").unwrap(), uid: "u".to_owned() };
    let store = place.store(Options { pod: Some(elsewhere), ..Options::default() });
    Sample::new().create(&store).await;
    let name = replica(&place);
    store.report(&report_of(&name, 1)).await.unwrap();
    let annotations = lease(&place, &name).await.metadata.annotations;
    assert!(annotations.contains_key("keystile/report") && !annotations.contains_key("keystile/pod"));
}
