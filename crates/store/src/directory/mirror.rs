//! The three members that a single-key gateway reads: whose key they show.

use keystile_keyring::UnixTime;
use keystile_keyring::manifest::limits::MANIFEST_BYTES;

use super::commit::{newest, swap};
use super::generation::{self, Generation};
use super::lock::Lock;
use super::place::Place;
use super::{Root, settle};
use crate::image::{Members, Secrecy, mirrored_kid, read_manifest, read_private};
use crate::{CommitError, Freshness, Image, KeySet, LoadError, Mirror, members};

/// Whose key the members show, and whose they should.
pub(super) fn mirror(root: &Root) -> Result<Mirror, LoadError> {
    let now = root.clock.now();
    generation::consistently(root, |generation, place| look(generation, place, now))
}

fn look(generation: &Generation, place: &Place, now: UnixTime) -> Result<Mirror, LoadError> {
    let files = generation.files();
    let Some((manifest, _)) = read_manifest(&files)? else {
        return Err(LoadError::NotAdopted { place: place.path().display().to_string() });
    };
    if generation.freshness == Freshness::Confirmed
        && let Some((why, in_the_way)) = settle::foreign(place)?
    {
        return Ok(Mirror::Broken { expected: mirrored_kid(&manifest, now), why, in_the_way });
    }
    Ok(Mirror::judge(KeySet::read(&files), &manifest, now))
}

/// Writes the generation anew, byte for byte but for the mirror.
pub(super) fn repair(root: &Root) -> Result<Mirror, CommitError> {
    let place = generation::open(root).map_err(CommitError::Base)?;
    let _lock = Lock::acquire(&place, "repairing the mirror", root.lock_wait)?;
    let (Some((manifest, _)), Some(generation)) = (newest(&place)?, Generation::newest(&place)?) else {
        return mirror(root).map_err(CommitError::Base);
    };
    settle::settle(&place, &manifest, &mut Vec::new())?;
    let now = root.clock.now();
    let files = generation.files();
    let shown = KeySet::read(&files);
    let nothing_to_show = mirrored_kid(&manifest, now).is_none() && matches!(shown, Ok(None));
    if nothing_to_show || matches!(Mirror::judge(shown, &manifest, now), Mirror::Current { .. }) {
        // What may be wrong besides is not the generation's.
        return look(&generation, &place, now).map_err(CommitError::Base);
    }
    let stored = files.read(members::MANIFEST, MANIFEST_BYTES, Secrecy::Public).map_err(CommitError::Base)?;
    let private = read_private(&files, &manifest).map_err(CommitError::Base)?;
    let bytes = stored.map(|bytes| bytes.to_vec()).unwrap_or_default();
    let image = Image::of_bytes(bytes, &manifest, &private, now)?;
    swap(&place, &image, &manifest)?;
    mirror(root).map_err(CommitError::Base)
}
