//! T48: no token in any log, error, state or `Debug`, at the highest verbosity, whatever a gateway says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::io::Write;
use std::sync::{Arc, Mutex};

use common::{Answer, BEGIN, Gateway, Method, TestClock, config, given, jws, reach, start};
use keystile_supervisor::{Origin, Output, Source, State};
use tonic::Code;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Captured {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Captured {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Any piece of a token that would let somebody recognise or use it.
fn assert_no_token(text: &str, tokens: &[String]) {
    for token in tokens {
        for part in token.split('.') {
            assert!(!text.contains(part), "a part of a token is in the output:\n{text}");
        }
    }
}

/// A supervisor's whole life, printed in every way there is.
struct Seen {
    /// States, configuration, counters, headers.
    shown: String,
    tokens: [String; 3],
}

async fn live(repeats: bool) -> Seen {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, move |call| {
        let presented = call.bearer.clone().filter(|_| repeats).unwrap_or_default();
        match (call.number, call.method) {
            (0, _) => Answer::Fail(Code::Unavailable, format!("cannot take {presented} now")),
            (1, _) => Answer::Fail(Code::Internal, format!("authorization: Bearer {presented}\r\nx: y")),
            (2, _) => Answer::Text(format!("{presented} {presented}"), 0),
            (3, _) => Answer::Token("k2", 3600),
            (_, Method::Refresh) => Answer::Fail(Code::Unauthenticated, format!("bad token '{presented}'")),
            (_, Method::Issue) => Answer::Fail(Code::PermissionDenied, format!("{presented}: not you")),
        }
    });
    let (endpoint, _server) = gateway.listen().await;
    let directory = tempfile::tempdir().unwrap();
    let account = directory.path().join("account");
    let account_token = jws("account", BEGIN, 3600);
    std::fs::write(&account, &account_token).unwrap();
    let text = jws("k1", BEGIN, 3600);
    let mut settings = config(vec![endpoint], vec![given(&text), Source::ServiceAccount(account)]);
    settings.output = Some(Output { path: directory.path().join("token"), remove_at_stop: true });
    settings.timing = settings.timing.scaled(0.01);
    settings.timing.attempt_timeout = std::time::Duration::from_secs(5);
    let mut shown = vec![format!("{settings:?}")];

    let supervisor = start(settings, clock);
    gateway.after_calls(4).await;
    let renewed = |state: &State| matches!(state, State::Fresh(lease) if lease.origin == Origin::Renewed);
    let state = reach(&supervisor, renewed).await;
    shown.push(format!("{state:?} {state}"));
    let token = supervisor.token().unwrap();
    supervisor.rejected(&token);
    let state = reach(&supervisor, |state| matches!(state, State::Stranded { .. })).await;
    shown.push(format!("{state:?} {state} {:?}", supervisor.counters()));
    let failures = supervisor.counters().failures;
    assert_eq!(failures.len(), 5, "each of the five kinds happened: {failures:?}");
    shown.push(format!("{:?}", supervisor.authorization()));
    supervisor.shutdown().await;
    Seen { shown: shown.join("\n"), tokens: [text, token.expose().to_owned(), account_token] }
}

/// Every log line of every crate over a real connection.
#[tokio::test]
async fn t48_no_token_is_in_any_crates_log() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_ansi(false);
    let _guard = tracing::subscriber::set_default(subscriber.with_writer(captured.clone()).finish());
    let seen = live(false).await;
    assert_no_token(&seen.shown, &seen.tokens);
    let log = captured.text();
    assert!(log.contains("holding a token") && log.contains("no token from this gateway"), "{log}");
    assert!(log.contains("h2::"), "the log is as verbose as it gets");
    assert_no_token(&log, &seen.tokens);
}

/// A gateway that repeats what it was sent. (What the HTTP library traces of an answer is out of this crate's hands.)
#[tokio::test]
async fn t48_what_a_gateway_repeats_is_not_printed() {
    let captured = Captured::default();
    let subscriber = tracing_subscriber::fmt().with_env_filter("keystile_supervisor=trace").with_ansi(false);
    let _guard = tracing::subscriber::set_default(subscriber.with_writer(captured.clone()).finish());
    let seen = live(true).await;
    assert_no_token(&seen.shown, &seen.tokens);
    let log = captured.text();
    assert!(log.contains("not you") && log.contains("cannot take"), "{log}");
    assert_no_token(&log, &seen.tokens);
}
