//! What is found where a keyring is to be created.

use super::generation::{Files, Generation};
use super::names::{self, DATA, FIRST, REPLICAS};
use super::place::Place;
use super::{Root, witness};
use crate::image::Members;
use crate::{Occupancy, StoreError, key_set, members};

/// What is found at the store's place, its witness included.
pub(super) fn occupancy(root: &Root) -> Result<Occupancy, StoreError> {
    let found = match root.open() {
        Ok(place) => look(&place)?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Occupancy::Empty,
        Err(error) => return Err(error.into()),
    };
    if found == Occupancy::Keyring {
        return Ok(found);
    }
    let remembered = match witness::read(root) {
        Ok(remembered) => remembered.map(|manifest| format!("generation {}", manifest.generation)),
        Err(StoreError::WitnessGarbage { .. }) => Some("something unreadable".to_owned()),
        Err(error) => return Err(error),
    };
    Ok(remembered.map_or(found, |what| {
        Occupancy::Remains(format!("no keyring, but its witness {} remembers {what}", root.witness.display()))
    }))
}

/// What is found in the directory.
pub(super) fn look(place: &Place) -> Result<Occupancy, StoreError> {
    if place.has(DATA)? {
        return in_generation(place);
    }
    if let Some(remains) = remains(place)? {
        return Ok(Occupancy::Remains(remains));
    }
    plain(&Files { place, follow: true })
}

/// A mounted Secret that OpenShell wrote has a generation, and no keyring in it.
fn in_generation(place: &Place) -> Result<Occupancy, StoreError> {
    let Some(generation) = Generation::newest(place)? else {
        return Ok(Occupancy::Keyring);
    };
    if generation.place().has(members::MANIFEST)? {
        return Ok(Occupancy::Keyring);
    }
    match plain(&generation.files())? {
        Occupancy::Empty => Ok(Occupancy::Remains(format!("{DATA} leads to a directory without a keyring"))),
        found => Ok(found),
    }
}

fn plain(files: &Files<'_>) -> Result<Occupancy, StoreError> {
    let mut there = [false; 3];
    for (there, name) in there.iter_mut().zip(members::MIRROR) {
        *there = files.place.identity_of(name)?.is_some();
    }
    match there {
        [false, false, false] => Ok(Occupancy::Empty),
        [true, true, true] => match key_set::kid_only(files) {
            Ok(kid) => Ok(Occupancy::OpenShellKeySet(kid)),
            Err(error) => Ok(Occupancy::Remains(format!(
                "a key set whose {} is unusable: {error}",
                files.place(members::KID)
            ))),
        },
        there => Ok(Occupancy::Remains(key_set::partial(there))),
    }
}

/// What is left of a keyring whose link is gone.
fn remains(place: &Place) -> Result<Option<String>, StoreError> {
    let first = place.has(FIRST)?;
    let names = place.names()?;
    if let Some(name) = names.iter().find(|name| names::is_generation(name)).filter(|_| !first) {
        return Ok(Some(format!(
            "generation directory {name}, and no link {DATA}; if it is the newest: ln -s {name} {}",
            place.path().join(DATA).display()
        )));
    }
    if !first && dangling_mirror(place)? {
        return Ok(Some(format!("links to a generation, and no {DATA}")));
    }
    let stray = |name: &&String| *name == members::MANIFEST || members::is_private_key(name);
    if let Some(name) = names.iter().find(stray)
        && place.link(name)?.is_none()
    {
        return Ok(Some(format!("a file {name}, and no {DATA}")));
    }
    if names.iter().any(|name| name == REPLICAS) && !place.enter(REPLICAS)?.names()?.is_empty() {
        return Ok(Some("reports of replicas that ran here".to_owned()));
    }
    Ok(None)
}

fn dangling_mirror(place: &Place) -> Result<bool, StoreError> {
    for name in members::MIRROR {
        if place.link(name)?.is_some_and(|target| target == names::through_data(name)) {
            return Ok(true);
        }
    }
    Ok(false)
}
