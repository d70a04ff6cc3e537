//! What stands around the bars: the headline, a few words on each key, and the fleet.

use keystile_keyring::manifest::{Origin, PrivateState};
use keystile_keyring::plan::{self, Census, Context, Planned, Request, Verb};
use keystile_keyring::report::Presence;
use keystile_keyring::{Event, Fleet, Gate, Key, KeyState, Kid, Manifest, ReplicaReport, UnixTime};

use crate::console::Hue;
use crate::health::Severity;
use crate::picture::{Labels, View};
use crate::when::{When, thousands};

/// The column in which the facts begin.
pub(super) const INDENT: usize = 13;

/// A line: its name, and its items.
type Line = (&'static str, Vec<String>);

/// The first line: it answers the question.
pub(super) fn headline(view: &View<'_>, labels: &Labels) -> Vec<String> {
    let manifest = view.manifest;
    let mut items = vec![
        format!("keyring {}", manifest.gateway_id),
        format!("generation {}", manifest.generation),
        health(view),
    ];
    if manifest.operation.is_some() {
        items.push("rotation in flight".to_owned());
    }
    if let Some((at, what)) = next_event(manifest, view.reports, labels, view.when.now()) {
        items.push(format!("next event: {what} {} ({})", view.when.relative(at), view.when.clock(at)));
    }
    items
}

fn health(view: &View<'_>) -> String {
    let fails = view.problems.iter().filter(|problem| problem.severity == Severity::Fail).count();
    let counted = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    match (fails, view.problems.len()) {
        (0, 0) => view.paint.paint(Hue::Green, "healthy"),
        (0, notices) => view.paint.paint(Hue::Yellow, &counted(notices, "notice")),
        (fails, _) => view.paint.paint(Hue::Red, &counted(fails, "problem")),
    }
}

/// The next thing that happens by itself, or that policy asks for.
pub(crate) fn next_event(
    manifest: &Manifest,
    reports: &[ReplicaReport],
    labels: &Labels,
    now: UnixTime,
) -> Option<(UnixTime, String)> {
    let event = manifest.next_event(now).map(|(at, event)| match event {
        Event::Activates(kid) => (at, format!("{} signs", labels.get(&kid))),
        Event::Retires(kid) => (at, format!("{} retires", labels.get(&kid))),
        Event::CustodyEnds(kid) => (at, format!("rollback to {} ends", labels.get(&kid))),
    });
    let gate = manifest.operation.as_ref().and_then(|operation| {
        match manifest.gate(operation, reports, Fleet::Reporting, now) {
            Gate::Caches { until, .. } => {
                Some((until, format!("{} may sign", labels.get(&operation.to_kid))))
            }
            _ => None,
        }
    });
    let known = event.into_iter().chain(gate).min_by_key(|(at, _)| *at);
    known.or_else(|| {
        if manifest.operation.is_some() {
            return None;
        }
        let age = manifest.key_age(now)?;
        let left = manifest.policy.rotation_due_after.checked_sub(age).filter(|left| *left > 0)?;
        Some((now.plus(left), "rotation is due".to_owned()))
    })
}

/// A few words on a key, beside its bar.
pub(super) fn of_key(manifest: &Manifest, key: &Key, when: &When) -> String {
    let now = when.now();
    let ahead = manifest.activations(&key.kid).find(|activation| activation.from > now);
    match manifest.state_of(key, now) {
        KeyState::Prepared => match ahead {
            Some(ahead) => format!("prepared, signs from {}", when.clock(ahead.from)),
            None => "prepared, does not sign yet".to_owned(),
        },
        KeyState::Active => active(manifest, key, when),
        KeyState::VerifyOnly => {
            match (ahead, key.superseded.and_then(|superseded| superseded.accept_until)) {
                (Some(ahead), _) => format!("verify-only, signs again from {}", when.clock(ahead.from)),
                (None, Some(until)) => format!("verify-only until {}", when.clock(until)),
                (None, None) => "verify-only, no end set".to_owned(),
            }
        }
        KeyState::Retired => match key.superseded.and_then(|superseded| superseded.accept_until) {
            Some(until) => format!("retired {}", when.clock(until)),
            None => "retired".to_owned(),
        },
        KeyState::Revoked => match &key.revoked {
            Some(revoked) => format!("revoked {}", when.clock(revoked.at)),
            None => "revoked".to_owned(),
        },
    }
}

fn active(manifest: &Manifest, key: &Key, when: &When) -> String {
    let since = match manifest.active_since(when.now()) {
        Some(UnixTime::EPOCH) | None if key.origin == Origin::Adopted => "active, adopted".to_owned(),
        Some(since) => format!("active since {}", when.clock(since)),
        None => "active".to_owned(),
    };
    let until = manifest.timeline.iter().find(|next| next.from > when.now() && next.kid != key.kid);
    match until {
        Some(next) => format!("{since}, signs until {}", when.clock(next.from)),
        None => format!("{since}, signs"),
    }
}

/// The facts below the picture.
pub(super) fn lines(view: &View<'_>, labels: &Labels) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.extend(rotation(view, labels).map(|item| ("rotation", vec![item])));
    lines.push(("replicas", replicas(view)));
    lines
        .extend(Some(usage(view, labels)).filter(|items| !items.is_empty()).map(|items| ("last use", items)));
    lines.push(("rollback", vec![rollback_line(view, labels)]));
    for problem in view.problems {
        let hue = if problem.severity == Severity::Fail { Hue::Red } else { Hue::Yellow };
        let name = if problem.severity == Severity::Fail { "problem" } else { "notice" };
        let found = view.paint.paint(hue, &problem.found);
        lines.push((name, vec![format!("{found}. {}", sentence(&problem.remedy))]));
    }
    lines
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn rotation(view: &View<'_>, labels: &Labels) -> Option<String> {
    let operation = view.manifest.operation.as_ref()?;
    let gate = view.manifest.gate(operation, view.reports, Fleet::Reporting, view.when.now());
    Some(format!(
        "{} → {} since {}: {}",
        labels.get(&operation.from_kid),
        labels.get(&operation.to_kid),
        view.when.clock(operation.started_at),
        gate_in_words(&gate, view.when),
    ))
}

/// What a rotation waits for.
pub(crate) fn gate_in_words(gate: &Gate, when: &When) -> String {
    match gate {
        Gate::Unattended => "waits for replicas, and none reports".to_owned(),
        Gate::Replicas { behind, live } => {
            let names: Vec<&str> = behind.iter().map(keystile_keyring::ReplicaId::as_str).collect();
            format!("waits for {} of {live} replicas: {}", behind.len(), names.join(", "))
        }
        Gate::Caches { until, live, .. } => format!(
            "{}; outside verifiers' caches run out {} ({})",
            holders(*live),
            when.relative(*until),
            when.clock(*until),
        ),
        Gate::Open { live } => format!("{}; the new key may sign", holders(*live)),
    }
}

fn holders(live: usize) -> String {
    if live == 0 { "no gateway runs".to_owned() } else { format!("held by {live} of {live} replicas") }
}

fn replicas(view: &View<'_>) -> Vec<String> {
    let (manifest, now) = (view.manifest, view.when.now());
    let maxima = manifest.maxima(now);
    let live: Vec<&ReplicaReport> =
        view.reports.iter().filter(|report| report.presence(now, maxima) == Presence::Live).collect();
    if live.is_empty() {
        return vec!["none reports".to_owned()];
    }
    let current = live.iter().filter(|report| report.generation == manifest.generation).count();
    let mut items = vec![format!("{current} of {} at generation {}", live.len(), manifest.generation)];
    let behind = live.iter().filter(|report| report.generation != manifest.generation);
    items.extend(behind.map(|report| format!("{} at generation {}", report.replica, report.generation)));
    if let Some(offset) = live.iter().filter_map(|report| report.clock_offset).map(i64::unsigned_abs).max() {
        items.push(format!("clocks within {} s", offset.max(1)));
    }
    if let Some(oldest) = live.iter().filter_map(|report| report.confirmed_at).min() {
        items.push(format!("read {}", view.when.relative(oldest.min(now))));
    }
    items
}

fn usage(view: &View<'_>, labels: &Labels) -> Vec<String> {
    let now = view.when.now();
    let maxima = view.manifest.maxima(now);
    let keys = view.manifest.keys.iter().rev();
    let used = keys.filter_map(|key| {
        let census = Census::of(view.reports, &key.kid, now, maxima);
        let newest = view.when.relative(census.last_use?.min(now));
        let word = if census.sandboxes == 1 { "sandbox" } else { "sandboxes" };
        let label = labels.get(&key.kid);
        Some(format!("{label} {} {word}, newest {newest}", thousands(census.sandboxes)))
    });
    used.collect()
}

/// The key that a rollback would return to and until when, or why there is none.
pub(crate) fn rollback(view: &View<'_>) -> Result<(Kid, Option<UnixTime>), String> {
    let now = view.when.now();
    let request =
        Request { verb: Verb::Rollback { to: None }, actor: String::new(), reason: None, request_id: None };
    let context = Context { now, digest: view.digest, reports: view.reports, candidate: None };
    match plan::plan(view.manifest, &request, &context) {
        Ok(Planned::Change(plan)) => {
            let kid = plan.next.last_signer().cloned().ok_or_else(|| "no key signs".to_owned())?;
            let key = view.manifest.key(&kid);
            let held = key.filter(|key| key.private == PrivateState::Present);
            let until = held.and_then(|key| key.superseded).map(|superseded| superseded.custody_end());
            Ok((kid, until))
        }
        Ok(_) => Err("there is nothing to go back to".to_owned()),
        Err(refusal) => Err(refusal.found),
    }
}

fn rollback_line(view: &View<'_>, labels: &Labels) -> String {
    if let Some(operation) = &view.manifest.operation {
        return format!("drops {}, which has not signed (keystile rollback)", labels.get(&operation.to_kid));
    }
    match rollback(view) {
        Ok((kid, Some(until))) => {
            format!("to {} possible until {} (keystile rollback)", labels.get(&kid), view.when.clock(until))
        }
        Ok((kid, None)) => format!("to {} possible (keystile rollback)", labels.get(&kid)),
        Err(why) => format!("not possible: {why}"),
    }
}
