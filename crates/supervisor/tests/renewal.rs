//! A token is renewed in time, whatever the clocks say, and not more often than it must be.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::time::Duration;

use common::{Answer, BEGIN, Gateway, Method, TestClock, config, given, jws, reach, start, waits};
use keystile_keyring::UnixTime;
use keystile_supervisor::{Expiry, Origin, Source, State, Timing};

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_in_the_last_part_of_its_life() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k1", 1000));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);

    let calls = gateway.after_calls(20).await;
    assert_eq!(calls[0].method, Method::Issue);
    assert_eq!(calls[0].bearer, None);
    assert!(calls[1..].iter().all(|call| call.method == Method::Refresh));
    for waited in waits(&calls) {
        assert!((600.0..851.0).contains(&waited), "renewed after {waited} s");
    }
    assert_eq!(supervisor.counters().longest_gap, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_state_tells_of_the_token() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k1", 1000));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let token = supervisor.ready().await.unwrap();
    let State::Fresh(lease) = reach(&supervisor, |state| matches!(state, State::Fresh(_))).await else {
        panic!("not fresh");
    };
    assert_eq!(lease.expires, Expiry::At(UnixTime(BEGIN + 1000)));
    assert!((UnixTime(BEGIN + 599)..UnixTime(BEGIN + 851)).contains(&lease.renew_at));
    assert_eq!(lease.kid.unwrap().as_str(), "k1");
    assert_eq!(lease.origin, Origin::Issued);
    assert_eq!(supervisor.authorization().unwrap(), format!("Bearer {}", token.expose()));

    supervisor.shutdown().await;
    assert_eq!(*supervisor.state().borrow(), State::Stopped);
}

/// A wrong clock must not make a supervisor renew too late or all the time.
#[tokio::test(start_paused = true)]
async fn the_supervisors_own_clock_does_not_matter() {
    for shift in [-2000, -900, 900, 2000] {
        let clock = TestClock::new();
        let gateway = Gateway::new(clock, |_| Answer::Token("k1", 1000));
        let pipe = gateway.pipe();
        let supervisor = start(config(vec![pipe], vec![Source::ClientCertificate]), clock.shifted(shift));
        let calls = gateway.after_calls(4).await;
        for waited in waits(&calls) {
            assert!((600.0..851.0).contains(&waited), "shift {shift}: renewed after {waited} s");
        }
        assert_eq!(supervisor.counters().longest_gap, Duration::ZERO, "shift {shift}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_that_never_expires_is_renewed_all_the_same() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k1", 0));
    let _supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let calls = gateway.after_calls(6).await;
    for waited in waits(&calls) {
        let hours = waited / 3600.0;
        assert!((4.5..6.01).contains(&hours), "renewed after {hours} h");
    }
}

#[tokio::test(start_paused = true)]
async fn a_given_token_is_used_at_once_and_exchanged_soon() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k2", 1000));
    let text = jws("k1", BEGIN - 50_000, 0);
    let supervisor = start(config(vec![gateway.pipe()], vec![given(&text)]), clock);
    assert_eq!(supervisor.ready().await.unwrap().expose(), text);
    assert_eq!(clock.elapsed(), Duration::ZERO);

    let calls = gateway.after_calls(1).await;
    assert_eq!(calls[0].method, Method::Refresh);
    assert_eq!(calls[0].bearer.as_deref(), Some(text.as_str()));
    assert!(calls[0].at <= Timing::default().start_spread);
    let fresh =
        reach(&supervisor, |state| state.lease().is_some_and(|lease| lease.origin == Origin::Renewed));
    assert_eq!(fresh.await.lease().unwrap().kid.as_ref().unwrap().as_str(), "k2");
}

#[tokio::test(start_paused = true)]
async fn a_gateways_wish_brings_the_renewal_forward_and_never_puts_it_off() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k1", 1000));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let token = supervisor.ready().await.unwrap();
    reach(&supervisor, |state| matches!(state, State::Fresh(_))).await;
    supervisor.renew_before(&token, UnixTime(BEGIN + 60));
    let calls = gateway.after_calls(2).await;
    assert!(calls[1].at < Duration::from_secs(61), "{:?}", calls[1].at);

    reach(&supervisor, |state| matches!(state, State::Fresh(_))).await;
    let token = supervisor.token().unwrap();
    supervisor.renew_before(&token, UnixTime(BEGIN + 1_000_000));
    let calls = gateway.after_calls(3).await;
    assert!(waits(&calls)[1] < 851.0);
}

#[tokio::test(start_paused = true)]
async fn a_supervisor_without_handles_stops() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k1", 1000));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let mut state = supervisor.state();
    supervisor.ready().await.unwrap();
    drop(supervisor);
    state.wait_for(|state| *state == State::Stopped).await.unwrap();
    assert_eq!(gateway.calls().len(), 1);
}
