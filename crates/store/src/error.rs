//! What can go wrong at a store. Each answer is a closed set; none repeats its source's text.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use keystile_keyring::manifest::ManifestError;
use keystile_keyring::plan::Base;
use keystile_keyring::{Digest, Kid, Standing, Undone};
use keystile_token::KeyError;

use crate::Occupancy;

/// A call to the file system, or to whatever else a store is in, that failed. Where it is only away for the
/// moment, the kind of the source is [`TimedOut`](io::ErrorKind::TimedOut).
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}{}", .path.display(), hint(.source))]
pub struct FileError {
    /// What was to be done: `read`, `create`, `sync`, …
    pub doing: &'static str,
    /// To what.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// `doing` to `path` failed with `source`.
    pub fn new(doing: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self { doing, path: path.into(), source: source.into() }
    }

    /// The kind of its source.
    pub fn kind(&self) -> io::ErrorKind {
        self.source.kind()
    }
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (run as the directory's owner)",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => " (free some space and try again)",
        io::ErrorKind::ReadOnlyFilesystem => " (changes need a writable file system)",
        _ => "",
    }
}

/// Why no keyring could be loaded. Nothing is created or changed by a load that fails, and a
/// replica keeps the keyring that it has.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no keyring.
    #[error(
        "no keyring at {place}: {found}; restore it or name the right store; \
         only for a place that was never used: keystile init"
    )]
    Missing {
        /// Where.
        place: String,
        /// What is there instead.
        found: String,
    },
    /// There is an OpenShell key set and no keyring.
    #[error("no keyring at {place}, but an OpenShell key set; take it over: keystile adopt")]
    NotAdopted {
        /// Where.
        place: String,
    },
    /// Something is there and could not be read.
    #[error("the store cannot be read")]
    Unreadable(#[source] FileError),
    /// The manifest is not one.
    #[error("{place} holds no usable manifest; restore it from a backup, then: keystile reconcile")]
    Garbage {
        /// The file or member.
        place: String,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// The manifest is of another version of the program.
    #[error("{place} was written by another version of keystile; use that version or a newer one")]
    OtherVersion {
        /// The file or member.
        place: String,
        /// Which schemas.
        #[source]
        source: ManifestError,
    },
    /// A file is larger than anything that belongs there.
    #[error("{place} has more than {limit} bytes; it is none of ours")]
    TooLarge {
        /// The file or member.
        place: String,
        /// The greatest size in bytes.
        limit: usize,
    },
    /// A private key file is open to more than its owner and a reading group.
    #[error(
        "private key {} has mode {mode:04o}; expected 0600, or 0640 at most; if nobody copied it: chmod 600 {}",
        .path.display(), .path.display()
    )]
    KeyFileMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others than the owner may write the store's directory.
    #[error(
        "{} has mode {mode:04o}: others may replace the keys in it; if nobody did: chmod go-w {}",
        .path.display(), .path.display()
    )]
    DirectoryMode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A store in a directory that many share, as /tmp is.
    #[error(
        "{} has mode {mode:04o}: it is shared, anybody may add to it; give the store a directory of its own: {}",
        .path.display(), .path.join("keystile").display()
    )]
    DirectoryShared {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The manifest says that the store holds a private key, and it does not.
    #[error(
        "the private key of {kid} is missing: {place} does not exist; \
         restore it from a backup, or go on without it: keystile reconcile"
    )]
    KeyMissing {
        /// Whose.
        kid: Kid,
        /// Where it should be.
        place: String,
    },
    /// A key file does not hold a key that can be used.
    #[error("{place} holds no usable key; restore it from a backup")]
    KeyGarbage {
        /// The file or member.
        place: String,
        /// What is wrong with it.
        #[source]
        source: KeyError,
    },
    /// A private key and the public key that it should belong to are of two key pairs.
    #[error("the private key in {place} is not the one of {public}; restore both from one backup")]
    KeyMismatch {
        /// The private key's file or member.
        place: String,
        /// What names the public key.
        public: String,
    },
    /// The `kid` of a key set is not a kid.
    #[error("{place} holds no usable kid")]
    KidGarbage {
        /// The file or member.
        place: String,
        /// What is wrong with it.
        #[source]
        source: keystile_keyring::NameError,
    },
    /// The store changed under the reader each time it tried.
    #[error("{place} changed {tries} times while it was read; try again")]
    Torn {
        /// Where.
        place: String,
        /// How often it was read.
        tries: usize,
    },
}

impl LoadError {
    /// What was found, and what to do about it, for whoever tells them apart. Together they are the error's text.
    pub fn in_parts(&self) -> (String, Option<String>) {
        let text = self.to_string();
        // A name may hold anything: what to do comes after it.
        let name = match self {
            Self::Missing { place, found } => format!("{place}: {found}"),
            Self::NotAdopted { place }
            | Self::Garbage { place, .. }
            | Self::OtherVersion { place, .. }
            | Self::KeyMissing { place, .. }
            | Self::KeyGarbage { place, .. }
            | Self::KeyMismatch { place, .. }
            | Self::Torn { place, .. } => place.clone(),
            Self::KeyFileMode { path, .. }
            | Self::DirectoryMode { path, .. }
            | Self::DirectoryShared { path, .. } => path.display().to_string(),
            Self::Unreadable(_) | Self::TooLarge { .. } | Self::KidGarbage { .. } => String::new(),
        };
        let after = text.find(&name).filter(|_| !name.is_empty()).map(|at| at + name.len());
        let split = after.and_then(|after| Some(after + text.get(after..)?.find("; ")?));
        match split.and_then(|at| Some((text.get(..at)?, text.get(at + 2..)?))) {
            Some((found, remedy)) => (found.to_owned(), Some(remedy.to_owned())),
            None => (text, None),
        }
    }
}

/// Why a change was not committed, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The store is not at the generation that the change was made from: somebody else was first.
    #[error("the keyring is at {}; the change was made from {}; read again and plan again", Place(.found), Place(.expected))]
    Conflict {
        /// What the change was made from.
        expected: Option<Base>,
        /// What the store holds.
        found: Option<Base>,
    },
    /// A first generation is written to an empty place, or over the key set that it adopts.
    #[error("{place} is not empty: {occupancy}")]
    Occupied {
        /// Where.
        place: String,
        /// What is there.
        occupancy: Occupancy,
    },
    /// Somebody else is changing the store at this moment.
    #[error("the store is locked by {by}; try again when it is done")]
    Locked {
        /// The holder, in its own words.
        by: String,
    },
    /// The change does not follow from what it claims to replace: a bug in its maker.
    #[error("the change is not well-formed: {0}")]
    Invalid(String),
    /// The store does not follow its witness: a backup was restored, or somebody went on from one.
    #[error("nothing was changed: {0}; repair it: keystile reconcile")]
    Broken(Standing),
    /// The directory is a copy that somebody else keeps up to date, such as a mounted Secret.
    #[error("{place} is a mounted copy; change the Secret that it shows")]
    Copy {
        /// Where.
        place: String,
    },
    /// The witness cannot be read, so nobody knows what the store must follow.
    #[error("nothing was changed: the witness cannot be read")]
    Witness(#[source] StoreError),
    /// What the store holds now cannot be read, so nothing can replace it.
    #[error("nothing was changed: the present generation cannot be read")]
    Base(#[source] LoadError),
    /// A file-system call failed before the commit point.
    #[error("nothing was changed: the store is at its old generation")]
    Io(#[source] FileError),
    /// A call failed at or after the commit point: the change may have happened.
    #[error("the change may have been committed; look before trying again: keystile status")]
    Unknown(#[source] FileError),
}

/// Why something beside the keyring failed: reports, witness, mirror, occupancy.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file-system call failed.
    #[error("a call to the store failed")]
    Io(#[source] FileError),
    /// The keyring itself could not be read.
    #[error("the keyring cannot be read")]
    Load(#[source] LoadError),
    /// Somebody else is changing the store at this moment.
    #[error("the store is locked by {by}; try again when it is done")]
    Locked {
        /// The holder, in its own words.
        by: String,
    },
    /// The witness remembers a newer generation than the one offered to it.
    #[error(
        "the witness remembers generation {found}, offered was {offered}: it never goes back; run: keystile reconcile"
    )]
    WitnessAhead {
        /// What it remembers.
        found: u64,
        /// What was offered.
        offered: u64,
    },
    /// The witness remembers another manifest of the same generation.
    #[error(
        "the witness remembers generation {generation} as {found}, offered was {offered}: the keyring has forked"
    )]
    Forked {
        /// The generation.
        generation: u64,
        /// Digest of what it remembers.
        found: Digest,
        /// Digest of what was offered.
        offered: Digest,
    },
    /// What is offered does not know what the witness knows to be final.
    #[error("the witness is not told of generation {offered}: {what}; run: keystile reconcile")]
    Undoes {
        /// The generation offered.
        offered: u64,
        /// What it does not know.
        what: Undone,
    },
    /// The witness is not a manifest.
    #[error(
        "the witness {place} holds no usable manifest; restore it, or delete it if the store is known to be the newest"
    )]
    WitnessGarbage {
        /// The file or member.
        place: String,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
    /// A report is larger than any reader takes.
    #[error("the report of {replica} has {found} bytes; readers take {limit}")]
    ReportTooLarge {
        /// Whose.
        replica: keystile_keyring::ReplicaId,
        /// Its size in bytes.
        found: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A place cannot be a store.
    #[error("{} cannot be a store: {why}", .path.display())]
    Place {
        /// The path.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
}

/// A base in an error message.
struct Place<'a>(&'a Option<Base>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(base) => {
                let digest = base.digest.to_string();
                write!(f, "generation {} ({})", base.generation, digest.get(..8).unwrap_or(&digest))
            }
            None => f.write_str("no generation"),
        }
    }
}

impl From<FileError> for LoadError {
    fn from(error: FileError) -> Self {
        Self::Unreadable(error)
    }
}

impl From<FileError> for CommitError {
    fn from(error: FileError) -> Self {
        Self::Io(error)
    }
}

impl From<FileError> for StoreError {
    fn from(error: FileError) -> Self {
        Self::Io(error)
    }
}

impl From<LoadError> for StoreError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

/// The runtime ended before a blocking call did.
pub(crate) fn cut_off(doing: &'static str, path: &Path) -> FileError {
    FileError::new(doing, path, io::Error::other("the runtime is shutting down"))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn full() -> FileError {
        FileError::new("create", "/ring/..g2-00-0/keyring.json", io::Error::from(io::ErrorKind::StorageFull))
    }

    fn garbage() -> ManifestError {
        ManifestError::Json("expected value at line 1 column 1".to_owned())
    }

    #[test]
    fn no_error_repeats_its_source() {
        let place = || "/ring/keyring.json".to_owned();
        let errors: Vec<Box<dyn Error>> = vec![
            Box::new(full()),
            Box::new(LoadError::Unreadable(full())),
            Box::new(LoadError::Garbage { place: place(), source: garbage() }),
            Box::new(LoadError::OtherVersion { place: place(), source: garbage() }),
            Box::new(CommitError::Io(full())),
            Box::new(CommitError::Unknown(full())),
            Box::new(CommitError::Base(LoadError::Unreadable(full()))),
            Box::new(CommitError::Witness(StoreError::Io(full()))),
            Box::new(StoreError::WitnessGarbage { place: place(), source: garbage() }),
        ];
        for error in errors {
            let source = error.source().expect("a source").to_string();
            assert!(!error.to_string().contains(&source), "{error}");
        }
    }

    #[test]
    fn a_failed_call_says_what_to_do() {
        assert_eq!(
            full().to_string(),
            "cannot create /ring/..g2-00-0/keyring.json (free some space and try again)"
        );
    }

    #[test]
    fn a_conflict_names_both_generations() {
        let base = |generation, byte| Some(Base { generation, digest: Digest([byte; 32]) });
        let error = CommitError::Conflict { expected: base(7, 0xaa), found: base(8, 0xbb) };
        assert_eq!(
            error.to_string(),
            "the keyring is at generation 8 (bbbbbbbb); the change was made from generation 7 (aaaaaaaa); \
             read again and plan again"
        );
    }
}
