//! The program against a real cluster: where `KEYSTILE_TEST_KUBECONFIG` names a kubeconfig, such as
//! `e2e/control-plane` makes.

use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use keystile_kubernetes::{Access, Api, ApiError, Call, Object};
use keystile_store::conformance::KEY_SET;
use keystile_system::{Environment, ProcessEnvironment};
use keystile_testkit::ManualClock;
use rustix::process::Signal;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::process::{Desk, Running};

mod burst;

/// The cluster's client, and where to wait for it.
struct Cluster {
    api: Api,
    runtime: tokio::runtime::Runtime,
}

impl Cluster {
    fn new() -> Self {
        let kubeconfig = ProcessEnvironment.get("KEYSTILE_TEST_KUBECONFIG").expect("set");
        let clock = Arc::new(ManualClock::at(keystile_keyring::UnixTime(0)));
        let api = Api::new(Access::Kubeconfig(vec![kubeconfig.into()]), clock);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        Self { api, runtime }
    }

    fn get(&self, path: &str) -> Value {
        self.runtime.block_on(self.api.json(Call::get(path))).expect("an object")
    }

    fn merge(&self, path: &str, change: &Value) {
        self.runtime.block_on(self.api.call(Call::merge(path, bytes(change)))).map(|_| ()).expect("changed");
    }
}

/// The Secret that a desk's store is in, as the API has it.
fn secret_of(name: &str) -> String {
    format!("/api/v1/namespaces/default/secrets/cli-{name}-{}", std::process::id())
}

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
    assert!(said.contains("ok    rights") && said.contains("ok    secret"), "{said}");
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

/// A replica that was killed holds up a rotation as long as it may still mint, and no longer, whatever its Lease
/// says.
#[test]
fn a_replica_that_vanished_counts_until_it_is_stale_and_not_until_its_lease_runs_out() {
    let Some(desk) = desk("vanished") else { return };
    let quick = ["max_staleness=2s", "max_skew=1s", "verifier_cache=0", "activation_lead=0"];
    let policy: Vec<&str> = quick.iter().flat_map(|rule| ["--policy", rule]).collect();
    desk.ends(0, &[&["init"][..], &policy].concat());
    let (_stays, _) = desk.serve("gateway-0");
    let (vanishes, _) = desk.serve("gateway-1");
    drop(vanishes);
    let mut rotate = desk.start(&["rotate", "--timeout", "60s"]);
    rotate.await_error("waits for 1 of 2 replicas: gateway-1");
    assert_eq!(rotate.end(), Some(0));
    let status = desk.json(&["status"]);
    assert_eq!((&status["replicas"][1]["presence"], &status["generation"]), (&json!("lost"), &json!(3)));
}

/// T08: `helm rollback`, a GitOps sync or a restored backup puts an old Secret back while replicas run. They keep
/// what they hold and say so; `reconcile` goes on from there, and no revocation is lost.
#[test]
fn t08_a_secret_that_went_back_is_told_and_repaired() {
    let Some(desk) = desk("backup") else { return };
    desk.ends(0, &["init", "--policy", "verifier_cache=0", "--policy", "activation_lead=0"]);
    let (gateway, _) = desk.serve("gateway-0");
    desk.ends(0, &["rotate", "--timeout", "30s"]);
    let cluster = Cluster::new();
    let backup = cluster.get(&secret_of("backup"))["data"].clone();
    let status = desk.json(&["status"]);
    let (first, second) = (status["keys"][0]["kid"].clone(), status["keys"][1]["kid"].clone());
    desk.ends(0, &["revoke", first.as_str().expect("a kid"), "--reason", "stolen"]);
    await_generation(&desk, 4);
    cluster.merge(&secret_of("backup"), &json!({"data": backup}));
    eventually(&desk, |status| {
        status["problems"].to_string().contains("gateway-0 goes on with generation 4")
    });
    assert_eq!(desk.json(&["status"])["replicas"][0]["generation"], 4, "it keeps what it holds");
    let said = desk.ends(3, &["doctor"]);
    assert!(said.contains("FAIL  witness"), "{said}");
    desk.ends(3, &["rotate"]);
    desk.ends(0, &["reconcile"]);
    await_generation(&desk, 5);
    let status = desk.json(&["status"]);
    assert_eq!(status["active"], second);
    let held: Vec<_> =
        status["keys"].as_array().expect("keys").iter().map(|key| key["state"].clone()).collect();
    assert!(held.contains(&json!("revoked")), "{status}");
    drop(gateway);
}

/// Waits until the only replica holds that generation.
fn await_generation(desk: &Desk, generation: u64) {
    eventually(desk, |status| status["replicas"][0]["generation"] == generation);
}

/// Looks until the status is so.
fn eventually(desk: &Desk, is: impl Fn(&Value) -> bool) {
    let mut status = Value::Null;
    for _ in 0..500 {
        status = desk.json(&["status"]);
        if is(&status) {
            return;
        }
    }
    panic!("{status}");
}

/// T42: a stock Secret of OpenShell is taken over where it lies, and its three members always let a single-key
/// gateway start.
#[test]
fn t42_an_openshell_secret_is_adopted_rotated_and_can_be_gone_back_to() {
    let Some(desk) = desk("adopt") else { return };
    let cluster = Cluster::new();
    let set = json!({
        "signing.pem": base64(KEY_SET[0].1), "public.pem": base64(KEY_SET[1].1), "kid": base64(KEY_SET[2].1),
    });
    let name = secret_of("adopt").rsplit('/').next().map(str::to_owned);
    let stock = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": name}, "data": set});
    cluster.runtime.block_on(create(&cluster.api, "/api/v1/namespaces/default/secrets", &stock));
    let said = desk.ends(0, &["doctor"]);
    assert!(said.contains("take it over: keystile adopt"), "{said}");
    desk.ends(3, &["init"]);
    desk.ends(
        0,
        &["adopt", "--longest-token", "1h", "--policy", "verifier_cache=1s", "--policy", "activation_lead=0"],
    );
    let adopted = cluster.get(&secret_of("adopt"));
    for member in ["signing.pem", "public.pem", "kid"] {
        let same = |text: &Value| decoded(text).split_whitespace().collect::<String>();
        if member != "signing.pem" {
            assert_eq!(same(&adopted["data"][member]), same(&set[member]), "{member}");
        }
    }
    desk.ends(0, &["mint", "sandbox-1", "--out", "token"]);
    desk.ends(0, &["rotate", "--offline"]);
    desk.ends(0, &["verify", "token"]);
    let rotated = cluster.get(&secret_of("adopt"));
    let active = desk.json(&["status"])["active"].clone();
    assert_eq!(decoded(&rotated["data"]["kid"]), active.as_str().expect("a kid"));
    assert_ne!(rotated["data"]["kid"], set["kid"]);
    // What a single-key gateway starts from is one key: its private and its public part.
    let key = keystile_token::PrivateKey::from_pem(decoded(&rotated["data"]["signing.pem"]).as_bytes())
        .expect("a key");
    let public = keystile_token::public_key_from_pem(decoded(&rotated["data"]["public.pem"]).as_bytes());
    assert_eq!(key.public_key(), public.expect("a key"));
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn decoded(text: &Value) -> String {
    let bytes =
        base64::engine::general_purpose::STANDARD.decode(text.as_str().expect("text")).expect("base64");
    String::from_utf8(bytes).expect("text")
}

/// What would bring an old keyring back one day, or keep a rotation from happening, is said beforehand.
#[test]
fn doctor_says_who_else_writes_the_secret_and_what_this_identity_may_not() {
    let Some(desk) = desk("doctor") else { return };
    desk.ends(0, &["init"]);
    let cluster = Cluster::new();
    let label = json!({"metadata": {"labels": {"argocd.argoproj.io/instance": "x"}}});
    cluster.merge(&secret_of("doctor"), &label);
    let said = desk.ends(0, &["doctor"]);
    assert!(said.contains("warn  secret     Argo CD manages it too"), "{said}");
    cluster.merge(&secret_of("doctor"), &json!({"metadata": {"labels": null}}));
    let desk = as_looker(desk, &cluster);
    let said = desk.ends(0, &["doctor"]);
    let may_not = "warn  rights     this identity may not patch secrets default/cli-doctor";
    assert!(said.contains(may_not) && said.contains("nor create secrets in default"), "{said}");
    cluster.merge(&secret_of("doctor"), &json!({"immutable": true}));
    let said = desk.ends(3, &["doctor"]);
    assert!(said.contains("FAIL  secret     it is immutable"), "{said}");
}

/// The same desk for a person who may look at Secrets and reports of the namespace, and no more.
fn as_looker(desk: Desk, cluster: &Cluster) -> Desk {
    let rules = json!([
        {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list"]},
    ]);
    let group = "rbac.authorization.k8s.io";
    let metadata = json!({"name": "keystile-looker"});
    let (version, kind) = (format!("{group}/v1"), "Role");
    let role = json!({"apiVersion": version, "kind": kind, "metadata": metadata, "rules": rules});
    let binding = json!({
        "apiVersion": version, "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": group, "kind": kind, "name": "keystile-looker"},
        "subjects": [{"kind": "User", "apiGroup": group, "name": "looker"}],
    });
    let collection = |kind: &str| format!("/apis/{group}/v1/namespaces/default/{kind}");
    cluster.runtime.block_on(async {
        create(&cluster.api, &collection("roles"), &role).await;
        create(&cluster.api, &collection("rolebindings"), &binding).await;
    });
    let admin = ProcessEnvironment.get("KEYSTILE_TEST_KUBECONFIG").expect("set");
    let text = std::fs::read_to_string(admin).expect("a kubeconfig");
    let user = "user: {client-certificate";
    assert!(text.contains(user), "the form of e2e/control-plane");
    let looker = text.replace(user, "user: {as: looker, client-certificate");
    std::fs::write(desk.path("looker"), looker).expect("written");
    let desk = desk.with("KUBECONFIG", "looker");
    // The authorizer learns of the role a moment later.
    for _ in 0..500 {
        if desk.run(&["status"]).status.success() {
            return desk;
        }
    }
    panic!("the role never came into force");
}

#[test]
fn a_cluster_that_is_not_there_is_said() {
    let Some(desk) = desk("nowhere") else { return };
    let desk = desk.with("KUBECONFIG", "/nowhere/kubeconfig");
    let said = desk.ends(5, &["status"]);
    assert!(said.contains("/nowhere/kubeconfig"), "{said}");
}

const SANDBOXES: &str = "keystile-sandboxes";

/// Held by whoever bootstraps: one of them counts what the API server is asked.
static BOOTSTRAPS: Mutex<()> = Mutex::new(());

/// What this run's objects are labelled with.
fn run() -> String {
    std::process::id().to_string()
}

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
        "metadata": {"name": name, "labels": {"openshell.ai/sandbox-id": name, "keystile-test": run()}},
    });
    create(api, &sandboxes, &object).await;
    let owner: Object = api.json(Call::get(format!("{sandboxes}/{name}"))).await.expect("the Sandbox");
    let pods = format!("/api/v1/namespaces/{SANDBOXES}/pods");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"keystile-test": run()},
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

/// A gateway that exchanges the tokens of sandboxes' ServiceAccounts, and where it listens.
fn serve_service_accounts(desk: &Desk, more: &[&str]) -> (Running, String) {
    let serve = [
        "serve",
        "--listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
        "--service-account-bootstrap",
        "--bootstrap-namespaces",
        SANDBOXES,
        "--bootstrap-service-accounts=sandbox",
        "--output=json",
    ];
    let mut gateway = desk.start(&[&serve, more].concat());
    let report: Value = serde_json::from_str(&gateway.line()).expect("JSON");
    let url = report["url"].as_str().expect("a URL").to_owned();
    (gateway, url)
}

/// A real pod's token, a real TokenReview, a real supervisor. After a revocation it bootstraps again.
#[test]
fn a_pod_bootstraps_with_its_service_account_token() {
    let Some(desk) = desk("bootstrap") else { return };
    let _alone = BOOTSTRAPS.lock().unwrap_or_else(PoisonError::into_inner);
    let Cluster { api, runtime } = Cluster::new();
    let name = format!("box-{}", std::process::id());
    runtime.block_on(async {
        prepare(&api).await;
        sandbox(&api, &name, &desk.path("token")).await;
    });
    desk.ends(0, &["init"]);
    let (_gateway, url) = serve_service_accounts(&desk, &[]);
    let supervise = || {
        let show = ["--", "/bin/sh", "-c", "cat $KEYSTILE_TOKEN_FILE"];
        let supervise = ["supervise", "--gateway", &url, "--service-account-token", "token"];
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
    await_generation(&desk, 2);
    supervise();
    // The pod is gone: its token is worth nothing, though it has not expired.
    let pod = format!("/api/v1/namespaces/{SANDBOXES}/pods/{name}");
    runtime.block_on(async {
        api.call(Call::delete(pod).with("gracePeriodSeconds", "0")).await.map(|_| ()).expect("deleted");
    });
    let mut supervisor =
        desk.start(&["supervise", "--gateway", &url, "--service-account-token", "token", "--", "true"]);
    supervisor.await_error("sandbox pod not found");
}
