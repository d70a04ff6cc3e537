//! A plan in the making: the next manifest, and the rules that every verb shares.

use crate::check;
use crate::ident::{Kid, RequestId};
use crate::manifest::{
    Activation, Alg, Change, DoneRequest, End, Key, Lifetime, Manifest, PrivateState, Superseded, Tombstone,
    limits,
};
use crate::plan::{Base, Candidate, Context, Impact, Plan, Request, impact, prune};
use crate::policy::Maxima;
use crate::refusal::{Code, Refusal};
use crate::report::{Presence, ReplicaReport};
use crate::time::{UnixTime, in_words};

/// The next manifest while a verb changes it.
pub(super) struct Draft<'a> {
    /// The manifest that is replaced.
    pub(super) before: &'a Manifest,
    /// The manifest that replaces it.
    pub(super) next: Manifest,
    /// The later of the operator's clock and the last change.
    pub(super) now: UnixTime,
    /// The largest bounds that a replica may still apply.
    pub(super) maxima: Maxima,
    pub(super) reports: &'a [ReplicaReport],
    pub(super) request: &'a Request,
    base: Base,
    candidate: Option<&'a Candidate>,
    takes_candidate: bool,
    no_rollback: bool,
}

/// Whether a key is needed so badly that it may take the last place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    Ordinary,
    Emergency,
}

impl<'a> Draft<'a> {
    /// Begins a plan, if the operator's clock allows one.
    pub(super) fn begin(
        before: &'a Manifest,
        request: &'a Request,
        context: &Context<'a>,
    ) -> Result<Self, Refusal> {
        short("the actor", &request.actor)?;
        request.reason.as_ref().map_or(Ok(()), |reason| short("the reason", reason))?;
        let skew = before.policy.max_skew;
        let ahead = before.changed_at().since(context.now);
        if ahead > skew {
            return Err(Refusal::new(
                Code::ClockBehind,
                format!(
                    "the last change lies {} after this clock; max_skew is {}",
                    in_words(ahead),
                    in_words(skew)
                ),
                "set this machine's clock right, then run the command again",
            ));
        }
        let now = context.now.max(before.changed_at());
        if !request.verb.is_urgent() {
            clocks_agree(before, context)?;
        }
        let mut next = before.clone();
        next.generation = next.generation.saturating_add(1);
        next.previous = Some(context.digest);
        next.policy_before = before.policy_before.filter(|former| now <= former.until);
        Ok(Self {
            before,
            next,
            now,
            maxima: before.maxima(now),
            reports: context.reports,
            request,
            base: Base { generation: before.generation, digest: context.digest },
            candidate: context.candidate,
            takes_candidate: false,
            no_rollback: false,
        })
    }

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

    /// Lets `kid` sign from `from` on, and raises what it may put on a token.
    pub(super) fn activate(&mut self, kid: &Kid, from: UnixTime) {
        let at = self.next.timeline.partition_point(|activation| activation.from <= from);
        self.next.timeline.insert(at, Activation { from, kid: kid.clone() });
        let ttl = self.next.policy.token_ttl;
        if let Some(key) = self.next.key_mut(kid) {
            raise_lifetime(key, ttl);
        }
    }

    /// Ends custody of the superseded private key as soon as no clock needs it any more.
    pub(super) fn without_rollback(&mut self, no_rollback: bool) {
        self.no_rollback = no_rollback;
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
        self.trim_tombstones()
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

    fn trim_tombstones(&mut self) -> Result<(), Refusal> {
        while self.next.tombstones.len() > limits::TOMBSTONES {
            let long_ago = self.now.minus(self.maxima.skew);
            let nameless = |stone: &Tombstone| stone.named_until.is_some_and(|until| until < long_ago);
            let Some(oldest) = self.next.tombstones.iter().position(nameless) else {
                return Err(Refusal::new(
                    Code::ManifestFull,
                    format!(
                        "{} kids are remembered as gone, and tokens may still name each",
                        limits::TOMBSTONES
                    ),
                    "wait until the tokens of the oldest have expired, then run the command again",
                ));
            };
            self.next.tombstones.remove(oldest);
        }
        Ok(())
    }

    /// Remembers the request as done with this plan.
    pub(super) fn done(&mut self, kid: Option<&Kid>) {
        let request_id = self.request.request_id.clone();
        self.remember(request_id, self.request.verb.name(), kid);
    }

    /// Ends the rotation in flight, by whatever verb. The request that began it is done with it, so
    /// that running it again never begins another.
    pub(super) fn end_operation(&mut self) {
        if let Some(operation) = self.next.operation.take() {
            self.remember(operation.request_id, "rotate", Some(&operation.to_kid));
        }
    }

    fn remember(&mut self, request_id: Option<RequestId>, verb: &str, kid: Option<&Kid>) {
        let new = |id: &RequestId| self.next.requests.iter().all(|done| done.request_id != *id);
        let Some(request_id) = request_id.filter(new) else {
            return;
        };
        self.next.requests.push(DoneRequest {
            request_id,
            verb: verb.to_owned(),
            generation: self.next.generation,
            at: self.now,
            kid: kid.cloned(),
        });
        let excess = self.next.requests.len().saturating_sub(limits::REQUESTS);
        self.next.requests.drain(..excess);
    }

    /// Finishes the plan: bounds, history, and the postcondition that every plan must meet.
    pub(super) fn finish(mut self, impact: Impact) -> Result<Plan, Refusal> {
        let custody = self.no_rollback.then_some(self.maxima.skew);
        bound(&mut self.next, self.before, self.maxima, custody, self.now);
        self.next.history.push(Change {
            generation: self.next.generation,
            at: self.now,
            verb: self.request.verb.name().to_owned(),
            actor: self.request.actor.clone(),
            reason: self.request.reason.clone(),
            request_id: self.request.request_id.clone(),
        });
        fit(&mut self.next)?;
        check::postcondition(&self.next, self.now).map_err(|violation| would_break(&violation))?;
        Ok(Plan {
            verb: self.request.verb.name(),
            planned_at: self.now,
            base: Some(self.base),
            next: self.next,
            takes_candidate: self.takes_candidate,
            impact,
        })
    }

    /// The key that signs at the plan's instant.
    pub(super) fn active(&self) -> Result<&'a Key, Refusal> {
        self.before.active_at(self.now).ok_or_else(|| {
            Refusal::new(
                Code::NoSigner,
                "no key of this keyring signs now",
                "run keystile doctor; keystile rotate --emergency makes a new signing key",
            )
        })
    }

    /// Refuses while a committed activation lies ahead: another change of signer would race it.
    pub(super) fn no_activation_ahead(&self) -> Result<(), Refusal> {
        match self.before.activation_ahead(self.now) {
            None => Ok(()),
            Some(ahead) => Err(Refusal::new(
                Code::ActivationAhead,
                format!("key {} begins to sign in {}", ahead.kid, in_words(ahead.from.since(self.now))),
                "wait for it; or go back: keystile rollback",
            )),
        }
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

/// Refuses while a live replica's clock and this one, or the store's, differ by more than policy
/// bounds: every bound that the plan computes rests on it.
fn clocks_agree(before: &Manifest, context: &Context<'_>) -> Result<(), Refusal> {
    let (now, skew) = (context.now, before.policy.max_skew);
    let maxima = before.maxima(now);
    let live = context.reports.iter().filter(|report| report.presence(now, maxima) == Presence::Live);
    for report in live {
        let ahead = report.reported_at.since(now);
        let offset = report.clock_offset.map_or(0, i64::unsigned_abs);
        let (found, against) = if ahead > skew { (ahead, "this machine's") } else { (offset, "the store's") };
        if found > skew {
            return Err(Refusal::new(
                Code::ClockSkew,
                format!(
                    "the clock of replica {} and {against} differ by {}; max_skew is {}",
                    report.replica,
                    in_words(found),
                    in_words(skew)
                ),
                "set the clocks right (chronyc tracking, timedatectl), then run the command again",
            ));
        }
    }
    Ok(())
}

/// Bounds every key whose last active period ends elsewhere than `before`, and frees those that sign
/// again. `custody` is how long a private key superseded now is kept; `None` is as policy says.
pub(super) fn bound(
    next: &mut Manifest,
    before: &Manifest,
    maxima: Maxima,
    custody: Option<u64>,
    now: UnixTime,
) {
    let (commit_delay, leeway) = (next.policy.commit_delay, next.policy.leeway);
    let custody = custody.unwrap_or(next.policy.rollback_custody.max(maxima.skew));
    let ends: Vec<_> = next.keys.iter().map(|key| next.last_period_end(&key.kid)).collect();
    let signs_again: Vec<_> = next
        .keys
        .iter()
        .map(|key| next.activations(&key.kid).count() != before.activations(&key.kid).count())
        .collect();
    for ((key, end), signs_again) in next.keys.iter_mut().zip(ends).zip(signs_again) {
        let unchanged = before.last_period_end(&key.kid) == end && key.superseded.is_some() == end.is_some();
        // What has ended stays as it ended, also when its successor's entries go with their key.
        let over = key.superseded.is_some_and(|superseded| superseded.at <= now) && !signs_again;
        if key.revoked.is_some() || unchanged || over {
            continue;
        }
        key.superseded = end.map(|at| {
            let last_iat = at.plus(maxima.staleness + maxima.skew + commit_delay);
            let accept_until = key.bounded_lifetime().map(|longest| last_iat.plus(longest).plus(leeway));
            Superseded { at, last_iat, accept_until, custody_until: at.plus(custody) }
        });
    }
}

pub(super) fn would_break(violation: &check::Violation) -> Refusal {
    if let check::Violation::Count { list, found, max } = violation {
        return Refusal::new(
            Code::ManifestFull,
            format!("the manifest's {list} would have {found} entries; expected at most {max}"),
            "run keystile prune once an old key has retired",
        );
    }
    Refusal::new(
        Code::WouldBreak,
        format!("the outcome would be broken: {violation}"),
        "run keystile doctor; if it finds nothing, this is a defect of Keystile: report it",
    )
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

/// Raises what a key may have put on a token to what `ttl` lets it; never lowers it.
pub(super) fn raise_lifetime(key: &mut Key, ttl: u64) {
    if ttl == 0 {
        key.never_expires = true;
    } else {
        key.longest_token = key.longest_token.max(Lifetime::Bounded(ttl));
    }
}

/// Moves the end of a key's window with the tokens that it follows from; never brings it forward. An
/// end that an operator set before those of `before` stays where it is.
pub(super) fn move_end(key: &mut Key, before: &Key, leeway: u64) {
    let unbounded = before.bounded_lifetime().is_some() && key.bounded_lifetime().is_none();
    let (Lifetime::Bounded(former), Lifetime::Bounded(longest)) = (before.longest_token, key.longest_token)
    else {
        return;
    };
    let Some((bounds, was)) = key.superseded.as_mut().zip(before.superseded) else {
        return;
    };
    let set_by_hand = was.accept_until.is_some_and(|until| until < was.last_iat.plus(former));
    if set_by_hand {
        return;
    }
    let end = bounds.last_iat.plus(longest).plus(leeway);
    let moved = bounds.last_iat > was.last_iat || longest > former;
    if unbounded {
        bounds.accept_until = None;
    } else if moved {
        bounds.accept_until = bounds.accept_until.map(|until| until.max(end));
    }
}
