//! One gateway process: started, killed, stopped, frozen.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::certificates::Pair;
use crate::error::RehearsalError;
use crate::replica::ReplicaName;

/// How long a gateway that was asked to stop may take.
const GRACE: Duration = Duration::from_secs(5);

/// Everything that is needed to start one gateway.
#[derive(Clone, Debug)]
pub(super) struct Spec {
    pub(super) name: ReplicaName,
    pub(super) binary: PathBuf,
    pub(super) store: PathBuf,
    pub(super) witness: PathBuf,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
    pub(super) server: Pair,
    pub(super) authority: PathBuf,
    pub(super) shift: i64,
    pub(super) log: PathBuf,
    /// Variables of the environment that would configure it.
    pub(super) without: Vec<String>,
    pub(super) group: i32,
}

impl Spec {
    fn arguments(&self) -> Vec<String> {
        let path = |path: &PathBuf| path.display().to_string();
        let flags = [
            ("store", format!("dir:{}", path(&self.store))),
            ("witness", path(&self.witness)),
            ("replica", self.name.to_string()),
            ("listen", self.address.to_string()),
            ("admin-listen", self.admin.to_string()),
            ("tls-cert", path(&self.server.certificate)),
            ("tls-key", path(&self.server.key)),
            ("tls-client-ca", path(&self.authority)),
            ("certificate-bootstrap", "true".to_owned()),
            ("report-interval", "200ms".to_owned()),
            ("clock-shift", self.shift.to_string()),
        ];
        let flags = flags.map(|(name, value)| format!("--{name}={value}"));
        std::iter::once("serve".to_owned()).chain(flags).collect()
    }

    fn command(&self) -> Result<Command, RehearsalError> {
        let failed = |error| RehearsalError::file("write the log", &self.log, error);
        let log = OpenOptions::new().create(true).append(true).open(&self.log).map_err(failed)?;
        let mut command = Command::new(&self.binary);
        command
            .args(self.arguments())
            .process_group(self.group)
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(failed)?)
            .stderr(log)
            .kill_on_drop(true);
        for variable in &self.without {
            command.env_remove(variable);
        }
        Ok(command)
    }
}

/// One gateway, whether it runs or not.
pub(super) struct Process {
    pub(super) spec: Spec,
    child: Option<Child>,
}

impl Process {
    pub(super) fn new(spec: Spec) -> Self {
        Self { spec, child: None }
    }

    /// Starts it; it is not ready yet.
    pub(super) fn start(&mut self) -> Result<(), RehearsalError> {
        let started = self.spec.command()?.spawn();
        let started =
            started.map_err(|source| RehearsalError::Start { program: self.spec.binary.clone(), source });
        self.child = Some(started?);
        Ok(())
    }

    /// SIGKILL, and waits until it is gone.
    pub(super) async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().await;
        }
    }

    /// SIGTERM, and waits until it has stopped; kills it if that takes too long. False if it was killed.
    pub(super) async fn stop(&mut self) -> bool {
        let Some(mut child) = self.child.take() else {
            return true;
        };
        signal(&child, Signal::TERM);
        let stopped = tokio::time::timeout(GRACE, child.wait()).await.is_ok();
        if !stopped {
            let _ = child.kill().await;
        }
        stopped
    }

    /// SIGSTOP: its sockets stay, and it answers nothing.
    pub(super) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub(super) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, which: Signal) {
        if let Some(child) = &self.child {
            signal(child, which);
        }
    }

    /// How it ended, if it did so by itself since it was started.
    pub(super) fn died(&mut self) -> Option<String> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        self.child = None;
        Some(status.to_string())
    }
}

/// Signals a child that was not waited for, so that its id cannot be another process's.
fn signal(child: &Child, which: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It can only have ended meanwhile, which its keeper notices.
        let _ = kill_process(pid, which);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn spec(script: &str) -> (tempfile::TempDir, Spec) {
        let place = tempfile::tempdir().expect("a directory");
        let binary = place.path().join("gateway");
        std::fs::write(&binary, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o700)).expect("executable");
        let pair = Pair { certificate: "/tls.crt".into(), key: "/tls.key".into() };
        let spec = Spec {
            name: ReplicaName::of_index(1),
            binary,
            store: "/store".into(),
            witness: "/witness.json".into(),
            address: "127.0.0.1:15000".parse().expect("an address"),
            admin: "127.0.0.1:15001".parse().expect("an address"),
            server: pair,
            authority: "/ca.crt".into(),
            shift: -2,
            log: place.path().join("log"),
            without: vec!["CARGO_MANIFEST_DIR".to_owned()],
            group: 0,
        };
        (place, spec)
    }

    async fn log(spec: &Spec, line: &str) -> String {
        loop {
            let log = std::fs::read_to_string(&spec.log).unwrap_or_default();
            if log.lines().any(|found| found == line) {
                return log;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn it_is_told_everything_by_flags_and_writes_to_its_log() {
        let (_place, spec) = spec(
            "for a in \"$@\"; do echo \"$a\"; done; echo \"left ${CARGO_MANIFEST_DIR-out}\" >&2; echo end",
        );
        let mut process = Process::new(spec.clone());
        process.start().expect("started");
        let told = log(&spec, "end").await;
        for line in [
            "serve",
            "--store=dir:/store",
            "--witness=/witness.json",
            "--replica=gateway-2",
            "--listen=127.0.0.1:15000",
            "--admin-listen=127.0.0.1:15001",
            "--tls-client-ca=/ca.crt",
            "--clock-shift=-2",
            "left out",
        ] {
            assert!(told.lines().any(|found| found == line), "{line} in {told}");
        }
    }

    #[tokio::test]
    async fn one_that_ends_by_itself_is_noticed_once() {
        let (_place, spec) = spec("exit 7");
        let mut process = Process::new(spec);
        process.start().expect("started");
        let how = loop {
            match process.died() {
                Some(how) => break how,
                None => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        assert!(how.contains('7'), "{how}");
        assert_eq!(process.died(), None);
    }

    #[tokio::test]
    async fn stopping_lets_it_finish_and_killing_does_not() {
        let (_place, spec) = spec("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.01; done");
        let mut process = Process::new(spec.clone());
        process.start().expect("started");
        log(&spec, "up").await;
        assert!(process.stop().await);
        assert!(log(&spec, "bye").await.ends_with("bye\n"));
        process.start().expect("started again");
        process.kill().await;
        assert_eq!(process.died(), None, "whoever was killed did not die by itself");
    }

    #[test]
    fn a_program_that_is_not_there_cannot_be_started() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (_place, spec) = spec("");
        let spec = Spec { binary: "/no/such/program".into(), ..spec };
        let error = runtime.block_on(async { Process::new(spec).start() }).expect_err("not there");
        assert_eq!(error.to_string(), "cannot start /no/such/program");
    }
}
