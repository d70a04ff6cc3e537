//! A program that runs with the token: it finds it in a file, gets the signals, and its end is passed on.

use std::io::{self, IsTerminal as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::supervisor::Supervisor;

/// The variable by which a program learns where its token is.
pub const TOKEN_FILE_VARIABLE: &str = "KEYSTILE_TOKEN_FILE";

/// How a program that ran under [`run_command`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It was never started: this signal came before there was a token.
    NeverStarted(i32),
}

impl Ending {
    /// The exit code that tells of it: the program's own, or 128 and the signal's number as shells have it.
    pub fn exit_code(self) -> u8 {
        let code = match self {
            Self::Exited(code) => code & 0xff,
            Self::Killed(signal) | Self::NeverStarted(signal) => 128 + (signal & 0x7f),
        };
        u8::try_from(code).unwrap_or(u8::MAX)
    }
}

/// Why a program could not be run.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is nowhere to put the token.
    #[error("the supervisor writes no token file; configure its output")]
    NoOutput,
    /// The token file is not there.
    #[error("the token file could not be written; see the log, then start again")]
    NotWritten,
    /// The supervisor stopped while the program was awaited.
    #[error("the supervisor stopped before there was a token")]
    Stopped,
    /// The system refused to deliver signals.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    /// The program did not start.
    #[error("cannot start {program}")]
    Start {
        /// Its name.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The program's end could not be learnt.
    #[error("cannot wait for the program's end")]
    Wait(#[source] io::Error),
}

/// Runs `command` once the first token is in the supervisor's output file, whose path it finds in
/// [`TOKEN_FILE_VARIABLE`].
///
/// SIGTERM, SIGHUP, SIGUSR1 and SIGUSR2 are passed on to the program. So are SIGINT and SIGQUIT, unless the
/// standard input is a terminal: a terminal sends those to the program itself. The program is killed if the
/// returned future is dropped.
pub async fn run_command(supervisor: &Supervisor, mut command: Command) -> Result<Ending, CommandError> {
    let path = supervisor.output_file().ok_or(CommandError::NoOutput)?.to_owned();
    let mut signals = Signals::listen().map_err(CommandError::Signals)?;
    if let Some(signal) = token_or_end(supervisor, &mut signals).await? {
        return Ok(Ending::NeverStarted(signal.as_raw()));
    }
    command.env(TOKEN_FILE_VARIABLE, path).kill_on_drop(true);
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|source| CommandError::Start { program, source })?;
    let pass_on_keys = !io::stdin().is_terminal();
    loop {
        tokio::select! {
            status = child.wait() => return status.map(ending).map_err(CommandError::Wait),
            Some(signal) = signals.next() => {
                let from_keys = matches!(signal, Signal::INT | Signal::QUIT);
                if pass_on_keys || !from_keys {
                    pass_on(&child, signal);
                }
            }
        }
    }
}

/// Waits for the token file; returns the signal that made it pointless, if one came first.
async fn token_or_end(
    supervisor: &Supervisor,
    signals: &mut Signals,
) -> Result<Option<Signal>, CommandError> {
    let mut written = std::pin::pin!(token_written(supervisor));
    loop {
        tokio::select! {
            written = &mut written => return written.map(|()| None),
            Some(signal) = signals.next() => {
                if matches!(signal, Signal::TERM | Signal::INT | Signal::HUP | Signal::QUIT) {
                    return Ok(Some(signal));
                }
            }
        }
    }
}

async fn token_written(supervisor: &Supervisor) -> Result<(), CommandError> {
    let mut state = supervisor.state();
    // The state follows the attempt to write.
    let found = state.wait_for(|state| state.lease().is_some()).await.map_err(|_| CommandError::Stopped)?;
    drop(found);
    if supervisor.counters().writes == 0 { Err(CommandError::NotWritten) } else { Ok(()) }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exited(code),
        (None, signal) => Ending::Killed(signal.unwrap_or_default()),
    }
}

fn pass_on(child: &Child, signal: Signal) {
    // There is an id only until the end was seen, so it cannot be another process's.
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!(%error, signal = signal.as_raw(), "cannot pass a signal on");
    }
}

/// The signals that concern the program, in one queue.
struct Signals {
    queue: mpsc::Receiver<Signal>,
    /// Dropped with it, the listeners end.
    _listeners: JoinSet<()>,
}

impl Signals {
    const ALL: [Signal; 6] =
        [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2];

    fn listen() -> io::Result<Self> {
        let (sender, queue) = mpsc::channel(8);
        let mut listeners = JoinSet::new();
        for number in Self::ALL {
            let mut stream = signal(SignalKind::from_raw(number.as_raw()))?;
            let sender = sender.clone();
            listeners.spawn(async move {
                while stream.recv().await.is_some() && sender.send(number).await.is_ok() {}
            });
        }
        Ok(Self { queue, _listeners: listeners })
    }

    async fn next(&mut self) -> Option<Signal> {
        self.queue.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ending_is_told_as_shells_tell_it() {
        assert_eq!(Ending::Exited(0).exit_code(), 0);
        assert_eq!(Ending::Exited(7).exit_code(), 7);
        assert_eq!(Ending::Exited(255).exit_code(), 255);
        assert_eq!(Ending::Killed(9).exit_code(), 137);
        assert_eq!(Ending::NeverStarted(15).exit_code(), 143);
    }
}
