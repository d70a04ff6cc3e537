//! What a supervisor does when its token is refused: every way back is tried, and no gateway is pressed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::{Answer, BEGIN, Call, Gateway, Method, TestClock, config, given, jws, reach, start, waits};
use keystile_supervisor::{FailureKind, Origin, Output, Remedy, Source, State, Supervisor, Token};
use tonic::Code;

const REFUSED: &str = "invalid token: signing key not accepted";

/// Accepts tokens of `kid` alone, and certificates; makes tokens of `kid`.
fn accepts(call: &Call, kid: &'static str) -> Answer {
    let presented = call.bearer.as_ref().map(|text| Token::new(text).unwrap());
    match (call.method, presented.and_then(|token| token.facts().kid.clone())) {
        (Method::Issue, None) => Answer::Token(kid, 3600),
        (Method::Refresh, Some(found)) if found.as_str() == kid => Answer::Token(kid, 3600),
        _ => Answer::Fail(Code::Unauthenticated, REFUSED.to_owned()),
    }
}

async fn fresh_by(supervisor: &Supervisor, origin: Origin) -> State {
    reach(supervisor, |state| matches!(state, State::Fresh(lease) if lease.origin == origin)).await
}

async fn stranded(supervisor: &Supervisor) -> (keystile_supervisor::Failure, Remedy) {
    match reach(supervisor, |state| matches!(state, State::Stranded { .. })).await {
        State::Stranded { failure, remedy } => (failure, remedy),
        other => panic!("{other:?}"),
    }
}

/// As an operator writes a token file: in place, with a newline.
fn write(path: &Path, token: &str) {
    std::fs::write(path, format!("{token}\n")).unwrap();
}

fn to_file(path: &Path) -> Output {
    Output { path: path.to_owned(), remove_at_stop: false }
}

#[tokio::test(start_paused = true)]
async fn t15_a_static_token_is_moved_to_the_new_kid_in_the_window() {
    let clock = TestClock::new();
    // The old key still verifies; the new one signs.
    let gateway = Gateway::new(clock, |_| Answer::Token("new", 3600));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    write(&path, &jws("old", BEGIN - 1_000_000, 0));
    let mut settings = config(vec![gateway.pipe()], vec![Source::TokenFile(path.clone())]);
    settings.output = Some(to_file(&path));
    let supervisor = start(settings, clock);
    assert_eq!(supervisor.ready().await.unwrap().facts().kid.as_ref().unwrap().as_str(), "old");
    fresh_by(&supervisor, Origin::Renewed).await;
    assert!(clock.elapsed() <= Duration::from_secs(10));
    supervisor.shutdown().await;

    // The window is over: a restart finds the file rewritten and is not stranded.
    let gateway = Gateway::new(clock, |call| accepts(call, "new"));
    let mut settings = config(vec![gateway.pipe()], vec![Source::TokenFile(path.clone())]);
    settings.output = Some(to_file(&path));
    let supervisor = start(settings, clock);
    fresh_by(&supervisor, Origin::Renewed).await;
    assert!(supervisor.counters().failures.is_empty());
}

#[tokio::test(start_paused = true)]
async fn t15_after_the_window_a_static_token_gets_an_error_that_says_what_to_do() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| accepts(call, "new"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    write(&path, &jws("old", BEGIN - 1_000_000, 0));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::TokenFile(path.clone())]), clock);

    let (failure, remedy) = stranded(&supervisor).await;
    assert!(failure.kind.refuses());
    assert_eq!(failure.message, REFUSED);
    assert_eq!(remedy, Remedy::WriteTokenFile(path.clone()));
    let shown = supervisor.state().borrow().to_string();
    assert!(shown.contains("mint a new token") && shown.contains("sandbox.jwt"), "{shown}");

    write(&path, &jws("new", BEGIN, 3600));
    let before = clock.elapsed();
    fresh_by(&supervisor, Origin::Renewed).await;
    assert!(clock.elapsed().saturating_sub(before) <= Duration::from_secs(3), "the file is watched");
}

/// The file holds what the supervisor holds: it is refused as the file's in a round in which it was not refused as
/// its own. Found by a life under turmoil.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_after_an_outage_strands_though_the_file_holds_it_too() {
    let clock = TestClock::new();
    // A start may be spread over 5 s, and the token lives 10.
    let expired = Duration::from_secs(16);
    let rounds = AtomicUsize::new(0);
    let gateway = Gateway::new(clock, move |call| {
        let late = call.at > expired;
        match (call.number, late && rounds.fetch_add(1, Ordering::SeqCst) > 0) {
            (0, _) => Answer::Token("k", 10),
            (_, false) => Answer::fail(Code::Unavailable),
            (_, true) => Answer::Fail(Code::Unauthenticated, REFUSED.to_owned()),
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    write(&path, &jws("k", BEGIN, 10));
    let mut settings = config(vec![gateway.pipe()], vec![Source::TokenFile(path.clone())]);
    settings.output = Some(to_file(&path));
    let supervisor = start(settings, clock);
    fresh_by(&supervisor, Origin::Renewed).await;

    let stranded = tokio::time::timeout(Duration::from_mins(1), stranded(&supervisor)).await;
    let (failure, remedy) = stranded.expect("somebody is told");
    assert_eq!(failure.message, REFUSED);
    assert_eq!(remedy, Remedy::WriteTokenFile(path));
}

#[tokio::test(start_paused = true)]
async fn t26_unauthenticated_leads_to_a_new_bootstrap_at_once() {
    for code in [Code::Unauthenticated, Code::PermissionDenied] {
        let clock = TestClock::new();
        let gateway = Gateway::new(clock, move |call| match call.method {
            Method::Issue => Answer::Token("k", 3600),
            Method::Refresh => Answer::Fail(code, "this method requires a sandbox principal".to_owned()),
        });
        let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
        let calls = gateway.after_calls(3).await;
        let methods: Vec<Method> = calls.iter().map(|call| call.method).collect();
        assert_eq!(methods, [Method::Issue, Method::Refresh, Method::Issue]);
        assert!(waits(&calls)[1] < 0.001);
        let state = reach(&supervisor, |state| matches!(state, State::Fresh(_))).await;
        assert_eq!(state.lease().unwrap().origin, Origin::Issued);
        assert!(supervisor.counters().longest_gap < Duration::from_millis(1));
    }
}

/// OpenShell answers INTERNAL where its identity provider is down: no word about the token, yet a rejected one
/// must not wait for it.
#[tokio::test(start_paused = true)]
async fn t26_internal_leads_to_a_bootstrap_once_the_token_is_known_to_be_rejected() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| match call.method {
        Method::Issue => Answer::Token("k", 3600),
        Method::Refresh => Answer::Fail(Code::Internal, "OIDC key refresh failed".to_owned()),
    });
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let token = supervisor.ready().await.unwrap();
    fresh_by(&supervisor, Origin::Issued).await;
    supervisor.rejected(&token);
    gateway.after_calls(3).await;
    reach(&supervisor, |state| matches!(state, State::Fresh(_))).await;
    assert!(supervisor.token().unwrap() != token);
    assert!(clock.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_forces_one_renewal() {
    let clock = TestClock::new();
    let reporter: Arc<OnceLock<(Supervisor, Token)>> = Arc::default();
    let late = reporter.clone();
    let gateway = Gateway::new(clock, move |_| {
        // One more report while the renewal is under way.
        if let Some((supervisor, token)) = late.get() {
            supervisor.rejected(token);
        }
        Answer::Token("k", 3600)
    });
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let token = supervisor.ready().await.unwrap();
    assert!(reporter.set((supervisor.clone(), token.clone())).is_ok());
    fresh_by(&supervisor, Origin::Issued).await;
    // Many calls in flight are answered alike.
    for _ in 0..100 {
        supervisor.rejected(&token);
    }
    let calls = gateway.after_calls(2).await;
    assert!(calls[1].at < Duration::from_millis(501), "{:?}", calls[1].at);
    fresh_by(&supervisor, Origin::Renewed).await;
    assert_eq!(supervisor.counters().forced, 1);
    let gap = supervisor.counters().longest_gap;
    assert!(gap > Duration::ZERO && gap <= Duration::from_millis(502), "{gap:?}");

    // News of the token that was replaced come late, and change nothing.
    supervisor.rejected(&token);
    gateway.after_calls(3).await;
    assert!(clock.elapsed() > Duration::from_secs(2000));
    assert_eq!(supervisor.counters().forced, 1);
}

/// Something rejects every token, however fresh: renewing faster does not help, and five thousand supervisors that
/// try would take the gateway down.
#[tokio::test(start_paused = true)]
async fn forced_renewals_are_bounded_and_slow_down() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    supervisor.ready().await.unwrap();
    for _ in 0..12 {
        reach(&supervisor, |state| matches!(state, State::Fresh(_))).await;
        let token = supervisor.token().unwrap();
        supervisor.rejected(&token);
        let count = gateway.calls().len();
        gateway.after_calls(count + 1).await;
        reach(&supervisor, |state| !matches!(state, State::Fresh(_)) || supervisor.token().unwrap() != token)
            .await;
    }
    let waits = waits(&gateway.calls());
    assert!(waits[1..].iter().all(|wait| *wait >= 1.0), "{waits:?}");
    assert!(waits.last().unwrap() >= &32.0, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_refused_is_tried_again_now_and_then() {
    let clock = TestClock::new();
    // The operator's rollback comes after a quarter of an hour.
    let gateway = Gateway::new(clock, |call| {
        if call.at < Duration::from_mins(15) {
            return Answer::Fail(Code::Unauthenticated, REFUSED.to_owned());
        }
        Answer::Token("k", 3600)
    });
    let supervisor = start(config(vec![gateway.pipe()], vec![given(&jws("k", BEGIN, 0))]), clock);
    let (_, remedy) = stranded(&supervisor).await;
    assert_eq!(remedy, Remedy::GiveToken);
    fresh_by(&supervisor, Origin::Renewed).await;
    assert!(clock.elapsed() < Duration::from_mins(21));
    let calls = gateway.calls();
    assert!(calls.len() < 30, "{} calls", calls.len());
    assert!(waits(&calls).iter().all(|wait| (10.0..=300.01).contains(wait)), "{:?}", waits(&calls));
    assert!(supervisor.counters().longest_gap > Duration::from_mins(14), "a refused token is not usable");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_file_falls_back_to_the_certificate() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| accepts(call, "new"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    write(&path, &jws("old", BEGIN, 3600));
    let sources = vec![Source::TokenFile(path), Source::ClientCertificate];
    let supervisor = start(config(vec![gateway.pipe()], sources), clock);
    fresh_by(&supervisor, Origin::Issued).await;
    let methods: Vec<Method> = gateway.calls().iter().map(|call| call.method).collect();
    assert_eq!(methods, [Method::Refresh, Method::Issue], "what was refused is not presented again");
}

#[tokio::test(start_paused = true)]
async fn after_an_emergency_the_older_token_in_the_file_is_a_way_back() {
    let clock = TestClock::new();
    // The file's token is by A. It is exchanged for one by B, then B is revoked.
    let gateway = Gateway::new(clock, |call| match call.number {
        0 => Answer::Token("B", 3600),
        _ => accepts(call, "A"),
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    write(&path, &jws("A", BEGIN - 1_000_000, 0));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::TokenFile(path)]), clock);
    fresh_by(&supervisor, Origin::Renewed).await;
    supervisor.rejected(&supervisor.token().unwrap());
    let calls = gateway.after_calls(3).await;
    assert!(waits(&calls)[1] < 0.001, "at once");
    reach(&supervisor, |state| matches!(state, State::Fresh(_))).await;
    assert_eq!(supervisor.token().unwrap().facts().kid.as_ref().unwrap().as_str(), "A");
}

#[tokio::test(start_paused = true)]
async fn a_token_file_is_taken_up_only_if_it_is_newer_and_good() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| accepts(call, "good"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    write(&path, &jws("good", BEGIN, 3600));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::TokenFile(path.clone())]), clock);
    fresh_by(&supervisor, Origin::Renewed).await;
    let held = supervisor.token().unwrap();

    write(&path, &jws("good", BEGIN - 100, 3600));
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(supervisor.token().unwrap() == held, "an older token is no news");

    write(&path, &jws("bad", BEGIN + 100, 3600));
    gateway.after_calls(3).await;
    fresh_by(&supervisor, Origin::Renewed).await;
    assert_eq!(supervisor.counters().longest_gap, Duration::ZERO, "a bad file takes nothing away");
    assert_eq!(supervisor.token().unwrap().facts().kid.as_ref().unwrap().as_str(), "good");

    let newest = jws("good", BEGIN + 200, 3600);
    write(&path, &newest);
    let count = gateway.calls().len();
    let calls = gateway.after_calls(count + 1).await;
    assert_eq!(calls[count].bearer.as_deref(), Some(newest.as_str()));
}

/// The gateway that renews may be away while services that take the token are not.
#[tokio::test(start_paused = true)]
async fn a_way_back_that_cannot_be_confirmed_yet_is_used_all_the_same() {
    let clock = TestClock::new();
    // B, which signed the held token, is revoked; before A's token can be exchanged there is an outage.
    let gateway = Gateway::new(clock, |call| match call.number {
        0 => Answer::Token("B", 3600),
        1 => Answer::Fail(Code::Unauthenticated, REFUSED.to_owned()),
        2..6 => Answer::fail(Code::Unavailable),
        _ => accepts(call, "A"),
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    let older = jws("A", BEGIN - 1_000_000, 0);
    write(&path, &older);
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::TokenFile(path)]), clock);
    fresh_by(&supervisor, Origin::Renewed).await;
    supervisor.rejected(&supervisor.token().unwrap());
    let state = reach(&supervisor, |state| matches!(state, State::Stale { .. })).await;
    assert_eq!(state.lease().unwrap().origin, Origin::Given);
    assert_eq!(supervisor.token().unwrap().expose(), older);
    fresh_by(&supervisor, Origin::Renewed).await;
}

/// A file that nobody wrote anew holds what the sandbox was born with.
#[tokio::test(start_paused = true)]
async fn an_ended_token_is_no_way_back_even_while_nobody_can_say_so() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| match call.number {
        0 => Answer::Token("B", 3600),
        1 => Answer::Fail(Code::Unauthenticated, REFUSED.to_owned()),
        2..6 => Answer::fail(Code::Unavailable),
        _ => accepts(call, "C"),
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    let ended = jws("A", BEGIN - 4000, 3600);
    write(&path, &ended);
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::TokenFile(path.clone())]), clock);
    fresh_by(&supervisor, Origin::Renewed).await;
    supervisor.rejected(&supervisor.token().unwrap());
    gateway.after_calls(6).await;
    assert_ne!(supervisor.token().map(|token| token.expose().to_owned()), Some(ended));
    stranded(&supervisor).await;
    write(&path, &jws("C", BEGIN, 3600));
    fresh_by(&supervisor, Origin::Renewed).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_token_file_is_used_although_the_gateway_is_away() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| match call.number {
        0 => Answer::Fail(Code::Unauthenticated, REFUSED.to_owned()),
        _ => Answer::fail(Code::Unavailable),
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    write(&path, &jws("old", BEGIN, 3600));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::TokenFile(path.clone())]), clock);
    stranded(&supervisor).await;
    let newer = jws("new", BEGIN, 3600);
    write(&path, &newer);
    reach(&supervisor, |state| matches!(state, State::Stale { .. })).await;
    assert_eq!(supervisor.token().unwrap().expose(), newer);
}

#[tokio::test(start_paused = true)]
async fn an_empty_or_missing_source_gives_way_to_the_next() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty");
    write(&empty, "");
    let sources = vec![
        Source::TokenFile(directory.path().join("missing")),
        Source::TokenFile(empty),
        Source::ClientCertificate,
    ];
    let supervisor = start(config(vec![gateway.pipe()], sources), clock);
    fresh_by(&supervisor, Origin::Issued).await;
}

#[tokio::test(start_paused = true)]
async fn a_token_file_may_come_later() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sandbox.jwt");
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::TokenFile(path.clone())]), clock);
    let state = reach(&supervisor, |state| matches!(state, State::Obtaining { failure: Some(_) })).await;
    let State::Obtaining { failure: Some(failure) } = state else { panic!("{state:?}") };
    assert_eq!(failure.kind, FailureKind::File);
    assert!(failure.place.ends_with("sandbox.jwt"), "{failure}");
    assert!(supervisor.token().is_none() && supervisor.authorization().is_none());

    write(&path, &jws("k", BEGIN, 3600));
    fresh_by(&supervisor, Origin::Renewed).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_account_token_is_read_anew_for_every_bootstrap() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |call| match call.method {
        Method::Issue => Answer::Token("k", 3600),
        Method::Refresh => Answer::fail(Code::Unauthenticated),
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    write(&path, "first.service.account");
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ServiceAccount(path.clone())]), clock);
    fresh_by(&supervisor, Origin::Issued).await;
    write(&path, "second.service.account");
    let calls = gateway.after_calls(3).await;
    assert_eq!(calls[0].bearer.as_deref(), Some("first.service.account"));
    assert_eq!(calls[2].bearer.as_deref(), Some("second.service.account"));
}
