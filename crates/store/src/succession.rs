//! Whether one generation may follow another: the same rule in every store.

use keystile_keyring::Manifest;
use keystile_keyring::plan::Base;

use crate::CommitError;

/// Checks that `next` is what may be committed on `expected`, where the witness remembers generation
/// `witness` (0 if it remembers nothing).
///
/// A generation's number is one more than the store's. Where the store went back, it is one more
/// than the witness's: replicas never load a generation lower than one that they hold.
pub fn follows(next: &Manifest, expected: Option<Base>, witness: u64) -> Result<(), CommitError> {
    let store = expected.map_or(0, |base| base.generation);
    let due = store.max(witness).saturating_add(1);
    let previous = expected.map(|base| base.digest);
    if next.generation != due && witness > store {
        return Err(CommitError::WentBack { store, witness });
    }
    if next.generation != due {
        let why = format!("its generation is {}; expected {due}", next.generation);
        return Err(CommitError::Invalid(why));
    }
    if next.previous != previous {
        let word = |digest: Option<_>| digest.map_or("none".to_owned(), |digest| format!("{digest}"));
        let why = format!("it follows {}; expected {}", word(next.previous), word(previous));
        return Err(CommitError::Invalid(why));
    }
    Ok(())
}
