//! What happens during a rehearsal, and when: a small language, one step a line.
//!
//! ```text
//! # Lines that begin with # and empty lines say nothing.
//! at 4s     rotate
//! at 9s     retire verify-only expect live-tokens
//! at 12s    rotate
//! at 12.6s  kill gateway-2 for 1500ms
//! at 20s    rollback
//! at 26s    revoke active
//! at 31s    retire verify-only --force
//! at 34s    revoke active --descendants
//! at 44s    end
//! ```
//!
//! Instants count from the moment when the load runs. The operator does one thing at a time: a step that
//! finds the one before unfinished waits for it, and every later step moves by as much.
//! `expect CODE` says that the operation must be refused with that code.

mod drawn;
mod error;
mod explain;
mod fault;
mod parse;
mod usual;

use std::fmt;
use std::time::Duration;

use keystile_keyring::Code;
use serde::Serialize;

use crate::replica::ReplicaName;

pub use drawn::{drawn, least};
pub use error::ScriptError;
pub use explain::explained;
pub use fault::{FAULTS, with_fault};
pub use parse::parse;
pub use usual::usual;

/// What happens during a rehearsal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// The steps, ascending by instant.
    pub steps: Vec<Step>,
    /// When the load ends, if the script says.
    pub end: Option<Duration>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When, from the begin of the load.
    pub at: Duration,
    /// What.
    pub action: Action,
    /// The stable code of the refusal that it must meet, if it must.
    pub expect: Option<String>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Something that an operator does; one at a time.
    Operate(Operation),
    /// Something that befalls the fleet.
    Disturb(Fault),
}

/// What an operator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A rotation, from the new key to its activation.
    Rotate {
        /// Without the waits.
        emergency: bool,
    },
    /// Back to the former key.
    Rollback,
    /// A key's tokens are refused from now on.
    Revoke {
        /// The key.
        key: KeyName,
        /// And every token whose chain of refreshes began while the key was good.
        descendants: bool,
    },
    /// The end of a superseded key's window.
    Retire {
        /// The key.
        key: KeyName,
        /// Even though good tokens are cut off.
        force: bool,
    },
    /// What nothing needs any more is destroyed.
    Prune,
    /// What a schedule would run.
    Reconcile,
}

/// What befalls the fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A replica's process is killed with SIGKILL, and started again after a while.
    Kill(ReplicaName, Duration),
    /// A replica is asked to stop with SIGTERM, and started again after a while.
    Restart(ReplicaName, Duration),
    /// A replica's process is stopped with SIGSTOP, and goes on after a while.
    Freeze(ReplicaName, Duration),
    /// The store's directory is moved away, and back after a while.
    HideStore(Duration),
}

/// How a script names a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyName {
    /// The one that signs.
    Active,
    /// The one that signed last and still verifies.
    VerifyOnly,
    /// The n-th key that the rehearsal saw, from 1.
    Numbered(usize),
}

impl Script {
    fn push(&mut self, at: Duration, action: Action, expect: Option<Code>) {
        let expect = expect.map(|code| code.as_str().to_owned());
        self.steps.push(Step { at, action, expect });
    }

    /// Puts the steps in their order in time; of equal instants the earlier line comes first.
    pub(crate) fn sort(&mut self) {
        self.steps.sort_by_key(|step| step.at);
    }

    /// When the load ends: as the script says, or `rest` after its last step.
    pub fn ends_at(&self, rest: Duration) -> Duration {
        let last = self.steps.iter().map(|step| step.at + step.action.lasts()).max().unwrap_or_default();
        self.end.unwrap_or(last + rest)
    }
}

impl Action {
    /// How long a fault lasts; an operation is over when it is over.
    fn lasts(&self) -> Duration {
        match self {
            Self::Operate(_) => Duration::ZERO,
            Self::Disturb(fault) => fault.lasts(),
        }
    }

    /// The word for it.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Operate(Operation::Rotate { .. }) => "rotate",
            Self::Operate(Operation::Rollback) => "rollback",
            Self::Operate(Operation::Revoke { .. }) => "revoke",
            Self::Operate(Operation::Retire { .. }) => "retire",
            Self::Operate(Operation::Prune) => "prune",
            Self::Operate(Operation::Reconcile) => "reconcile",
            Self::Disturb(Fault::Kill(..)) => "kill -9",
            Self::Disturb(Fault::Restart(..)) => "restart",
            Self::Disturb(Fault::Freeze(..)) => "freeze",
            Self::Disturb(Fault::HideStore(_)) => "hide-store",
        }
    }
}

impl Fault {
    /// From its begin to its end.
    pub(crate) fn lasts(&self) -> Duration {
        match self {
            Self::Kill(_, pause)
            | Self::Restart(_, pause)
            | Self::Freeze(_, pause)
            | Self::HideStore(pause) => *pause,
        }
    }

    /// The replica that it befalls, if it is one.
    pub(crate) fn replica(&self) -> Option<ReplicaName> {
        match self {
            Self::Kill(replica, _) | Self::Restart(replica, _) | Self::Freeze(replica, _) => Some(*replica),
            Self::HideStore(_) => None,
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        self.end.map_or(Ok(()), |end| writeln!(f, "at {} end", Instant(end)))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} {}", Instant(self.at), self.action)?;
        self.expect.as_ref().map_or(Ok(()), |code| write!(f, " expect {code}"))
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operate(operation) => operation.fmt(f),
            Self::Disturb(fault) => fault.fmt(f),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |set: bool, name: &'static str| if set { name } else { "" };
        match self {
            Self::Rotate { emergency } => write!(f, "rotate{}", flag(*emergency, " --emergency")),
            Self::Rollback => f.write_str("rollback"),
            Self::Revoke { key, descendants } => {
                write!(f, "revoke {key}{}", flag(*descendants, " --descendants"))
            }
            Self::Retire { key, force } => write!(f, "retire {key}{}", flag(*force, " --force")),
            Self::Prune => f.write_str("prune"),
            Self::Reconcile => f.write_str("reconcile"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pause = Instant(self.lasts());
        match self {
            Self::Kill(replica, _) => write!(f, "kill {replica} for {pause}"),
            Self::Restart(replica, _) => write!(f, "restart {replica} for {pause}"),
            Self::Freeze(replica, _) => write!(f, "freeze {replica} for {pause}"),
            Self::HideStore(_) => write!(f, "hide-store for {pause}"),
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::VerifyOnly => f.write_str("verify-only"),
            Self::Numbered(number) => write!(f, "key-{number}"),
        }
    }
}

/// A step as a script writes it.
impl Serialize for Step {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A duration as a script writes it.
struct Instant(Duration);

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        if millis.is_multiple_of(1000) { write!(f, "{}s", millis / 1000) } else { write!(f, "{millis}ms") }
    }
}

#[cfg(test)]
mod tests;
