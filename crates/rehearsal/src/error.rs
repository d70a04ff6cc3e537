//! Why a rehearsal could not be held. What it finds is a verdict, never an error.

use std::path::PathBuf;

use keystile_keyring::policy::PolicyError;
use keystile_operator::OperateError;
use keystile_store::{LoadError, StoreError};
use keystile_supervisor::ConfigError;

use crate::replica::{MOST_REPLICAS, ReplicaName};
use crate::script::ScriptError;

/// Why a rehearsal could not be held.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// An option out of its range.
    #[error("{name} is {found}; expected {expected}")]
    Option {
        /// Which one.
        name: &'static str,
        /// Its value.
        found: u64,
        /// What may be.
        expected: String,
    },
    /// Clocks further apart than the policy allows.
    #[error(
        "the clocks would be {found} s apart, and nothing is promised beyond max_skew, {most} s in this run"
    )]
    Skew {
        /// How far, in seconds.
        found: u64,
        /// The scaled policy's `max_skew`.
        most: u64,
    },
    /// A soak that is too short for anything to happen, or too long.
    #[error("the soak would last {found} s; expected {least} to {most} s with this policy")]
    Soak {
        /// How long, in seconds.
        found: u64,
        /// One rotation and what follows from it.
        least: u64,
        /// As long as what is kept of a run suffices.
        most: u64,
    },
    /// Two scripts.
    #[error("a soak draws its own script, and a script was given")]
    SoakAndScript,
    /// The script cannot be played.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// The policy cannot be scaled.
    #[error("the scaled policy cannot be used")]
    Policy(#[from] PolicyError),
    /// A file or directory of the rehearsal's own.
    #[error("cannot {what} {}", path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No certificates.
    #[error("the certificates for this run could not be made")]
    Certificates(#[source] rcgen::Error),
    /// A process that did not start.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No port was free.
    #[error("no port of 127.0.0.1 is free between {first} and {last}")]
    NoPort {
        /// The first that was tried.
        first: u16,
        /// The last that may be.
        last: u16,
    },
    /// A gateway that did not become ready.
    #[error("{replica} is not ready after {seconds} s; its log is {}", log.display())]
    NotReady {
        /// Which one.
        replica: ReplicaName,
        /// How long it was waited for.
        seconds: u64,
        /// Its log.
        log: PathBuf,
    },
    /// A gateway that ended instead of becoming ready.
    #[error("{replica} ended while it started ({how}); its log is {}", log.display())]
    Died {
        /// Which one.
        replica: ReplicaName,
        /// How it ended.
        how: String,
        /// Its log.
        log: PathBuf,
    },
    /// No connection to a gateway can be prepared.
    #[error("no connection to the gateways can be prepared")]
    Connect(#[source] tonic::transport::Error),
    /// The store cannot be used.
    #[error("the rehearsal's own store cannot be used")]
    Store(#[from] StoreError),
    /// The store cannot be read.
    #[error("the rehearsal's own store cannot be read")]
    Load(#[from] LoadError),
    /// The keyring could not be made.
    #[error("the rehearsal's own keyring could not be made")]
    Operate(#[from] OperateError),
    /// A supervisor did not start.
    #[error("a supervisor could not be started")]
    Supervisor(#[from] ConfigError),
    /// Supervisors without a first token.
    #[error("{without} of {all} supervisors have no token after {seconds} s: {first}")]
    NoTokens {
        /// How many have none.
        without: usize,
        /// How many there are.
        all: usize,
        /// How long they were waited for.
        seconds: u64,
        /// What the first of them says.
        first: String,
    },
    /// A key or token of the rehearsal's own could not be made.
    #[error("{0}")]
    Token(String),
}

impl RehearsalError {
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File { what, path: path.into(), source }
    }

    /// Whether what was asked for cannot be understood or done, rather than that it went wrong.
    pub fn is_usage(&self) -> bool {
        let options =
            matches!(self, Self::Option { .. } | Self::Skew { .. } | Self::Script(_) | Self::Policy(_));
        options || matches!(self, Self::Soak { .. } | Self::SoakAndScript)
    }

    pub(crate) fn gateways(found: usize) -> Self {
        Self::Option { name: "gateways", found: found as u64, expected: format!("1 to {MOST_REPLICAS}") }
    }
}
