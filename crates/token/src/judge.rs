//! The rules in their order, for either kind of token.

use keystile_keyring::manifest::{Alg, End};
use keystile_keyring::{Breach, Key, KeyState, Kid, Lookup, TokenTimes, UnixTime};

use crate::claims::ClaimFault;
use crate::docket::Docket;
use crate::json::Object;
use crate::jws::Segments;
use crate::keyring::Keyring;
use crate::reason::Reason;
use crate::sandbox_id::SandboxId;
use crate::verdict::{Accepted, Circumstance, Rejection, Signature, Verdict};

/// The claims of one kind of token.
pub(crate) trait Kind: Sized {
    /// The longest lifetime whatever the key, in seconds.
    const CEILING: Option<u64>;

    /// Reads the claims, each of its type. Nothing is believed by that.
    fn read<'p>(payload: &'p Object<'_>) -> Result<Reading<'p, Self>, ClaimFault>;

    /// The sandbox that they name.
    fn sandbox_id(&self) -> Option<&SandboxId>;
}

/// Claims that were read, and what every kind of token has in common.
pub(crate) struct Reading<'p, C> {
    pub(crate) issuer: &'p str,
    pub(crate) audience: &'p str,
    pub(crate) times: TokenTimes,
    /// What the kind's own rules say against it; they come last.
    pub(crate) fault: Option<Reason>,
    pub(crate) claims: C,
}

/// A refusal before any key was looked at.
pub(crate) fn at_once<C>(reason: Reason, kid: Option<&Kid>) -> Verdict<C> {
    Verdict::Rejected(Docket::new(kid).reject(reason, None))
}

/// One token before the keyring.
pub(crate) struct Case<'a> {
    pub(crate) keyring: &'a Keyring,
    pub(crate) kid: &'a Kid,
    pub(crate) audience: &'a str,
    pub(crate) now: UnixTime,
    pub(crate) circumstance: Circumstance,
}

/// What a token shows, nothing of it believed yet.
pub(crate) struct Shown<'a> {
    pub(crate) segments: &'a Segments<'a>,
    pub(crate) alg: Option<Alg>,
    pub(crate) payload: &'a Object<'a>,
}

impl Case<'_> {
    pub(crate) fn verdict<C: Kind>(&self, shown: &Shown<'_>) -> Verdict<C> {
        let mut docket = Docket::new(Some(self.kid));
        self.judge(shown, &mut docket).unwrap_or_else(Verdict::Rejected)
    }

    /// The verdict where the signature is known to be good, and what it vouches for.
    pub(crate) fn verdict_on<C: Kind>(&self, reading: Reading<'_, C>) -> Verdict<C> {
        let mut docket = Docket::new(Some(self.kid));
        self.judge_vouched(reading, &mut docket).unwrap_or_else(Verdict::Rejected)
    }

    /// Key and state, algorithm, signature, claims, bounds: in that order.
    fn judge<C: Kind>(&self, shown: &Shown<'_>, docket: &mut Docket<'_>) -> Result<Verdict<C>, Rejection> {
        let lookup = self.key_state(docket)?;
        if let Lookup::Held(key, _) = lookup {
            self.signature(key, shown, docket)?;
        }
        let reading =
            C::read(shown.payload).map_err(|fault| docket.reject(Reason::MissingClaim, Some(fault)))?;
        self.close(lookup, reading, docket)
    }

    /// The same, the signature having been found good before.
    fn judge_vouched<C: Kind>(
        &self,
        reading: Reading<'_, C>,
        docket: &mut Docket<'_>,
    ) -> Result<Verdict<C>, Rejection> {
        let lookup = self.key_state(docket)?;
        docket.signature = Signature::Good;
        self.close(lookup, reading, docket)
    }

    fn key_state(&self, docket: &mut Docket<'_>) -> Result<Lookup<'_>, Rejection> {
        let lookup = self.keyring.manifest().lookup(self.kid, self.now);
        match lookup {
            Lookup::Unknown => docket.note(Some(Reason::UnknownKid))?,
            Lookup::Held(_, KeyState::Retired) => docket.note(Some(Reason::RetiredKey))?,
            Lookup::Held(_, KeyState::Revoked) | Lookup::Gone(End::Revoked) => {
                docket.note(Some(Reason::RevokedKey))?;
            }
            // A tombstone is for ever: no generation brings the key back.
            Lookup::Gone(End::Retired) => return Err(docket.reject(Reason::RetiredKey, None)),
            Lookup::Held(..) => {}
        }
        Ok(lookup)
    }

    fn signature(&self, key: &Key, shown: &Shown<'_>, docket: &mut Docket<'_>) -> Result<(), Rejection> {
        if shown.alg != Some(key.alg) {
            return Err(docket.reject(Reason::AlgMismatch, None));
        }
        let signature = <&[u8; 64]>::try_from(shown.segments.signature.as_slice()).ok();
        let good = signature
            .zip(self.keyring.verifier(&key.kid))
            .is_some_and(|(signature, verifier)| verifier.verify(shown.segments.signing_input, signature));
        docket.signature = if good { Signature::Good } else { Signature::Bad };
        docket.note((!good).then_some(Reason::BadSignature))
    }

    fn claims<C: Kind>(
        &self,
        lookup: Lookup<'_>,
        reading: &Reading<'_, C>,
        docket: &mut Docket<'_>,
    ) -> Result<(), Rejection> {
        docket.note((reading.issuer != self.keyring.issuer()).then_some(Reason::WrongIssuer))?;
        docket.note((reading.audience != self.audience).then_some(Reason::WrongAudience))?;
        self.bounds::<C>(lookup, reading.times, docket)?;
        let lifetime = reading.times.expires_at.map(|exp| exp.since(reading.times.issued_at));
        if lifetime.zip(C::CEILING).is_some_and(|(lifetime, ceiling)| lifetime > ceiling) {
            // Not a bound of the keyring's: no generation changes it.
            return Err(docket.reject(Reason::LifetimeExceedsPolicy, None));
        }
        docket.note(reading.fault)
    }

    /// The bounds on the token's times, each in its order.
    fn bounds<C: Kind>(
        &self,
        lookup: Lookup<'_>,
        times: TokenTimes,
        docket: &mut Docket<'_>,
    ) -> Result<(), Rejection> {
        let manifest = self.keyring.manifest();
        let (key, state) = match lookup {
            Lookup::Held(key, state) => (Some(key), Some(state)),
            Lookup::Gone(_) | Lookup::Unknown => (None, None),
        };
        let activated = key.is_some_and(|key| manifest.first_activation(&key.kid).is_some());
        for breach in manifest.breaches(key, times, self.now) {
            let excused = key.is_some_and(|key| excuses::<C>(breach, key))
                || state == Some(KeyState::Prepared) && self.may_be_active(breach, times);
            if !excused {
                docket.note(Some(reason_of(breach, activated)))?;
            }
        }
        Ok(())
    }

    /// Whether the breach of a prepared key's token may be none: the key may have been activated since
    /// the store was last read, and the token be one that it was to sign then.
    fn may_be_active(&self, breach: Breach, times: TokenTimes) -> bool {
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

    fn close<C: Kind>(
        &self,
        lookup: Lookup<'_>,
        reading: Reading<'_, C>,
        docket: &mut Docket<'_>,
    ) -> Result<Verdict<C>, Rejection> {
        self.claims(lookup, &reading, docket)
            .map_err(|rejection| rejection.about(reading.claims.sandbox_id()))?;
        Ok(self.conclude(lookup, reading, docket))
    }

    fn conclude<C: Kind>(
        &self,
        lookup: Lookup<'_>,
        reading: Reading<'_, C>,
        docket: &Docket<'_>,
    ) -> Verdict<C> {
        let rejection = match (docket.open(), lookup) {
            (None, Lookup::Held(_, state)) => {
                // Not a clone of the manifest's own: all threads would write to its one count.
                return Verdict::Accepted(Accepted { claims: reading.claims, kid: self.kid.clone(), state });
            }
            (Some(rejection), _) => rejection.about(reading.claims.sandbox_id()),
            (None, Lookup::Gone(_) | Lookup::Unknown) => docket.reject(Reason::UnknownKid, None),
        };
        match self.circumstance {
            Circumstance::Usual => Verdict::Rejected(rejection),
            // Nothing is sure enough for an alarm.
            Circumstance::StoreUnreadable { .. } => {
                Verdict::Unavailable(Rejection { alarm: false, ..rejection })
            }
        }
    }
}

/// A key that signs tokens without an end may sign short ones of another kind.
pub(crate) fn excuses<C: Kind>(breach: Breach, key: &Key) -> bool {
    breach == Breach::LifetimeExceedsPolicy && C::CEILING.is_some() && key.never_expires
}

/// The reason that a breach is told as. A key without any activation gets a reason of its own.
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
