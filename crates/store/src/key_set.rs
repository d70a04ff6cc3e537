//! The three members that a single-key gateway reads.

use keystile_keyring::{Kid, PublicKey};
use keystile_token::PrivateKey;

use crate::image::{Members, Secrecy};
use crate::members::{self, limits::KEY_BYTES};
use crate::{LoadError, StoreError};

/// One key as OpenShell stores it: `signing.pem`, `public.pem`, `kid`.
pub struct KeySet {
    /// The text of `kid`, trimmed; an opaque name, whatever the key is.
    pub kid: Kid,
    /// The private key.
    pub private: PrivateKey,
    /// Its public key, as both files say.
    pub public: PublicKey,
}

impl KeySet {
    /// Reads all three; `None` if none of them is there. Two keys that are not a pair are refused:
    /// OpenShell itself starts with such a set and then rejects every token that it mints.
    pub fn read(from: &dyn Members) -> Result<Option<Self>, LoadError> {
        let signing = from.read(members::SIGNING, KEY_BYTES, Secrecy::Private)?;
        let public = from.read(members::PUBLIC, KEY_BYTES, Secrecy::Public)?;
        let kid = from.read(members::KID, KEY_BYTES, Secrecy::Public)?;
        let (signing, public, kid) = match (signing, public, kid) {
            (Some(signing), Some(public), Some(kid)) => (signing, public, kid),
            (None, None, None) => return Ok(None),
            (signing, public, kid) => {
                let there = [signing.is_some(), public.is_some(), kid.is_some()];
                return Err(LoadError::Missing { place: from.place(""), found: partial(there) });
            }
        };
        let garbage = |name, source| LoadError::KeyGarbage { place: from.place(name), source };
        let kid = read_kid(from, &kid)?;
        let private = PrivateKey::from_pem(&signing).map_err(|source| garbage(members::SIGNING, source))?;
        let public = keystile_token::public_key_from_pem(&public)
            .map_err(|source| garbage(members::PUBLIC, source))?;
        if private.public_key() != public {
            let place = from.place(members::SIGNING);
            return Err(LoadError::KeyMismatch { place, public: from.place(members::PUBLIC) });
        }
        Ok(Some(Self { kid, private, public }))
    }
}

/// Describes a key set of which some members are missing.
pub fn partial(there: [bool; 3]) -> String {
    let names = |wanted: bool| {
        let named = members::MIRROR.iter().zip(there).filter(|(_, there)| *there == wanted);
        named.map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    };
    format!("a partial key set: {}, and no {}", names(true), names(false))
}

fn read_kid(from: &dyn Members, text: &[u8]) -> Result<Kid, LoadError> {
    let text = String::from_utf8_lossy(text);
    Kid::new(text.trim()).map_err(|source| LoadError::KidGarbage { place: from.place(members::KID), source })
}

/// The kid of a key set that is known to be there, without a look at its keys.
pub fn kid_only(from: &dyn Members) -> Result<Kid, StoreError> {
    let bytes = from.read(members::KID, KEY_BYTES, Secrecy::Public)?.unwrap_or_default();
    Ok(read_kid(from, &bytes)?)
}
