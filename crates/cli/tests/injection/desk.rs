//! A directory with a keyring, and the program run in it.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use keystile_keyring::Manifest;
use rustix::process::{Pid, Signal, kill_process_group};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_keystile");

/// How long a verb may take under a fault: it takes far less than a second without one.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How a program ended, and what it said on its standard error.
pub(crate) struct Ended {
    /// None where it did not, and was killed.
    status: Option<ExitStatus>,
    pub(crate) said: String,
}

impl Ended {
    pub(crate) fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    /// Whether a signal ended it.
    pub(crate) fn killed(&self) -> bool {
        self.status.is_some_and(|status| status.signal().is_some())
    }

    pub(crate) fn hung(&self) -> bool {
        self.status.is_none()
    }
}

/// A directory to work in.
pub(crate) struct Desk(tempfile::TempDir);

impl Desk {
    pub(crate) fn new() -> Self {
        // In memory where the machine can: what survives a power loss is not asked here.
        Self(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory"))
    }

    /// A copy of all that `other` holds.
    pub(crate) fn copy_of(other: &Self) -> Self {
        let new = Self::new();
        let done = Command::new("cp").arg("-a").arg(other.path(".")).arg(new.path("")).status();
        assert!(done.expect("cp runs").success());
        new
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Puts back what `name` was when it was copied to `copy`.
    pub(crate) fn restore(&self, copy: &str, name: &str) {
        std::fs::remove_dir_all(self.path(name)).expect("removed");
        std::fs::rename(self.path(copy), self.path(name)).expect("put back");
    }

    pub(crate) fn prepare(&self, command: &mut Command, arguments: &[String]) {
        command.args(arguments).current_dir(self.0.path()).env_clear().env("TZ", "UTC");
        command.stdin(Stdio::null());
    }

    fn command(&self, mut command: Command, arguments: &[String]) -> Output {
        self.prepare(&mut command, arguments);
        command.output().expect("it runs")
    }

    /// Runs the program under another one, which traces or limits it.
    pub(crate) fn under(&self, mut other: Command, arguments: &[String]) -> Ended {
        other.arg(PROGRAM);
        self.prepare(&mut other, arguments);
        let quiet = other.stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let child = quiet.spawn().expect("it runs");
        let group = Pid::from_child(&child);
        let (ended, end) = mpsc::channel();
        let waiting = std::thread::spawn(move || ended.send(child.wait_with_output().expect("a status")));
        let output = end.recv_timeout(PATIENCE);
        if output.is_err() {
            kill_process_group(group, Signal::KILL).expect("it is there");
        }
        let _ = waiting.join().expect("it waits");
        let (status, said) = match output {
            Ok(output) => (Some(output.status), output.stderr),
            Err(_) => (None, end.recv().expect("it was killed").stderr),
        };
        Ended { status, said: String::from_utf8_lossy(&said).into_owned() }
    }

    /// Runs the program, which must succeed.
    pub(crate) fn succeeds(&self, arguments: &[String]) {
        let output = self.command(Command::new(PROGRAM), arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.command(Command::new(PROGRAM), &arguments)
    }

    /// Runs what must succeed, and returns its document.
    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let output = self.run(&[arguments, &["--output", "json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// The manifest that a reader finds; `None` where there is none.
    pub(crate) fn manifest(&self) -> Option<Manifest> {
        let bytes = std::fs::read(self.path("keystile/..data/keyring.json")).ok()?;
        Some(Manifest::from_json(&bytes).expect("a whole manifest"))
    }

    pub(crate) fn generation(&self) -> Option<u64> {
        self.manifest().map(|manifest| manifest.generation)
    }
}
