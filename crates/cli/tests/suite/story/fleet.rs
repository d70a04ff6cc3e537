//! What gateways and accidents do to a store in a story.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{Manifest, ReplicaReport};
use keystile_store::{LoadedPublic, Store};
use keystile_system::Clock;
use keystile_testkit::ManualClock;

/// Runs a future that needs no reactor.
fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Lets each replica report that it holds what the store holds, from now on if it did not before.
/// `NAME@GENERATION` is one that holds an older generation, and its first key only; `NAME-` one that stops;
/// `NAME!` one whose changed certificate is not usable.
pub(super) fn report(store: &dyn Store, clock: &ManualClock, replicas: &[&str]) {
    let loaded = wait(store.load_public()).expect("a keyring");
    for replica in replicas {
        let mut account = account(&loaded, clock, replica);
        let before = wait(store.replicas()).expect("reports");
        let before = before.iter().find(|report| report.replica == account.replica);
        for key in &mut account.keys {
            let held = before.and_then(|report| report.key(&key.kid));
            key.held_since = held.map_or(key.held_since, |held| held.held_since);
        }
        wait(store.report(&account)).expect("a report");
    }
}

fn account(loaded: &LoadedPublic, clock: &ManualClock, replica: &str) -> ReplicaReport {
    let (now, newest) = (clock.now(), loaded.manifest.generation);
    let stopped = replica.strip_suffix('-');
    let stale = replica.strip_suffix('!');
    let (name, generation) = match replica.split_once('@') {
        Some((name, generation)) => (name, generation.parse().expect("a generation")),
        None => (stopped.or(stale).unwrap_or(replica), newest),
    };
    let known = |manifest: &Manifest| {
        let held = manifest.keys.iter().enumerate().filter(|(index, _)| generation == newest || *index == 0);
        held.map(|(index, key)| KeyReport {
            kid: key.kid.clone(),
            held_since: now,
            from_start: false,
            usage: KeyUsage {
                sandboxes: 40 + index as u64,
                last_use: Some(now.minus(4)),
                never_expires: Vec::new(),
                methods: BTreeMap::from([
                    ("client-certificate".to_owned(), 30),
                    ("token-file".to_owned(), 10),
                ]),
            },
        })
        .collect()
    };
    ReplicaReport {
        replica: name.parse().expect("a name"),
        build: "0.1.0".to_owned(),
        started_at: now.minus(3600),
        reported_at: now,
        generation,
        digest: (generation == newest).then_some(loaded.digest),
        condition: Condition::Ready,
        confirmed_at: Some(now.minus(1)),
        keys: known(&loaded.manifest),
        revoked: Vec::new(),
        lineage_floor: None,
        withdrawn_at: stopped.map(|_| now),
        tls_stale: stale.map(|_| "tls/tls.crt holds no certificate".to_owned()),
        clock_offset: None,
    }
}

/// The project's test data: what an OpenShell gateway wrote. Its key protects nothing.
fn openshell() -> serde_json::Value {
    serde_json::from_str(include_str!("../../../../../testdata/openshell-keyset.json")).expect("JSON")
}

/// The key set that an OpenShell gateway made.
pub(crate) fn openshell_key_set() -> BTreeMap<String, String> {
    let data = openshell();
    let text = |name: &str| data[name].as_str().expect("a member").to_owned();
    let pem = |label: &str, name: &str| {
        let hex = text(name);
        let bytes =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex"));
        let body = STANDARD.encode(bytes.collect::<Vec<u8>>());
        let lines: Vec<_> = body.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let body = lines.join("\n");
        format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
    };
    BTreeMap::from([
        ("signing.pem".to_owned(), pem("PRIVATE KEY", "signing_pkcs8_v2_der_hex")),
        ("public.pem".to_owned(), pem("PUBLIC KEY", "public_spki_der_hex")),
        ("kid".to_owned(), text("kid")),
    ])
}

/// A token that an OpenShell gateway minted.
pub(super) fn openshell_token(which: &str) -> String {
    let token = &openshell()["tokens"][which];
    ["header", "payload", "signature"].map(|part| token[part].as_str().expect("a part").to_owned()).join(".")
}
