//! Bootstrap with a pod's ServiceAccount token: every check, in its order, with its text.

use std::sync::{Arc, Mutex};

use http::Method;
use keystile_gateway::config::Bootstrap;
use keystile_gateway::{Config, StartError};
use keystile_keyring::plan::Verb;
use keystile_kubernetes::{Access, Api};
use keystile_testkit::ApiServer;
use keystile_testkit::api_server::{answer, status};
use keystile_token::inspect;
use serde_json::{Value, json};
use tonic::Code;

use crate::client::*;
use crate::world::*;

/// As a cluster signs them; here nobody checks it but the script.
const TOKEN: &str = "eyJhbGciOiJSUzI1NiIsImtpZCI6Ims4cyJ9.eyJpc3MiOiJodHRwczovL2t1YmVybmV0ZXMuZGVmYXVsdC5zdmMiLCJhdWQiOlsib3BlbnNoZWxsLWdhdGV3YXkiXSwic3ViIjoic3lzdGVtOnNlcnZpY2VhY2NvdW50OnNhbmRib3hlczpzYW5kYm94In0.bm90IGEgc2lnbmF0dXJlIHRoYXQgYW55Ym9keSBoZXJlIGNoZWNrcw";

/// What the API server knows.
#[derive(Clone, Debug)]
struct Cluster {
    review: Option<Value>,
    pod: Value,
    owners: Value,
    sandbox: Option<Value>,
    /// The version in which the Sandbox object is served.
    version: &'static str,
    /// Resources whose answer is an error.
    broken: Vec<&'static str>,
}

impl Cluster {
    /// One in which the token is good.
    fn good() -> Self {
        let extra = json!({
            "authentication.kubernetes.io/pod-name": ["pod-1"],
            "authentication.kubernetes.io/pod-uid": ["pod-uid"],
        });
        let user = json!({"username": "system:serviceaccount:sandboxes:sandbox", "extra": extra});
        Self {
            review: Some(json!({"authenticated": true, "audiences": ["openshell-gateway"], "user": user})),
            pod: json!({"name": "pod-1", "uid": "pod-uid", "annotations": {"openshell.io/sandbox-id": SANDBOX}}),
            owners: json!([owner()]),
            sandbox: Some(
                json!({"name": "box", "uid": "box-uid", "labels": {"openshell.ai/sandbox-id": SANDBOX}}),
            ),
            version: "v1beta1",
            broken: Vec::new(),
        }
    }

    fn answers(&self, path: &str) -> Option<keystile_testkit::api_server::Response> {
        if self.broken.iter().any(|broken| path.contains(broken)) {
            return Some(status(500));
        }
        let found = match path {
            "/apis/authentication.k8s.io/v1/tokenreviews" => json!({"status": self.review}),
            "/api/v1/namespaces/sandboxes/pods/pod-1" if !self.pod.is_null() => {
                let mut pod = self.pod.clone();
                pod["ownerReferences"] = self.owners.clone();
                json!({"metadata": pod})
            }
            _ if path
                == format!("/apis/agents.x-k8s.io/{}/namespaces/sandboxes/sandboxes/box", self.version) =>
            {
                json!({"metadata": self.sandbox.clone()?})
            }
            _ => return None,
        };
        Some(answer(200, found.to_string()))
    }
}

fn owner() -> Value {
    json!({"apiVersion": "agents.x-k8s.io/v1beta1", "kind": "Sandbox", "name": "box", "uid": "box-uid", "controller": true})
}

/// A cluster and a gateway that asks it.
struct Scene {
    world: World,
    cluster: Arc<Mutex<Cluster>>,
    server: ApiServer,
    gateway: Running,
}

fn bootstrapping() -> Config {
    let bootstrap = Bootstrap {
        namespaces: vec!["sandboxes".to_owned(), "openshell-gw-*".to_owned()],
        service_accounts: vec!["sandbox".to_owned()],
        ..Bootstrap::default()
    };
    Config { service_account_bootstrap: true, bootstrap, ..config() }
}

impl Scene {
    async fn with(config: Config) -> Self {
        let world = World::begun().await;
        let cluster = Arc::new(Mutex::new(Cluster::good()));
        let known = Arc::clone(&cluster);
        let server = ApiServer::start(move |asked, body| {
            if asked.path.ends_with("/tokenreviews") {
                assert_eq!(body["spec"], json!({"token": TOKEN, "audiences": ["openshell-gateway"]}));
            }
            known.lock().expect("no panic").answers(&asked.path)
        })
        .await;
        let access = Access::Kubeconfig(vec![server.kubeconfig().to_owned()]);
        let api = Arc::new(Api::new(access, Arc::new(world.clock.clone())));
        let gateway = world.start_in(world.store.clone(), config, world.clock.clone(), Some(api)).await;
        Self { gateway: gateway.expect("it starts"), world, cluster, server }
    }

    /// What the token obtains in this cluster.
    async fn issue(&self, cluster: Cluster) -> Result<String, tonic::Status> {
        *self.cluster.lock().expect("no panic") = cluster;
        issue(&channel(self.gateway.addr).await, Some(TOKEN)).await.map(|issued| issued.token)
    }

    fn reviews(&self) -> usize {
        self.server.asked(|asked| asked.path.ends_with("/tokenreviews")).len()
    }
}

#[tokio::test]
async fn a_pod_obtains_the_token_of_its_sandbox() {
    let scene = Scene::with(bootstrapping()).await;
    let token = scene.issue(Cluster::good()).await.expect("a first token");
    let claims = inspect(token.as_bytes()).expect("a token").claims;
    assert_eq!(claims["sandbox_id"], SANDBOX);
    assert_eq!(claims["keystile"]["method"], "service-account");
    assert_eq!(claims["keystile"]["began"], scene.world.clock_now().0);
    let channel = channel(scene.gateway.addr).await;
    let refreshed = refresh(&channel, Some(&token)).await.expect("a second token").token;
    assert_eq!(whoami(&channel, Some(&refreshed)).await.expect("good").sandbox_id, SANDBOX);
    let status =
        refresh(&channel, Some(TOKEN)).await.expect_err("the cluster's token is for bootstrap alone");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "missing authorization header"));
    assert_eq!(scene.reviews(), 1, "only bootstrap asks");
    let asked = scene.server.asked(|asked| asked.method == Method::GET);
    assert!(asked.iter().all(|asked| asked.accept.contains("PartialObjectMetadata")), "{asked:?}");
}

type Break = (&'static str, fn(&mut Cluster), Code, &'static str);

fn user(cluster: &mut Cluster) -> &mut Value {
    &mut cluster.review.as_mut().expect("a review")["user"]
}

fn extra<'a>(cluster: &'a mut Cluster, name: &str) -> &'a mut Value {
    &mut user(cluster)["extra"][format!("authentication.kubernetes.io/{name}")]
}

/// Every check in its order: what is broken, and what is said of it.
const CHECKS: &[Break] = &[
    (
        "API",
        |c| c.broken.push("tokenreviews"),
        Code::Internal,
        "tokenreview failed: the API server answered 500 Scripted: as told",
    ),
    (
        "status",
        |c| c.review = None,
        Code::Internal,
        "tokenreview failed: the API server's answer cannot be understood: it has no status",
    ),
    (
        "unknown",
        |c| c.review.as_mut().unwrap()["authenticated"] = json!(false),
        Code::Unauthenticated,
        "missing authorization header",
    ),
    (
        "audience",
        |c| c.review.as_mut().unwrap()["audiences"] = json!(["other"]),
        Code::Unauthenticated,
        "SA token audience not accepted",
    ),
    ("username", |c| user(c)["username"] = json!(""), Code::PermissionDenied, "SA token has no username"),
    (
        "person",
        |c| user(c)["username"] = json!("ada"),
        Code::PermissionDenied,
        "SA token is not of a ServiceAccount",
    ),
    (
        "parts",
        |c| user(c)["username"] = json!("system:serviceaccount:sandboxes"),
        Code::PermissionDenied,
        "SA token is not of a ServiceAccount",
    ),
    (
        "account",
        |c| user(c)["username"] = json!("system:serviceaccount:sandboxes:default"),
        Code::PermissionDenied,
        "SA token's ServiceAccount is not accepted",
    ),
    (
        "namespace",
        |c| user(c)["username"] = json!("system:serviceaccount:kube-system:sandbox"),
        Code::PermissionDenied,
        "SA token's namespace is not accepted",
    ),
    (
        "prefix",
        |c| user(c)["username"] = json!("system:serviceaccount:openshell-gw:sandbox"),
        Code::PermissionDenied,
        "SA token's namespace is not accepted",
    ),
    ("unbound", |c| *extra(c, "pod-name") = Value::Null, Code::PermissionDenied, "SA token is not pod-bound"),
    ("no uid", |c| *extra(c, "pod-uid") = json!([]), Code::PermissionDenied, "SA token is not pod-bound"),
    (
        "two pods",
        |c| *extra(c, "pod-name") = json!(["pod-1", "pod-2"]),
        Code::PermissionDenied,
        "SA token has invalid pod binding",
    ),
    (
        "empty",
        |c| *extra(c, "pod-uid") = json!([""]),
        Code::PermissionDenied,
        "SA token has invalid pod binding",
    ),
    (
        "path",
        |c| *extra(c, "pod-name") = json!(["../secrets/a"]),
        Code::PermissionDenied,
        "SA token has invalid pod binding",
    ),
    (
        "pod API",
        |c| c.broken.push("/pods/"),
        Code::Internal,
        "pod lookup failed: the API server answered 500 Scripted: as told",
    ),
    ("no pod", |c| c.pod = Value::Null, Code::NotFound, "sandbox pod not found"),
    ("uid", |c| c.pod["uid"] = json!("another"), Code::PermissionDenied, "SA token pod UID mismatch"),
    (
        "no annotation",
        |c| c.pod["annotations"] = json!({}),
        Code::PermissionDenied,
        "pod is not bound to a sandbox identity",
    ),
    (
        "annotation",
        |c| c.pod["annotations"]["openshell.io/sandbox-id"] = json!(""),
        Code::PermissionDenied,
        "pod is not bound to a sandbox identity",
    ),
    (
        "no owner",
        |c| c.owners = json!([]),
        Code::PermissionDenied,
        "pod is not controlled by an OpenShell Sandbox",
    ),
    (
        "kind",
        |c| c.owners[0]["kind"] = json!("ReplicaSet"),
        Code::PermissionDenied,
        "pod is not controlled by an OpenShell Sandbox",
    ),
    (
        "group",
        |c| c.owners[0]["apiVersion"] = json!("agents.example/v1beta1"),
        Code::PermissionDenied,
        "pod is not controlled by an OpenShell Sandbox",
    ),
    (
        "version",
        |c| c.owners[0]["apiVersion"] = json!("agents.x-k8s.io/v1"),
        Code::PermissionDenied,
        "pod is not controlled by an OpenShell Sandbox",
    ),
    (
        "two owners",
        |c| c.owners = json!([owner(), owner()]),
        Code::PermissionDenied,
        "pod has multiple OpenShell Sandbox owners",
    ),
    (
        "not controlling",
        |c| c.owners[0]["controller"] = json!(false),
        Code::PermissionDenied,
        "pod Sandbox ownerReference is not controlling",
    ),
    (
        "nameless",
        |c| c.owners[0]["name"] = json!(""),
        Code::PermissionDenied,
        "pod Sandbox ownerReference is incomplete",
    ),
    (
        "owner API",
        |c| c.broken.push("/sandboxes/box"),
        Code::Internal,
        "sandbox owner lookup failed: the API server answered 500 Scripted: as told",
    ),
    ("owner gone", |c| c.sandbox = None, Code::PermissionDenied, "sandbox owner not found"),
    (
        "owner uid",
        |c| c.sandbox.as_mut().unwrap()["uid"] = json!("another"),
        Code::PermissionDenied,
        "sandbox owner UID mismatch",
    ),
    (
        "no label",
        |c| c.sandbox.as_mut().unwrap()["labels"] = json!({}),
        Code::PermissionDenied,
        "sandbox owner ID mismatch",
    ),
    (
        "label",
        |c| c.sandbox.as_mut().unwrap()["labels"]["openshell.ai/sandbox-id"] = json!("another"),
        Code::PermissionDenied,
        "sandbox owner ID mismatch",
    ),
];

#[tokio::test]
async fn every_check_has_its_text() {
    let scene = Scene::with(bootstrapping()).await;
    for (what, breaks, code, text) in CHECKS {
        let mut cluster = Cluster::good();
        breaks(&mut cluster);
        let status = scene.issue(cluster).await.expect_err(what);
        assert_eq!((status.code(), status.message()), (*code, *text), "{what}");
        scene.world.clock.advance(1);
    }
    scene.issue(Cluster::good()).await.expect("nothing else is wrong");
}

/// With this and all that comes after it broken, this is what is said.
#[tokio::test]
async fn the_checks_are_made_in_their_order() {
    let scene = Scene::with(bootstrapping()).await;
    let independent = [
        "API",
        "unknown",
        "audience",
        "account",
        "unbound",
        "pod API",
        "uid",
        "no annotation",
        "kind",
        "owner API",
        "owner uid",
        "label",
    ];
    let checks: Vec<&Break> = CHECKS.iter().filter(|(what, ..)| independent.contains(what)).collect();
    assert_eq!(checks.len(), independent.len());
    for (number, (what, _, code, text)) in checks.iter().enumerate() {
        let mut cluster = Cluster::good();
        for (_, breaks, ..) in &checks[number..] {
            breaks(&mut cluster);
        }
        let status = scene.issue(cluster).await.expect_err(what);
        assert_eq!((status.code(), status.message()), (*code, *text), "{what}");
        scene.world.clock.advance(1);
    }
}

#[tokio::test]
async fn the_owner_is_found_in_the_other_version_too() {
    let scene = Scene::with(bootstrapping()).await;
    let cluster = Cluster { version: "v1alpha1", ..Cluster::good() };
    scene.issue(cluster).await.expect("a first token");
    let asked = scene.server.asked(|asked| asked.path.contains("/sandboxes/box"));
    assert_eq!(asked.len(), 2, "the version that the pod names comes first");
    assert!(asked[0].path.contains("v1beta1"));
}

#[tokio::test]
async fn plain_pods_bootstrap_where_that_is_allowed_and_nobody_asks_for_an_owner() {
    let mut config = bootstrapping();
    config.bootstrap.plain_pods = true;
    let scene = Scene::with(config).await;
    let cluster = Cluster { owners: json!([]), sandbox: None, ..Cluster::good() };
    scene.issue(cluster).await.expect("a first token");
    assert_eq!(scene.server.asked(|asked| asked.path.contains("agents.x-k8s.io")).len(), 0);
    let mut hostile = Cluster::good();
    hostile.pod["annotations"]["openshell.io/sandbox-id"] = json!("a\nb");
    let status = scene.issue(hostile).await.expect_err("no sandbox id");
    assert_eq!(status.code(), Code::PermissionDenied);
}

/// A token of ours is judged here; what is no token at all is refused here.
#[tokio::test]
async fn the_cluster_is_asked_only_about_tokens_that_may_be_its_own() {
    let scene = Scene::with(bootstrapping()).await;
    let channel = channel(scene.gateway.addr).await;
    let ours = scene.world.token().await;
    let status = issue(&channel, Some(&ours)).await.expect_err("it has a token already");
    assert_eq!(status.message(), "this principal cannot mint a sandbox token; use RefreshSandboxToken");
    let status = issue(&channel, Some("garbage")).await.expect_err("no token");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "invalid token"));
    let status = issue(&channel, None).await.expect_err("no token");
    assert_eq!(status.message(), "missing authorization header");
    assert_eq!(scene.reviews(), 0);
}

/// T46: a fleet that bootstraps at once after a revocation. The API server sees a second's worth; the others
/// are told when to come, each another moment, and are served then.
#[tokio::test]
async fn t46_a_burst_of_bootstraps_is_spread() {
    let scene = Scene::with(bootstrapping()).await;
    let active = scene.world.active().await;
    scene.world.apply(Verb::Revoke { kid: active, descendants: false }, Some("stolen")).await;
    let channel = channel(scene.gateway.addr).await;
    let burst = (0..1000).map(|_| {
        let channel = channel.clone();
        tokio::spawn(async move { issue(&channel, Some(TOKEN)).await })
    });
    let burst: Vec<_> = burst.collect();
    let (mut served, mut hints) = (0, Vec::new());
    for call in burst {
        match call.await.expect("no panic") {
            Ok(_) => served += 1,
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                let hint = status.metadata().get("retry-after-ms").expect("when to come again");
                hints.push(hint.to_str().expect("text").parse::<u64>().expect("milliseconds"));
            }
        }
    }
    assert_eq!((served, scene.reviews()), (50, 50), "bootstrap_rate");
    hints.sort_unstable();
    assert!(hints.windows(2).all(|pair| pair[1] >= pair[0] + 20), "no two at the same moment");
    assert!(hints.first() >= Some(&1000) && hints.last() <= Some(&20_000), "{:?}", hints.last());
    scene.world.clock.advance(2);
    for _ in 0..50 {
        issue(&channel, Some(TOKEN)).await.expect("who comes later is served");
    }
}

/// An API server that is away is no verdict on the token: come again.
#[tokio::test]
async fn an_outage_of_the_api_server_says_when_to_come_again() {
    let scene = Scene::with(bootstrapping()).await;
    let mut cluster = Cluster::good();
    cluster.broken.push("tokenreviews");
    let status = scene.issue(cluster).await.expect_err("an outage");
    assert_eq!(status.code(), Code::Internal);
    assert!(status.metadata().get("retry-after-ms").is_some(), "{status:?}");
    let denied = Cluster { sandbox: None, ..Cluster::good() };
    let status = scene.issue(denied).await.expect_err("a verdict");
    assert!(status.metadata().get("retry-after-ms").is_none(), "{status:?}");
}

#[tokio::test]
async fn without_a_cluster_the_gateway_does_not_start() {
    let world = World::begun().await;
    let error = world.gateway_with(bootstrapping()).await.err().expect("no cluster");
    assert!(matches!(error, StartError::NoCluster), "{error}");
    let mut config = bootstrapping();
    config.bootstrap.namespaces.clear();
    let error = world.gateway_with(config).await.err().expect("no namespaces");
    assert!(matches!(error, StartError::Config(_)), "{error}");
}

/// Off, nobody is asked, even if there is a cluster.
#[tokio::test]
async fn without_the_setting_a_service_account_bootstraps_nothing() {
    let scene = Scene::with(Config { service_account_bootstrap: false, ..bootstrapping() }).await;
    let status = scene.issue(Cluster::good()).await.expect_err("off");
    assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "missing authorization header"));
    assert_eq!(scene.reviews(), 0);
}
