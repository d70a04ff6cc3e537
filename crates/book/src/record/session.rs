//! One session of bash in an empty directory.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use tempfile::TempDir;

use crate::error::BookError;
use crate::tree;

/// A command that says nothing for so long hangs.
const SILENCE: Duration = Duration::from_mins(5);
/// What ends the output of a command: the exit code follows.
const MARK: &str = "keystile-book-end-of-command";

/// One session of bash in an empty directory, which is also its home.
pub(super) struct Session {
    page: String,
    shell: Child,
    input: ChildStdin,
    output: Receiver<std::io::Result<String>>,
    home: TempDir,
}

/// Where the commands of a session run.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The directories whose programs are found first.
    pub programs: Vec<PathBuf>,
    /// The configuration of kubectl for a session on a cluster.
    pub kubeconfig: Option<PathBuf>,
}

/// What a command did.
pub(super) struct Ran {
    /// What it printed, to both streams.
    pub(super) output: String,
    /// Its exit code.
    pub(super) status: i32,
}

impl Session {
    /// A session for `page`.
    pub(super) fn begin(page: &str, surroundings: &Surroundings) -> Result<Self, BookError> {
        let fail = || BookError::file("run bash in", page);
        let home = TempDir::new().map_err(fail())?;
        let (reader, writer) = std::io::pipe().map_err(fail())?;
        let mut shell = Command::new("bash")
            .args(["--noprofile", "--norc", "-s"])
            .current_dir(home.path())
            .env_clear()
            .env("HOME", home.path())
            .env("PATH", path(&surroundings.programs))
            .envs(surroundings.kubeconfig.iter().map(|file| ("KUBECONFIG", file)))
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .env("USER", "operator")
            .env("REPOSITORY", tree::root())
            .stdin(Stdio::piped())
            .stdout(writer.try_clone().map_err(fail())?)
            .stderr(writer)
            .spawn()
            .map_err(fail())?;
        let Some(input) = shell.stdin.take() else {
            return Err(fail()(std::io::ErrorKind::BrokenPipe.into()));
        };
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(reader).lines();
            // The session is over once nobody listens.
            let _ = lines.into_iter().try_for_each(|line| sender.send(line));
        });
        Ok(Self { page: page.to_owned(), shell, input, output, home })
    }

    /// Runs a command and waits for its end.
    pub(super) fn run(&mut self, command: &str) -> Result<Ran, BookError> {
        // The exit code is put back, for a next command that asks for it.
        let script = format!("{command}\nbook=$?; printf '\\n{MARK} %d\\n' $book; (exit $book)\n");
        let written = self.input.write_all(script.as_bytes()).and_then(|()| self.input.flush());
        written.map_err(BookError::file("run bash in", &self.page))?;
        let mut output = String::new();
        loop {
            let line = match self.output.recv_timeout(SILENCE) {
                Ok(line) => line.map_err(BookError::file("read bash's output in", &self.page))?,
                Err(RecvTimeoutError::Timeout) => return Err(self.fault(format!("it hangs: {command}"))),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.fault(format!("the session ended: {command}\n{output}")));
                }
            };
            if let Some(status) = line.strip_prefix(MARK).and_then(|rest| rest.trim().parse().ok()) {
                return Ok(Ran { output: self.as_shown(&output), status });
            }
            output.push_str(&line);
            output.push('\n');
        }
    }

    /// Goes on with another page.
    pub(super) fn turn_to(&mut self, page: &str) {
        page.clone_into(&mut self.page);
    }

    /// Puts a file that a page shows into the session's directory.
    pub(super) fn put(&self, name: &str, text: &str) -> Result<(), BookError> {
        let path = self.home.path().join(name);
        std::fs::write(&path, text).map_err(BookError::file("write", path))
    }

    /// Ends the session and what it left running.
    pub(super) fn end(mut self) -> Result<(), BookError> {
        self.run("kill $(jobs -p) 2>/dev/null; wait 2>/dev/null; true")?;
        drop(self.input);
        self.shell.wait().map_err(BookError::file("run bash in", &self.page))?;
        Ok(())
    }

    /// A fault of the session.
    pub(super) fn fault(&self, what: String) -> BookError {
        BookError::Session { page: self.page.clone(), what }
    }

    /// The output without the line break that the mark brings, and with `~` for the home.
    fn as_shown(&self, output: &str) -> String {
        let home = self.home.path().display().to_string();
        let extra = output == "\n" || output.ends_with("\n\n");
        output.strip_suffix('\n').filter(|_| extra).unwrap_or(output).replace(&home, "~")
    }
}

/// What `PATH` is in a session.
fn path(programs: &[PathBuf]) -> String {
    let own = programs.iter().map(|directory| directory.display().to_string());
    own.chain(["/usr/local/bin:/usr/bin:/bin".to_owned()]).collect::<Vec<_>>().join(":")
}
