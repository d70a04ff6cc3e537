//! What each identity may do: the rights of docs/reference/kubernetes.md are enough, and no more is needed.

use std::sync::Arc;

use keystile_kubernetes::{Access, Api, Call};
use keystile_store::conformance::{Place, Sample, report_of};
use keystile_store::{CommitError, LoadError, Store};
use keystile_store_kube::{KubeStore, Options};
use serde_json::{Value, json};

use crate::common::{KubePlace, NAMESPACE, bytes};

fn rule(group: &str, resource: &str, names: &[&str], verbs: &[&str]) -> Value {
    let mut rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
    if !names.is_empty() {
        rule["resourceNames"] = json!(names);
    }
    rule
}

/// The store as a ServiceAccount with these rights sees it.
async fn store_as(place: &KubePlace, who: &str, rules: Vec<Value>, options: Options) -> KubeStore {
    let name = format!("{who}-{}", place.name.name());
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules,
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}],
    });
    for (resource, object) in [("roles", role), ("rolebindings", binding)] {
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/{resource}");
        place.api().call(Call::create(path, bytes(&object))).await.unwrap();
    }
    let text = std::fs::read_to_string(&place.kubeconfig).unwrap();
    let user = "user: {client-certificate";
    assert!(text.contains(user), "the form of e2e/control-plane");
    let impersonates = format!("user: {{as: 'system:serviceaccount:{NAMESPACE}:{name}', client-certificate");
    let kubeconfig = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(kubeconfig.path(), text.replace(user, &impersonates)).unwrap();
    let clock = Arc::new(place.clock.clone());
    let api = Arc::new(Api::new(Access::Kubeconfig(vec![kubeconfig.path().to_owned()]), clock.clone()));
    let store = KubeStore::new(api, place.name.clone(), clock, options);
    // The authorizer learns of the role a moment later; and the kubeconfig is read at the first call.
    loop {
        match store.report(&report_of("probe", 1)).await {
            Err(error) if format!("{error:?}").contains("Forbidden") => tokio::task::yield_now().await,
            _ => return store,
        }
    }
}

fn leases() -> Value {
    rule("coordination.k8s.io", "leases", &[], &["list", "create", "patch"])
}

#[tokio::test]
async fn a_gateway_reads_watches_and_reports_and_changes_nothing() {
    let Some(place) = KubePlace::new() else { return };
    let operator = place.open();
    let mut sample = Sample::new();
    sample.create(&*operator).await;
    operator.write_witness(&sample.manifest).await.unwrap();
    let (name, witness) = (place.name.name(), format!("{}-witness", place.name.name()));
    let rules = vec![rule("", "secrets", &[name, &witness], &["get", "watch"]), leases()];
    let gateway = store_as(&place, "gateway", rules, Options::default()).await;
    assert_eq!(gateway.load().await.unwrap().base(), sample.base());
    assert_eq!(gateway.witness().await.unwrap().as_ref(), Some(&sample.manifest));
    gateway.report(&report_of("gateway-1", 1)).await.unwrap();
    gateway.report(&report_of("gateway-1", 2)).await.unwrap();
    let mut ticks = gateway.watch();
    while *ticks.borrow_and_update() < 2 {
        ticks.changed().await.unwrap();
    }
    sample.change(&*operator, Sample::bump).await;
    ticks.changed().await.unwrap();
    let base = sample.base();
    sample.bump();
    let error = gateway.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Io(_)) && format!("{error:?}").contains("Forbidden"), "{error:?}");
    assert!(gateway.write_witness(&sample.manifest).await.is_err());
    assert_eq!(gateway.load().await.unwrap().base(), base);
}

#[tokio::test]
async fn a_verifier_needs_the_witness_alone() {
    let Some(place) = KubePlace::new() else { return };
    let operator = place.open();
    let mut sample = Sample::new();
    sample.create(&*operator).await;
    operator.write_witness(&sample.manifest).await.unwrap();
    let witness = format!("{}-witness", place.name.name());
    let rules = vec![rule("", "secrets", &[&witness], &["get", "watch"]), leases()];
    let options = Options { witness_only: true, ..Options::default() };
    let verifier = store_as(&place, "verifier", rules, options).await;
    assert_eq!(verifier.load_public().await.unwrap().base(), sample.base());
    verifier.report(&report_of("verifier-1", 1)).await.unwrap();
    let mut ticks = verifier.watch();
    ticks.changed().await.unwrap();
    sample.change(&*operator, Sample::bump).await;
    operator.write_witness(&sample.manifest).await.unwrap();
    ticks.changed().await.unwrap();
    assert_eq!(verifier.load_public().await.unwrap().base(), sample.base());
    let error = verifier.load().await.err().unwrap();
    assert!(
        matches!(error, LoadError::Unreadable(_)) && format!("{error:?}").contains("Forbidden"),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_operator_needs_what_the_table_says() {
    let Some(place) = KubePlace::new() else { return };
    let (name, witness) = (place.name.name(), format!("{}-witness", place.name.name()));
    let rules = vec![
        rule("", "secrets", &[name, &witness], &["get", "patch"]),
        rule("", "secrets", &[], &["create"]),
        rule("coordination.k8s.io", "leases", &[], &["list", "delete"]),
        rule("", "pods", &[], &["get"]),
    ];
    // The probe of its rights is refused with or without them, since it reports to a place without a keyring.
    let operator = store_as(&place, "operator", rules, Options::default()).await;
    let mut sample = Sample::new();
    while operator.occupancy().await.is_err() {
        tokio::task::yield_now().await;
    }
    sample.create(&operator).await;
    operator.write_witness(&sample.manifest).await.unwrap();
    sample.change(&operator, Sample::bump).await;
    operator.write_witness(&sample.manifest).await.unwrap();
    place.open().report(&report_of("gateway-1", 1)).await.unwrap();
    assert_eq!(operator.replicas().await.unwrap().len(), 1);
    operator.forget(&"gateway-1".parse().unwrap()).await.unwrap();
    operator.mirror().await.unwrap();
    operator.clean().await.unwrap();
    assert_eq!(operator.load().await.unwrap().base(), sample.base());
}
