//! Writing: everything of the next generation is durable before one rename makes it the newest.

use keystile_keyring::plan::Base;
use keystile_keyring::{Digest, Kid, Manifest};

use super::generation::{Files, Generation};
use super::lock::Lock;
use super::names::{self, DATA, DATA_NEW, FIRST};
use super::place::{Identity, Place};
use super::{Root, occupancy, settle, witness};
use crate::image::{read_manifest, read_private};
use crate::{
    Commit, CommitError, FileError, Freshness, Image, KeySet, LoadError, Occupancy, Secrecy, StoreError,
    follows,
};

/// Takes `commit`, or refuses it.
pub(super) fn compare_and_swap(root: &Root, commit: &Commit) -> Result<Digest, CommitError> {
    let image = Image::new(&commit.manifest, &commit.private, root.clock.now())?;
    let place = match commit.expected {
        None => {
            // A place that is refused is left as it is; under the lock it is looked at again.
            unoccupied(root)?;
            Place::open_or_make(&root.path, &root.steps)?
        }
        Some(_) => match root.open() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(CommitError::Conflict { expected: commit.expected, found: None });
            }
            opened => opened?,
        },
    };
    own(&place).map_err(CommitError::Base)?;
    let _lock =
        Lock::acquire(&place, &format!("committing generation {}", image.generation), root.lock_wait)?;
    let ground = survey(root, &place, commit)?;
    let remembered = witness::read(root).map_err(CommitError::Witness)?;
    follows(commit, ground.manifest(), remembered.as_ref())?;
    witness::writable(root)?;
    // Nothing was touched so far.
    match ground {
        Ground::Unused => begin(&place, true)?,
        Ground::KeySet => begin(&place, false)?,
        Ground::Base(manifest) => settle::settle(&place, &manifest, &mut Vec::new())?,
    }
    swap(&place, &image, &commit.manifest)?;
    Ok(image.digest)
}

/// Whether only its owner may write the directory. A mounted Secret is told later that it is a copy.
fn own(place: &Place) -> Result<(), LoadError> {
    let mounted = place.link(DATA)?.is_some_and(|target| !names::is_generation(&target));
    if mounted { place.guarded() } else { place.owners_alone() }
}

/// What a change is committed on.
enum Ground {
    /// Nothing.
    Unused,
    /// The key set that it adopts.
    KeySet,
    /// The generation that it was made from.
    Base(Box<Manifest>),
}

impl Ground {
    fn manifest(&self) -> Option<&Manifest> {
        match self {
            Self::Base(manifest) => Some(manifest),
            Self::Unused | Self::KeySet => None,
        }
    }
}

/// Whether what is there is what `commit` was made from.
fn survey(root: &Root, place: &Place, commit: &Commit) -> Result<Ground, CommitError> {
    if commit.expected.is_none() {
        return survey_first(root, place, &commit.manifest);
    }
    let newest = newest(place)?;
    let base =
        |(manifest, digest): &(Manifest, Digest)| Base { generation: manifest.generation, digest: *digest };
    let found = newest.as_ref().map(base);
    match newest {
        Some((manifest, _)) if found == commit.expected => Ok(Ground::Base(Box::new(manifest))),
        _ => Err(CommitError::Conflict { expected: commit.expected, found }),
    }
}

/// What is here, if a first generation may be written at all.
fn unoccupied(root: &Root) -> Result<Option<Kid>, CommitError> {
    let found = occupancy::occupancy(root).map_err(|error| match error {
        StoreError::Io(error) => CommitError::Io(error),
        StoreError::Load(error) => CommitError::Base(error),
        error => CommitError::Witness(error),
    })?;
    match found {
        Occupancy::Empty => Ok(None),
        Occupancy::OpenShellKeySet(kid) => Ok(Some(kid)),
        occupancy => Err(CommitError::Occupied { place: root.path.display().to_string(), occupancy }),
    }
}

/// Whether a first generation may be written here.
fn survey_first(root: &Root, place: &Place, manifest: &Manifest) -> Result<Ground, CommitError> {
    let Some(kid) = unoccupied(root)? else {
        return Ok(Ground::Unused);
    };
    let shown = root.path.display().to_string();
    if place.has(DATA)? {
        return Err(CommitError::Copy { place: shown });
    }
    let set = KeySet::read(&Files { place, follow: true }).map_err(CommitError::Base)?;
    let adopts = |set: KeySet| manifest.key(&set.kid).is_some_and(|key| key.public_key == set.public);
    if set.is_some_and(adopts) {
        return Ok(Ground::KeySet);
    }
    Err(CommitError::Occupied { place: shown, occupancy: Occupancy::OpenShellKeySet(kid) })
}

/// Marks that a first generation is being written, and clears away an earlier attempt at it.
fn begin(place: &Place, unused: bool) -> Result<(), FileError> {
    if !place.has(FIRST)? {
        place.create(FIRST, 0o600, b"")?;
        place.sync()?;
    }
    settle::sweep(place, None, &mut Vec::new())?;
    if unused {
        // A single-key gateway that starts meanwhile sees none of its three files, then all.
        settle::links(place, None, &mut Vec::new())?;
    }
    Ok(())
}

/// The newest manifest of a store that can be changed; `None` if there is none.
pub(super) fn newest(place: &Place) -> Result<Option<(Manifest, Digest)>, CommitError> {
    let Some(generation) = Generation::newest(place)? else {
        return Ok(None);
    };
    if generation.freshness == Freshness::Asserted {
        return Err(CommitError::Copy { place: place.path().display().to_string() });
    }
    match read_manifest(&generation.files()).map_err(CommitError::Base)? {
        Some(found) => Ok(Some(found)),
        None => Err(CommitError::Base(LoadError::Missing {
            place: place.path().display().to_string(),
            found: format!("{DATA} leads to a directory without a keyring"),
        })),
    }
}

/// Makes `image` the newest generation, and clears away what it replaces.
pub(super) fn swap(place: &Place, image: &Image, manifest: &Manifest) -> Result<(), CommitError> {
    let name = free_name(place, image)?;
    let built = build(place, &name, image).and_then(|identity| {
        point(place, &name)?;
        Ok(identity)
    });
    let identity = match built {
        Ok(identity) => identity,
        Err(error) => {
            // As far as possible: the next change, or `clean`, removes what stays.
            let _ = settle::remove_generation(place, &name);
            return Err(CommitError::Io(error));
        }
    };
    if let Err(error) = place.rename(DATA_NEW, DATA) {
        return match place.link(DATA) {
            Ok(target) if target.as_deref() != Some(&name) => {
                let _ = settle::remove_generation(place, &name);
                Err(CommitError::Io(error))
            }
            _ => Err(CommitError::Unknown(error)),
        };
    }
    // The commit point has passed: from here on no failure means that nothing happened.
    conclude(place, identity, manifest).map_err(CommitError::Unknown)
}

fn conclude(place: &Place, identity: Identity, manifest: &Manifest) -> Result<(), FileError> {
    place.sync()?;
    if place.identity_of(DATA)? != Some(identity) {
        let error = std::io::Error::other("it does not lead to what was just committed");
        return Err(FileError::new("follow", place.path().join(DATA), error));
    }
    settle::settle(place, manifest, &mut Vec::new())
}

fn free_name(place: &Place, image: &Image) -> Result<String, FileError> {
    let mut attempt = 0;
    loop {
        let name = names::generation(image.generation, &image.digest, attempt);
        if !place.has(&name)? {
            return Ok(name);
        }
        attempt += 1;
    }
}

/// Writes the generation's directory, makes it durable and reads it back.
fn build(place: &Place, name: &str, image: &Image) -> Result<Identity, FileError> {
    let directory = place.make(name)?;
    for member in &image.members {
        let mode = match member.secrecy {
            Secrecy::Private => 0o600,
            Secrecy::Public => 0o644,
        };
        directory.create(&member.name, mode, &member.bytes)?;
    }
    directory.sync()?;
    read_back(&directory, image)?;
    directory.identity()
}

/// Whether every reader will be able to load what was written.
fn read_back(directory: &Place, image: &Image) -> Result<(), FileError> {
    let failed = |error| FileError::new("read back", directory.path(), error);
    let files = Files { place: directory, follow: false };
    let load = || match read_manifest(&files)? {
        Some((manifest, digest)) => read_private(&files, &manifest).map(|_| digest == image.digest),
        None => Ok(false),
    };
    match load() {
        Ok(true) => Ok(()),
        Ok(false) => Err(failed(std::io::Error::other("it is not what was written"))),
        Err(error) => Err(failed(std::io::Error::other(error))),
    }
}

/// Prepares the link whose renaming is the commit.
fn point(place: &Place, name: &str) -> Result<(), FileError> {
    place.remove(DATA_NEW)?;
    place.make_link(DATA_NEW, name)?;
    place.sync()
}
