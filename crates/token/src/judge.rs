//! The rules in their order, and what follows from the first that a token breaks.

use keystile_keyring::manifest::End;
use keystile_keyring::{Breach, KeyState, Kid, Lookup, TokenTimes, UnixTime};

use crate::claims::ClaimFault;
use crate::jws::{Segments, Unverified};
use crate::keyring::Keyring;
use crate::reason::Reason;
use crate::sandbox_id::SandboxId;
use crate::verdict::{Accepted, Circumstance, Rejection, Signature, Verdict};

/// The claims of one kind of token, read and of the right types, not yet believed.
pub(crate) struct Reading<'p, C> {
    pub(crate) issuer: &'p str,
    pub(crate) audience: &'p str,
    pub(crate) times: TokenTimes,
    /// What the kind's own rules say against it; applied last.
    pub(crate) fault: Option<Reason>,
    pub(crate) sandbox_id: Option<SandboxId>,
    pub(crate) claims: C,
}

/// What one kind of token must be besides well signed.
pub(crate) struct Profile<'a, C> {
    pub(crate) read: for<'p> fn(&'p crate::json::Object<'_>) -> Result<Reading<'p, C>, ClaimFault>,
    pub(crate) audience: &'a str,
    /// The longest lifetime whatever the key, in seconds.
    pub(crate) ceiling: Option<u64>,
}

/// Collects the rules that a token breaks. A final one ends the case; one that a newer generation
/// could change is remembered, and the others are still looked at: if one of those is final, no
/// generation can help the token, and the store need not be read.
struct Docket {
    kid: Option<Kid>,
    first: Option<Reason>,
    signature: Signature,
    sandbox_id: Option<SandboxId>,
}

impl Docket {
    fn note(&mut self, reason: Option<Reason>) -> Result<(), Rejection> {
        let Some(reason) = reason else {
            return Ok(());
        };
        if reason.newer_generation_could_change() {
            self.first.get_or_insert(reason);
            return Ok(());
        }
        Err(self.reject(reason, None))
    }

    /// Ends the case for good. `reason` counts unless another came first.
    fn reject(&self, reason: Reason, fault: Option<ClaimFault>) -> Rejection {
        let fault = fault.filter(|_| self.first.is_none());
        self.rejection(self.first.unwrap_or(reason), fault, false)
    }

    fn rejection(&self, reason: Reason, fault: Option<ClaimFault>, reread: bool) -> Rejection {
        let good = self.signature == Signature::Good;
        Rejection {
            reason,
            fault,
            kid: self.kid.clone(),
            sandbox_id: self.sandbox_id.clone().filter(|_| good),
            signature: self.signature,
            alarm: good && reason.betrays_a_thief(),
            reread,
        }
    }
}

/// A refusal before any key was looked at.
pub(crate) fn at_once<C>(reason: Reason, kid: Option<&Kid>) -> Verdict<C> {
    let docket =
        Docket { kid: kid.cloned(), first: None, signature: Signature::NotChecked, sandbox_id: None };
    Verdict::Rejected(docket.reject(reason, None))
}

/// One token before the keyring.
pub(crate) struct Case<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) segments: &'a Segments<'a>,
    pub(crate) token: &'a Unverified<'a>,
    pub(crate) kid: &'a Kid,
    pub(crate) now: UnixTime,
    pub(crate) circumstance: Circumstance,
}

impl Case<'_> {
    /// Key and state, algorithm, signature, claims, instants: design section 6, in that order.
    pub(crate) fn verdict<C>(&self, profile: &Profile<'_, C>) -> Verdict<C> {
        let mut docket = Docket {
            kid: Some(self.kid.clone()),
            first: None,
            signature: Signature::NotChecked,
            sandbox_id: None,
        };
        match self.judge(profile, &mut docket) {
            Ok(verdict) => verdict,
            Err(rejection) => Verdict::Rejected(rejection),
        }
    }

    fn judge<C>(&self, profile: &Profile<'_, C>, docket: &mut Docket) -> Result<Verdict<C>, Rejection> {
        let lookup = self.keyring.manifest().lookup(self.kid, self.now);
        key_state(lookup, docket)?;
        self.signature(lookup, docket)?;
        let reading = (profile.read)(&self.token.payload)
            .map_err(|fault| docket.reject(Reason::MissingClaim, Some(fault)))?;
        docket.sandbox_id.clone_from(&reading.sandbox_id);
        docket.note((reading.issuer != self.keyring.issuer()).then_some(Reason::WrongIssuer))?;
        docket.note((reading.audience != profile.audience).then_some(Reason::WrongAudience))?;
        self.bounds(lookup, reading.times, profile.ceiling, docket)?;
        let lifetime = reading.times.expires_at.map(|exp| exp.since(reading.times.issued_at));
        if lifetime.zip(profile.ceiling).is_some_and(|(lifetime, ceiling)| lifetime > ceiling) {
            return Err(docket.reject(Reason::LifetimeExceedsPolicy, None));
        }
        docket.note(reading.fault)?;
        Ok(self.close(lookup, reading, docket))
    }

    fn signature(&self, lookup: Lookup<'_>, docket: &mut Docket) -> Result<(), Rejection> {
        let Lookup::Held(key, _) = lookup else {
            return Ok(());
        };
        if self.token.header.alg != key.alg.as_str() {
            return Err(docket.reject(Reason::AlgMismatch, None));
        }
        let signature = <&[u8; 64]>::try_from(self.segments.signature.as_slice()).ok();
        let good = signature
            .zip(self.keyring.verifier(&key.kid))
            .is_some_and(|(signature, verifier)| verifier.verify(self.segments.signing_input, signature));
        docket.signature = if good { Signature::Good } else { Signature::Bad };
        if good { Ok(()) } else { Err(docket.reject(Reason::BadSignature, None)) }
    }

    /// The bounds on the token's times, each in its order.
    fn bounds(
        &self,
        lookup: Lookup<'_>,
        times: TokenTimes,
        ceiling: Option<u64>,
        docket: &mut Docket,
    ) -> Result<(), Rejection> {
        let manifest = self.keyring.manifest();
        let (key, state) = match lookup {
            Lookup::Held(key, state) => (Some(key), Some(state)),
            Lookup::Gone(_) | Lookup::Unknown => (None, None),
        };
        let activated = key.is_some_and(|key| manifest.first_activation(&key.kid).is_some());
        for breach in manifest.breaches(key, times, self.now) {
            // A key that signs tokens without an end may sign short ones of another kind.
            let short = ceiling.is_some() && key.is_some_and(|key| key.never_expires);
            let excused = match breach {
                Breach::LifetimeExceedsPolicy if short => true,
                _ => state == Some(KeyState::Prepared) && self.excused(breach, times),
            };
            if !excused {
                docket.note(Some(reason_of(breach, activated)))?;
            }
        }
        Ok(())
    }

    /// Whether a prepared key may have been activated since the store was last read, and the token be
    /// one that the key was to sign then.
    fn excused(&self, breach: Breach, times: TokenTimes) -> bool {
        let Circumstance::StoreUnreadable { confirmed_at } = self.circumstance else {
            return false;
        };
        let policy = &self.keyring.manifest().policy;
        // What an activation lets a key sign is set by the commit that is not known here.
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

    fn close<C>(&self, lookup: Lookup<'_>, reading: Reading<'_, C>, docket: &Docket) -> Verdict<C> {
        match (docket.first, lookup, self.circumstance) {
            (None, Lookup::Held(key, state), _) => {
                Verdict::Accepted(Accepted { claims: reading.claims, kid: key.kid.clone(), state })
            }
            (first, _, Circumstance::Usual) => {
                Verdict::Rejected(docket.rejection(first.unwrap_or(Reason::UnknownKid), None, true))
            }
            (first, _, Circumstance::StoreUnreadable { .. }) => {
                let rejection = docket.rejection(first.unwrap_or(Reason::UnknownKid), None, true);
                Verdict::Unavailable(Rejection { alarm: false, ..rejection })
            }
        }
    }
}

fn key_state(lookup: Lookup<'_>, docket: &mut Docket) -> Result<(), Rejection> {
    match lookup {
        Lookup::Unknown => docket.note(Some(Reason::UnknownKid)),
        Lookup::Held(_, KeyState::Retired) => docket.note(Some(Reason::RetiredKey)),
        Lookup::Held(_, KeyState::Revoked) | Lookup::Gone(End::Revoked) => {
            Err(docket.reject(Reason::RevokedKey, None))
        }
        // A tombstone is for ever: no generation brings the key back.
        Lookup::Gone(End::Retired) => Err(docket.reject(Reason::RetiredKey, None)),
        Lookup::Held(..) => Ok(()),
    }
}

pub(crate) fn reason_of(breach: Breach, activated: bool) -> Reason {
    match breach {
        Breach::KeyRetired => Reason::RetiredKey,
        Breach::KeyRevoked => Reason::RevokedKey,
        Breach::Expired => Reason::Expired,
        Breach::IssuedInFuture => Reason::IssuedInFuture,
        Breach::SignedBeforeActivation if activated => Reason::SignedBeforeActivation,
        Breach::SignedBeforeActivation => Reason::KeyNotActive,
        Breach::SignedAfterSupersession => Reason::SignedAfterSupersession,
        Breach::LifetimeExceedsPolicy => Reason::LifetimeExceedsPolicy,
        Breach::NeverExpires => Reason::NeverExpiresNotAllowed,
        Breach::LineageRevoked => Reason::LineageRevoked,
    }
}
