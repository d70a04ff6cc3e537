//! Writing: one request replaces the whole generation, if the Secret is still the one that was read.

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::plan::Base;
use keystile_keyring::{Digest, Manifest};
use keystile_kubernetes::{Call, Object};
use keystile_store::parts::{Members, read_manifest, read_private};
use keystile_store::{
    Commit, CommitError, FileError, Image, KeySet, LoadError, Mirror, Occupancy, Secrecy, StoreError,
    follows, members, mirrored_kid,
};

use crate::secret::{self, Found, body, change_head, collection, failed, is_ours, new_head, newest, path};
use crate::{Root, occupancy, witness};

/// The most bytes of a Secret's members. Kubernetes takes 1 MiB; what others add must not bring a
/// rotation to a halt.
pub(crate) const SECRET_BYTES: usize = 768 * 1024;

/// How often a write is tried that others' writes overtake.
const TRIES: usize = 5;

/// Takes `commit`, or refuses it.
pub(crate) async fn compare_and_swap(root: &Root, commit: &Commit) -> Result<Digest, CommitError> {
    let image = Image::new(&commit.manifest, &commit.private, root.clock.now())?;
    for _ in 0..TRIES {
        let found = root.read().await?;
        let store = survey(root, found.as_ref(), commit).await?;
        let known = witness::read(root).await.map_err(CommitError::Witness)?;
        follows(commit, store.as_ref(), known.as_ref().map(|witness| &witness.manifest))?;
        let manifest = image.members.iter().find(|member| member.name == members::MANIFEST);
        let bytes = manifest.map(|member| member.bytes.as_slice()).unwrap_or_default();
        witness::writable(root, known.as_ref(), bytes).await?;
        // Nothing was touched so far.
        if write(root, found.as_ref(), &image).await? {
            read_back(root, &image).await?;
            return Ok(image.digest);
        }
    }
    Err(overtaken(root))
}

/// The manifest that `commit` is made on, if what is there is what it was made from.
async fn survey(
    root: &Root,
    found: Option<&Found>,
    commit: &Commit,
) -> Result<Option<Manifest>, CommitError> {
    if commit.expected.is_none() {
        unoccupied(root, found, &commit.manifest).await?;
        return Ok(None);
    }
    let stored = match found.map(|found| read_manifest(&found.members)) {
        Some(read) => read.map_err(CommitError::Base)?,
        None => None,
    };
    let base =
        |(manifest, digest): &(Manifest, Digest)| Base { generation: manifest.generation, digest: *digest };
    let at = stored.as_ref().map(base);
    if at != commit.expected {
        return Err(CommitError::Conflict { expected: commit.expected, found: at });
    }
    Ok(stored.map(|(manifest, _)| manifest))
}

/// Whether a first generation may be written here.
async fn unoccupied(root: &Root, found: Option<&Found>, manifest: &Manifest) -> Result<(), CommitError> {
    let occupancy = occupancy::occupancy(root, found).await.map_err(|error| match error {
        StoreError::Io(error) => CommitError::Io(error),
        StoreError::Load(error) => CommitError::Base(error),
        error => CommitError::Witness(error),
    })?;
    let adopted = match (&occupancy, found) {
        (Occupancy::Empty, _) => true,
        (Occupancy::OpenShellKeySet(_), Some(found)) => {
            let set = KeySet::read(&found.members).map_err(CommitError::Base)?;
            set.is_some_and(|set| manifest.key(&set.kid).is_some_and(|key| key.public_key == set.public))
        }
        _ => false,
    };
    if adopted { Ok(()) } else { Err(CommitError::Occupied { place: root.place(), occupancy }) }
}

/// Replaces what was found by `image`. `false` if somebody else changed the Secret meanwhile.
async fn write(root: &Root, found: Option<&Found>, image: &Image) -> Result<bool, CommitError> {
    let members = image.members.iter().map(|member| (member.name.as_str(), Some(member.bytes.as_slice())));
    let call = match found {
        None => Call::create(collection(root.secret.namespace()), body(&new_head(&root.secret), members)),
        Some(found) => {
            let held = &found.members.members;
            let stays = |name: &&String| !image.members.iter().any(|member| member.name == **name);
            let kept = held.iter().filter(|(name, _)| stays(name) && !is_ours(name));
            let foreign: usize = kept.map(|(name, bytes)| name.len() + bytes.len()).sum();
            fits(root, image, foreign)?;
            let removed = held.keys().filter(|name| stays(name) && is_ours(name));
            let members = members.chain(removed.map(|name| (name.as_str(), None)));
            Call::merge(path(&root.secret), body(&change_head(&found.meta), members))
        }
    };
    let written: Object = match root.api.json(call).await {
        Ok(written) => written,
        Err(error) if matches!(error.code(), Some(404 | 409)) && found.is_some() => return Ok(false),
        Err(error) if error.code() == Some(409) => return Ok(false),
        Err(error) if error.may_have_happened() => {
            return Err(CommitError::Unknown(failed("write", &root.secret, error)));
        }
        Err(error) => return Err(CommitError::Io(failed("write", &root.secret, error))),
    };
    // What the API server stored, admission webhooks included.
    let written = secret::found(&root.secret, written);
    match read_manifest(&written.members) {
        Ok(Some((_, digest))) if digest == image.digest => Ok(true),
        _ => Err(CommitError::Unknown(differs(root))),
    }
}

fn fits(root: &Root, image: &Image, foreign: usize) -> Result<(), CommitError> {
    let own: usize = image.members.iter().map(|member| member.name.len() + member.bytes.len()).sum();
    if own + foreign <= SECRET_BYTES {
        return Ok(());
    }
    let why = format!(
        "it would hold {} bytes, {foreign} of them in members that are not the keyring's; at most \
         {SECRET_BYTES}: move those elsewhere",
        own + foreign
    );
    Err(CommitError::Io(FileError::new("write", root.place(), std::io::Error::other(why))))
}

/// Whether every reader will be able to load what was written.
async fn read_back(root: &Root, image: &Image) -> Result<(), CommitError> {
    let unknown = |error: LoadError| {
        CommitError::Unknown(FileError::new("read back", root.place(), std::io::Error::other(error)))
    };
    let found = root.read().await.map_err(CommitError::Unknown)?;
    let (found, (manifest, digest)) = newest(root, found.as_ref()).map_err(unknown)?;
    if digest == image.digest {
        return read_private(&found.members, &manifest).map(|_| ()).map_err(unknown);
    }
    // The next change may have come already: it was made on this one.
    if manifest.generation > image.generation { Ok(()) } else { Err(CommitError::Unknown(differs(root))) }
}

fn differs(root: &Root) -> FileError {
    let why = std::io::Error::other("it is not what was written");
    FileError::new("read back", root.place(), why)
}

fn overtaken(root: &Root) -> CommitError {
    CommitError::Locked { by: format!("somebody who keeps changing {}", root.place()) }
}

/// Writes the generation anew, byte for byte but for the mirror.
pub(crate) async fn repair_mirror(root: &Root) -> Result<Mirror, CommitError> {
    for _ in 0..TRIES {
        let now = root.clock.now();
        let found = root.read().await?;
        let (held, (manifest, _)) = newest(root, found.as_ref()).map_err(CommitError::Base)?;
        let shown = KeySet::read(&held.members);
        let nothing_to_show = mirrored_kid(&manifest, now).is_none() && matches!(shown, Ok(None));
        let mirror = Mirror::judge(shown, &manifest, now);
        if nothing_to_show || matches!(mirror, Mirror::Current { .. }) {
            return Ok(mirror);
        }
        if write(root, found.as_ref(), &anew(held, &manifest, root)?).await? {
            let found = root.read().await?;
            let (held, (manifest, _)) = newest(root, found.as_ref()).map_err(CommitError::Base)?;
            return Ok(Mirror::judge(KeySet::read(&held.members), &manifest, now));
        }
    }
    Err(overtaken(root))
}

/// The generation that is there, as it should be there.
fn anew(found: &Found, manifest: &Manifest, root: &Root) -> Result<Image, CommitError> {
    let files = &found.members;
    let limit = keystile_keyring::manifest::limits::MANIFEST_BYTES;
    let bytes = files.read(members::MANIFEST, limit, Secrecy::Public).map_err(CommitError::Base)?;
    let private = read_private(files, manifest).map_err(CommitError::Base)?;
    let bytes = bytes.map(|bytes| bytes.to_vec()).unwrap_or_default();
    Image::of_bytes(bytes, manifest, &private, root.clock.now())
}

/// Removes private keys that no generation has a use for. A change cannot leave any: somebody put them
/// there.
pub(crate) async fn clean(root: &Root) -> Result<Vec<String>, CommitError> {
    let Some(found) = root.read().await? else {
        return Ok(Vec::new());
    };
    let Some((manifest, _)) = read_manifest(&found.members).map_err(CommitError::Base)? else {
        return Ok(Vec::new());
    };
    let present = manifest.keys.iter().filter(|key| key.private == PrivateState::Present);
    let expected: Vec<_> = present.map(|key| members::private_key(&key.kid)).collect();
    let names = found.members.members.keys();
    let orphans: Vec<&String> =
        names.filter(|name| members::is_private_key(name) && !expected.contains(name)).collect();
    if orphans.is_empty() {
        return Ok(Vec::new());
    }
    let removed = orphans.iter().map(|name| (name.as_str(), None));
    let call = Call::merge(path(&root.secret), body(&change_head(&found.meta), removed));
    match root.api.call(call).await {
        Ok(_) => {
            Ok(orphans.iter().map(|name| format!("removed the private key {name}, of no key here")).collect())
        }
        Err(error) if error.code() == Some(409) => Err(overtaken(root)),
        Err(error) => Err(CommitError::Io(failed("write", &root.secret, error))),
    }
}
