//! Whether a replica is ready, and why not.

use serde::Serialize;

use crate::{Held, Moment, Replica};
use keystile_keyring::in_words;

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether requests should be sent here.
    pub ready: bool,
    /// Whether tokens are minted: a replica goes on verifying when it may not mint any more.
    pub mints: bool,
    /// The generation held.
    pub generation: u64,
    /// Seconds since a read that confirmed it began.
    pub confirmed_seconds_ago: u64,
    /// What somebody should look at; a replica may be ready in spite of it.
    pub problems: Vec<String>,
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Viewer {
    /// Whoever reaches the admin listener, the log or the store.
    Operators,
    /// Whoever reaches the gateway: errors of the store name its paths.
    Everybody,
}

impl Replica {
    /// How the replica is at `moment`.
    pub fn readiness(&self, held: &Held, moment: Moment, viewer: Viewer) -> Readiness {
        let age = held.age(moment).as_secs();
        let manifest = held.keyring.manifest();
        let mut problems = Vec::new();
        problems.extend(held.trouble.as_deref().map(|trouble| match viewer {
            Viewer::Operators => trouble.to_owned(),
            Viewer::Everybody => "the last read of the store was not in order".to_owned(),
        }));
        let fresh = held.fresh_to_verify(moment);
        if !held.fresh_to_mint(moment) {
            let stopped = if fresh { "minting has stopped" } else { "everything is answered unavailable" };
            problems.push(format!("the keyring was last confirmed {} ago: {stopped}", in_words(age)));
        }
        if manifest.rotation_due(moment.now) {
            let age = in_words(manifest.key_age(moment.now).unwrap_or_default());
            problems.push(format!("rotation is due: the active key signs since {age}; run: keystile rotate"));
        }
        if self.is_stopping() {
            problems.push("this replica is stopping".to_owned());
        }
        let signer = manifest.active_at(moment.now);
        let signs = signer.is_some_and(|key| held.keyring.can_sign_with(&key.kid));
        Readiness {
            ready: fresh && !self.is_stopping(),
            mints: signs && held.may_mint(moment),
            generation: held.generation(),
            confirmed_seconds_ago: age,
            problems,
        }
    }
}
