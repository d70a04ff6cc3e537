//! The witness: the newest manifest, in one file beside the directory.

use keystile_keyring::Manifest;
use keystile_keyring::manifest::ManifestError;
use keystile_keyring::manifest::limits::MANIFEST_BYTES;

use super::Root;
use super::lock::Lock;
use super::place::Place;
use crate::{FileError, Remembers, StoreError, remembers};

/// What the witness remembers; `None` if there is none.
pub(super) fn read(root: &Root) -> Result<Option<Manifest>, StoreError> {
    let (parent, name) = root.witness_place();
    let parent = match Place::open(parent, &root.steps) {
        Ok(parent) => parent,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(content) = parent.read(name, MANIFEST_BYTES, true)? else {
        return Ok(None);
    };
    Manifest::from_json(&content.bytes).map(Some).map_err(|source| garbage(root, source))
}

/// Makes it remember `manifest`, unless it remembers a newer one or another of the same generation.
pub(super) fn write(root: &Root, manifest: &Manifest) -> Result<(), StoreError> {
    let bytes = manifest.to_json().map_err(|source| garbage(root, source))?;
    let place = root.open()?;
    let _lock = Lock::acquire(&place, "writing the witness", root.lock_wait)?;
    if remembers(read(root)?.as_ref(), manifest)? == Remembers::Same {
        return Ok(());
    }
    let (parent, name) = root.witness_place();
    let parent = Place::open(parent, &root.steps)?.owned_like(&place);
    Ok(replace(&parent, name, &bytes)?)
}

/// Fails where the witness could not be written: a change must not be committed without it.
pub(super) fn writable(root: &Root) -> Result<(), FileError> {
    Place::open(root.witness_place().0, &root.steps)?.writable()
}

fn replace(parent: &Place, name: &str, bytes: &[u8]) -> Result<(), FileError> {
    let new = format!(".{name}.new");
    parent.remove(&new)?;
    parent.create(&new, 0o644, bytes)?;
    parent.rename(&new, name)?;
    parent.sync()
}

fn garbage(root: &Root, source: ManifestError) -> StoreError {
    StoreError::WitnessGarbage { place: root.witness.display().to_string(), source }
}
