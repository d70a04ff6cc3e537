//! What lies around the keyring: the directory, its lock, the mirror and the witness.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use keystile_keyring::Standing;
use keystile_store::{Freshness, LoadedPublic, Mirror, Store};

use super::Check;
use crate::place::Place;

/// The directory itself: who may write, who holds the lock, what was left behind.
pub(super) fn directory(place: &Place) -> Vec<Check> {
    // Another kind of store has no directory to look at.
    let Place::Directory { path: root, .. } = place else {
        return Vec::new();
    };
    let Ok(metadata) = fs::metadata(root) else {
        return Vec::new();
    };
    let mode = metadata.permissions().mode() & 0o7777;
    let mut checks = vec![if mode & 0o022 == 0 {
        Check::ok("directory", format!("mode {mode:04o}: only its owner writes"))
    } else if mode & 0o1000 != 0 {
        Check::ok("directory", format!("mode {mode:04o}: only an entry's owner replaces it, as in a mount"))
    } else {
        let remedy = format!("chmod go-w {}", root.display());
        Check::fail("directory", format!("mode {mode:04o}: others may replace the keys"), remedy)
    }];
    checks.extend(lock(root));
    let orphans = orphans(root);
    if orphans > 0 {
        let found = format!("{orphans} left over from a change that was cut off");
        checks.push(Check::warn("remains", found, "keystile reconcile"));
    }
    checks
}

fn lock(root: &Path) -> Option<Check> {
    let file = fs::File::open(root.join(".lock")).ok()?;
    Some(match file.try_lock_shared() {
        Ok(()) => Check::ok("lock", "nobody is changing the keyring"),
        Err(_) => Check::warn("lock", "somebody is changing the keyring now", "wait until it is done"),
    })
}

/// Directories of generations that nothing needs: besides the newest the store keeps the one before.
fn orphans(root: &Path) -> usize {
    let Ok(entries) = fs::read_dir(root) else {
        return 0;
    };
    let current = fs::read_link(root.join("..data")).ok();
    let names = entries.filter_map(|entry| Some(entry.ok()?.file_name()));
    let generations = names.filter(|name| name.to_string_lossy().starts_with("..g"));
    let others =
        generations.filter(|name| current.as_deref().is_some_and(|current| current.as_os_str() != name));
    others.count().saturating_sub(1)
}

/// The mirror and the witness.
pub(super) async fn beside(store: &dyn Store, loaded: &LoadedPublic) -> Vec<Check> {
    let mut checks = vec![mirror(store).await, witness(store, loaded).await];
    if loaded.freshness == Freshness::Asserted {
        checks.push(Check::warn(
            "freshness",
            "this is a copy that somebody else keeps up to date: how old it may be is your word",
            "look at the original store, where there is one",
        ));
    }
    checks
}

async fn mirror(store: &dyn Store) -> Check {
    match store.mirror().await {
        Ok(Mirror::Current { kid }) => {
            Check::ok("mirror", format!("a single-key gateway would start with {kid}"))
        }
        Ok(Mirror::Stale { shown, expected }) => {
            Check::warn("mirror", format!("shows {shown}; expected {expected}"), "keystile reconcile")
        }
        Ok(ref mirror @ Mirror::Broken { ref why, .. }) => {
            Check::warn("mirror", why.clone(), mirror.remedy())
        }
        Err(error) => Check::error("mirror", &error),
    }
}

async fn witness(store: &dyn Store, loaded: &LoadedPublic) -> Check {
    let (held, generation) = (&loaded.manifest, loaded.manifest.generation);
    match store.witness().await {
        Ok(Some(witness)) => match held.standing(Some(&witness)) {
            Standing::InStep => Check::ok("witness", format!("remembers generation {generation}")),
            Standing::Ahead => Check::warn(
                "witness",
                format!("remembers generation {}, the store holds {generation}", witness.generation),
                "keystile reconcile",
            ),
            broken => Check::fail("witness", broken.to_string(), "repair it: keystile reconcile"),
        },
        Ok(None) => Check::warn(
            "witness",
            "there is none: a restored backup could not be recognised",
            "keystile reconcile",
        ),
        Err(error) => Check::error("witness", &error),
    }
}
