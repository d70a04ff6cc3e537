//! Writing: everything of the next generation is durable before one rename makes it the newest.

use keystile_keyring::plan::Base;
use keystile_keyring::{Digest, Manifest};

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
        None => Place::open_or_make(&root.path, &root.steps)?,
        Some(_) => match root.open() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(CommitError::Conflict { expected: commit.expected, found: None });
            }
            opened => opened?,
        },
    };
    let _lock =
        Lock::acquire(&place, &format!("committing generation {}", image.generation), root.lock_wait)?;
    match commit.expected {
        None => begin(root, &place, &commit.manifest)?,
        Some(expected) => go_on(&place, expected)?,
    }
    let remembered = witness::read(root).map_err(CommitError::Witness)?;
    follows(&commit.manifest, commit.expected, remembered.map_or(0, |manifest| manifest.generation))?;
    witness::writable(root)?;
    swap(&place, &image, &commit.manifest)?;
    Ok(image.digest)
}

/// Whether a first generation may be written here; if so, marks that it is being written.
fn begin(root: &Root, place: &Place, manifest: &Manifest) -> Result<(), CommitError> {
    let found = occupancy::occupancy(root).map_err(|error| match error {
        StoreError::Io(error) => CommitError::Io(error),
        StoreError::Load(error) => CommitError::Base(error),
        error => CommitError::Witness(error),
    })?;
    let occupied = |occupancy| CommitError::Occupied { place: root.path.display().to_string(), occupancy };
    match found {
        Occupancy::Empty => {}
        Occupancy::OpenShellKeySet(_) if place.has(DATA)? => {
            return Err(CommitError::Copy { place: root.path.display().to_string() });
        }
        Occupancy::OpenShellKeySet(kid) => {
            let set = KeySet::read(&Files { place, follow: true }).map_err(CommitError::Base)?;
            let adopted =
                set.is_some_and(|set| manifest.key(&set.kid).is_some_and(|key| key.public_key == set.public));
            if !adopted {
                return Err(occupied(Occupancy::OpenShellKeySet(kid)));
            }
        }
        found => return Err(occupied(found)),
    }
    if !place.has(FIRST)? {
        place.create(FIRST, 0o600, b"")?;
        place.sync()?;
    }
    settle::sweep(place, None, &mut Vec::new())?;
    if matches!(occupancy::look(place), Ok(Occupancy::Empty)) {
        // A single-key gateway that starts meanwhile sees none of its three files, then all.
        settle::links(place, None, &mut Vec::new())?;
    }
    Ok(())
}

/// Whether the newest generation is `expected`; if so, clears away what a crash left.
fn go_on(place: &Place, expected: Base) -> Result<(), CommitError> {
    let found = newest(place)?;
    let base =
        found.as_ref().map(|(manifest, digest)| Base { generation: manifest.generation, digest: *digest });
    match found {
        Some((manifest, _)) if base == Some(expected) => {
            Ok(settle::settle(place, &manifest, &mut Vec::new())?)
        }
        _ => Err(CommitError::Conflict { expected: Some(expected), found: base }),
    }
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
            return Err(error);
        }
    };
    match place.rename(DATA_NEW, DATA) {
        Err(error) if place.link(DATA).ok().flatten().is_none_or(|target| target != name) => {
            let _ = settle::remove_generation(place, &name);
            return Err(CommitError::Io(error));
        }
        renamed => renamed.map_err(CommitError::Unknown)?,
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
fn build(place: &Place, name: &str, image: &Image) -> Result<Identity, CommitError> {
    let directory = place.make(name)?;
    for member in &image.members {
        let mode = match member.secrecy {
            Secrecy::Private => 0o600,
            Secrecy::Public => 0o644,
        };
        directory.create(&member.name, mode, &member.bytes)?;
    }
    directory.sync()?;
    let files = Files { place: &directory, follow: false };
    match read_manifest(&files).map_err(CommitError::Base)? {
        Some((manifest, digest)) if digest == image.digest => {
            read_private(&files, &manifest).map_err(CommitError::Base)?;
        }
        _ => {
            let error = std::io::Error::other("what was read is not what was written");
            return Err(CommitError::Io(FileError::new("read back", directory.path(), error)));
        }
    }
    Ok(directory.identity()?)
}

/// Prepares the link whose renaming is the commit.
fn point(place: &Place, name: &str) -> Result<(), FileError> {
    place.remove(DATA_NEW)?;
    place.make_link(DATA_NEW, name)?;
    place.sync()
}
