//! Room in the manifest: places for keys, tombstones of those that went, texts and size.

use crate::ident::Kid;
use crate::manifest::{Alg, End, Key, Lifetime, Manifest, PrivateState, Tombstone, limits};
use crate::plan::draft::Draft;
use crate::plan::{Candidate, impact, prune};
use crate::refusal::{Code, Refusal};
use crate::time::{UnixTime, in_words};

/// Whether a key is needed so badly that it may take the last place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    Ordinary,
    Emergency,
}

impl Draft<'_> {
    /// Adds the candidate as a key without an activation. An ordinary rotation leaves one place for
    /// the replacement that a revocation needs.
    pub(super) fn add_key(&mut self, urgency: Urgency) -> Result<Kid, Refusal> {
        let candidate = self.candidate.ok_or_else(|| {
            Refusal::new(
                Code::NoSigner,
                "the plan needs a fresh key, and none was offered",
                "offer a candidate",
            )
        })?;
        if self.before.key(&candidate.kid).is_some() || self.before.tombstone(&candidate.kid).is_some() {
            return Err(Refusal::new(
                Code::KidReused,
                format!("kid {} is, or was, the kid of another key of this keyring", candidate.kid),
                "give the key another kid, or let Keystile make one",
            ));
        }
        self.make_room(urgency)?;
        self.next.keys.push(new_key(candidate, self.now));
        self.takes_candidate = true;
        Ok(candidate.kid.clone())
    }

    /// A place for one key more. An emergency takes the place kept for it, and those of revoked keys:
    /// a revocation, whose own key is one, always finds room.
    fn make_room(&mut self, urgency: Urgency) -> Result<(), Refusal> {
        let held = self.before.keys.len() as u64;
        let limit = self.before.policy.max_keys;
        if urgency == Urgency::Ordinary {
            return if held + 1 < limit { Ok(()) } else { Err(self.keyring_full(urgency)) };
        }
        while self.next.keys.len() as u64 >= limit.max(held) {
            let revoked =
                self.next.keys.iter().find_map(|key| Some((key.kid.clone(), key.revoked.as_ref()?.at)));
            let Some((kid, at)) = revoked else {
                return Err(self.keyring_full(urgency));
            };
            self.bury(&kid, End::Revoked, at)?;
        }
        Ok(())
    }

    fn keyring_full(&self, urgency: Urgency) -> Refusal {
        let (before, skew) = (self.before, self.maxima.skew);
        let idle = before.keys.iter().filter(|key| !before.signs_now_or_later(&key.kid, self.now));
        let first = idle.filter_map(|key| Some((prune::ended(key)?.1.plus(skew + 1), &key.kid))).min();
        let remedy = match first {
            None => "set a deadline for an old key: keystile retire KID --at INSTANT".to_owned(),
            Some((at, kid)) if at <= self.now => format!("remove {kid}, which has ended: keystile prune"),
            Some((at, kid)) => {
                format!(
                    "wait {} until {kid} can be removed, then run: keystile prune",
                    in_words(at.since(self.now))
                )
            }
        };
        let kept = match urgency {
            Urgency::Ordinary => ", and one place is kept for a revocation",
            Urgency::Emergency => "",
        };
        let held = impact::count(before.keys.len() as u64, "key", "keys");
        let found = format!("the keyring holds {held}; max_keys is {}{kept}", before.policy.max_keys);
        Refusal::new(Code::KeyringFull, found, remedy)
    }

    /// Drops a key; its kid is never used again.
    pub(super) fn bury(&mut self, kid: &Kid, end: End, at: UnixTime) -> Result<(), Refusal> {
        let Some(index) = self.next.keys.iter().position(|key| key.kid == *kid) else {
            return Ok(());
        };
        let key = self.next.keys.remove(index);
        self.next.timeline.retain(|activation| activation.kid != *kid);
        let named_until = self.named_until(&key, at);
        self.next.tombstones.push(Tombstone { kid: key.kid, end, at, named_until });
        trim_tombstones(&mut self.next, self.now)
    }

    /// The last instant at which a token of a key that ended `at` can be alive.
    fn named_until(&self, key: &Key, at: UnixTime) -> Option<UnixTime> {
        let longest = key.bounded_lifetime()?;
        let end = key.superseded.and_then(|superseded| superseded.accept_until);
        if key.revoked.is_none() {
            return end.or(Some(at));
        }
        // Replicas that had not heard of the revocation yet went on signing.
        let (maxima, policy) = (self.maxima, &self.next.policy);
        let last_iat = at.plus(maxima.staleness + maxima.skew + policy.commit_delay);
        end.max(Some(last_iat.plus(longest).plus(policy.leeway)))
    }
}

/// Forgets the oldest kids that nothing can name any more, as far as the limit asks for it.
pub(super) fn trim_tombstones(next: &mut Manifest, now: UnixTime) -> Result<(), Refusal> {
    let long_ago = now.minus(next.maxima(now).skew);
    while next.tombstones.len() > limits::TOMBSTONES {
        let nameless = |stone: &Tombstone| stone.named_until.is_some_and(|until| until < long_ago);
        let Some(oldest) = next.tombstones.iter().position(nameless) else {
            return Err(Refusal::new(
                Code::ManifestFull,
                format!("{} kids are remembered as gone, and tokens may still name each", limits::TOMBSTONES),
                "wait until the tokens of the oldest have expired, then run the command again",
            ));
        };
        next.tombstones.remove(oldest);
    }
    Ok(())
}

pub(super) fn new_key(candidate: &Candidate, now: UnixTime) -> Key {
    Key {
        kid: candidate.kid.clone(),
        alg: Alg::EdDsa,
        public_key: candidate.public_key,
        created_at: now,
        origin: candidate.origin,
        longest_token: Lifetime::Bounded(0),
        never_expires: false,
        superseded: None,
        revoked: None,
        private: PrivateState::Present,
    }
}

/// Refuses a text that the manifest has no room for.
pub(super) fn short(what: &str, text: &str) -> Result<(), Refusal> {
    if text.len() <= limits::TEXT_BYTES {
        return Ok(());
    }
    Err(Refusal::new(
        Code::ManifestFull,
        format!("{what} has {} bytes; expected at most {}", text.len(), limits::TEXT_BYTES),
        "shorten it",
    ))
}

/// Cuts the history to its limit, and further where a store would not take the manifest: what was
/// must not stand in the way of what is to be done.
pub(super) fn fit(next: &mut Manifest) -> Result<(), Refusal> {
    let excess = next.history.len().saturating_sub(limits::HISTORY);
    next.history.drain(..excess);
    while let Err(error) = next.to_json() {
        if next.history.len() > 1 {
            next.history.remove(0);
        } else if next.requests.len() > 1 {
            next.requests.remove(0);
        } else {
            let remedy = "run keystile prune; use shorter kids and request ids";
            return Err(Refusal::new(Code::ManifestFull, error.to_string(), remedy));
        }
    }
    Ok(())
}
