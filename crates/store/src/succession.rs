//! Whether one generation may follow another: the same rule in every store.

use keystile_keyring::Manifest;

use crate::{Commit, CommitError};

/// Checks that `commit` may be made on the manifest that the store holds, where the witness remembers `witness`.
///
/// A generation's number is one more than the store's. A repair's is higher than both the store's and the
/// witness's, and may be higher yet: replicas never load a generation that is not higher than theirs.
pub fn follows(
    commit: &Commit,
    store: Option<&Manifest>,
    witness: Option<&Manifest>,
) -> Result<(), CommitError> {
    let next = &commit.manifest;
    let standing = store.map(|store| store.standing(witness));
    if let Some(broken) = standing.filter(|standing| standing.is_broken() && !commit.repairs) {
        return Err(CommitError::Broken(broken));
    }
    if let Some(undone) = [store, witness].into_iter().flatten().find_map(|known| next.undoes(known)) {
        return Err(CommitError::Invalid(format!("it undoes what is final: {undone}")));
    }
    let number = |manifest: Option<&Manifest>| manifest.map_or(0, |manifest| manifest.generation);
    let due = number(store).max(number(witness)).saturating_add(1);
    if next.generation < due || (next.generation > due && !commit.repairs) {
        let why = format!("its generation is {}; expected {due}", next.generation);
        return Err(CommitError::Invalid(why));
    }
    let previous = commit.expected.map(|base| base.digest);
    if next.previous != previous {
        let word = |digest: Option<_>| digest.map_or("none".to_owned(), |digest| format!("{digest}"));
        let why = format!("it follows {}; expected {}", word(next.previous), word(previous));
        return Err(CommitError::Invalid(why));
    }
    Ok(())
}
