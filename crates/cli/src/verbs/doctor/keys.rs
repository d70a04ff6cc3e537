//! Do private key, public key, kid and manifest agree?

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::{Manifest, UnixTime, check};
use keystile_store::{LoadError, Loaded, Store};
use keystile_token::{Keyring, kid_of};

use super::Check;

/// The keys of a keyring, private ones included.
pub(super) async fn loaded(store: &dyn Store, now: UnixTime) -> Vec<Check> {
    let loaded = match store.load().await {
        Ok(loaded) => loaded,
        Err(error) => return vec![Check::error("keys", &error)],
    };
    let Loaded { manifest, digest, private, .. } = loaded;
    let mut checks = vec![invariants(&manifest, now), kids(&manifest)];
    let present = manifest.keys.iter().filter(|key| key.private == PrivateState::Present).count();
    let total = manifest.keys.len();
    checks.push(match Keyring::open(manifest, digest, private) {
        Ok(_) => {
            let found = format!("{total} held, {present} with a private key that belongs to its public key");
            Check::ok("keys", found)
        }
        Err(error) => Check::error("keys", &error),
    });
    checks
}

fn invariants(manifest: &Manifest, now: UnixTime) -> Check {
    match check::postcondition(manifest, now) {
        Ok(()) => Check::ok("timeline", "exactly one key signs, now and at every instant ahead"),
        Err(violation) => Check::fail(
            "timeline",
            violation.to_string(),
            "mend it: keystile reconcile; if nothing can sign: keystile rotate --emergency",
        ),
    }
}

fn kids(manifest: &Manifest) -> Check {
    let other = manifest.keys.iter().filter(|key| kid_of(&key.public_key) != key.kid);
    match other.count() {
        0 => Check::ok("kids", "each is derived from its key"),
        some => Check::ok("kids", format!("{some} not derived from their keys: adopted, and kept verbatim")),
    }
}

/// A single-key set that is not adopted yet, if there is one.
pub(super) async fn single(store: &dyn Store) -> Option<Check> {
    match store.read_key_set().await {
        Ok(set) if kid_of(&set.public) == set.kid => {
            Some(Check::ok("keys", "signing.pem, public.pem and kid belong together"))
        }
        Ok(_) => Some(Check::ok(
            "keys",
            "signing.pem and public.pem belong together; kid is not derived from them",
        )),
        Err(LoadError::Missing { .. }) => None,
        Err(error) => Some(Check::error("keys", &error)),
    }
}
