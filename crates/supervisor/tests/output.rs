//! The token file: whole at every instant, private, and never in the way of the token itself.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::{Answer, Gateway, TestClock, config, reach, start};
use keystile_supervisor::{Config, Output, Source, State, Supervisor, Token};

fn with_output(gateway: &Gateway, path: &Path, remove_at_stop: bool) -> Config {
    let mut config = config(vec![gateway.pipe()], vec![Source::ClientCertificate]);
    config.output = Some(Output { path: path.to_owned(), remove_at_stop });
    config
}

async fn fresh(supervisor: &Supervisor) {
    reach(supervisor, |state| matches!(state, State::Fresh(_))).await;
}

fn names(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(start_paused = true)]
async fn the_file_holds_the_current_token_for_its_owner_alone() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "before").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    let leftover = directory.path().join(".token.4711-0.tmp");
    std::fs::write(&leftover, "half a tok").unwrap();

    let supervisor = start(with_output(&gateway, &path, true), clock);
    for round in 1..=3 {
        gateway.after_calls(round).await;
        let renewed = || supervisor.counters().writes == u64::try_from(round).unwrap();
        reach(&supervisor, |state| matches!(state, State::Fresh(_)) && renewed()).await;
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", supervisor.token().unwrap().expose()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(names(directory.path()), std::slice::from_ref(&path), "nothing else is left lying about");

    supervisor.shutdown().await;
    assert!(!path.exists(), "removed at the stop, as asked");
}

/// A reader in a loop sees whole tokens only, whenever it looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_never_sees_a_part_of_a_token() {
    let clock = TestClock::new();
    let count = Arc::new(AtomicU64::new(0));
    let counted = count.clone();
    // Tokens of different lengths: a write in place would show.
    let gateway = Gateway::new(clock, move |_| {
        let number = counted.fetch_add(1, Ordering::Relaxed);
        let length = if number.is_multiple_of(2) { 8000 } else { 10 };
        Answer::Text(format!("begin-{}-end", "x".repeat(length)), 0)
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let mut settings = with_output(&gateway, &path, false);
    settings.timing = settings.timing.scaled(1e-9);
    settings.timing.attempt_timeout = Duration::from_secs(10);
    let supervisor = start(settings, clock);
    fresh(&supervisor).await;

    let stop = Arc::new(AtomicBool::new(false));
    let (reader_path, reader_stop) = (path.clone(), stop.clone());
    let reader = tokio::task::spawn_blocking(move || {
        let mut reads = 0_u64;
        while !reader_stop.load(Ordering::Relaxed) {
            let text = std::fs::read_to_string(&reader_path).unwrap();
            assert!(text.starts_with("begin-") && text.ends_with("-end\n"), "{} bytes", text.len());
            reads += 1;
        }
        reads
    });
    while supervisor.counters().writes < 40 {
        let count = gateway.calls().len();
        gateway.after_calls(count + 1).await;
    }
    stop.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 40);
    assert_eq!(supervisor.counters().write_failures, 0);
    supervisor.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_written_is_tried_again_and_stops_nothing() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("not-yet");
    let path = missing.join("token");
    let supervisor = start(with_output(&gateway, &path, false), clock);
    fresh(&supervisor).await;
    assert!(supervisor.token().is_some());
    assert_eq!((supervisor.counters().writes, supervisor.counters().write_failures), (0, 1));

    std::fs::create_dir(&missing).unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(supervisor.counters().writes, 1);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(Token::new(&text).unwrap() == supervisor.token().unwrap());
    assert_eq!(gateway.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_file_stays_at_the_stop_unless_asked() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let supervisor = start(with_output(&gateway, &path, false), clock);
    fresh(&supervisor).await;
    supervisor.shutdown().await;
    assert!(path.exists());
}
