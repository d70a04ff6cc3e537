//! The store at an API server that answers as a test says.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keystile_kubernetes::{Access, Api, ObjectName};
use keystile_store::conformance::{START, Sample};
use keystile_store_kube::{KubeStore, Options};
use keystile_testkit::api_server::Asked;
use keystile_testkit::{ApiServer, ManualClock};
use serde_json::{Value, json};

/// The store in the Secret `ns/keys`.
pub(crate) fn store(server: &ApiServer) -> KubeStore {
    let clock = Arc::new(ManualClock::at(START));
    let access = Access::Kubeconfig(vec![server.kubeconfig().to_owned()]);
    let api = Arc::new(Api::new(access, clock.clone()));
    KubeStore::new(api, ObjectName::new("ns", "keys").unwrap(), clock, Options::default())
}

/// Whether it is of the store's Secret, not of the witness.
pub(crate) fn is_of_store(asked: &Asked) -> bool {
    asked.path.ends_with("/keys") || asked.query.contains("metadata.name%3Dkeys&")
}

/// The metadata of the store's Secret in that version.
pub(crate) fn metadata(version: &str) -> Value {
    json!({"metadata": {"name": "keys", "uid": "u1", "resourceVersion": version}})
}

/// The store's Secret with the generation that `sample` is at.
pub(crate) fn secret(sample: &Sample) -> Value {
    let image = sample.image(START);
    let data: serde_json::Map<_, _> = image
        .members
        .iter()
        .map(|member| (member.name.clone(), STANDARD.encode(&*member.bytes).into()))
        .collect();
    let mut secret = metadata("7");
    secret["data"] = data.into();
    secret
}
