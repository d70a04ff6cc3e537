//! Faults, injected into the real program by strace and by the limits of its process.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use crate::desk::{Desk, Ending};

/// What befalls a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process dies just before it.
    Kill,
    /// It fails, and has done nothing.
    Fails(&'static str),
}

impl Fault {
    pub(crate) const ALL: [Self; 5] =
        [Self::Kill, Self::Fails("ENOSPC"), Self::Fails("EIO"), Self::Fails("EACCES"), Self::Fails("EINTR")];

    /// Whether the kernel would do that: a file that is open is not refused, and only slow calls are interrupted.
    pub(crate) fn can_befall(self, call: &str) -> bool {
        match self {
            Self::Kill | Self::Fails("EIO") => true,
            Self::Fails("ENOSPC") => !matches!(call, "unlinkat" | "flock" | "fchmod"),
            Self::Fails("EACCES") => !matches!(call, "write" | "fsync" | "fdatasync" | "ftruncate" | "flock"),
            Self::Fails("EINTR") => matches!(call, "openat" | "write" | "fsync" | "fdatasync" | "flock"),
            Self::Fails(other) => panic!("no fault {other}"),
        }
    }
}

/// The calls that change files, or open what is to be changed.
const CALLS: &str = "openat,mkdirat,write,fsync,fdatasync,ftruncate,fchmod,flock,symlinkat,linkat,renameat,renameat2,unlinkat";

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

    /// How often the busiest thread makes each call: strace counts for each by itself.
    pub(crate) fn count(&self, desk: &Desk, verb: &[String]) -> BTreeMap<String, usize> {
        let log = desk.path("strace.log");
        let mut strace = Command::new(self.0);
        strace.args(["-f", "-qq", "-e", &format!("trace={CALLS}"), "-o"]).arg(&log);
        assert_eq!(desk.under(strace, verb), Ending::Succeeded, "{verb:?} works where nothing fails");
        let text = std::fs::read_to_string(&log).expect("a log");
        let mut by_thread: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for line in text.lines() {
            let (thread, rest) = line.split_once(' ').expect("a thread and a call");
            if let Some((call, _)) = rest.trim_start().split_once('(').filter(|(call, _)| !call.contains(' '))
            {
                *by_thread.entry((thread, call)).or_default() += 1;
            }
        }
        let mut calls = BTreeMap::new();
        for ((_, call), count) in by_thread {
            let most: &mut usize = calls.entry(call.to_owned()).or_default();
            *most = count.max(*most);
        }
        assert!(calls.contains_key("renameat") && calls.contains_key("fsync"), "{calls:?}");
        calls
    }

    /// Runs `verb`, and lets `fault` befall the `number`th `call` of each of its threads.
    pub(crate) fn inject(
        &self,
        desk: &Desk,
        verb: &[String],
        fault: Fault,
        call: &str,
        number: usize,
    ) -> Ending {
        let how = match fault {
            Fault::Kill => "signal=KILL".to_owned(),
            Fault::Fails(error) => format!("error={error}"),
        };
        let mut strace = Command::new(self.0);
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
        strace.args(["-e", &format!("inject={call}:{how}:when={number}")]);
        desk.under(strace, verb)
    }
}

/// Whether the size of a process's files can be limited here.
pub(crate) fn limits_files() -> bool {
    let status = Command::new("prlimit").args(["--fsize=1000", "true"]).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// Runs `verb` with files of at most so many bytes: a longer write is cut short there, really.
pub(crate) fn limited(desk: &Desk, verb: &[String], bytes: usize) -> Ending {
    let mut prlimit = Command::new("prlimit");
    prlimit.arg(format!("--fsize={bytes}")).arg("--core=0");
    desk.under(prlimit, verb)
}
