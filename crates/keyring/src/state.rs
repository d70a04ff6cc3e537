//! What the keyring says at an instant. Everything here is a pure function of (manifest, instant).

use serde::{Deserialize, Serialize};

use crate::ident::Kid;
use crate::manifest::{Activation, End, Key, Lifetime, Manifest, PrivateState};
use crate::time::UnixTime;

/// State of a key at an instant (design: NIST SP 800-57 part 1 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// Published, does not sign yet.
    Prepared,
    /// Signs.
    Active,
    /// Signs no more; its tokens are accepted within its bounds.
    VerifyOnly,
    /// Its window ran out: verifies nothing.
    Retired,
    /// Revoked: verifies nothing, for ever.
    Revoked,
}

impl KeyState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Active => "active",
            Self::VerifyOnly => "verify-only",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }

    /// Whether a key in this state belongs in the JWK Set.
    pub fn published(self) -> bool {
        matches!(self, Self::Prepared | Self::Active | Self::VerifyOnly)
    }
}

impl std::fmt::Display for KeyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the keyring knows of a kid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// It holds the key.
    Held(&'a Key, KeyState),
    /// It held the key once.
    Gone(End),
    /// It never heard of it.
    Unknown,
}

/// Something that will happen by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The key begins to sign.
    Activates(Kid),
    /// The key's window runs out after this instant.
    Retires(Kid),
    /// The private key kept for a rollback may be destroyed after this instant.
    CustodyEnds(Kid),
}

impl Manifest {
    /// The instant at which the timeline is read for a clock that shows `now`: a replacement made by
    /// a revocation signs at once, also on a slower clock.
    pub fn timeline_instant(&self, now: UnixTime) -> UnixTime {
        let revoked = self.keys.iter().filter_map(|key| key.revoked.as_ref()).map(|revoked| revoked.at);
        let gone = self.tombstones.iter().filter(|stone| stone.end == End::Revoked).map(|stone| stone.at);
        revoked.chain(gone).fold(now, UnixTime::max)
    }

    /// The key that signs at `now`. `None` before the first activation, and where the timeline
    /// names a revoked key (which [`crate::check::postcondition`] refuses in every plan).
    pub fn active_at(&self, now: UnixTime) -> Option<&Key> {
        let at = self.timeline_instant(now);
        let activation = self.timeline.iter().rev().find(|activation| activation.from <= at)?;
        self.key(&activation.kid).filter(|key| key.revoked.is_none())
    }

    /// The state of a held key at `now`.
    pub fn state_of(&self, key: &Key, now: UnixTime) -> KeyState {
        if key.revoked.is_some() {
            return KeyState::Revoked;
        }
        if self.active_at(now).is_some_and(|active| active.kid == key.kid) {
            return KeyState::Active;
        }
        let at = self.timeline_instant(now);
        if !self.activations(&key.kid).any(|activation| activation.from <= at) {
            return KeyState::Prepared;
        }
        match key.superseded.and_then(|superseded| superseded.accept_until) {
            Some(accept_until) if now > accept_until => KeyState::Retired,
            _ => KeyState::VerifyOnly,
        }
    }

    /// The state of `kid` at `now`, if the keyring holds it.
    pub fn state_at(&self, kid: &Kid, now: UnixTime) -> Option<KeyState> {
        self.key(kid).map(|key| self.state_of(key, now))
    }

    /// What the keyring knows of `kid` at `now`.
    pub fn lookup(&self, kid: &Kid, now: UnixTime) -> Lookup<'_> {
        if let Some(key) = self.key(kid) {
            return Lookup::Held(key, self.state_of(key, now));
        }
        self.tombstone(kid).map_or(Lookup::Unknown, |stone| Lookup::Gone(stone.end))
    }

    /// The activations of `kid`, ascending.
    pub fn activations<'a>(&'a self, kid: &'a Kid) -> impl Iterator<Item = &'a Activation> {
        self.timeline.iter().filter(move |activation| activation.kid == *kid)
    }

    /// The first instant at which `kid` signs or signed.
    pub fn first_activation(&self, kid: &Kid) -> Option<UnixTime> {
        self.activations(kid).map(|activation| activation.from).next()
    }

    /// The key that signs in the end, when every committed activation has come.
    pub fn last_signer(&self) -> Option<&Kid> {
        self.timeline.last().map(|activation| &activation.kid)
    }

    /// The end of the last active period of `kid`; `None` if it never signs or signs in the end.
    pub fn last_period_end(&self, kid: &Kid) -> Option<UnixTime> {
        let last = self.timeline.iter().rposition(|activation| activation.kid == *kid)?;
        self.timeline.get(last + 1).map(|next| next.from)
    }

    /// Since when the key that signs at `now` has been signing without a break.
    pub fn active_since(&self, now: UnixTime) -> Option<UnixTime> {
        let at = self.timeline_instant(now);
        let mut past = self.timeline.iter().rev().skip_while(|activation| activation.from > at).peekable();
        let kid = &past.peek()?.kid;
        past.take_while(|activation| activation.kid == *kid).last().map(|activation| activation.from)
    }

    /// Whether `kid` signs at `now` or at a later instant.
    pub fn signs_now_or_later(&self, kid: &Kid, now: UnixTime) -> bool {
        self.active_at(now).is_some_and(|active| active.kid == *kid)
            || self.activations(kid).any(|activation| activation.from > now)
    }

    /// Whether an activation is committed that has not come yet at `now`.
    pub fn activation_ahead(&self, now: UnixTime) -> Option<&Activation> {
        let at = self.timeline_instant(now);
        self.timeline.last().filter(|activation| activation.from > at)
    }

    /// Whether the active key is so old at `now` that policy calls for a rotation.
    pub fn rotation_due(&self, now: UnixTime) -> bool {
        let after = self.policy.rotation_due_after;
        after != 0 && self.key_age(now).is_some_and(|age| age >= after)
    }

    /// Age of the active key in seconds: since it began to sign, or, for an adopted key that signs
    /// "from the epoch on", since the keyring holds it.
    pub fn key_age(&self, now: UnixTime) -> Option<u64> {
        let active = self.active_at(now)?;
        let since = self.active_since(now)?.max(active.created_at);
        Some(now.since(since))
    }

    /// The next thing that will happen by itself after `now`.
    pub fn next_event(&self, now: UnixTime) -> Option<(UnixTime, Event)> {
        let activations = self
            .timeline
            .iter()
            .filter(|activation| activation.from > now)
            .map(|activation| (activation.from, Event::Activates(activation.kid.clone())));
        let ends = self.keys.iter().filter(|key| key.revoked.is_none()).flat_map(|key| {
            let superseded = key.superseded.filter(|_| !self.signs_now_or_later(&key.kid, now));
            let retires = superseded
                .and_then(|superseded| superseded.accept_until)
                .map(|until| (until, Event::Retires(key.kid.clone())));
            let custody = superseded
                .filter(|_| key.private == PrivateState::Present)
                .map(|superseded| (superseded.custody_end(), Event::CustodyEnds(key.kid.clone())));
            retires.into_iter().chain(custody)
        });
        activations.chain(ends).filter(|(at, _)| *at > now).min_by_key(|(at, _)| *at)
    }

    /// Kids that a rollback went back from: an activation that names an earlier key again abandons
    /// the key before it.
    pub fn abandoned(&self) -> impl Iterator<Item = &Kid> {
        self.timeline.windows(2).enumerate().filter_map(|(index, pair)| {
            let again = pair[0].kid != pair[1].kid
                && self.timeline[..index].iter().any(|earlier| earlier.kid == pair[1].kid);
            again.then_some(&pair[0].kid)
        })
    }
}

impl Key {
    /// Whether the end of its window can be computed: it has no end if it may have signed tokens
    /// that never expire, or for longer than anybody knows.
    pub fn bounded_lifetime(&self) -> Option<u64> {
        match self.longest_token {
            Lifetime::Bounded(seconds) if !self.never_expires => Some(seconds),
            _ => None,
        }
    }
}

impl crate::manifest::Superseded {
    /// The last instant at which the private key is kept for a rollback: after `accept_until` there
    /// is nothing to go back to.
    pub fn custody_end(&self) -> UnixTime {
        self.accept_until.map_or(self.custody_until, |until| until.min(self.custody_until))
    }
}
