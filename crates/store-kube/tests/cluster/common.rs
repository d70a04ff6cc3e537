//! A place in a real cluster.

use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Once};

use keystile_keyring::UnixTime;
use keystile_kubernetes::{Access, Api, Call, Object, ObjectName};
use keystile_store::Store;
use keystile_store::conformance::{Place, START};
use keystile_store_kube::{KubeStore, Options};
use keystile_system::{Entropy, Environment, ProcessEnvironment, SystemEntropy};
use keystile_testkit::ManualClock;
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// The namespace of these tests.
pub(crate) const NAMESPACE: &str = "keystile-test";

/// A name in the cluster that no other test has.
pub(crate) struct KubePlace {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) name: ObjectName,
    pub(crate) clock: ManualClock,
}

impl KubePlace {
    /// A place in the cluster that the environment names.
    pub(crate) fn new() -> Option<Self> {
        static SKIPPED: Once = Once::new();
        let Some(kubeconfig) = ProcessEnvironment.get("KEYSTILE_TEST_KUBECONFIG").map(PathBuf::from) else {
            SKIPPED.call_once(|| {
                // Not `eprintln!`, which the test harness swallows.
                let why = "skipped: KEYSTILE_TEST_KUBECONFIG names no cluster; see e2e/control-plane\n";
                std::io::stderr().write_all(why.as_bytes()).unwrap();
            });
            return None;
        };
        let mut random = [0; 8];
        SystemEntropy.fill(&mut random).unwrap();
        let name = format!("test-{:016x}", u64::from_be_bytes(random));
        let name = ObjectName::new(NAMESPACE, &name).unwrap();
        let place = Self { kubeconfig, name, clock: ManualClock::at(START) };
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        place.blocking(|api| async move {
            match api.call(Call::create("/api/v1/namespaces", bytes(&namespace))).await {
                Err(error) if error.code() != Some(409) => panic!("{error}"),
                _ => {}
            }
        });
        Some(place)
    }

    pub(crate) fn api(&self) -> Arc<Api> {
        Arc::new(Api::new(Access::Kubeconfig(vec![self.kubeconfig.clone()]), Arc::new(self.clock.clone())))
    }

    pub(crate) fn store(&self, options: Options) -> KubeStore {
        KubeStore::new(self.api(), self.name.clone(), Arc::new(self.clock.clone()), options)
    }

    pub(crate) fn secret(&self) -> String {
        format!("/api/v1/namespaces/{NAMESPACE}/secrets/{}", self.name.name())
    }

    /// The Secret as it is.
    pub(crate) async fn object(&self) -> Object {
        self.api().json(Call::get(self.secret())).await.unwrap()
    }

    /// Changes members as somebody else would, who asks for no version.
    pub(crate) async fn meddle(&self, change: &Value) {
        self.api().call(Call::merge(self.secret(), bytes(change))).await.unwrap();
    }

    /// Waits for `work` on a runtime of its own: the test's has one thread.
    fn blocking<T: Send, F: Future<Output = T>>(&self, work: impl FnOnce(Arc<Api>) -> F + Send) -> T {
        let api = self.api();
        std::thread::scope(|scope| {
            let run = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(work(api))
            };
            scope.spawn(run).join().unwrap()
        })
    }
}

impl Place for KubePlace {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.store(Options::default()))
    }

    fn set_clock(&self, now: UnixTime) {
        self.clock.set(now);
    }

    fn put(&self, members: &[(&str, &[u8])]) {
        let data: serde_json::Map<_, _> =
            members.iter().map(|(name, bytes)| ((*name).to_owned(), base64(bytes).into())).collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
            "metadata": {"name": self.name.name()}, "data": data,
        });
        self.blocking(|api| async move {
            api.call(Call::create(format!("/api/v1/namespaces/{NAMESPACE}/secrets"), bytes(&secret)))
                .await
                .unwrap();
        });
    }

    fn lose(&self) {
        let secret = self.secret();
        self.blocking(|api| async move {
            api.call(Call::delete(secret)).await.unwrap();
        });
    }
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

pub(crate) fn bytes(json: &Value) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(json.to_string().into_bytes())
}
