//! A generation as flat members: how any store lays it out, and how it is read back.

use std::fmt;

use keystile_keyring::manifest::{Key, ManifestError, PrivateState, limits::MANIFEST_BYTES};
use keystile_keyring::{Digest, Kid, Manifest, UnixTime};
use keystile_token::{PrivateKey, PrivateKeys};
use zeroize::Zeroizing;

use crate::members::{self, limits::KEY_BYTES};
use crate::{CommitError, LoadError};

/// Whether a member is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// A private key: for the owner's eyes.
    Private,
    /// Public facts.
    Public,
}

/// One member of a stored generation.
pub struct Member {
    /// Its flat name.
    pub name: String,
    /// Its content, wiped from memory on drop.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Whether it is a secret.
    pub secrecy: Secrecy,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("name", &self.name)
            .field("len", &self.bytes.len())
            .field("secrecy", &self.secrecy)
            .finish_non_exhaustive()
    }
}

/// A generation, ready to be stored.
#[derive(Debug)]
pub struct Image {
    /// The generation's number.
    pub generation: u64,
    /// Digest of the manifest's bytes.
    pub digest: Digest,
    /// Every member: the manifest, a private key for each key present, the mirror's three.
    pub members: Vec<Member>,
}

impl Image {
    /// Lays out `manifest` with its private keys and, as of `now`, its mirror.
    pub fn new(manifest: &Manifest, private: &PrivateKeys, now: UnixTime) -> Result<Self, CommitError> {
        let invalid = |error: ManifestError| CommitError::Invalid(error.to_string());
        let bytes = manifest.to_json().map_err(invalid)?;
        // What is written must be what every reader accepts.
        Manifest::from_json(&bytes).map_err(invalid)?;
        Self::of_bytes(bytes, manifest, private, now)
    }

    /// The same for a manifest whose stored bytes, and so whose digest, must stay what they are.
    pub fn of_bytes(
        bytes: Vec<u8>,
        manifest: &Manifest,
        private: &PrivateKeys,
        now: UnixTime,
    ) -> Result<Self, CommitError> {
        let digest = keystile_token::digest(&bytes);
        let mut members = vec![public(members::MANIFEST, bytes)];
        for key in present(manifest) {
            let private = matching(key, private)?;
            members.push(secret(members::private_key(&key.kid), private));
        }
        if let Some(kid) = mirrored_kid(manifest, now)
            && let Some(key) = manifest.key(&kid)
        {
            members.push(secret(members::SIGNING.to_owned(), matching(key, private)?));
            members.push(public(
                members::PUBLIC,
                keystile_token::public_key_to_pem(&key.public_key).into_bytes(),
            ));
            members.push(public(members::KID, kid.as_str().as_bytes().to_vec()));
        }
        Ok(Self { generation: manifest.generation, digest, members })
    }
}

/// The key that the single-key members show at `now`: the one that is active, or becomes so within
/// `activation_lead`. `None` where its private key is gone.
pub fn mirrored_kid(manifest: &Manifest, now: UnixTime) -> Option<Kid> {
    let key = manifest.active_at(now.plus(manifest.policy.activation_lead))?;
    (key.private == PrivateState::Present).then(|| key.kid.clone())
}

fn matching<'a>(key: &Key, private: &'a PrivateKeys) -> Result<&'a PrivateKey, CommitError> {
    match private.get(&key.kid) {
        Some(private) if private.public_key() == key.public_key => Ok(private),
        Some(_) => {
            Err(CommitError::Invalid(format!("the private key given for {} is another key's", key.kid)))
        }
        None => Err(CommitError::Invalid(format!("no private key was given for {}", key.kid))),
    }
}

fn public(name: &str, bytes: Vec<u8>) -> Member {
    Member { name: name.to_owned(), bytes: Zeroizing::new(bytes), secrecy: Secrecy::Public }
}

fn secret(name: String, key: &PrivateKey) -> Member {
    let bytes = Zeroizing::new(key.to_pem().as_bytes().to_vec());
    Member { name, bytes, secrecy: Secrecy::Private }
}

/// Where members are read from: one generation of one store.
pub trait Members {
    /// The content of a member, at most `limit` bytes; `None` if there is no such member.
    fn read(
        &self,
        name: &str,
        limit: usize,
        secrecy: Secrecy,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, LoadError>;

    /// What the member is called in messages: its path.
    fn place(&self, name: &str) -> String;
}

/// Reads the manifest; `None` if there is none.
pub fn read_manifest(from: &dyn Members) -> Result<Option<(Manifest, Digest)>, LoadError> {
    let Some(bytes) = from.read(members::MANIFEST, MANIFEST_BYTES, Secrecy::Public)? else {
        return Ok(None);
    };
    let place = || from.place(members::MANIFEST);
    let manifest = Manifest::from_json(&bytes).map_err(|source| match source {
        ManifestError::Schema(_) => LoadError::OtherVersion { place: place(), source },
        source => LoadError::Garbage { place: place(), source },
    })?;
    Ok(Some((manifest, keystile_token::digest(&bytes))))
}

/// Reads the private key of every key that `manifest` calls present.
pub fn read_private(from: &dyn Members, manifest: &Manifest) -> Result<PrivateKeys, LoadError> {
    let mut keys = PrivateKeys::default();
    for key in present(manifest) {
        add(&mut keys, key, read_key(from, key)?);
    }
    Ok(keys)
}

/// The same, leaving out keys that are missing or unusable.
pub fn read_present(from: &dyn Members, manifest: &Manifest) -> Result<PrivateKeys, LoadError> {
    let mut keys = PrivateKeys::default();
    for key in present(manifest) {
        match read_key(from, key) {
            Ok(private) => add(&mut keys, key, private),
            Err(
                LoadError::KeyMissing { .. }
                | LoadError::KeyGarbage { .. }
                | LoadError::KeyMismatch { .. }
                | LoadError::TooLarge { .. },
            ) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(keys)
}

fn present(manifest: &Manifest) -> impl Iterator<Item = &Key> {
    manifest.keys.iter().filter(|key| key.private == PrivateState::Present)
}

fn add(keys: &mut PrivateKeys, key: &Key, private: PrivateKey) {
    // A checked manifest has no kid twice.
    let _ = keys.insert(key.kid.clone(), private);
}

fn read_key(from: &dyn Members, key: &Key) -> Result<PrivateKey, LoadError> {
    let name = members::private_key(&key.kid);
    let place = from.place(&name);
    let Some(pem) = from.read(&name, KEY_BYTES, Secrecy::Private)? else {
        return Err(LoadError::KeyMissing { kid: key.kid.clone(), place });
    };
    let private = match PrivateKey::from_pem(&pem) {
        Ok(private) => private,
        Err(source) => return Err(LoadError::KeyGarbage { place, source }),
    };
    if private.public_key() != key.public_key {
        return Err(LoadError::KeyMismatch { place, public: format!("key {} of the manifest", key.kid) });
    }
    Ok(private)
}
