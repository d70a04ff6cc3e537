//! A plan in the making: the next manifest, and the rules that every verb shares.

use crate::check;
use crate::ident::{Digest, Kid, RequestId};
use crate::manifest::{Activation, Change, DoneRequest, Key, Manifest, limits};
use crate::plan::room::{fit, short};
use crate::plan::windows::{bound, raise_lifetime};
use crate::plan::{Base, Candidate, Context, Impact, Plan, Request};
use crate::policy::Maxima;
use crate::refusal::{Code, Refusal};
use crate::report::{Condition, Presence, ReplicaReport};
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
    pub(super) candidate: Option<&'a Candidate>,
    pub(super) takes_candidate: bool,
    no_rollback: bool,
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
        let now = not_before(before, context.now)?;
        no_replica_ahead(before, context.digest, context.reports, now)?;
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

    /// How a switch of the signing key is undone.
    pub(super) fn way_back(&self) -> String {
        if self.no_rollback {
            let skew = in_words(self.maxima.skew);
            return format!(
                "keystile rollback, for {skew} after the switch; from then on the next keystile prune or reconcile \
                 destroys the old private key"
            );
        }
        "keystile rollback, at once, as long as the old private key is kept".to_owned()
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
        let Some(ahead) = self.before.activation_ahead(self.now) else {
            return Ok(());
        };
        // That of a rollback is not gone back from: see there.
        let before_it = self.before.timeline.iter().take_while(|activation| activation.from < ahead.from);
        let remedy = if before_it.map(|activation| &activation.kid).any(|kid| *kid == ahead.kid) {
            "wait for it; in an emergency: keystile rotate --emergency"
        } else {
            "wait for it; or go back: keystile rollback"
        };
        let found = format!("key {} begins to sign in {}", ahead.kid, in_words(ahead.from.since(self.now)));
        Err(Refusal::new(Code::ActivationAhead, found, remedy))
    }
}

/// The later of `now` and the last change, refused if that lies too far ahead of this clock.
pub(super) fn not_before(manifest: &Manifest, now: UnixTime) -> Result<UnixTime, Refusal> {
    let (ahead, skew) = (manifest.changed_at().since(now), manifest.policy.max_skew);
    if ahead <= skew {
        return Ok(now.max(manifest.changed_at()));
    }
    Err(Refusal::new(
        Code::ClockBehind,
        format!("the last change lies {} after this clock; max_skew is {}", in_words(ahead), in_words(skew)),
        "set this machine's clock right, then run the command again",
    ))
}

/// Refuses while a live replica holds what the store does not know: it would load nothing that is committed here,
/// and may refuse what is signed here.
pub fn no_replica_ahead(
    store: &Manifest,
    digest: Digest,
    reports: &[ReplicaReport],
    now: UnixTime,
) -> Result<(), Refusal> {
    let base = Base { generation: store.generation, digest };
    match lost_to(store, base, reports, now) {
        None => Ok(()),
        Some(ahead) => Err(replica_ahead(ahead, base.generation, digest)),
    }
}

/// The report of the live replica that holds the newest generation of those that are newer than `newest`, or have
/// its number and another content.
pub(super) fn lost_to<'a>(
    manifest: &Manifest,
    newest: Base,
    reports: &'a [ReplicaReport],
    now: UnixTime,
) -> Option<&'a ReplicaReport> {
    let maxima = manifest.maxima(now);
    let other = |report: &ReplicaReport| report.digest.is_some_and(|digest| digest != newest.digest);
    let lost = |report: &&ReplicaReport| {
        report.generation > newest.generation || report.generation == newest.generation && other(report)
    };
    let live = reports.iter().filter(|report| report.presence(now, maxima) == Presence::Live);
    live.filter(lost).max_by_key(|report| report.generation)
}

/// A replica holds what nothing that is left knows: only the operator can give that up.
pub(super) fn replica_ahead(ahead: &ReplicaReport, store: u64, digest: Digest) -> Refusal {
    let held = if ahead.generation == store { "another generation" } else { "generation" };
    Refusal::new(
        Code::ReplicaAhead,
        format!(
            "replica {} holds {held} {}, the store {store}: an old backup was restored, and replicas load nothing \
             older than what they hold",
            ahead.replica, ahead.generation
        ),
        format!(
            "restore the newest backup of store and witness; if there is none, go on from this one and lose what came \
             after it: keystile reconcile --accept {digest}"
        ),
    )
}

/// Refuses while a live replica's clock and this one, or the store's, differ by more than policy
/// bounds: every bound that the plan computes rests on it.
fn clocks_agree(before: &Manifest, context: &Context<'_>) -> Result<(), Refusal> {
    let (now, skew) = (context.now, before.policy.max_skew);
    let maxima = before.maxima(now);
    let live = context.reports.iter().filter(|report| report.presence(now, maxima) == Presence::Live);
    // When a file was written says nothing of its replica's clock. The gate waits for it all the same.
    let told = live.filter(|report| !matches!(report.condition, Condition::Unreadable(_)));
    for report in told {
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
