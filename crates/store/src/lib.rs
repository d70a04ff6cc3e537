//! Where manifest and key material live.
//!
//! A [`Store`] holds one keyring: the manifest of the newest generation, the private keys that it
//! calls present, a mirror of the signing key for single-key gateways, and the replicas' reports. A
//! change is one [`Commit`], taken or refused whole. Beside the store, a witness keeps the newest
//! manifest, so that a restored backup is recognised.
//!
//! * [`DirectoryStore`]: a directory with the layout of a mounted Kubernetes Secret.
//! * [`MemoryStore`]: for tests and for embedding.
//!
//! * `keystile-store-kube`, a crate of its own: a Kubernetes Secret.
//!
//! Every store passes one suite of tests, `conformance` (a cargo feature). What stores are made of is in
//! [`parts`].

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod directory;
mod error;
mod image;
mod key_set;
pub mod members;
mod memory;
mod mirror;
mod store;
mod succession;
mod witness;

pub use directory::DirectoryStore;
/// What every store is made of: how a generation is laid out as members, and read back.
pub mod parts {
    pub use crate::image::{Members, read_manifest, read_present, read_private};
    pub use crate::key_set::{kid_only, partial};
    pub use crate::members::beyond_the_limit;
}

pub use error::{CommitError, FileError, LoadError, StoreError};
pub use image::{Image, Member, Secrecy, mirrored_kid};
pub use key_set::KeySet;
pub use keystile_keyring::plan::Base;
pub use memory::MemoryStore;
pub use mirror::Mirror;
pub use store::{Commit, Freshness, Loaded, LoadedPublic, Occupancy, Store};
pub use succession::follows;
pub use witness::{Remembers, remembers};
