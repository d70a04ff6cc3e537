//! What is due: the steps that a scheduled `reconcile` takes, one change at a time.

use crate::gate::Fleet;
use crate::manifest::Manifest;
use crate::plan::prune::waste;
use crate::plan::{Mode, Verb};
use crate::time::UnixTime;

/// What reconcile would do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Go on with the rotation in flight.
    Resume(Verb),
    /// Begin a rotation: the active key is as old as `rotate_every`.
    Rotate(Verb),
    /// Destroy what nothing needs any more.
    Prune(Verb),
    /// Nothing.
    Nothing,
}

/// The next thing that is due at `now`.
pub fn due(manifest: &Manifest, now: UnixTime) -> Due {
    let rotate = || Verb::Rotate { mode: Mode::Gated(Fleet::Reporting), no_rollback: false };
    if !waste(manifest, now, manifest.maxima(now).skew).is_empty() {
        return Due::Prune(Verb::Prune);
    }
    if manifest.operation.is_some() {
        return Due::Resume(rotate());
    }
    let old = manifest
        .policy
        .rotate_every
        .is_some_and(|every| manifest.key_age(now).is_some_and(|age| age >= every));
    if old && manifest.activation_ahead(now).is_none() {
        return Due::Rotate(rotate());
    }
    Due::Nothing
}
