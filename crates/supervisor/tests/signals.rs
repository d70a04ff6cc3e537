//! Signals to a program that runs with the token. In a process of its own: other tests must not get them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Answer, Gateway, TestClock, config, start};
use keystile_supervisor::{Ending, Output, Source, Supervisor, run_command};
use rustix::process::{Signal, getpid, kill_process};
use tokio::process::Command;

fn supervisor(directory: &Path, answer: impl Fn() -> Answer + Send + Sync + 'static) -> Supervisor {
    let clock = TestClock::new();
    let gateway = Gateway::new(clock, move |_| answer());
    let mut settings = config(vec![gateway.pipe()], vec![Source::ClientCertificate]);
    settings.output = Some(Output { path: directory.join("token"), remove_at_stop: true });
    start(settings, clock)
}

async fn appears(path: PathBuf) {
    while !path.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Each signal reaches the program, which ends by the last of them; before it is started, a signal ends the wait.
#[tokio::test]
async fn signals_are_passed_on() {
    let directory = tempfile::tempdir().unwrap();
    let running = supervisor(directory.path(), || Answer::Token("k", 3600));
    let script = r"
        trap 'touch got-hup' HUP; trap 'touch got-usr1' USR1; trap 'touch got-usr2' USR2
        trap 'touch got-term; kill $sleeper; exit 3' TERM
        sleep 60 & sleeper=$!
        touch ready
        while :; do wait; done";
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).current_dir(directory.path());
    let run = run_command(&running, command);
    let send = async {
        appears(directory.path().join("ready")).await;
        let signals = [
            (Signal::HUP, "got-hup"),
            (Signal::USR1, "got-usr1"),
            (Signal::USR2, "got-usr2"),
            (Signal::TERM, "got-term"),
        ];
        for (signal, sign) in signals {
            kill_process(getpid(), signal).unwrap();
            appears(directory.path().join(sign)).await;
        }
    };
    let (ending, ()) = tokio::join!(run, send);
    assert_eq!(ending.unwrap(), Ending::Exited(3));

    let waiting = supervisor(directory.path(), || Answer::Silence);
    let run = run_command(&waiting, Command::new("true"));
    let send = async { kill_process(getpid(), Signal::TERM).unwrap() };
    let (ending, ()) = tokio::join!(run, send);
    assert_eq!(ending.unwrap(), Ending::NeverStarted(15));
}
