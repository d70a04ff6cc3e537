//! The program as a process: exit codes, pipes, signals, and a fleet of real replicas.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use keystile_system::{Environment, ProcessEnvironment};
use rustix::process::{Pid, Signal, kill_process};

/// Which rule is broken, where `mutants/rules` has this program and its tests break one.
const BROKEN: &str = "RULE_BROKEN";

/// How long a line is waited for that comes within seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// A directory to work in, and the program.
pub(crate) struct Desk {
    directory: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
    masked: bool,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), variables: Vec::new(), masked: true }
    }

    /// The same with an environment variable.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// The same for programs that mask no permission bit.
    pub(crate) fn unmasked(self) -> Self {
        Self { masked: false, ..self }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_keystile");
        let mut command = Command::new(if self.masked { program } else { "/bin/sh" });
        if !self.masked {
            command.args(["-c", "umask 000; exec \"$@\"", "sh", program]);
        }
        command.args(arguments).current_dir(self.directory.path()).env_clear().env("TZ", "UTC");
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).stdin(Stdio::null());
        command.envs(ProcessEnvironment.get(BROKEN).map(|rule| (BROKEN, rule)));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    /// Runs it, which must end with `code`; what it said on both streams.
    pub(crate) fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
        let said = String::from_utf8(said).expect("text");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        said
    }

    pub(crate) fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let arguments = [arguments, &["--output", "json"]].concat();
        serde_json::from_slice(&self.run(&arguments).stdout).expect("JSON")
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut command = self.command(arguments);
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts"))
    }

    /// A gateway on loopback, and its URL once it serves.
    pub(crate) fn serve(&self, replica: &str) -> (Running, String) {
        let mut gateway = self.start(&[
            "serve",
            "--listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
            "--report-interval=100ms",
            "--replica",
            replica,
            "--output=json",
        ]);
        let line = gateway.line();
        let report: serde_json::Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(report["schema"], "keystile/serve/v1");
        crate::json::assert_told(report.clone());
        (gateway, report["url"].as_str().expect("a URL").to_owned())
    }
}

/// A process that is killed with the test.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("it runs");
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// The next line of its standard output.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        let out = self.0.stdout.as_mut().expect("piped");
        let mut byte = [0];
        while out.read_exact(&mut byte).is_ok() && byte != *b"\n" {
            line.extend(byte);
        }
        String::from_utf8(line).expect("text")
    }

    /// Waits for a line on its standard error that holds `text`.
    pub(crate) fn await_error(&mut self, text: &str) {
        let mut lines = BufReader::new(self.0.stderr.as_mut().expect("piped")).lines();
        assert!(lines.any(|line| line.expect("text").contains(text)), "{text:?} was never said");
    }

    /// Reads away what it says on its standard error from now on: a full pipe would hold it up.
    pub(crate) fn ignore_errors(&mut self) {
        let mut errors = self.0.stderr.take().expect("piped");
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
    }

    /// What it says on its standard error from now on.
    pub(crate) fn errors(&mut self) -> Heard {
        let errors = BufReader::new(self.0.stderr.take().expect("piped"));
        let (line, lines) = mpsc::channel();
        std::thread::spawn(move || errors.lines().try_for_each(|said| line.send(said.expect("text")).ok()));
        Heard { lines, said: String::new() }
    }

    /// Tells it to stop, and waits until it has. What it still says on its standard output.
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let mut said = String::new();
        self.0.stdout.take().expect("piped").read_to_string(&mut said).expect("text");
        assert_eq!(self.end(), Some(0), "{said}");
        said
    }

    pub(crate) fn end(mut self) -> Option<i32> {
        self.0.wait().expect("it ends").code()
    }
}

/// The lines that a process says on its standard error, of which none is lost.
pub(crate) struct Heard {
    lines: mpsc::Receiver<String>,
    said: String,
}

impl Heard {
    /// Waits for a line that holds `text`, among those that were not waited for yet.
    pub(crate) fn until(&mut self, text: &str) {
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.note(&line);
            if line.contains(text) {
                return;
            }
        }
        panic!("{text:?} was never said: {}", self.said);
    }

    /// All that was said, once the process has ended.
    pub(crate) fn all(mut self) -> String {
        while let Ok(line) = self.lines.recv() {
            self.note(&line);
        }
        self.said
    }

    fn note(&mut self, line: &str) {
        self.said.push_str(line);
        self.said.push('\n');
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Also of a verb that tells of steps and waits, and of one that is refused.
#[test]
fn with_json_there_is_one_document_and_nothing_else() {
    let desk = Desk::new();
    desk.ends(0, &["init", "--policy", "verifier_cache=1s", "--policy", "activation_lead=0s"]);
    let done = desk.run(&["rotate", "--offline", "--output", "json"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!((done.status.code(), said.as_ref()), (Some(0), ""));
    let document: serde_json::Value = serde_json::from_slice(&done.stdout).expect("one document");
    assert_eq!(document["outcome"], "committed");
    let refused = desk.run(&["rotate", "--output", "json"]);
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(3), 0));
    let document: serde_json::Value = serde_json::from_slice(&refused.stderr).expect("one document");
    assert_eq!(document["code"], "no-replicas");
    for _ in 0..2 {
        let dry = desk.run(&["rotate", "--emergency", "--dry-run", "--output", "json"]);
        let text = String::from_utf8(dry.stdout).expect("text");
        let document: serde_json::Value = serde_json::from_str(&text).expect("one document");
        let headline = document["impact"]["headline"].as_str().expect("a headline");
        assert!(headline.starts_with("Would let a new key sign"), "{headline}");
    }
}

#[test]
fn exit_codes_are_the_documented_ones() {
    let desk = Desk::new();
    desk.ends(5, &["status"]);
    desk.ends(0, &["init"]);
    desk.ends(3, &["init"]);
    desk.ends(2, &["rotat"]);
    desk.ends(2, &["status", "--store", "s3:bucket"]);
    desk.ends(3, &["rotate"]);
    desk.ends(3, &["verify", "not.a.token"]);
    desk.ends(0, &["--help"]);
    desk.ends(0, &["--version"]);
    std::fs::write(desk.path("file"), "").expect("a file");
    desk.ends(1, &["mint", "sandbox-1", "--out", "file/token"]);
}

#[test]
fn a_lock_that_is_held_is_a_conflict() {
    let desk = Desk::new();
    desk.ends(0, &["init"]);
    let lock = std::fs::File::open(desk.path("keystile/.lock")).expect("the lock");
    lock.lock().expect("taken");
    let said = desk.ends(4, &["set-policy", "leeway=30s"]);
    assert!(said.contains("locked by"), "{said}");
    let said = desk.ends(0, &["doctor"]);
    assert!(said.contains("warn  lock"), "{said}");
}

#[test]
fn a_store_that_cannot_be_written_is_unreachable_and_unchanged() {
    let desk = Desk::new();
    desk.ends(0, &["init"]);
    std::fs::write(desk.path("keystile/keyring.json"), "{").expect("written");
    let said = desk.ends(5, &["status"]);
    assert!(said.contains("manifest"), "{said}");
}

/// What somebody else wrote into a file, named one, or gave as an argument moves no cursor and makes no line.
#[test]
fn what_comes_from_outside_is_shown_and_not_obeyed() {
    let desk = Desk::new();
    desk.ends(0, &["init"]);
    let manifest = std::fs::read_to_string(desk.path("keystile/keyring.json")).expect("read");
    let hostile = manifest.replacen('{', r#"{"a\u001b[31m\nFORGED\u202e\u0007": 1,"#, 1);
    std::fs::write(desk.path("keystile/keyring.json"), hostile).expect("written");
    let name = "b\u{1b}[2J\nFORGED\u{202e}";
    std::fs::create_dir_all(desk.path("keystile/replicas")).expect("made");
    std::fs::write(desk.path(&format!("keystile/replicas/{name}.json")), "{").expect("written");
    let named = desk.path(name).display().to_string();
    let said = [
        desk.ends(5, &["status"]),
        desk.ends(3, &["doctor"]),
        desk.ends(2, &["serve", "--config", &named]),
        desk.ends(0, &["certgen", &named]),
    ];
    for text in &said {
        assert!(text.contains("FORGED") && text.contains("\\u202e"), "{text}");
        assert!(!text.chars().any(|letter| letter.is_control() && letter != '\n'), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
    }
    for text in &said[..3] {
        assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{text}");
    }
    let text = desk.ends(2, &["mint", name]);
    assert!(!text.contains(['\u{202e}', '\u{1b}']), "{text:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    let mut child =
        desk.command(&["man"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let desk = Desk::new();
    desk.ends(0, &["init"]);
    for arguments in [&["status"][..], &["jwks"], &["--help"], &["--version"], &["help", "rotate"], &["man"]]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("it is there");
        let mut command = desk.command(arguments);
        let output = command.stdout(full).stderr(Stdio::piped()).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("expected: a standard output that can be written"), "{arguments:?}: {said}");
    }
}

#[test]
fn an_argument_that_is_not_utf8_is_named() {
    use std::os::unix::ffi::OsStrExt;
    let desk = Desk::new();
    let place = std::ffi::OsStr::from_bytes(b"st\xffore");
    for json in [false, true] {
        let mut command = desk.command(&["status", "--output", if json { "json" } else { "text" }]);
        let output = command.arg("--store").arg(place).output().expect("it runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("not UTF-8") && said.contains("xffore"), "{said}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&said).is_ok(), json, "{said}");
    }
}

#[test]
fn a_watched_status_ends_with_its_reader() {
    let desk = Desk::new();
    desk.ends(0, &["init"]);
    let mut watch = desk.start(&["status", "--watch"]);
    assert!(watch.line().starts_with("keyring openshell · generation 1"));
    drop(watch.0.stdout.take());
    assert_eq!(watch.end(), Some(0));
}

#[test]
fn a_token_is_read_from_a_file_or_a_pipe_and_written_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    desk.ends(0, &["init"]);
    desk.ends(0, &["mint", "sandbox-1", "--out", "token"]);
    let mode = std::fs::metadata(desk.path("token")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    desk.ends(0, &["verify", "token"]);
    let mut verify =
        desk.command(&["verify"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    let token = std::fs::read(desk.path("token")).expect("a token");
    verify.stdin.take().expect("piped").write_all(&token).expect("written");
    assert_eq!(verify.wait().expect("it ends").code(), Some(0));
}

#[test]
fn certgen_makes_what_a_gateway_serves_with_and_overwrites_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let desk = Desk::new();
    let said = desk.ends(0, &["certgen", "--dry-run"]);
    assert!(said.contains("would be made") && !desk.path("tls").exists(), "{said}");
    desk.ends(0, &["certgen", "--sandbox", "sandbox-1"]);
    for key in ["tls/ca.key", "tls/server/tls.key", "tls/client/tls.key"] {
        let mode = std::fs::metadata(desk.path(key)).expect(key).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let authority = std::fs::read(desk.path("tls/ca.crt")).expect("an authority");
    desk.ends(3, &["certgen"]);
    desk.ends(0, &["certgen", "--sandbox", "sandbox-2", "--client", "second"]);
    assert_eq!(std::fs::read(desk.path("tls/ca.crt")).expect("an authority"), authority);
    std::fs::remove_file(desk.path("tls/ca.key")).expect("removed");
    desk.ends(3, &["certgen", "--client", "third"]);
}

#[test]
fn a_sandbox_bootstraps_with_the_certificate_that_certgen_made() {
    let desk = Desk::new();
    desk.ends(0, &["init"]);
    desk.ends(0, &["certgen", "--sandbox", "sandbox-1"]);
    let mut gateway = desk.start(&[
        "serve",
        "--listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:0",
        "--tls-cert=tls/server/tls.crt",
        "--tls-key=tls/server/tls.key",
        "--tls-client-ca=tls/ca.crt",
        "--certificate-bootstrap",
        "--output=json",
    ]);
    let report: serde_json::Value = serde_json::from_str(&gateway.line()).expect("JSON");
    let url = report["url"].as_str().expect("a URL");
    let output = desk.run(&[
        "supervise",
        "--gateway",
        url,
        "--client-certificate",
        "--tls-ca=tls/ca.crt",
        "--tls-cert=tls/client/tls.crt",
        "--tls-key=tls/client/tls.key",
        "--",
        "/bin/sh",
        "-c",
        "cat $KEYSTILE_TOKEN_FILE; exit 7",
    ]);
    assert_eq!(output.status.code(), Some(7), "{}", String::from_utf8_lossy(&output.stderr));
    let token = String::from_utf8(output.stdout).expect("a token");
    let verdict = desk.json(&["verify", token.trim()]);
    assert_eq!(verdict["verdict"], "accepted");
    assert_eq!(verdict["sandbox_id"], "sandbox-1");
}

#[test]
fn a_rotation_can_be_interrupted_and_resumed() {
    let desk = Desk::new();
    desk.ends(0, &["init", "--policy", "verifier_cache=0", "--policy", "activation_lead=0"]);
    let (_gateway, _) = desk.serve("gateway-0");
    // A replica that will not answer holds the gate: a frozen process reports nothing new.
    let (frozen, _) = desk.serve("gateway-1");
    frozen.signal(Signal::STOP);
    let mut rotate = desk.start(&["rotate"]);
    rotate.await_error("waits for 1 of 2 replicas: gateway-1");
    rotate.signal(Signal::INT);
    assert_eq!(rotate.end(), Some(1));
    let status = desk.json(&["status"]);
    assert_eq!(status["operation"]["gate"], "replicas");
    assert_eq!(status["operation"]["behind"][0], "gateway-1");
    frozen.signal(Signal::CONT);
    desk.ends(0, &["rotate", "--timeout", "30s"]);
    let status = desk.json(&["status"]);
    assert_eq!(status["generation"], 3);
    assert_eq!(status["operation"], serde_json::Value::Null);
    assert_eq!(status["keys"][1]["state"], "active");
}

#[test]
fn a_gateway_stops_when_told_and_withdraws_its_report() {
    let desk = Desk::new();
    desk.ends(0, &["init"]);
    let (gateway, _) = desk.serve("gateway-0");
    assert_eq!(desk.json(&["status"])["replicas"][0]["presence"], "live");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.end(), Some(0));
    assert_eq!(desk.json(&["status"])["replicas"][0]["presence"], "withdrawn");
}

#[test]
fn serve_creates_a_keyring_only_where_it_is_asked_and_nothing_was() {
    let desk = Desk::new();
    let listen = ["serve", "--listen=127.0.0.1:0", "--admin-listen=127.0.0.1:0"];
    desk.ends(5, &listen);
    assert!(!desk.path("keystile").exists());
    let mut gateway = desk.start(&[&listen[..], &["--init"]].concat());
    assert!(gateway.line().contains("serves generation 1"));
    drop(gateway);
    let kid = desk.json(&["status"])["active"].clone();
    let mut again = desk.start(&[&listen[..], &["--init"]].concat());
    assert!(again.line().contains("serves generation 1"));
    assert_eq!(desk.json(&["status"])["active"], kid);
    drop(again);
    // What was lost is not made anew.
    std::fs::remove_dir_all(desk.path("keystile")).expect("removed");
    let said = desk.ends(5, &[&listen[..], &["--init"]].concat());
    assert!(!desk.path("keystile").exists(), "{said}");
}

#[test]
fn the_store_is_named_by_flag_variable_or_default() {
    let desk = Desk::new();
    desk.ends(0, &["init", "--store", "dir:elsewhere"]);
    assert!(Path::new(&desk.path("elsewhere/keyring.json")).exists());
    let status = desk.command(&["status"]).env("KEYSTILE_STORE", "elsewhere").output().expect("it runs");
    assert_eq!(status.status.code(), Some(0));
    desk.ends(5, &["status"]);
}

#[test]
fn instants_are_local_unless_utc_is_asked_for() {
    let desk = Desk::new();
    desk.ends(0, &["init"]);
    let status = |arguments: &[&str]| {
        let output = desk.command(arguments).env("TZ", "<+05>-5").output().expect("it runs");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(status(&["status"]).contains("\n  +05  "), "{}", status(&["status"]));
    assert!(status(&["status", "--utc"]).contains("\n  UTC  "));
}

#[test]
fn a_waiting_rotation_gives_up_when_told() {
    let desk = Desk::new();
    desk.ends(0, &["init", "--policy", "verifier_cache=1h"]);
    let said = desk.ends(3, &["rotate", "--offline", "--timeout", "1s"]);
    assert!(said.contains("caches-not-run-out"), "{said}");
}
