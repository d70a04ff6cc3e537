//! What the keyring says at an instant. Everything here is a pure function of (manifest, instant).

use serde::{Deserialize, Serialize};

use crate::ident::Kid;
use crate::manifest::{Activation, End, Key, Lifetime, Manifest, PrivateState};
use crate::time::UnixTime;

/// State of a key at an instant (NIST SP 800-57 part 1 section 7).
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Revoked, Tombstone};
    use crate::testing::{at, kid, ring, ring_of};

    fn state(manifest: &Manifest, name: &str, now: u64) -> KeyState {
        manifest.state_at(&kid(name), at(now)).unwrap()
    }

    fn signer(manifest: &Manifest, now: u64) -> Option<&str> {
        manifest.active_at(at(now)).map(|key| key.kid.as_str())
    }

    fn revoke(manifest: &mut Manifest, name: &str, since: u64) {
        let revoked = Revoked { at: at(since), reason: "lost".to_owned() };
        manifest.key_mut(&kid(name)).unwrap().revoked = Some(revoked);
    }

    #[test]
    fn a_key_passes_through_its_states_at_the_second() {
        let manifest = ring_of(&[("a", 1000), ("b", 2000), ("c", 3000)]);
        let states = [
            (1999, KeyState::Prepared),
            (2000, KeyState::Active),
            (2999, KeyState::Active),
            (3000, KeyState::VerifyOnly),
            (3185, KeyState::VerifyOnly),
            (3186, KeyState::Retired),
        ];
        for (now, expected) in states {
            assert_eq!(state(&manifest, "b", now), expected, "at {now}");
        }
        assert_eq!(manifest.state_at(&kid("z"), at(2000)), None);
    }

    #[test]
    fn before_the_first_activation_nothing_signs() {
        assert_eq!((signer(&ring(), 999), signer(&ring(), 1000)), (None, Some("a")));
        assert_eq!(state(&ring(), "a", 999), KeyState::Prepared);
    }

    #[test]
    fn of_equal_instants_the_last_wins() {
        let manifest = ring_of(&[("a", 1000), ("b", 2000), ("a", 2000)]);
        assert_eq!((signer(&manifest, 1999), signer(&manifest, 2000)), (Some("a"), Some("a")));
        assert_eq!(state(&manifest, "b", 1999), KeyState::Prepared);
        assert_eq!(state(&manifest, "b", 2000), KeyState::VerifyOnly);
        assert!(manifest.signs_now_or_later(&kid("b"), at(1999)));
        assert!(!manifest.signs_now_or_later(&kid("b"), at(2000)), "it never signs");
    }

    #[test]
    fn a_window_without_an_end_stays_open() {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        manifest.keys[0].superseded.as_mut().unwrap().accept_until = None;
        assert_eq!(state(&manifest, "a", u64::MAX), KeyState::VerifyOnly);
    }

    /// The timeline is read at the later of the clock and the latest revocation.
    #[test]
    fn a_replacement_signs_at_once_on_a_slower_clock() {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        revoke(&mut manifest, "a", 2000);
        assert_eq!(signer(&manifest, 1990), Some("b"));
        assert_eq!(state(&manifest, "b", 1990), KeyState::Active);
        manifest.keys.remove(0);
        manifest.timeline.remove(0);
        assert_eq!(signer(&manifest, 1990), None, "nobody remembers the revocation");
        let stone = Tombstone { kid: kid("a"), end: End::Revoked, at: at(2000), named_until: None };
        manifest.tombstones.push(stone);
        assert_eq!(signer(&manifest, 1990), Some("b"), "its tombstone does");
        manifest.tombstones[0].end = End::Retired;
        assert_eq!(signer(&manifest, 1990), None, "a retirement is not a revocation");
    }

    #[test]
    fn a_revoked_key_never_signs_and_is_revoked_whatever_the_clock_shows() {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        revoke(&mut manifest, "b", 2500);
        for now in [0, 1999, 2500, 9000] {
            assert_eq!(state(&manifest, "b", now), KeyState::Revoked, "at {now}");
            assert_eq!(signer(&manifest, now), None, "at {now}: the check refuses such a plan");
        }
    }

    #[test]
    fn what_is_published_may_be_alive() {
        let published = [KeyState::Prepared, KeyState::Active, KeyState::VerifyOnly];
        let hidden = [KeyState::Retired, KeyState::Revoked];
        assert!(published.into_iter().all(KeyState::published));
        assert!(!hidden.into_iter().any(KeyState::published));
    }

    #[test]
    fn the_words_for_states_are_those_of_the_manifest() {
        let all = [
            KeyState::Prepared,
            KeyState::Active,
            KeyState::VerifyOnly,
            KeyState::Retired,
            KeyState::Revoked,
        ];
        for state in all {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(format!("{state:>12}").len(), 12);
        }
    }

    #[test]
    fn a_kid_is_held_gone_or_unknown() {
        let mut manifest = ring();
        let stone = Tombstone { kid: kid("old"), end: End::Revoked, at: at(5), named_until: None };
        manifest.tombstones.push(stone);
        assert!(matches!(manifest.lookup(&kid("a"), at(1000)), Lookup::Held(_, KeyState::Active)));
        assert_eq!(manifest.lookup(&kid("old"), at(1000)), Lookup::Gone(End::Revoked));
        assert_eq!(manifest.lookup(&kid("z"), at(1000)), Lookup::Unknown);
    }

    #[test]
    fn periods_end_with_the_next_entry() {
        let manifest = ring_of(&[("a", 1000), ("b", 2000), ("a", 3000), ("c", 4000)]);
        assert_eq!(manifest.last_period_end(&kid("a")), Some(at(4000)));
        assert_eq!(manifest.last_period_end(&kid("b")), Some(at(3000)));
        assert_eq!(manifest.last_period_end(&kid("c")), None);
        assert_eq!(manifest.last_period_end(&kid("z")), None);
        assert_eq!(manifest.first_activation(&kid("a")), Some(at(1000)));
        assert_eq!(manifest.last_signer(), Some(&kid("c")));
    }

    #[test]
    fn an_activation_is_ahead_until_its_second_comes() {
        let manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        let ahead = |now| manifest.activation_ahead(at(now)).map(|entry| entry.kid.as_str());
        assert_eq!((ahead(1999), ahead(2000)), (Some("b"), None));
        assert!(manifest.signs_now_or_later(&kid("b"), at(1500)));
        assert!(manifest.signs_now_or_later(&kid("a"), at(1999)));
        assert!(!manifest.signs_now_or_later(&kid("a"), at(2000)));
    }

    /// T33: a schedule that never fires shows.
    #[test]
    fn t33_a_rotation_is_due_at_the_age_that_policy_names() {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        manifest.policy.rotation_due_after = 500;
        assert!(!manifest.rotation_due(at(2499)) && manifest.rotation_due(at(2500)));
        manifest.policy.rotation_due_after = 0;
        assert!(!manifest.rotation_due(at(u64::MAX)), "0 is never");
    }

    #[test]
    fn an_adopted_key_is_as_old_as_the_keyring() {
        let mut manifest = ring_of(&[("a", 0)]);
        manifest.keys[0].created_at = at(1000);
        assert_eq!(manifest.key_age(at(1060)), Some(60));
        assert_eq!(ring().key_age(at(999)), None, "nothing signs yet");
    }

    #[test]
    fn a_key_is_active_since_it_signs_without_a_break() {
        let manifest = ring_of(&[("a", 1000), ("b", 2000), ("b", 2500), ("a", 3000)]);
        let since = |now| manifest.active_since(at(now)).map(|since| since.0);
        assert_eq!(
            [since(999), since(1500), since(2600), since(3000)],
            [None, Some(1000), Some(2000), Some(3000)]
        );
    }

    #[test]
    fn the_next_event_is_the_first_that_comes_by_itself() {
        let manifest = ring_of(&[("a", 1000), ("b", 2000), ("c", 3000)]);
        let next = |now| manifest.next_event(at(now)).map(|(at, event)| (at.0, event));
        assert_eq!(next(1000), Some((2000, Event::Activates(kid("b")))));
        assert_eq!(next(2000), Some((2185, Event::Retires(kid("a")))));
        assert_eq!(next(2184), Some((2185, Event::Retires(kid("a")))));
        assert_eq!(next(2185), Some((3000, Event::Activates(kid("c")))));
        assert_eq!(next(3185), None);
    }

    #[test]
    fn custody_ends_with_the_window_or_before() {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        let bounds = manifest.keys[0].superseded.as_mut().unwrap();
        assert_eq!(bounds.custody_end(), at(2185), "not after accept_until");
        bounds.custody_until = at(2050);
        assert_eq!(bounds.custody_end(), at(2050));
        assert_eq!(manifest.next_event(at(2000)), Some((at(2050), Event::CustodyEnds(kid("a")))));
        manifest.keys[0].private = PrivateState::DestroyedAt(at(2051));
        assert_eq!(manifest.next_event(at(2000)), Some((at(2185), Event::Retires(kid("a")))));
    }

    #[test]
    fn a_revoked_key_has_no_events_of_its_own() {
        let mut manifest = ring_of(&[("a", 1000), ("b", 2000)]);
        revoke(&mut manifest, "a", 2100);
        assert_eq!(manifest.next_event(at(2000)), None);
    }

    #[test]
    fn a_rollback_abandons_the_key_it_goes_back_from() {
        let abandoned = |entries: &[(&str, u64)]| {
            let manifest = ring_of(entries);
            manifest.abandoned().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(abandoned(&[("a", 1), ("b", 2), ("c", 3)]), Vec::<String>::new());
        assert_eq!(abandoned(&[("a", 1), ("b", 2), ("a", 3)]), ["b"]);
        assert_eq!(abandoned(&[("a", 1), ("b", 2), ("c", 3), ("b", 4)]), ["c"]);
        assert_eq!(abandoned(&[("a", 1), ("b", 2), ("b", 3)]), Vec::<String>::new());
    }

    #[test]
    fn a_lifetime_is_bounded_unless_somebody_may_hold_a_token_for_ever() {
        let mut key = ring().keys[0].clone();
        assert_eq!(key.bounded_lifetime(), Some(100));
        key.longest_token = Lifetime::Unbounded;
        assert_eq!(key.bounded_lifetime(), None);
        (key.longest_token, key.never_expires) = (Lifetime::Bounded(100), true);
        assert_eq!(key.bounded_lifetime(), None);
    }
}
