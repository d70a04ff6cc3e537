//! The supervisor cannot link private-key code: nothing that it needs, however indirectly, holds any.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crates of this workspace that a supervisor may link. A new one must be shown to hold no private-key code.
const ALLOWED: [&str; 4] = ["keystile-keyring", "keystile-proto", "keystile-supervisor", "keystile-system"];

#[test]
fn no_private_key_code_is_linked() {
    let linked = linked_crates("keystile-supervisor");
    let ours: Vec<&str> =
        linked.iter().map(String::as_str).filter(|name| name.starts_with("keystile-")).collect();
    assert_eq!(ours, ALLOWED);
}

/// The names of all crates that `root` links, itself included; not those that only tests or builds need.
fn linked_crates(root: &str) -> BTreeSet<String> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeMap<&str, &str> = packages
        .iter()
        .map(|package| (package["id"].as_str().unwrap(), package["name"].as_str().unwrap()))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();

    let root = names.iter().find(|(_, name)| **name == root).unwrap().0;
    let mut open = vec![*root];
    let mut seen = BTreeSet::from([*root]);
    while let Some(id) = open.pop() {
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let is_linked = |kind: &Value| kind["kind"].is_null();
            let id = dependency["pkg"].as_str().unwrap();
            if dependency["dep_kinds"].as_array().unwrap().iter().any(is_linked) && seen.insert(id) {
                open.push(id);
            }
        }
    }
    seen.into_iter().map(|id| names[id].to_owned()).collect()
}

/// The platform that this compiler builds for.
fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    told.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

fn metadata() -> Value {
    // Of this platform only: the packages of others need not have been downloaded.
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version=1",
            "--offline",
            "--filter-platform",
            &host(),
            "--manifest-path",
        ])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
