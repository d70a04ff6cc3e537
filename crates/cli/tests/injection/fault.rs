//! Faults, injected into the real program by strace and by the limits of its process.
//!
//! **Calls that change** files are hit wherever they are made, with every fault that the kernel could let befall
//! them: also where the program opens a library or the runtime wakes a thread. `openat` is one, for it creates.
//!
//! **Calls that read** are hit where they ask for something below the test's directory, with EIO and, where a path
//! is followed, EACCES. To be killed there leaves what a kill at the next call that changes does.
//!
//! Not hit are `close` and `fstat`: what was written is synced before it is closed, and an open file is not
//! forgotten. Nor is what touches no file: memory, threads, clocks, randomness.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::desk::{Desk, Ended};

/// What befalls a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies just before it.
    Kill,
    /// It fails, and has done nothing.
    Fails(&'static str),
}

const CHANGING: [&str; 15] = [
    "openat",
    "mkdirat",
    "write",
    "pwrite64",
    "fsync",
    "fdatasync",
    "ftruncate",
    "fchmod",
    "fchown",
    "flock",
    "symlinkat",
    "linkat",
    "renameat",
    "renameat2",
    "unlinkat",
];

/// A directory is opened by `open`, everything in it by `openat`.
const READING: [&str; 9] =
    ["open", "faccessat2", "newfstatat", "statx", "readlink", "readlinkat", "getdents64", "read", "pread64"];

impl Fault {
    pub(crate) const ALL: [Self; 5] =
        [Self::Kill, Self::Fails("ENOSPC"), Self::Fails("EIO"), Self::Fails("EACCES"), Self::Fails("EINTR")];

    /// Whether the kernel would do that: a file that is open is not refused, and only slow calls are interrupted.
    pub(crate) fn can_befall(self, call: &str) -> bool {
        let reads = READING.contains(&call);
        match self {
            Self::Kill => !reads,
            Self::Fails("EIO") => true,
            Self::Fails("ENOSPC") => !reads && !matches!(call, "unlinkat" | "flock" | "fchmod" | "fchown"),
            Self::Fails("EACCES") => !matches!(
                call,
                "write"
                    | "pwrite64"
                    | "fsync"
                    | "fdatasync"
                    | "ftruncate"
                    | "fchown"
                    | "flock"
                    | "getdents64"
                    | "read"
                    | "pread64"
            ),
            Self::Fails("EINTR") => {
                matches!(call, "openat" | "write" | "pwrite64" | "fsync" | "fdatasync" | "flock")
            }
            Self::Fails(other) => panic!("no fault {other}"),
        }
    }
}

/// How often a run is tried in which threads may share their work in another way.
pub(crate) const TRIES: usize = 5;

/// Calls by name, each as the how manieth.
pub(crate) type Points = BTreeMap<String, BTreeSet<usize>>;

/// A call in strace's log.
struct Call<'a> {
    thread: &'a str,
    name: &'a str,
    /// All of its line, with the paths of its descriptors.
    text: String,
}

/// The calls of a log, each whole: strace tears one apart where another thread comes between.
fn calls(log: &str) -> Vec<Call<'_>> {
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut torn: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        if text.starts_with("<... ") {
            if let Some(call) = torn.remove(thread).and_then(|at| calls.get_mut(at)) {
                call.text.push_str(text);
            }
        } else if let Some((name, _)) = text.split_once('(').filter(|(name, _)| !name.contains(' ')) {
            if text.ends_with("<unfinished ...>") {
                torn.insert(thread, calls.len());
            }
            calls.push(Call { thread, name, text: text.to_owned() });
        }
    }
    calls
}

/// What came of an injected fault.
pub(crate) struct Injected {
    pub(crate) ended: Ended,
    /// Whether it hit anything.
    pub(crate) hit: bool,
    /// Whether it hit the runtime's own wake-up, an eventfd.
    pub(crate) wake_up: bool,
}

/// strace.
pub(crate) struct Tracer(&'static str);

impl Tracer {
    /// strace, if it is here and may trace.
    pub(crate) fn find() -> Option<Self> {
        let program = "strace";
        let works = Command::new(program).args(["-o", "/dev/null", "true"]).status();
        let works = works.is_ok_and(|status| status.success());
        if !works {
            println!("skipped: strace is not here, or may not trace; install it: apt-get install strace");
        }
        works.then_some(Self(program))
    }

    /// It, writing the calls of all threads, and what descriptors stand for, to `log`.
    fn command(&self, log: &Path) -> Command {
        let mut strace = Command::new(self.0);
        strace.args(["-f", "-qq", "-y", "-o"]).arg(log);
        strace
    }

    /// The calls that can be hit, each as the how manieth of its kind in a thread: strace counts for each thread
    /// by itself. Threads share their work in another way each time, so these are the calls of several runs.
    pub(crate) fn points(&self, before: &Desk, verb: &[String]) -> Points {
        let mut points = Points::new();
        for _ in 0..TRIES {
            self.trace(&Desk::copy_of(before), verb, &mut points);
        }
        let must = ["renameat", "fsync", "read", "getdents64", "readlinkat"];
        assert!(must.iter().all(|call| points.contains_key(*call)), "{points:?}");
        points
    }

    fn trace(&self, desk: &Desk, verb: &[String], points: &mut Points) {
        let log = desk.path("strace.log");
        let mut strace = self.command(&log);
        // Not every architecture has each.
        let names = CHANGING.iter().chain(&READING).map(|call| format!("?{call}"));
        strace.args(["-e", &format!("trace={}", names.collect::<Vec<_>>().join(","))]);
        assert!(desk.under(strace, verb).succeeded(), "{verb:?} works where nothing fails");
        let text = std::fs::read_to_string(&log).expect("a log");
        let here = desk.path("").display().to_string();
        let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for call in calls(&text) {
            let count = counts.entry((call.thread, call.name)).or_default();
            *count += 1;
            if CHANGING.contains(&call.name) || call.text.contains(here.trim_end_matches('/')) {
                points.entry(call.name.to_owned()).or_default().insert(*count);
            }
        }
    }

    /// Runs `verb`, and lets `fault` befall the `number`th `call` of each of its threads.
    pub(crate) fn inject(
        &self,
        desk: &Desk,
        verb: &[String],
        fault: Fault,
        call: &str,
        number: usize,
    ) -> Injected {
        let how = match fault {
            Fault::Kill => "signal=KILL".to_owned(),
            Fault::Fails(error) => format!("error={error}"),
        };
        let log = desk.path("strace.log");
        let mut strace = self.command(&log);
        strace.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:{how}:when={number}")]);
        let ended = desk.under(strace, verb);
        let text = std::fs::read_to_string(&log).expect("a log");
        std::fs::remove_file(&log).expect("removed");
        let injected = || calls(&text).into_iter().filter(|call| call.text.contains("(INJECTED)"));
        let hit = match fault {
            Fault::Kill => ended.killed(),
            Fault::Fails(_) => injected().count() > 0,
        };
        let wake_up = injected().any(|call| call.text.contains("<anon_inode:[eventfd]>"));
        Injected { ended, hit, wake_up }
    }

    /// Runs `verb` with files of at most so many bytes, and the signal that says so ignored: a longer write returns
    /// a short count, really, and the next one EFBIG. Returns also how many did.
    pub(crate) fn shorten(&self, desk: &Desk, verb: &[String], bytes: usize) -> (Ended, usize) {
        let log = desk.path("strace.log");
        let mut strace = self.command(&log);
        // What is ignored stays so through exec. The limit is not strace's own.
        let limited = r#"trap "" XFSZ; exec prlimit --fsize="$0" --core=0 "$@""#;
        strace.args(["-e", "trace=write", "/bin/sh", "-c", limited, &bytes.to_string()]);
        let ended = desk.under(strace, verb);
        let text = std::fs::read_to_string(&log).expect("a log");
        std::fs::remove_file(&log).expect("removed");
        let short = calls(&text).iter().filter(|call| is_short(call)).count();
        (ended, short)
    }
}

/// Whether a call wrote something, but less than it was to.
fn is_short(write: &Call<'_>) -> bool {
    let counts = write.text.rsplit_once(") = ").and_then(|(call, written)| {
        let asked = call.rsplit_once(", ")?.1;
        Some((asked.parse::<usize>().ok()?, written.trim().parse::<usize>().ok()?))
    });
    counts.is_some_and(|(asked, written)| (1..asked).contains(&written))
}

/// Whether the size of a process's files can be limited here.
pub(crate) fn limits_files() -> bool {
    let status = Command::new("prlimit").args(["--fsize=1000", "true"]).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs `verb` with files of at most so many bytes: a longer write is cut short there, really, and the program killed.
pub(crate) fn limited(desk: &Desk, verb: &[String], bytes: usize) -> Ended {
    let mut prlimit = Command::new("prlimit");
    prlimit.arg(format!("--fsize={bytes}")).arg("--core=0");
    desk.under(prlimit, verb)
}
