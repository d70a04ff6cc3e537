//! Destroy what nothing needs any more.

use crate::ident::Kid;
use crate::manifest::{End, Key, Manifest, PrivateState};
use crate::plan::draft::Draft;
use crate::plan::{Impact, Planned, Step};
use crate::refusal::Refusal;
use crate::time::{UnixTime, in_words};

/// What prune would destroy now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Waste {
    /// Keys that no replica's clock accepts any more.
    keys: Vec<(Kid, End, UnixTime)>,
    /// Private keys whose custody has ended.
    private: Vec<Kid>,
}

impl Waste {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.private.is_empty()
    }
}

/// What nothing needs at `now`, on any clock within `skew`.
pub(super) fn waste(manifest: &Manifest, now: UnixTime, skew: u64) -> Waste {
    let mut waste = Waste::default();
    for key in manifest.keys.iter().filter(|key| !manifest.signs_now_or_later(&key.kid, now)) {
        if let Some((end, at)) = ended(key).filter(|(_, at)| now > at.plus(skew)) {
            waste.keys.push((key.kid.clone(), end, at));
        } else if key.private == PrivateState::Present
            && key
                .superseded
                .is_some_and(|superseded| now > superseded.custody_end() && now > superseded.at.plus(skew))
        {
            waste.private.push(key.kid.clone());
        }
    }
    waste
}

/// How and when a key ended, or will.
pub(super) fn ended(key: &Key) -> Option<(End, UnixTime)> {
    match (&key.revoked, key.superseded.and_then(|superseded| superseded.accept_until)) {
        (Some(revoked), _) => Some((End::Revoked, revoked.at)),
        (None, Some(until)) => Some((End::Retired, until)),
        (None, None) => None,
    }
}

pub(super) fn prune(mut draft: Draft<'_>) -> Result<Planned, Refusal> {
    let now = draft.now;
    let waste = waste(draft.before, now, draft.maxima.skew);
    if waste.is_empty() {
        return Ok(Planned::Nothing("nothing is due for destruction".to_owned()));
    }
    let mut said = Vec::new();
    for kid in &waste.private {
        if let Some(key) = draft.next.key_mut(kid) {
            key.private = PrivateState::DestroyedAt(now);
        }
        said.push(format!("the private key of {kid} is destroyed; no rollback to it any more"));
    }
    for (kid, end, at) in &waste.keys {
        draft.bury(kid, *end, *at)?;
        said.push(format!("{kid} is removed: it has verified nothing for {}", in_words(now.since(*at))));
    }
    draft.done(None);
    let generation = format!("generation {}", draft.next.generation);
    let statement = Impact {
        headline: format!(
            "Would destroy what nothing needs any more in keyring {}.",
            draft.before.gateway_id
        ),
        steps: said.into_iter().map(|what| Step::new(now, generation.clone(), what)).collect(),
        supervisors: vec!["None is affected.".to_owned()],
        warnings: vec!["Backups and snapshots of the store keep what they hold.".to_owned()],
        undo: "none: destroyed is destroyed".to_owned(),
    };
    draft.finish(statement).map(Planned::change)
}
