//! The trait that every store implements, and what it speaks of.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use keystile_keyring::plan::Base;
use keystile_keyring::{Digest, Kid, Manifest, ReplicaId, ReplicaReport};
use keystile_token::PrivateKeys;
use tokio::sync::watch;

use crate::{CommitError, KeySet, LoadError, Mirror, StoreError};

/// Where one keyring lives.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Reads the newest generation whole, private keys included. Never creates or changes anything.
    async fn load(&self) -> Result<Loaded, LoadError>;

    /// Reads the newest manifest; touches no private key. For replicas that only verify.
    async fn load_public(&self) -> Result<LoadedPublic, LoadError>;

    /// Reads the newest generation, and of the private keys those that are there and usable: what a
    /// repair starts from.
    async fn salvage(&self) -> Result<Loaded, LoadError>;

    /// Replaces the generation that `commit` was made from by the next one, or refuses.
    ///
    /// `Ok` means that the new generation is durable and was read back. Every error but
    /// [`CommitError::Unknown`] means that nothing has changed.
    async fn compare_and_swap(&self, commit: Commit) -> Result<Digest, CommitError>;

    /// Ticks whenever the keyring or its witness may have changed; not for reports. A tick may be
    /// spurious, and ticks may coalesce. Closed once the store is dropped.
    fn watch(&self) -> watch::Receiver<u64>;

    /// Writes a replica's report in place of its last one. A report with `withdrawn_at` is how a
    /// replica says that it stops.
    async fn report(&self, report: &ReplicaReport) -> Result<(), StoreError>;

    /// Every report there is, old and withdrawn ones included, with `clock_offset` where the store
    /// can tell. For each that cannot be read, or is one too many, there is
    /// [`ReplicaReport::unreadable`]: nobody may take it for the consent of a replica.
    async fn replicas(&self) -> Result<Vec<ReplicaReport>, StoreError>;

    /// Removes a replica's report, if there is one.
    async fn forget(&self, replica: &ReplicaId) -> Result<(), StoreError>;

    /// The newest manifest that the witness remembers.
    async fn witness(&self) -> Result<Option<Manifest>, StoreError>;

    /// Makes the witness remember `manifest`. It refuses an older generation, and another manifest
    /// of the same generation; the same one again is no error.
    async fn write_witness(&self, manifest: &Manifest) -> Result<(), StoreError>;

    /// What is found where a keyring is to be created.
    async fn occupancy(&self) -> Result<Occupancy, StoreError>;

    /// The single-key members `signing.pem`, `public.pem` and `kid`, whoever wrote them.
    async fn read_key_set(&self) -> Result<KeySet, LoadError>;

    /// Whether the single-key members show the key that they should.
    async fn mirror(&self) -> Result<Mirror, StoreError>;

    /// Writes the single-key members anew where they do not. Generation and digest stay.
    async fn repair_mirror(&self) -> Result<Mirror, CommitError>;

    /// Removes what a change that was cut off left behind, and finishes what it had begun after its
    /// commit point. Says what it did, one line each; nothing is the usual answer.
    async fn clean(&self) -> Result<Vec<String>, CommitError>;

    /// How often an operation that waits for the fleet may look.
    fn pace(&self) -> Duration {
        Duration::from_millis(250)
    }

    /// The store in a few words, for messages: `directory /var/lib/keystile`.
    fn describe(&self) -> String;
}

/// A generation as it was read.
#[derive(Debug)]
pub struct Loaded {
    /// The manifest.
    pub manifest: Manifest,
    /// Digest of its stored bytes.
    pub digest: Digest,
    /// The private key of every key that is [`Present`](keystile_keyring::manifest::PrivateState).
    pub private: PrivateKeys,
    /// [`Clock::uptime`](keystile_system::Clock::uptime) just before the read began.
    pub read_began: Duration,
    /// What the read is worth.
    pub freshness: Freshness,
}

impl Loaded {
    /// What a change that is planned on it replaces.
    pub fn base(&self) -> Base {
        Base { generation: self.manifest.generation, digest: self.digest }
    }
}

/// A generation's public part as it was read.
#[derive(Clone, Debug)]
pub struct LoadedPublic {
    /// The manifest.
    pub manifest: Manifest,
    /// Digest of its stored bytes.
    pub digest: Digest,
    /// [`Clock::uptime`](keystile_system::Clock::uptime) just before the read began.
    pub read_began: Duration,
    /// What the read is worth.
    pub freshness: Freshness,
}

impl LoadedPublic {
    /// The same with private keys that were read along with it.
    pub fn with(self, private: PrivateKeys) -> Loaded {
        let Self { manifest, digest, read_began, freshness } = self;
        Loaded { manifest, digest, private, read_began, freshness }
    }

    /// What a change that is planned on it replaces.
    pub fn base(&self) -> Base {
        Base { generation: self.manifest.generation, digest: self.digest }
    }
}

/// What a read says about how new its outcome is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// No newer generation had been committed when the read began.
    Confirmed,
    /// What was read is a copy that somebody else keeps up to date, such as a mounted Secret: how
    /// old it may be is the operator's word.
    Asserted,
}

/// A change to commit.
#[derive(Debug)]
pub struct Commit {
    /// The generation that it was made from; `None` for the first of an empty place, or of a place
    /// that holds the OpenShell key set which the manifest adopts.
    pub expected: Option<Base>,
    /// The next manifest.
    pub manifest: Manifest,
    /// The private key of every key that the manifest calls present. Others are not stored.
    pub private: PrivateKeys,
    /// Whether it repairs a store that does not follow its witness. Nothing else may be built on such a store.
    pub repairs: bool,
}

/// What is found where a keyring is to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Occupancy {
    /// Nothing: the place was never used.
    Empty,
    /// The three members that OpenShell writes, with this kid.
    OpenShellKeySet(Kid),
    /// A keyring.
    Keyring,
    /// Something of an older life, described.
    Remains(String),
}

impl fmt::Display for Occupancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty"),
            Self::OpenShellKeySet(kid) => write!(f, "an OpenShell key set with kid {kid}"),
            Self::Keyring => f.write_str("a keyring"),
            Self::Remains(what) => f.write_str(what),
        }
    }
}
