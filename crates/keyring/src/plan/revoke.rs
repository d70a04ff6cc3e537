//! Refuse a key's tokens from now on, for ever. Irreversible.

use crate::gate::{Fleet, Gate};
use crate::ident::Kid;
use crate::manifest::{End, Key, Lifetime, PrivateState, Revoked};
use crate::plan::draft::Draft;
use crate::plan::room::Urgency;
use crate::plan::{Census, Impact, Planned, Step, impact};
use crate::refusal::{Code, Refusal};
use crate::time::{UnixTime, in_words};

pub(super) fn revoke(mut draft: Draft<'_>, kid: &Kid, descendants: bool) -> Result<Planned, Refusal> {
    let Some(key) = draft.before.key(kid) else {
        return revoke_gone(draft, kid, descendants);
    };
    let descendants = descendants && may_have_descendants(&draft, kid);
    let floor = descendants.then(|| good_until(key, draft.now));
    let deeper = floor > draft.before.lineage_floor;
    if key.revoked.is_some() && !deeper {
        return Ok(Planned::Nothing(format!("key {kid} was revoked before")));
    }
    let reason = reason(&draft, kid)?;
    draft.next.lineage_floor = draft.before.lineage_floor.max(floor);
    let replacement = if key.revoked.is_none() { remove_from_duty(&mut draft, kid, reason)? } else { None };
    draft.done(Some(kid));
    let statement = statement(&draft, kid, replacement.as_ref(), descendants);
    draft.finish(statement).map(Planned::change)
}

/// A key that is gone is refused already; what descends from it may be good still.
fn revoke_gone(mut draft: Draft<'_>, kid: &Kid, descendants: bool) -> Result<Planned, Refusal> {
    let Some(stone) = draft.before.tombstone(kid) else {
        return Err(impact::unknown_key(draft.before, kid));
    };
    let floor = descendants.then_some(stone.at);
    if floor > draft.before.lineage_floor {
        reason(&draft, kid)?;
        draft.next.lineage_floor = floor;
        draft.done(Some(kid));
        let statement = statement(&draft, kid, None, true);
        return draft.finish(statement).map(Planned::change);
    }
    if descendants {
        let why = format!("key {kid} is gone, and what may descend from it is refused already");
        return Ok(Planned::Nothing(why));
    }
    if stone.end == End::Revoked {
        return Ok(Planned::Nothing(format!("key {kid} was revoked before")));
    }
    let mut refusal = impact::unknown_key(draft.before, kid);
    refusal.remedy = format!(
        "nothing is to be done, unless it was stolen while it was good: keystile revoke {kid} --descendants"
    );
    Err(refusal)
}

fn reason(draft: &Draft<'_>, kid: &Kid) -> Result<String, Refusal> {
    draft.request.reason.clone().ok_or_else(|| {
        Refusal::new(
            Code::ReasonRequired,
            format!("revoking {kid} is final, and no reason was given"),
            "say why: --reason \"…\"",
        )
    })
}

/// Nothing descends from a key that no replica accepted a token of. A thief's passes for one minted max_skew ahead
/// of its replica's clock, at max_skew before the first activation; and that clock may be max_skew ahead of this.
fn may_have_descendants(draft: &Draft<'_>, kid: &Kid) -> bool {
    let accepted_by = draft.now.plus(3 * draft.maxima.skew);
    draft.before.first_activation(kid).is_some_and(|from| from <= accepted_by)
}

/// The last instant at which the key was good: no lineage that it began is younger.
fn good_until(key: &Key, now: UnixTime) -> UnixTime {
    match (&key.superseded, &key.revoked) {
        (Some(superseded), _) => superseded.last_iat.min(now),
        (None, Some(revoked)) => revoked.at,
        (None, None) => now,
    }
}

/// Marks the key, removes its activations ahead, and replaces it if it is needed.
fn remove_from_duty(draft: &mut Draft<'_>, kid: &Kid, reason: String) -> Result<Option<Kid>, Refusal> {
    let now = draft.now;
    let was_active = draft.before.active_at(now).is_some_and(|active| active.kid == *kid);
    if let Some(key) = draft.next.key_mut(kid) {
        key.revoked = Some(Revoked { at: now, reason });
        key.private = PrivateState::DestroyedAt(now);
    }
    draft.next.timeline.retain(|activation| activation.kid != *kid || activation.from <= now);
    if draft.next.operation.as_ref().is_some_and(|operation| operation.to_kid == *kid) {
        draft.end_operation();
    }
    if !was_active {
        return Ok(None);
    }
    let replacement = match ready(draft, kid) {
        Some(ready) => ready,
        None => draft.add_key(Urgency::Emergency)?,
    };
    let last = draft.next.timeline.last().map_or(now, |last| last.from);
    let signs_last = draft.next.last_signer() == Some(&replacement);
    draft.activate(&replacement, now);
    if last > now && !signs_last {
        draft.activate(&replacement, last);
    }
    match &mut draft.next.operation {
        Some(operation) if operation.to_kid == replacement => draft.end_operation(),
        // A prepared key that is not ready stays in flight, now to follow the replacement.
        Some(operation) => operation.from_kid = replacement.clone(),
        None => {}
    }
    Ok(Some(replacement))
}

/// A prepared key that has passed the gate: its activation is committed and was not rolled back
/// from, or the fleet has reported it.
fn ready(draft: &Draft<'_>, revoked: &Kid) -> Option<Kid> {
    let before = draft.before;
    let abandoned: Vec<_> = before.abandoned().collect();
    let ahead = before.timeline.iter().rev().filter(|activation| activation.from > draft.now);
    let committed = ahead.map(|activation| &activation.kid).find(|kid| {
        *kid != revoked
            && !abandoned.contains(kid)
            && before
                .key(kid)
                .is_some_and(|key| key.revoked.is_none() && key.private == PrivateState::Present)
    });
    let gated = before.operation.as_ref().filter(|operation| {
        matches!(before.gate(operation, draft.reports, Fleet::Reporting, draft.now), Gate::Open { .. })
    });
    committed.or(gated.map(|operation| &operation.to_kid).filter(|kid| *kid != revoked)).cloned()
}

fn statement(draft: &Draft<'_>, kid: &Kid, replacement: Option<&Kid>, descendants: bool) -> Impact {
    let (now, generation) = (draft.now, draft.next.generation);
    let mut steps = vec![Step::new(
        now,
        format!("generation {generation}"),
        format!("{kid} is refused by every replica as soon as it has loaded this generation"),
    )];
    if let Some(replacement) = replacement {
        steps.push(Step::new(now, "–", format!("{replacement} signs in its place")));
    }
    steps.push(Step::new(
        now.plus(draft.next.policy.verify_staleness),
        "at the latest",
        "a replica that cannot read the store answers no more",
    ));
    let mut warnings = vec![format!(
        "Outside verifiers that cache the JWK Set go on accepting {kid} for up to {}; those that pin it, until told.",
        in_words(draft.maxima.verifier_cache)
    )];
    warnings.push(thief(draft, kid, descendants));
    Impact {
        headline: format!("Would revoke {kid} of keyring {}, for ever.", draft.before.gateway_id),
        steps,
        supervisors: affected(&Census::of(draft.reports, kid, now, draft.maxima), descendants),
        warnings,
        undo: "none: a revocation is final".to_owned(),
    }
}

fn thief(draft: &Draft<'_>, kid: &Kid, descendants: bool) -> String {
    let finite = match draft.before.key(kid).map(|key| key.longest_token) {
        Some(Lifetime::Bounded(_)) | None => "",
        Some(Lifetime::Unbounded) => " Its tokens had no known end.",
    };
    if descendants {
        return format!(
            "Every token whose lineage began while {kid} was good is refused too, whatever key signed it.{finite}"
        );
    }
    format!(
        "A thief may have refreshed a forged token of {kid} into a genuine one of another key: --descendants refuses \
         those too, and makes every supervisor that bootstrapped while the key was good bootstrap again.{finite}"
    )
}

fn affected(census: &Census, descendants: bool) -> Vec<String> {
    let reach = if descendants { "at least " } else { "" };
    let total = impact::count(census.sandboxes, "sandbox uses", "sandboxes use");
    let mut lines = vec![format!(
        "{reach}{total} the key now; their calls are refused until they have bootstrapped again."
    )];
    lines.push(format!("can bootstrap again: {}", census.can_bootstrap()));
    lines.push(format!("cannot, and need a new token file: {}", census.cannot_bootstrap()));
    if !census.never_expires.is_empty() {
        lines.push(format!("hold a token that never expires: {}", census.never_expires.join(", ")));
    }
    lines
}
