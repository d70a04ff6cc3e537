//! What a witness may be told: the same rule in every store.

use keystile_keyring::Manifest;

use crate::StoreError;

/// What a witness knows, set against a manifest that it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembers {
    /// An older generation, or nothing: it must be told.
    Older,
    /// The same.
    Same,
}

/// Whether a witness that remembers `known` may be told `offered`. It never goes back, and never
/// takes another manifest of the generation that it remembers, nor one that undoes what it knows to be final.
pub fn remembers(known: Option<&Manifest>, offered: &Manifest) -> Result<Remembers, StoreError> {
    let Some(known) = known else {
        return Ok(Remembers::Older);
    };
    if known == offered {
        return Ok(Remembers::Same);
    }
    if known.generation > offered.generation {
        return Err(StoreError::WitnessAhead { found: known.generation, offered: offered.generation });
    }
    if let Some(what) = offered.undoes(known) {
        return Err(StoreError::Undoes { offered: offered.generation, what });
    }
    if known.generation < offered.generation {
        return Ok(Remembers::Older);
    }
    let digest = |manifest: &Manifest| manifest.to_json().map(|bytes| keystile_token::digest(&bytes));
    let unusable = |source| StoreError::WitnessGarbage { place: "its manifest".to_owned(), source };
    Err(StoreError::Forked {
        generation: known.generation,
        found: digest(known).map_err(unusable)?,
        offered: digest(offered).map_err(unusable)?,
    })
}
