//! The report's contenders one by one: `cargo bench`, or `cargo bench -- mint`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a bench fails by panicking")]

use std::sync::atomic::{AtomicUsize, Ordering};

use divan::Bencher;
use keystile_bench::fixture::{grant, keyring, tokens};
use keystile_bench::gateway::Gateway;
use keystile_bench::load::{EACH, EACH_OTHER, NONE, Swapping};
use keystile_bench::measure::Contender;
use keystile_bench::run::MEMORY;
use keystile_bench::{contenders, rejections};
use keystile_token::Remembered;

fn main() {
    divan::main();
}

/// Measures the contender whose name is the case's.
fn run(bencher: Bencher<'_, '_>, mut all: Vec<Contender<'_>>, name: &str) {
    let contender = all.iter_mut().find(|contender| contender.name == name).unwrap();
    bencher.bench_local(|| contender.run(1));
}

#[divan::bench(args = ["jsonwebtoken (aws-lc-rs)", "jwt-compact (dalek)", "jwt-simple (ed25519-compact)"])]
fn verify_by_a_peer(bencher: Bencher<'_, '_>, name: &str) {
    let ring = keyring(1, 1).unwrap();
    let token = tokens(&ring, 1).unwrap().remove(0);
    run(bencher, contenders::peers_verify(&ring, &token).unwrap(), name);
}

#[divan::bench(args = [
    "aws-lc-rs: the signature alone",
    "graviola: the signature alone",
    "ed25519-dalek: the signature alone",
    "ed25519-dalek, strict: the signature alone",
])]
fn verify_the_signature_alone(bencher: Bencher<'_, '_>, name: &str) {
    let token = tokens(&keyring(1, 1).unwrap(), 1).unwrap().remove(0);
    run(bencher, contenders::raw_verify(&token).unwrap(), name);
}

#[divan::bench(args = [1, 2, 4, 8])]
fn verify_first_seen(bencher: Bencher<'_, '_>, keys: u8) {
    let ring = keyring(1, keys).unwrap();
    let token = tokens(&ring, 1).unwrap().remove(0);
    run(bencher, vec![contenders::first_seen("first seen", &ring, &token)], "first seen");
}

#[divan::bench(args = [1, 2, 4, 8])]
fn verify_remembered(bencher: Bencher<'_, '_>, keys: u8) {
    let (ring, memory) = (keyring(1, keys).unwrap(), Remembered::new(MEMORY));
    let tokens = tokens(&ring, 1).unwrap();
    run(bencher, vec![contenders::remembered("remembered", &ring, &tokens, &memory)], "remembered");
}

#[divan::bench(args = [1, 10_000], threads = [1, 2], sample_size = 500)]
fn verify_remembered_by_threads(bencher: Bencher<'_, '_>, count: usize) {
    let tokens = tokens(&keyring(1, 1).unwrap(), count).unwrap();
    let gateway = Gateway::new(keyring(1, 1).unwrap(), MEMORY);
    gateway.see(&tokens).unwrap();
    let turn = AtomicUsize::new(0);
    let start = || turn.fetch_add(count / 2, Ordering::Relaxed);
    bencher.with_inputs(start).bench_values(|at| gateway.admits(&tokens[at % count]));
}

#[divan::bench(args = reasons())]
fn refuse(bencher: Bencher<'_, '_>, reason: &str) {
    let ring = rejections::keyring().unwrap();
    let all = rejections::tokens(&ring).unwrap();
    let one = all.iter().find(|one| one.reason.as_str() == reason).unwrap();
    let now = keystile_bench::fixture::NOW;
    run(bencher, vec![contenders::refused(reason, &ring, &one.token, now)], reason);
}

fn reasons() -> Vec<&'static str> {
    let ring = rejections::keyring().unwrap();
    rejections::tokens(&ring).unwrap().iter().map(|one| one.reason.as_str()).collect()
}

#[divan::bench(args = [
    "Keystile",
    "jsonwebtoken (aws-lc-rs)",
    "aws-lc-rs: the signature alone",
    "graviola: the signature alone",
    "ed25519-dalek: the signature alone",
])]
fn mint(bencher: Bencher<'_, '_>, name: &str) {
    let ring = keyring(1, 1).unwrap();
    let (grant, token) = (grant(0).unwrap(), tokens(&ring, 1).unwrap().remove(0));
    run(bencher, contenders::mint(&ring, &grant, &token).unwrap(), name);
}

/// With a thread beside it that compiles generations, and drops them or puts them in force.
#[divan::bench(args = [NONE, EACH, EACH_OTHER], threads = [1, 2], sample_size = 500)]
fn keyring_swap_under_load(bencher: Bencher<'_, '_>, what: &str) {
    let swapping = Swapping::new(tokens(&keyring(1, 2).unwrap(), 10_000).unwrap()).unwrap();
    let turn = AtomicUsize::new(0);
    let start = || turn.fetch_add(1, Ordering::Relaxed);
    swapping
        .during(what, |gateway, tokens| {
            bencher.with_inputs(start).bench_values(|at| gateway.admits(&tokens[at % tokens.len()]));
        })
        .unwrap();
}
