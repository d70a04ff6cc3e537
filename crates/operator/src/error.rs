//! Why a change was not made.

use keystile_keyring::manifest::{ManifestError, Operation};
use keystile_keyring::plan::Base;
use keystile_keyring::{Gate, Refusal, in_words};
use keystile_store::{CommitError, LoadError, StoreError};
use keystile_token::{KeyError, KidTaken};

/// Why a change was not made, or is not known to have been.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// Refused, for safety.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The rotation waits for its gate, and the caller did not want to wait longer.
    #[error("{} is in flight and its gate is closed: {}; run keystile rotate again to go on", .operation.id, waits_for(.gate))]
    Held {
        /// What it waits for.
        gate: Gate,
        /// The rotation.
        operation: Box<Operation>,
        /// The generation in which it stands.
        generation: u64,
    },
    /// Somebody else changed the keyring first.
    #[error("{}", conflict(.found.as_ref(), .by.as_ref()))]
    Conflict {
        /// What the store holds now.
        found: Option<Base>,
        /// The change that won: its verb and actor.
        by: Option<(String, String)>,
    },
    /// Somebody else dropped the rotation while this run went on with it.
    #[error("{}", dropped(.operation, .by.as_ref()))]
    Dropped {
        /// The rotation.
        operation: Box<Operation>,
        /// The change that dropped it: its verb and actor.
        by: Option<(String, String)>,
    },
    /// The store cannot be read.
    #[error("the keyring cannot be read")]
    Load(#[from] LoadError),
    /// The store does not take the change.
    #[error("the change was not committed")]
    Commit(#[source] CommitError),
    /// The store does not answer.
    #[error("the store does not answer")]
    Store(#[source] StoreError),
    /// The change is committed, and the witness could not be told.
    #[error("generation {generation} is committed, but its witness is not written; run: keystile reconcile")]
    Witness {
        /// The generation.
        generation: u64,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// The manifest cannot be written.
    #[error("the next manifest cannot be written")]
    Manifest(#[from] ManifestError),
    /// No key could be made.
    #[error("no key could be made")]
    Key(#[source] KeyError),
    /// The key that was made has the kid of another.
    #[error("a key was made whose kid is taken; the system's randomness cannot be trusted")]
    KidTaken(#[source] KidTaken),
}

impl From<StoreError> for OperateError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Load(error) => Self::Load(error),
            error => Self::Store(error),
        }
    }
}

/// The classes of failure that a caller may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Refused, for safety.
    Refused,
    /// Somebody else was first.
    Conflict,
    /// The store is out of reach.
    Store,
    /// Anything else.
    Other,
}

impl OperateError {
    /// Whether the store is away and nothing was changed: it may come back.
    pub fn may_pass(&self) -> bool {
        let (Self::Load(LoadError::Unreadable(error))
        | Self::Store(StoreError::Io(error))
        | Self::Commit(
            CommitError::Io(error)
            | CommitError::Witness(StoreError::Io(error))
            | CommitError::Base(LoadError::Unreadable(error)),
        )) = self
        else {
            return false;
        };
        error.kind() == std::io::ErrorKind::TimedOut
    }

    /// Its class.
    pub fn class(&self) -> Failure {
        match self {
            Self::Refused(_)
            | Self::Held { .. }
            | Self::Commit(CommitError::Occupied { .. } | CommitError::Broken(_)) => Failure::Refused,
            Self::Conflict { .. }
            | Self::Dropped { .. }
            | Self::Commit(CommitError::Conflict { .. } | CommitError::Locked { .. })
            | Self::Store(StoreError::Locked { .. }) => Failure::Conflict,
            Self::Load(_) | Self::Store(_) | Self::Commit(_) | Self::Witness { .. } => Failure::Store,
            Self::Manifest(_) | Self::Key(_) | Self::KidTaken(_) => Failure::Other,
        }
    }
}

fn conflict(found: Option<&Base>, by: Option<&(String, String)>) -> String {
    let at = found.map_or("no generation".to_owned(), |base| format!("generation {}", base.generation));
    let who = by.map_or(String::new(), |(verb, actor)| format!(" by {verb} of {actor}"));
    format!(
        "somebody else changed the keyring first: it is at {at}{who}; look, then decide anew: keystile status"
    )
}

fn dropped(operation: &Operation, by: Option<&(String, String)>) -> String {
    let who = match by {
        Some((verb, actor)) if verb == "rollback" => format!("was rolled back by {actor}"),
        Some((verb, actor)) => format!("was dropped by {verb} of {actor}"),
        None => "was dropped by somebody else".to_owned(),
    };
    format!(
        "{} {who} while this run waited: {} never signs, and no other key was made; ask why, then, if it is to be \
         done: keystile rotate",
        operation.id,
        operation.to_kid.short()
    )
}

fn waits_for(gate: &Gate) -> String {
    match gate {
        Gate::Unattended => "no live replica reports".to_owned(),
        Gate::Replicas { behind, live } => {
            let names: Vec<_> = behind.iter().map(ToString::to_string).collect();
            format!("{} of {live} replicas do not hold the key yet: {}", behind.len(), names.join(", "))
        }
        Gate::Caches { until, since, .. } => {
            format!("outside verifiers' caches ({} in all) have not run out", in_words(until.since(*since)))
        }
        Gate::Open { .. } => "nothing".to_owned(),
    }
}
