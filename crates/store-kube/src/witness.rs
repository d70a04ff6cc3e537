//! The witness: a second Secret that holds the newest manifest and no key.

use keystile_keyring::Manifest;
use keystile_keyring::manifest::ManifestError;
use keystile_keyring::manifest::limits::MANIFEST_BYTES;
use keystile_kubernetes::{ApiError, Call, Meta};
use keystile_store::parts::{Members, read_manifest};
use keystile_store::{
    FileError, Freshness, LoadError, LoadedPublic, Remembers, Secrecy, StoreError, members, remembers,
};

use crate::Root;
use crate::secret::{body, change_head, collection, failed, new_head, path, place};

/// What the witness remembers, and in which version of its Secret.
pub(crate) struct Witness {
    pub(crate) manifest: Manifest,
    meta: Meta,
}

/// How often a write is tried that others' writes overtake.
const TRIES: usize = 5;

/// What it remembers; `None` if there is none.
pub(crate) async fn read(root: &Root) -> Result<Option<Witness>, StoreError> {
    let Some(found) = root.find(&root.witness).await? else {
        return Ok(None);
    };
    let garbage = |source| StoreError::WitnessGarbage { place: place(&root.witness), source };
    let bytes = found.members.read(members::MANIFEST, MANIFEST_BYTES, Secrecy::Public)?;
    let Some(bytes) = bytes else {
        let why = format!("it has no member {}", members::MANIFEST);
        return Err(garbage(ManifestError::Json(why)));
    };
    let manifest = Manifest::from_json(&bytes).map_err(garbage)?;
    Ok(Some(Witness { manifest, meta: found.meta }))
}

/// The same as the keyring, for those who may not read that.
pub(crate) async fn load(root: &Root) -> Result<LoadedPublic, LoadError> {
    let read_began = root.clock.uptime();
    let missing = |found: &str| LoadError::Missing { place: place(&root.witness), found: found.to_owned() };
    let found = root.find(&root.witness).await?.ok_or_else(|| missing("there is no such Secret"))?;
    let read = read_manifest(&found.members)?;
    let (manifest, digest) = read.ok_or_else(|| missing("it has no member keyring.json"))?;
    root.seen();
    Ok(LoadedPublic { manifest, digest, read_began, freshness: Freshness::Confirmed })
}

/// Makes it remember `manifest`, unless it remembers a newer one or another of the same generation.
pub(crate) async fn write(root: &Root, manifest: &Manifest) -> Result<(), StoreError> {
    let garbage = |source| StoreError::WitnessGarbage { place: place(&root.witness), source };
    let bytes = manifest.to_json().map_err(garbage)?;
    for _ in 0..TRIES {
        let witness = read(root).await?;
        let known = witness.as_ref().map(|witness| &witness.manifest);
        if remembers(known, manifest)? == Remembers::Same {
            return Ok(());
        }
        match send(root, witness.as_ref(), &bytes, false).await {
            Ok(()) => return Ok(()),
            // Somebody was faster: look again at what it remembers now.
            Err(error) if overtaken(&error, witness.as_ref()) => {}
            Err(error) => return Err(failed("write", &root.witness, error).into()),
        }
    }
    Err(StoreError::Locked { by: format!("somebody who keeps changing {}", place(&root.witness)) })
}

/// Fails where `bytes` could not be written: a change must not be committed without its witness.
pub(crate) async fn writable(root: &Root, known: Option<&Witness>, bytes: &[u8]) -> Result<(), FileError> {
    match send(root, known, bytes, true).await {
        Err(error) if !overtaken(&error, known) => Err(failed("write", &root.witness, error)),
        _ => Ok(()),
    }
}

/// Whether somebody changed, created or deleted it since it was read.
fn overtaken(error: &ApiError, known: Option<&Witness>) -> bool {
    error.code() == Some(409) || (error.code() == Some(404) && known.is_some())
}

async fn send(root: &Root, known: Option<&Witness>, bytes: &[u8], dry: bool) -> Result<(), ApiError> {
    let members = [(members::MANIFEST, Some(bytes))];
    let call = match known {
        None => {
            let body = body(&new_head(&root.witness), members.into_iter());
            Call::create(collection(root.witness.namespace()), body)
        }
        Some(witness) => {
            Call::merge(path(&root.witness), body(&change_head(&witness.meta), members.into_iter()))
        }
    };
    let call = if dry { call.with("dryRun", "All") } else { call };
    root.api.call(call).await.map(|_| ())
}
