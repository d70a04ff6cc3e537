//! A directory with a keyring, and what must hold of it after any fault.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use keystile_token::kid_of;
use rustix::process::{Pid, Signal, kill_process_group};

const PROGRAM: &str = env!("CARGO_BIN_EXE_keystile");

/// How long a verb may take under a fault: it takes far less than a second without one.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Succeeded,
    Failed,
    /// It did not end, and was killed. The runtime wakes its threads through a file of its own; a thread whose
    /// wake-up is made to fail, which no system does, sleeps on.
    Hung,
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

    fn prepare(&self, command: &mut Command, arguments: &[String]) {
        command.args(arguments).current_dir(self.0.path()).env_clear().env("TZ", "UTC");
        command.stdin(Stdio::null());
    }

    fn command(&self, mut command: Command, arguments: &[String]) -> Output {
        self.prepare(&mut command, arguments);
        command.output().expect("it runs")
    }

    /// Runs the program under another one, which traces or limits it.
    pub(crate) fn under(&self, mut other: Command, arguments: &[String]) -> Ending {
        other.arg(PROGRAM);
        self.prepare(&mut other, arguments);
        let quiet = other.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut child = quiet.spawn().expect("it runs");
        let group = Pid::from_child(&child);
        let (ended, end) = mpsc::channel();
        let waiting = std::thread::spawn(move || ended.send(child.wait().expect("a status")));
        let ending = match end.recv_timeout(PATIENCE) {
            Ok(status) if status.success() => Ending::Succeeded,
            Ok(_) => Ending::Failed,
            Err(_) => {
                kill_process_group(group, Signal::KILL).expect("it is there");
                Ending::Hung
            }
        };
        let _ = waiting.join().expect("it waits");
        ending
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

    /// The generation that a reader finds; `None` where there is none.
    pub(crate) fn generation(&self) -> Option<u64> {
        let bytes = std::fs::read(self.path("keystile/..data/keyring.json")).ok()?;
        let manifest = keystile_keyring::Manifest::from_json(&bytes).expect("a whole manifest");
        Some(manifest.generation)
    }

    /// What a gateway with one key reads at its start fits together, and is the signing key of the generation.
    pub(crate) fn assert_one_generation_for_single_key_readers(&self, what: &str) {
        let Ok(kid) = std::fs::read_to_string(self.path("keystile/kid")) else {
            // A first generation, or an adoption, that was cut off between its commit and the outer links.
            return;
        };
        let read = |name: &str| std::fs::read(self.path("keystile").join(name)).expect("a member");
        let private = keystile_token::PrivateKey::from_pem(&read("signing.pem")).expect("a private key");
        let public = keystile_token::public_key_from_pem(&read("public.pem")).expect("a public key");
        assert_eq!(private.public_key(), public, "{what}");
        assert!(kid.trim() == kid_of(&public).as_str(), "{what}");
    }

    /// Mended by reconcile, the store has no remains, a gateway would start from it, and it can be changed.
    pub(crate) fn assert_goes_on(&self, what: &str) {
        let mended = self.run(&["reconcile", "--output", "json"]);
        if !mended.status.success() {
            // A rotation in flight that waits for a fleet, and there is none. To go on without one would take as long as
            // outside verifiers' caches last; to go back takes nothing.
            let said = String::from_utf8_lossy(&mended.stderr);
            assert!(said.contains(r#""code": "no-replicas""#), "{what}: {said}");
            assert!(said.contains("keystile rotate --offline"), "{what}: {said}");
            self.json(&["rollback"]);
            self.json(&["reconcile"]);
        }
        assert_eq!(self.remains(), Vec::<String>::new(), "{what}: left over after reconcile");
        let mut minted = self.run(&["mint", "demo"]);
        // A revocation with its descendants refuses what is minted in its own second.
        while String::from_utf8_lossy(&minted.stderr).contains("mint again in 1 s") {
            minted = self.run(&["mint", "demo"]);
        }
        assert!(minted.status.success(), "{what}: {}", String::from_utf8_lossy(&minted.stderr));
        self.assert_one_generation_for_single_key_readers(what);
        assert!(self.path("keystile/kid").exists(), "{what}: no single-key members after reconcile");
        self.json(&["set-policy", "leeway=13s"]);
    }

    /// What is in the store besides the newest generation, the one before it, and their links.
    fn remains(&self) -> Vec<String> {
        let names = |path: &Path| -> Vec<String> {
            let entries = std::fs::read_dir(path).expect("a directory");
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
        };
        let known = ["..data", ".lock", "keyring.json", "kid", "public.pem", "signing.pem", "replicas"];
        let found = names(&self.path("keystile"));
        let generations = found.iter().filter(|name| name.starts_with("..g")).count();
        let others = found.iter().filter(|name| !name.starts_with("..g") && !known.contains(&name.as_str()));
        let extra = (generations > 2).then(|| format!("{generations} generations"));
        others.cloned().chain(extra).collect()
    }
}
