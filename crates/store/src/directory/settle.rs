//! What has to be so whenever nobody is changing the store: outer links in place, no generation but
//! the newest and perhaps the one before it, nothing unfinished.

use std::collections::HashSet;

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::{Kid, Manifest, PublicKey};
use keystile_token::PrivateKey;

use super::generation::Files;
use super::lock::Lock;
use super::names::{self, DATA, DATA_NEW, FIRST, LINK_NEW};
use super::place::Place;
use super::{Root, commit};
use crate::image::{Members, read_manifest};
use crate::members::{self, limits::KEY_BYTES};
use crate::{CommitError, FileError};

/// What is done is said here, one line each.
pub(super) type Log = Vec<String>;

/// Clears away what a change that was cut off left behind.
pub(super) fn clean(root: &Root) -> Result<Log, CommitError> {
    let mut log = Log::new();
    let place = match root.open() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(log),
        opened => opened?,
    };
    if !place.has(DATA)? && !place.has(FIRST)? {
        return Ok(log);
    }
    if matches!(commit::newest(&place), Err(CommitError::Copy { .. })) {
        return Ok(log);
    }
    let _lock = Lock::acquire(&place, "cleaning up", root.lock_wait)?;
    match commit::newest(&place)? {
        Some((manifest, _)) => settle(&place, &manifest, &mut log)?,
        None if place.has(FIRST)? => undo_first(&place, &mut log)?,
        None => {}
    }
    Ok(log)
}

/// A first generation was begun and never committed: nobody ever used it.
fn undo_first(place: &Place, log: &mut Log) -> Result<(), FileError> {
    sweep(place, None, log)?;
    for name in outer() {
        if place.link(name)?.is_some_and(|target| target == names::through_data(name)) {
            place.remove(name)?;
        }
    }
    unfinished(place, log)?;
    place.sync()
}

/// Brings the directory in order around the newest generation, which `manifest` is of.
pub(super) fn settle(place: &Place, manifest: &Manifest, log: &mut Log) -> Result<(), FileError> {
    links(place, Some(manifest), log)?;
    sweep(place, Some(manifest), log)?;
    unfinished(place, log)?;
    place.sync()
}

fn unfinished(place: &Place, log: &mut Log) -> Result<(), FileError> {
    for name in [DATA_NEW, LINK_NEW, FIRST] {
        if place.remove(name)? && name != FIRST {
            log.push(format!("removed the unfinished {name}"));
        }
    }
    Ok(())
}

fn outer() -> impl Iterator<Item = &'static str> {
    members::MIRROR.into_iter().chain([members::MANIFEST])
}

/// Makes the outer links, through which a single-key gateway reads its three files.
///
/// Files in their place are replaced one by one, each by a link to the same key, if the keyring holds
/// that key; files that the keyring knows nothing of are left alone.
pub(super) fn links(place: &Place, manifest: Option<&Manifest>, log: &mut Log) -> Result<(), FileError> {
    for name in outer() {
        let target = names::through_data(name);
        if place.link(name)?.is_some_and(|found| found == target) {
            continue;
        }
        if !place.has(name)? {
            place.make_link(name, &target)?;
            log.push(format!("made the link {name} to the newest generation, which was missing"));
        } else if manifest.is_some_and(|manifest| is_known(place, name, manifest)) {
            place.remove(LINK_NEW)?;
            place.make_link(LINK_NEW, &target)?;
            place.rename(LINK_NEW, name)?;
            log.push(format!("replaced the file {name} by a link to the newest generation"));
        } else {
            let file = place.path().join(name);
            tracing::warn!(file = %file.display(), "not the keyring's: left alone; a single-key gateway reads it");
        }
    }
    Ok(())
}

/// Whether the file `name` says only what `manifest` knows, so that nothing is lost with it.
fn is_known(place: &Place, name: &str, manifest: &Manifest) -> bool {
    if !place.has_file(name).unwrap_or(false) {
        return false;
    }
    let Ok(Some(content)) = place.read(name, KEY_BYTES, false) else {
        return false;
    };
    let holds = |public: PublicKey| manifest.keys.iter().any(|key| key.public_key == public);
    match name {
        members::SIGNING => PrivateKey::from_pem(&content.bytes).is_ok_and(|key| holds(key.public_key())),
        members::PUBLIC => keystile_token::public_key_from_pem(&content.bytes).is_ok_and(holds),
        members::KID => {
            let text = String::from_utf8_lossy(&content.bytes);
            Kid::new(text.trim()).is_ok_and(|kid| manifest.key(&kid).is_some())
        }
        _ => false,
    }
}

/// Removes every generation but the newest and, as long as it holds no private key that the newest
/// does not, the one before it.
pub(super) fn sweep(place: &Place, newest: Option<&Manifest>, log: &mut Log) -> Result<(), FileError> {
    let current = place.link(DATA)?;
    let mut removed = false;
    for name in place.names()?.iter().filter(|name| names::is_generation(name)) {
        if current.as_deref() == Some(name) || newest.is_some_and(|newest| is_previous(place, name, newest)) {
            continue;
        }
        remove_generation(place, name)?;
        log.push(format!("removed the generation directory {name}"));
        removed = true;
    }
    if removed { place.sync() } else { Ok(()) }
}

fn is_previous(place: &Place, name: &str, newest: &Manifest) -> bool {
    let Ok(directory) = place.enter(name) else {
        return false;
    };
    match read_manifest(&Files { place: &directory, follow: false }) {
        Ok(Some((manifest, digest))) if newest.previous == Some(digest) => {
            no_other_key(&directory, &manifest, newest).unwrap_or(false)
        }
        _ => false,
    }
}

/// Whether every private key of the generation in `directory` is one that `newest` still has. Its manifest is
/// asked too: what is half removed has no such key any more, and is no generation.
fn no_other_key(directory: &Place, manifest: &Manifest, newest: &Manifest) -> Result<bool, FileError> {
    let present = |manifest: &Manifest| -> HashSet<_> {
        let present = manifest.keys.iter().filter(|key| key.private == PrivateState::Present);
        present.map(|key| members::private_key(&key.kid)).collect()
    };
    let kept = present(newest);
    let names = directory.names()?;
    let found = names.iter().filter(|name| members::is_private_key(name));
    Ok(present(manifest).is_subset(&kept) && found.into_iter().all(|name| kept.contains(name)))
}

/// Removes a generation's directory, private keys first.
///
/// They are unlinked, not overwritten: on journaling and copy-on-write file systems overwriting
/// reaches another place than the one it is meant for.
pub(super) fn remove_generation(place: &Place, name: &str) -> Result<(), FileError> {
    if !place.has(name)? {
        return Ok(());
    }
    if place.link(name)?.is_some() || place.has_file(name)? {
        // No generation was ever written so. What a link leads to is somebody else's, and stays.
        place.remove(name)?;
        return Ok(());
    }
    let directory = place.enter(name)?;
    let mut entries = directory.names()?;
    entries.sort_by_key(|entry| !(members::is_private_key(entry) || entry == members::SIGNING));
    for entry in &entries {
        directory.remove(entry)?;
    }
    place.remove_directory(name)?;
    Ok(())
}

/// Whether an outer entry is not the link that it should be; describes the first such, and names what stands in
/// its place.
pub(super) fn foreign(place: &Place) -> Result<Option<(String, Option<String>)>, FileError> {
    for name in members::MIRROR {
        if place.link(name)?.is_none_or(|target| target != names::through_data(name)) {
            let path = Files { place, follow: false }.place(name);
            return Ok(Some(if place.has(name)? {
                (format!("{path} is not a link to the newest generation"), Some(path))
            } else {
                (format!("{path} is missing"), None)
            }));
        }
    }
    Ok(None)
}
