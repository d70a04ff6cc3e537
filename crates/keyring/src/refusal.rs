//! Refusals: an operation that would harm is not done. Part of the product, so each has a stable
//! code and says what was found and what to do instead.

use serde::Serialize;

/// An operation that was not done, for safety.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("refused [{code}]: {found}")]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// What was found, and what would happen.
    pub found: String,
    /// What to do instead.
    pub remedy: String,
}

impl Refusal {
    /// A refusal with its texts.
    pub fn new(code: Code, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, found: found.into(), remedy: remedy.into() }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $text:literal,)+) => {
        /// Why an operation was refused. The texts are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)+];

            /// The stable text.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// When it is given, in one sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($doc),+).trim_ascii(),)+
                }
            }
        }
    };
}

codes! {
    /// A place that holds, or held, a keyring or key files is not initialised again.
    NotEmpty = "not-empty",
    /// A prepared key waits for its activation; a second rotation would overtake it.
    RotationInFlight = "rotation-in-flight",
    /// No key is prepared, so there is nothing to activate.
    NothingInFlight = "nothing-in-flight",
    /// A committed activation has not come yet; changing the signer again would race it.
    ActivationAhead = "activation-ahead",
    /// No live replica has reported, so nobody can know whether the fleet holds the key.
    NoReplicas = "no-replicas",
    /// A live replica has not reported that it holds the prepared key.
    ReplicaBehind = "replica-behind",
    /// Outside verifiers may still cache a JWK Set without the prepared key.
    CachesNotRunOut = "caches-not-run-out",
    /// The operator said that no gateway runs, and one reports.
    ReplicasLive = "replicas-live",
    /// The lead of a scheduled rotation is shorter than what replicas and caches need.
    ScheduleTooShort = "schedule-too-short",
    /// The last change lies more than max_skew after the operator's clock.
    ClockBehind = "clock-behind",
    /// The operator's clock and another one differ by more than max_skew.
    ClockSkew = "clock-skew",
    /// Tokens that are still good would be cut off.
    LiveTokens = "live-tokens",
    /// The key may have signed tokens without an end: only the operator can set one.
    DeadlineRequired = "deadline-required",
    /// The deadline given is not after now.
    DeadlinePast = "deadline-past",
    /// The deadline given is more than ten years ahead.
    DeadlineTooFar = "deadline-too-far",
    /// A reason must be given.
    ReasonRequired = "reason-required",
    /// The key signs now, or will by a committed activation.
    KeySigns = "key-signs",
    /// The key has not signed yet.
    KeyPrepared = "key-prepared",
    /// The keyring does not hold such a key.
    UnknownKey = "unknown-key",
    /// The key was revoked; that is final.
    KeyRevoked = "key-revoked",
    /// The key's window has run out already.
    KeyRetired = "key-retired",
    /// There is no earlier key to go back to.
    NothingToRollBack = "nothing-to-roll-back",
    /// The earlier key cannot sign any more.
    RollbackTooLate = "rollback-too-late",
    /// The keyring holds as many keys as policy allows.
    KeyringFull = "keyring-full",
    /// A kid that is held, or was held once, is not used for another key.
    KidReused = "kid-reused",
    /// A policy member is out of its range.
    PolicyOutOfRange = "policy-out-of-range",
    /// The request id was used for another verb.
    RequestIdReused = "request-id-reused",
    /// A list of the manifest is full.
    ManifestFull = "manifest-full",
    /// No private key is left that may sign.
    NoSigner = "no-signer",
    /// The store holds keys that the witness never saw.
    UnknownKeysInStore = "unknown-keys-in-store",
    /// The store is older than its witness: a backup was restored.
    StoreWentBack = "store-went-back",
    /// Store and witness do not follow one another: somebody went on from an old backup.
    StoreForked = "store-forked",
    /// A live replica holds a newer generation than store and witness.
    ReplicaAhead = "replica-ahead",
    /// The outcome would break an invariant of the keyring.
    WouldBreak = "would-break",
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_kebab_case_and_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            let text = code.as_str();
            assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{text}");
            assert!(seen.insert(text), "{text} twice");
            assert_eq!(serde_json::to_value(code).unwrap(), text);
        }
    }

    #[test]
    fn every_meaning_is_one_sentence() {
        for code in Code::ALL {
            let meaning = code.meaning();
            assert!(meaning.ends_with('.') && meaning.starts_with(char::is_uppercase), "{code}: {meaning}");
            assert!(meaning.len() < 120 && !meaning.contains("  "), "{code}: {meaning}");
        }
    }

    #[test]
    fn a_refusal_shows_its_code_and_what_was_found() {
        let refusal = Refusal::new(Code::KeySigns, "key a signs", "rotate first");
        assert_eq!(refusal.to_string(), "refused [key-signs]: key a signs");
        let json = serde_json::json!({"code": "key-signs", "found": "key a signs", "remedy": "rotate first"});
        assert_eq!(serde_json::to_value(&refusal).unwrap(), json);
    }
}
