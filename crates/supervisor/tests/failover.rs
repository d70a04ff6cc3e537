//! Gateways that are away, slow, overloaded or nonsensical: waits grow, are bounded, and follow the gateway's hint.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::time::Duration;

use common::{Answer, BEGIN, Gateway, TestClock, config, given, jws, reach, start, waits};
use keystile_supervisor::{Endpoint, FailureKind, Origin, Source, State, Supervisor, Timing};
use tokio::net::TcpListener;
use tonic::Code;

async fn fresh(supervisor: &Supervisor) -> State {
    reach(supervisor, |state| matches!(state, State::Fresh(_))).await
}

async fn renewed(supervisor: &Supervisor) -> State {
    reach(supervisor, |state| matches!(state, State::Fresh(lease) if lease.origin == Origin::Renewed)).await
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_are_bounded_on_both_sides() {
    for code in [Code::Unavailable, Code::DeadlineExceeded, Code::ResourceExhausted, Code::Internal] {
        let clock = TestClock::new();
        let gateway = Gateway::new(clock, move |_| Answer::fail(code));
        let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
        let waits = waits(&gateway.after_calls(200).await);
        assert!(waits.iter().all(|wait| (0.2..10.01).contains(wait)), "{waits:?}");
        assert!(waits[0] <= 0.401 && waits[1] <= 0.801 && waits[2] <= 1.601, "{waits:?}");
        let late = &waits[10..];
        let mean = late.iter().sum::<f64>() / 189.0;
        assert!((4.0..6.2).contains(&mean), "full jitter: mean {mean} s");
        assert!(late.iter().any(|wait| *wait < 1.0) && late.iter().any(|wait| *wait > 9.0));
        assert!(matches!(*supervisor.state().borrow(), State::Obtaining { failure: Some(_) }));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_success_waits_begin_small_again() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| match call.number {
        20 => Answer::Token("k", 3600),
        _ => Answer::fail(Code::Unavailable),
    });
    let _supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let waits = waits(&gateway.after_calls(24).await);
    assert!(waits[20] > 2000.0, "the renewal");
    assert!(waits[21] <= 0.401, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_failed_renewal_shows_as_stale_and_the_token_stays() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| match call.number {
        0 | 4 => Answer::Token("k", 3600),
        _ => Answer::fail(Code::Unavailable),
    });
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let token = supervisor.ready().await.unwrap();
    let state = reach(&supervisor, |state| matches!(state, State::Stale { .. })).await;
    let State::Stale { failure, .. } = state else { panic!("{state:?}") };
    assert_eq!(failure.kind.label(), "unavailable");
    assert!(supervisor.token().unwrap() == token);
    fresh(&supervisor).await;
    let counters = supervisor.counters();
    assert_eq!(counters.failures.values().sum::<u64>(), 3);
    assert_eq!((counters.bootstraps, counters.renewals), (1, 1));
    assert_eq!(counters.longest_gap, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_life_shows_as_a_gap() {
    let clock = TestClock::new();
    let back = Duration::from_secs(150);
    let gateway = Gateway::new(clock, move |call| {
        let up = call.number == 0 || call.at >= back;
        if up { Answer::Token("k", 100) } else { Answer::fail(Code::Unavailable) }
    });
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    fresh(&supervisor).await;
    reach(&supervisor, |state| matches!(state, State::Stale { .. })).await;
    tokio::time::sleep(Duration::from_secs(50)).await;
    fresh(&supervisor).await;
    let gap = supervisor.counters().longest_gap;
    assert!((50.0..61.0).contains(&gap.as_secs_f64()), "{gap:?}");
}

#[tokio::test(start_paused = true)]
async fn the_gateways_hint_is_honoured() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| match call.number {
        0 => Answer::Wait(Code::Unavailable, 7000),
        1 => Answer::Wait(Code::ResourceExhausted, 30_000),
        _ => Answer::Token("k", 3600),
    });
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    fresh(&supervisor).await;
    let waits = waits(&gateway.calls());
    assert!((7.2..7.5).contains(&waits[0]), "{waits:?}");
    assert!((30.2..31.0).contains(&waits[1]), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_hint_without_measure_is_bounded() {
    for hint in [u64::MAX, 86_400_000] {
        let clock = TestClock::new();
        let gateway = Gateway::new(clock, move |_| Answer::Wait(Code::Unavailable, hint));
        let _supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
        let waits = waits(&gateway.after_calls(3).await);
        assert!(waits.iter().all(|wait| *wait <= 71.0), "{waits:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_asked_to_wait_is_passed_over_meanwhile() {
    let clock = TestClock::new();
    let busy = Gateway::new(clock, |_| Answer::Wait(Code::Unavailable, 20_000));
    let failing = Gateway::new(clock, |_| Answer::fail(Code::Unavailable));
    let endpoints = vec![busy.pipe(), failing.pipe()];
    let _supervisor = start(config(endpoints, vec![Source::ClientCertificate]), clock);
    let of_busy = busy.after_calls(4).await;
    assert!(waits(&of_busy).iter().all(|wait| *wait >= 20.0), "{:?}", waits(&of_busy));
    assert!(failing.calls().len() > 8, "the other is asked on");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_answer_is_given_up_after_the_timeout() {
    let clock = TestClock::new();
    let silent = Gateway::new(clock, |_| Answer::Silence);
    let good = Gateway::new(clock, |_| Answer::Token("k", 3600));
    // Of these two, one begins with the silent gateway: the dice fall alike.
    let (slow, quick) = (silent.pipe(), good.pipe());
    for endpoints in [vec![slow.clone(), quick.clone()], vec![quick, slow]] {
        let began = clock.elapsed();
        let supervisor = start(config(endpoints, vec![Source::ClientCertificate]), clock);
        fresh(&supervisor).await;
        assert!(clock.elapsed().saturating_sub(began) <= Duration::from_secs(11));
        good.after_calls(good.calls().len() + 4).await;
    }
    assert_eq!(silent.calls().len(), 1, "it stays with the one that answers");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_stands_still_does_not_use_up_a_short_life() {
    let clock = TestClock::new();
    let still = Gateway::new(clock, |call| match call.number {
        0 => Answer::Token("k", 60),
        _ => Answer::Silence,
    });
    let good = Gateway::new(clock, |_| Answer::Token("k", 60));
    // Of these two, one begins with the gateway that will stand still: the dice fall alike.
    for endpoints in [vec![still.pipe(), good.pipe()], vec![good.pipe(), still.pipe()]] {
        let mut config = config(endpoints, vec![Source::ClientCertificate]);
        (config.timing.renew_from, config.timing.renew_to) = (0.85, 0.85);
        let supervisor = start(config, clock);
        fresh(&supervisor).await;
        good.after_calls(good.calls().len() + 2).await;
        renewed(&supervisor).await;
        // At 51 s, with 10 s for every attempt.
        assert_eq!(supervisor.counters().longest_gap, Duration::ZERO);
    }
    assert_eq!(still.calls().len(), 2, "it was asked for the renewal");
}

#[tokio::test(start_paused = true)]
async fn fleets_with_one_list_do_not_all_begin_with_its_first() {
    let clock = TestClock::new();
    let gateways: Vec<Gateway> = (0..3).map(|_| Gateway::new(clock, |_| Answer::Token("k", 3600))).collect();
    let pipes: Vec<Endpoint> = gateways.iter().map(Gateway::pipe).collect();
    let mut fleet = Vec::new();
    for seed in 0..90 {
        let config = config(pipes.clone(), vec![Source::ClientCertificate]);
        let dice = common::Seeded::new(seed);
        fleet.push(Supervisor::start(config, std::sync::Arc::new(clock), dice).unwrap());
    }
    for supervisor in &fleet {
        supervisor.ready().await.unwrap();
    }
    for gateway in &gateways {
        assert!((15..=45).contains(&gateway.calls().len()), "{} of 90", gateway.calls().len());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_token_takes_nothing_away() {
    let long = "t".repeat(8 * 1024 + 1);
    for nonsense in ["", " ", "two words", "line\nbreak", &long, &"t".repeat(100_000)] {
        let clock = TestClock::new();
        let text = nonsense.to_owned();
        let gateway = Gateway::new(clock, move |call| match call.number {
            0 => Answer::Token("k", 3600),
            _ => Answer::Text(text.clone(), 1),
        });
        let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
        let token = supervisor.ready().await.unwrap();
        gateway.after_calls(3).await;
        let state = reach(&supervisor, |state| matches!(state, State::Stale { .. })).await;
        let State::Stale { failure, .. } = state else { panic!("{state:?}") };
        // What is larger than any answer is cut off by the transport.
        let expected = if nonsense.len() > 20_000 { "out-of-range" } else { "bad-answer" };
        assert_eq!(failure.kind.label(), expected, "{failure}");
        assert!(supervisor.token().unwrap() == token);
    }
}

#[tokio::test(start_paused = true)]
async fn an_opaque_token_is_kept_and_renewed() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| {
        let expires_at_ms = i64::try_from((BEGIN + call.at.as_secs() + 1000) * 1000).unwrap();
        Answer::Text(format!("opaque-{}", call.number), expires_at_ms)
    });
    let _supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let waits = waits(&gateway.after_calls(4).await);
    assert!(waits.iter().all(|wait| (600.0..851.0).contains(wait)), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_without_these_calls_is_not_pressed() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::fail(Code::Unimplemented));
    let _supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let waits = waits(&gateway.after_calls(10).await);
    assert!(waits.iter().all(|wait| *wait >= 10.0), "{waits:?}");
}

/// Real sockets from here on: fast timing instead of paused time.
fn quick(endpoints: Vec<Endpoint>, sources: Vec<Source>) -> keystile_supervisor::Config {
    let mut config = config(endpoints, sources);
    config.timing = Timing { attempt_timeout: Duration::from_secs(5), ..Timing::default().scaled(0.01) };
    config
}

#[tokio::test]
async fn a_gateway_that_is_gone_is_passed_over() {
    let clock = TestClock::new();
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let (good, _server) = gateway.listen().await;
    let gone = Endpoint::url(&url).unwrap();
    // Of these two, one begins with the gateway that is gone: the dice fall alike.
    for endpoints in [vec![gone.clone(), good.clone()], vec![good, gone]] {
        let supervisor = start(quick(endpoints, vec![given(&jws("old", BEGIN, 3600))]), clock);
        renewed(&supervisor).await;
    }
    assert_eq!(gateway.calls().len(), 2);
}

#[tokio::test]
async fn connections_that_break_are_no_refusals() {
    let clock = TestClock::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let dropper = tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            drop(connection);
        }
    });
    let sources = vec![given(&jws("k", BEGIN, 3600))];
    let supervisor = start(quick(vec![Endpoint::url(&url).unwrap()], sources), clock);
    let state = reach(&supervisor, |state| matches!(state, State::Stale { .. })).await;
    let State::Stale { failure, .. } = state else { panic!("{state:?}") };
    assert_eq!(failure.kind, FailureKind::Transport, "{failure}");
    dropper.abort();
}

#[tokio::test]
async fn when_its_gateway_dies_the_next_one_renews() {
    let clock = TestClock::new();
    let first = Gateway::new(clock, |_| Answer::Token("a", 3600));
    let second = Gateway::new(clock, |_| Answer::Token("b", 3600));
    let (first_endpoint, first_server) = first.listen().await;
    let (second_endpoint, second_server) = second.listen().await;
    let endpoints = vec![first_endpoint, second_endpoint];
    let supervisor = start(quick(endpoints, vec![given(&jws("old", BEGIN, 3600))]), clock);
    renewed(&supervisor).await;
    let token = supervisor.token().unwrap();
    let (dead, survivor) = if token.facts().kid.as_ref().unwrap().as_str() == "a" {
        (first_server, &second)
    } else {
        (second_server, &first)
    };
    dead.abort();
    assert!(dead.await.unwrap_err().is_cancelled());
    supervisor.rejected(&token);
    let calls = survivor.after_calls(1).await;
    assert_eq!(calls[0].bearer.as_deref(), Some(token.expose()));
    renewed(&supervisor).await;
}
