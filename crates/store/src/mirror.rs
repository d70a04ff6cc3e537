//! Whose key the single-key members show.

use keystile_keyring::{Kid, Manifest, UnixTime};

use crate::{KeySet, LoadError, mirrored_kid};

/// Whether the single-key members show the key that is active, or becomes so within
/// `activation_lead`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// They do.
    Current {
        /// The key.
        kid: Kid,
    },
    /// They show another key of the keyring: a single-key gateway that starts now signs with it.
    Stale {
        /// The key they show.
        shown: Kid,
        /// The key they should show.
        expected: Kid,
    },
    /// They are missing, in part or whole, or do not belong together, or are not the keyring's.
    Broken {
        /// The key they should show; absent where none may sign.
        expected: Option<Kid>,
        /// What is wrong.
        why: String,
        /// What somebody else has put in their place. It is left alone: only the operator knows what it is.
        in_the_way: Option<String>,
    },
}

impl Mirror {
    /// What a key set that was read means as the mirror of `manifest` at `now`.
    pub fn judge(shown: Result<Option<KeySet>, LoadError>, manifest: &Manifest, now: UnixTime) -> Self {
        let expected = mirrored_kid(manifest, now);
        let set = match shown {
            Ok(Some(set)) => set,
            Ok(None) => {
                return Self::broken(expected, "none of the three members is there".to_owned());
            }
            Err(error) => return Self::broken(expected, error.to_string()),
        };
        if manifest.key(&set.kid).is_none_or(|key| key.public_key != set.public) {
            let why = format!("they show key {}, which the keyring does not hold", set.kid);
            return Self::broken(expected, why);
        }
        match expected {
            Some(expected) if expected == set.kid => Self::Current { kid: expected },
            Some(expected) => Self::Stale { shown: set.kid, expected },
            None => Self::broken(None, format!("they show key {}, and no key may sign", set.kid)),
        }
    }

    /// What `keystile reconcile` mends, unless the signer is lost.
    fn broken(expected: Option<Kid>, why: String) -> Self {
        Self::Broken { expected, why, in_the_way: None }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Broken { in_the_way: Some(path), .. } => {
                format!(
                    "look whose it is, then move it away: mv {path} {path}.away; then: keystile reconcile"
                )
            }
            _ => "keystile reconcile".to_owned(),
        }
    }
}
