//! A program that runs with the token.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::path::Path;

use common::{Answer, Gateway, TestClock, config, start};
use keystile_supervisor::{CommandError, Ending, Output, Source, Supervisor, run_command};
use tempfile::TempDir;
use tokio::process::Command;
use tonic::Code;

struct World {
    supervisor: Supervisor,
    directory: TempDir,
}

fn world(answer: impl Fn() -> Answer + Send + Sync + 'static) -> World {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, move |_| answer());
    let directory = tempfile::tempdir().unwrap();
    let mut settings = config(vec![gateway.pipe()], vec![Source::ClientCertificate]);
    let path = directory.path().join("token");
    settings.output = Some(Output { path, remove_at_stop: true });
    World { supervisor: start(settings, clock), directory }
}

fn shell(directory: &Path, script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).current_dir(directory);
    command
}

#[tokio::test]
async fn the_program_finds_the_token_in_the_named_file() {
    let World { supervisor, directory } = world(|| Answer::Token("k", 3600));
    let command = shell(directory.path(), r#"cat "$KEYSTILE_TOKEN_FILE" > copy; exit 7"#);
    let ending = run_command(&supervisor, command).await.unwrap();
    assert_eq!(ending, Ending::Exited(7));
    let copy = std::fs::read_to_string(directory.path().join("copy")).unwrap();
    assert_eq!(copy.trim_end(), supervisor.token().unwrap().expose());
}

#[tokio::test]
async fn a_program_that_a_signal_ends_is_told_so() {
    let World { supervisor, directory } = world(|| Answer::Token("k", 3600));
    let ending = run_command(&supervisor, shell(directory.path(), "kill -KILL $$")).await.unwrap();
    assert_eq!((ending, ending.exit_code()), (Ending::Killed(9), 137));
}

#[tokio::test]
async fn what_cannot_be_started_is_named() {
    let world = world(|| Answer::Token("k", 3600));
    let error = run_command(&world.supervisor, Command::new("/no/such/program")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot start /no/such/program");
}

#[tokio::test]
async fn without_an_output_file_nothing_is_started() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let supervisor = start(config(vec![gateway.pipe()], vec![Source::ClientCertificate]), clock);
    let error = run_command(&supervisor, Command::new("true")).await.unwrap_err();
    assert!(matches!(error, CommandError::NoOutput));
}

#[tokio::test]
async fn a_token_file_that_cannot_be_written_is_an_error() {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, |_| Answer::Token("k", 3600));
    let mut settings = config(vec![gateway.pipe()], vec![Source::ClientCertificate]);
    settings.output = Some(Output { path: "/no/such/directory/token".into(), remove_at_stop: false });
    let error = run_command(&start(settings, clock), Command::new("true")).await.unwrap_err();
    assert!(matches!(error, CommandError::NotWritten));
}

#[tokio::test]
async fn if_the_supervisor_stops_first_nothing_is_started() {
    let World { supervisor, .. } = world(|| Answer::fail(Code::Unavailable));
    let stopper = supervisor.clone();
    let (ending, ()) =
        tokio::join!(run_command(&supervisor, Command::new("true")), async move { stopper.shutdown().await });
    assert!(matches!(ending, Err(CommandError::Stopped)));
}
