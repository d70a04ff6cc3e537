//! The program against a real cluster: where `KEYSTILE_TEST_KUBECONFIG` names a kubeconfig, such as
//! `e2e/control-plane` makes.

use std::io::Write as _;

use keystile_system::{Environment, ProcessEnvironment};
use rustix::process::Signal;

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
