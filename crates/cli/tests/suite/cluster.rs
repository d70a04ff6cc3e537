//! The program against a real cluster: where `KEYSTILE_TEST_KUBECONFIG` names a kubeconfig, such as
//! `e2e/control-plane` makes.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use keystile_kubernetes::{Access, Api, ApiError, Call, Object};
use keystile_system::{Environment, ProcessEnvironment};
use keystile_testkit::ManualClock;
use rustix::process::Signal;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::process::Desk;

/// A desk whose program finds its store in the Secret of that name, which no other test has.
fn desk(name: &str) -> Option<Desk> {
    let Some(kubeconfig) = ProcessEnvironment.get("KEYSTILE_TEST_KUBECONFIG") else {
        // Not `eprintln!`, which the test harness swallows.
        let why = format!("skipped {name}: KEYSTILE_TEST_KUBECONFIG names no cluster\n");
        let _ = std::io::stderr().write_all(why.as_bytes());
        return None;
    };
    let store = format!("k8s:default/cli-{name}-{}", std::process::id());
    Some(Desk::new().with("KUBECONFIG", &kubeconfig).with("KEYSTILE_STORE", &store))
}

/// Two replicas, a rotation that waits for both, a rollback, and what an operator sees of it.
#[test]
fn a_fleet_rotates_and_rolls_back_on_a_secret() {
    let Some(desk) = desk("life") else { return };
    desk.ends(5, &["status"]);
    desk.ends(0, &["init", "--policy", "verifier_cache=0", "--policy", "activation_lead=0"]);
    let said = desk.ends(3, &["init"]);
    assert!(said.contains("Secret default/cli-life"), "{said}");
    let (_first, _) = desk.serve("gateway-0");
    let (second, _) = desk.serve("gateway-1");
    second.signal(Signal::STOP);
    let mut rotate = desk.start(&["rotate"]);
    rotate.await_error("waits for 1 of 2 replicas: gateway-1");
    rotate.signal(Signal::INT);
    assert_eq!(rotate.end(), Some(1));
    second.signal(Signal::CONT);
    desk.ends(0, &["rotate", "--timeout", "30s"]);
    let status = desk.json(&["status"]);
    assert_eq!(status["generation"], 3);
    let replicas = status["replicas"].as_array().expect("replicas");
    assert_eq!(replicas.len(), 2);
    for replica in replicas {
        assert_eq!(replica["presence"], "live", "{replica}");
        let offset = replica["clock_offset"].as_i64().expect("measured by the API server's clock");
        assert!(offset.abs() <= 2, "one machine has one clock: {offset} s");
    }
    desk.ends(0, &["rollback"]);
    let said = desk.ends(0, &["doctor"]);
    assert!(said.contains("ok    witness    remembers generation 4"), "{said}");
    second.signal(Signal::TERM);
    assert_eq!(second.end(), Some(0));
    let status = desk.json(&["status"]);
    assert_eq!(status["replicas"][1]["presence"], "withdrawn");
}

/// A replica that only verifies needs the witness alone.
#[test]
fn a_verifier_serves_what_the_witness_remembers() {
    let Some(desk) = desk("verifier") else { return };
    desk.ends(0, &["init"]);
    let mut gateway =
        desk.start(&["serve", "--verify-only", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"]);
    assert!(gateway.line().contains("serves generation 1"));
}

#[test]
fn a_cluster_that_is_not_there_is_said() {
    let Some(desk) = desk("nowhere") else { return };
    let desk = desk.with("KUBECONFIG", "/nowhere/kubeconfig");
    let said = desk.ends(5, &["status"]);
    assert!(said.contains("/nowhere/kubeconfig"), "{said}");
}

const SANDBOXES: &str = "keystile-sandboxes";

fn bytes(json: &Value) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(json.to_string().into_bytes())
}

/// Creates an object; one that is there already will do. What it waits for, the cluster is about to make.
async fn create(api: &Api, collection: &str, object: &Value) {
    for _ in 0..400 {
        match api.call(Call::create(collection, bytes(object))).await {
            Ok(_) => return,
            Err(error) if error.code() == Some(409) => return,
            Err(ApiError::Refused(refusal)) if matches!(refusal.code, 403 | 404) => {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Err(error) => panic!("{collection}: {error}"),
        }
    }
    panic!("{collection} never took {object}");
}

/// The kind Sandbox, a namespace for it, and the ServiceAccount that sandboxes run as.
async fn prepare(api: &Api) {
    let schema = json!({"openAPIV3Schema": {"type": "object"}});
    let version = json!({"name": "v1beta1", "served": true, "storage": true, "schema": schema});
    let kind = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "sandboxes.agents.x-k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": "agents.x-k8s.io", "scope": "Namespaced", "versions": [version],
            "names": {"plural": "sandboxes", "singular": "sandbox", "kind": "Sandbox", "listKind": "SandboxList"},
        },
    });
    create(api, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &kind).await;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SANDBOXES}});
    create(api, "/api/v1/namespaces", &namespace).await;
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "sandbox"}});
    create(api, &format!("/api/v1/namespaces/{SANDBOXES}/serviceaccounts"), &account).await;
}

/// A Sandbox object with its pod, and a token that is bound to the pod, as kubelet would project it.
async fn sandbox(api: &Api, name: &str, token: &Path) {
    let sandboxes = format!("/apis/agents.x-k8s.io/v1beta1/namespaces/{SANDBOXES}/sandboxes");
    let object = json!({
        "apiVersion": "agents.x-k8s.io/v1beta1", "kind": "Sandbox",
        "metadata": {"name": name, "labels": {"openshell.ai/sandbox-id": name}},
    });
    create(api, &sandboxes, &object).await;
    let owner: Object = api.json(Call::get(format!("{sandboxes}/{name}"))).await.expect("the Sandbox");
    let pods = format!("/api/v1/namespaces/{SANDBOXES}/pods");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "annotations": {"openshell.io/sandbox-id": name},
            "ownerReferences": [{
                "apiVersion": "agents.x-k8s.io/v1beta1", "kind": "Sandbox", "name": name,
                "uid": owner.metadata.uid, "controller": true,
            }],
        },
        "spec": {"serviceAccountName": "sandbox", "containers": [{"name": "c", "image": "none"}]},
    });
    create(api, &pods, &pod).await;
    let pod: Object = api.json(Call::get(format!("{pods}/{name}"))).await.expect("the pod");
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {
            "audiences": ["openshell-gateway"],
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": pod.metadata.uid},
        },
    });
    let path = format!("/api/v1/namespaces/{SANDBOXES}/serviceaccounts/sandbox/token");
    let made: Value = api.json(Call::create(path, bytes(&request))).await.expect("a token");
    std::fs::write(token, made["status"]["token"].as_str().expect("a token")).expect("written");
}

/// A real pod's token, a real TokenReview, a real supervisor. After a revocation it bootstraps again.
#[test]
fn a_pod_bootstraps_with_its_service_account_token() {
    let Some(desk) = desk("bootstrap") else { return };
    let kubeconfig = ProcessEnvironment.get("KEYSTILE_TEST_KUBECONFIG").expect("set");
    let clock = Arc::new(ManualClock::at(keystile_keyring::UnixTime(0)));
    let api = Api::new(Access::Kubeconfig(vec![kubeconfig.into()]), clock);
    let name = format!("box-{}", std::process::id());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        prepare(&api).await;
        sandbox(&api, &name, &desk.path("token")).await;
    });
    desk.ends(0, &["init"]);
    let mut gateway = desk.start(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
        "--service-account-bootstrap",
        "--bootstrap-namespaces",
        SANDBOXES,
        "--bootstrap-service-accounts=sandbox",
        "--output=json",
    ]);
    let report: Value = serde_json::from_str(&gateway.line()).expect("JSON");
    let url = report["url"].as_str().expect("a URL");
    let supervise = || {
        let show = ["--", "/bin/sh", "-c", "cat $KEYSTILE_TOKEN_FILE"];
        let supervise = ["supervise", "--gateway", url, "--service-account-token", "token"];
        let output = desk.run(&[&supervise[..], &show].concat());
        let token = String::from_utf8(output.stdout).expect("a token");
        let verdict = desk.json(&["verify", token.trim()]);
        assert_eq!(
            (&verdict["verdict"], &verdict["sandbox_id"]),
            (&json!("accepted"), &json!(name)),
            "{verdict}"
        );
        token
    };
    let first = supervise();
    let kid = desk.json(&["status"])["active"].as_str().expect("a kid").to_owned();
    desk.ends(0, &["revoke", &kid, "--reason", "a test"]);
    desk.ends(3, &["verify", first.trim()]);
    while desk.json(&["status"])["replicas"][0]["generation"] != 2 {}
    supervise();
    // The pod is gone: its token is worth nothing, though it has not expired.
    let pod = format!("/api/v1/namespaces/{SANDBOXES}/pods/{name}");
    runtime.block_on(async {
        api.call(Call::delete(pod).with("gracePeriodSeconds", "0")).await.map(|_| ()).expect("deleted");
    });
    let mut supervisor =
        desk.start(&["supervise", "--gateway", url, "--service-account-token", "token", "--", "true"]);
    supervisor.await_error("sandbox pod not found");
}
