//! The verdict on a token, by the keyring's own rules: all of a verification but the signature.
//!
//! What `keystile_token` does after the signature was found good, in the same order; `tests.rs` compares the two
//! on real tokens.

use keystile_keyring::manifest::End;
use keystile_keyring::{Breach, KeyState, Kid, Lookup, Manifest, TokenTimes, UnixTime};

/// Under what circumstance a token is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circumstance {
    Usual,
    /// The store cannot be read: what was last confirmed when, by the replica's clock.
    StoreUnreadable {
        confirmed_at: UnixTime,
    },
}

/// What the rules say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Rejected {
        why: Why,
        /// Whether a newer generation could change it.
        reread: bool,
    },
    Unavailable,
}

/// Why a token is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    UnknownKid,
    KeyNotActive,
    Broken(Breach),
}

impl Why {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::UnknownKid => "unknown-kid",
            Self::KeyNotActive => "key-not-active",
            Self::Broken(Breach::KeyRetired) => "retired-key",
            Self::Broken(Breach::KeyRevoked) => "revoked-key",
            Self::Broken(Breach::Expired) => "expired",
            Self::Broken(Breach::IssuedInFuture) => "issued-in-future",
            Self::Broken(Breach::SignedBeforeActivation) => "signed-before-activation",
            Self::Broken(Breach::SignedAfterSupersession) => "signed-after-supersession",
            Self::Broken(Breach::LifetimeExceedsPolicy) => "lifetime-exceeds-policy",
            Self::Broken(Breach::NeverExpires) => "never-expires-not-allowed",
            Self::Broken(Breach::LineageRevoked) => "lineage-revoked",
        }
    }

    fn newer_generation_could_change(self) -> bool {
        match self {
            Self::UnknownKid | Self::KeyNotActive => true,
            Self::Broken(breach) => matches!(
                breach,
                Breach::KeyRetired
                    | Breach::SignedBeforeActivation
                    | Breach::SignedAfterSupersession
                    | Breach::LifetimeExceedsPolicy
                    | Breach::NeverExpires
            ),
        }
    }
}

/// One replica's keyring at one reading of its clock.
#[derive(Clone, Copy)]
pub(crate) struct Bench<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) now: UnixTime,
    pub(crate) circumstance: Circumstance,
}

impl Bench<'_> {
    pub(crate) fn verdict(&self, kid: &Kid, times: TokenTimes) -> Verdict {
        self.broken(kid, times).map_or_else(
            |verdict| verdict,
            |open| match (open, self.circumstance) {
                (None, _) => Verdict::Accepted,
                (Some(why), Circumstance::Usual) => Verdict::Rejected { why, reread: true },
                (Some(_), Circumstance::StoreUnreadable { .. }) => Verdict::Unavailable,
            },
        )
    }

    /// The first rule broken that a newer generation could change; an error if one is broken for good.
    fn broken(&self, kid: &Kid, times: TokenTimes) -> Result<Option<Why>, Verdict> {
        let mut first = None;
        let mut note = |why: Why| {
            if why.newer_generation_could_change() {
                first.get_or_insert(why);
                return Ok(());
            }
            Err(Verdict::Rejected { why: first.unwrap_or(why), reread: false })
        };
        let (key, state) = match self.manifest.lookup(kid, self.now) {
            Lookup::Held(key, state) => (Some(key), Some(state)),
            Lookup::Gone(End::Revoked) => {
                note(Why::Broken(Breach::KeyRevoked))?;
                (None, None)
            }
            Lookup::Gone(End::Retired) => {
                return Err(Verdict::Rejected { why: Why::Broken(Breach::KeyRetired), reread: false });
            }
            Lookup::Unknown => {
                note(Why::UnknownKid)?;
                (None, None)
            }
        };
        let activated = key.is_some_and(|key| self.manifest.first_activation(&key.kid).is_some());
        for breach in self.manifest.breaches(key, times, self.now) {
            let excused = state == Some(KeyState::Prepared) && self.may_be_active(breach, times);
            if !excused {
                let unsigned = breach == Breach::SignedBeforeActivation && !activated;
                note(if unsigned { Why::KeyNotActive } else { Why::Broken(breach) })?;
            }
        }
        Ok(first)
    }

    /// Whether the key may have been activated since the store was last read.
    fn may_be_active(&self, breach: Breach, times: TokenTimes) -> bool {
        let Circumstance::StoreUnreadable { confirmed_at } = self.circumstance else {
            return false;
        };
        let policy = &self.manifest.policy;
        let by_policy = match times.expires_at {
            None => policy.mints_forever(),
            Some(exp) => exp.since(times.issued_at) <= policy.token_ttl,
        };
        times.issued_at >= confirmed_at.minus(policy.max_skew)
            && match breach {
                Breach::SignedBeforeActivation => true,
                Breach::NeverExpires | Breach::LifetimeExceedsPolicy => by_policy,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests;
