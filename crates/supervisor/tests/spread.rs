//! A fleet that began together does not act together. (The same for an hour's tokens, without the calls, is a test of
//! the schedule.)
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::{
    Answer, BEGIN, Call, Gateway, Method, Seeded, TestClock, config, given, jws, per_second, reach,
};
use keystile_supervisor::{Config, Endpoint, Source, State, Supervisor};

const FLEET: usize = 5000;

fn fleet(size: usize, clock: TestClock, config: impl Fn() -> Config) -> Vec<Supervisor> {
    let entropy = Seeded::new(46);
    (0..size).map(|_| Supervisor::start(config(), Arc::new(clock), entropy.clone()).unwrap()).collect()
}

/// As many connections as one machine's gateways would have, within reason.
fn pipes(gateway: &Gateway) -> Vec<Endpoint> {
    (0..8).map(|_| gateway.pipe()).collect()
}

fn refreshes_per_second(calls: &[Call]) -> BTreeMap<u64, usize> {
    per_second(calls.iter().filter(|call| call.method == Method::Refresh).map(|call| call.at))
}

#[tokio::test(start_paused = true)]
async fn t46_five_thousand_equal_tokens_are_renewed_over_the_whole_window() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 300));
    let pipes = pipes(&gateway);
    let fleet = fleet(FLEET, clock, || config(pipes.clone(), vec![Source::ClientCertificate]));
    // All bootstrap in the same second, as after a revocation.
    let calls = gateway.after_calls(2 * FLEET).await;
    assert!(calls[..FLEET].iter().all(|call| call.method == Method::Issue && call.at.as_secs() == 0));

    // The window is 75 s: 67 a second. Six standard deviations above that are 115.
    let seconds = refreshes_per_second(&calls);
    assert_eq!(seconds.values().sum::<usize>(), FLEET);
    assert!(seconds.keys().all(|second| (180..=255).contains(second)), "{seconds:?}");
    assert!(seconds.values().all(|count| *count <= 115), "{seconds:?}");
    assert!(seconds.len() >= 75, "every second of the window has its part");
    assert!(fleet.iter().all(|supervisor| supervisor.counters().longest_gap == Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn t46_given_tokens_are_exchanged_over_ten_seconds() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 0));
    let pipes = pipes(&gateway);
    let text = jws("k", BEGIN - 1_000_000, 0);
    let _fleet = fleet(1000, clock, || config(pipes.clone(), vec![given(&text)]));
    let seconds = refreshes_per_second(&gateway.after_calls(1000).await);
    assert!(seconds.keys().all(|second| *second <= 10), "{seconds:?}");
    assert!(seconds.values().all(|count| *count <= 157), "{seconds:?}");
}

#[tokio::test(start_paused = true)]
async fn t46_a_revocation_that_all_notice_at_once_is_spread_too() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let pipes = pipes(&gateway);
    let fleet = fleet(1000, clock, || {
        let mut config = config(pipes.clone(), vec![Source::ClientCertificate]);
        config.timing.rejection_spread = Duration::from_secs(20);
        config
    });
    for supervisor in &fleet {
        reach(supervisor, |state| matches!(state, State::Fresh(_))).await;
    }
    // Not at a moment at which they would look at their clocks anyway.
    tokio::time::sleep(Duration::from_secs(109)).await;
    for supervisor in &fleet {
        supervisor.rejected(&supervisor.token().unwrap());
    }
    let seconds = refreshes_per_second(&gateway.after_calls(2000).await);
    assert!(seconds.keys().all(|second| (109..=129).contains(second)), "{seconds:?}");
    assert!(seconds.values().all(|count| *count <= 92), "{seconds:?}");
}
