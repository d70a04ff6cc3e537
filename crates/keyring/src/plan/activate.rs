//! Let a prepared key sign, and the verb that does all of it: rotate.

use crate::gate::{Fleet, Gate};
use crate::ident::Kid;
use crate::manifest::Operation;
use crate::plan::draft::Draft;
use crate::plan::room::Urgency;
use crate::plan::{Impact, Mode, Plan, Planned, Step, impact, prepare};
use crate::refusal::{Code, Refusal};
use crate::time::{UnixTime, in_words};

/// The next step of a rotation: publish the key, wait, or let it sign.
pub(super) fn rotate(draft: Draft<'_>, mode: Mode, no_rollback: bool) -> Result<Planned, Refusal> {
    let operation = draft.before.operation.clone();
    if let (Some(operation), Some(id)) = (&operation, &draft.request.request_id)
        && operation.request_id.as_ref() != Some(id)
    {
        return Err(prepare::in_flight(operation, &draft));
    }
    match (mode, operation) {
        (Mode::Gated(fleet), None) => {
            somebody_reports(&draft, fleet)?;
            prepare::prepare(draft, no_rollback).map(Planned::change)
        }
        (Mode::Gated(fleet), Some(operation)) => step(draft, fleet, operation, no_rollback),
        (Mode::Scheduled(lead), None) => scheduled(draft, lead, no_rollback).map(Planned::change),
        (Mode::Scheduled(_), Some(operation)) => Err(prepare::in_flight(&operation, &draft)),
        (Mode::Emergency, operation) => emergency(draft, operation, no_rollback).map(Planned::change),
    }
}

fn step(draft: Draft<'_>, fleet: Fleet, operation: Operation, no_rollback: bool) -> Result<Planned, Refusal> {
    offline_means_offline(&draft, fleet)?;
    match draft.before.gate(&operation, draft.reports, fleet, draft.now) {
        Gate::Open { .. } => sign(draft, &operation, no_rollback).map(Planned::change),
        gate => Ok(Planned::Wait { gate, operation }),
    }
}

/// The second step by hand, behind the same gate.
pub(super) fn activate(draft: Draft<'_>, fleet: Fleet, no_rollback: bool) -> Result<Plan, Refusal> {
    let Some(operation) = draft.before.operation.clone() else {
        return Err(Refusal::new(
            Code::NothingInFlight,
            "no key of this keyring is prepared",
            "publish one first: keystile prepare; or do all of it: keystile rotate",
        ));
    };
    offline_means_offline(&draft, fleet)?;
    match draft.before.gate(&operation, draft.reports, fleet, draft.now) {
        Gate::Open { .. } => sign(draft, &operation, no_rollback),
        gate => Err(closed(&gate, &operation.to_kid, draft.now)),
    }
}

/// The gate as a refusal: who or what holds the key up, and for how long.
pub(super) fn closed(gate: &Gate, kid: &Kid, now: UnixTime) -> Refusal {
    match gate {
        Gate::Unattended | Gate::Open { .. } => nobody_reports(kid),
        Gate::Replicas { behind, live } => {
            let names: Vec<_> = behind.iter().map(ToString::to_string).collect();
            Refusal::new(
                Code::ReplicaBehind,
                format!(
                    "{} of {live} live replicas do not hold {kid} yet: {}",
                    behind.len(),
                    names.join(", ")
                ),
                "wait for them, or stop them; in an emergency: keystile rotate --emergency",
            )
        }
        Gate::Caches { until, .. } => Refusal::new(
            Code::CachesNotRunOut,
            format!(
                "outside verifiers may cache a JWK Set without {kid} for another {}",
                in_words(until.since(now))
            ),
            "wait; keystile rotate waits by itself",
        ),
    }
}

/// A rotation in flight that nobody can let go on.
pub fn nobody_reports(kid: &Kid) -> Refusal {
    unattended(format!("no live replica reports, so nobody knows whether the fleet holds {kid}"))
}

fn unattended(found: String) -> Refusal {
    let remedy = "start the gateways; if none runs: keystile rotate --offline; where none can report: keystile rotate --schedule";
    Refusal::new(Code::NoReplicas, found, remedy)
}

/// Nobody to ask is no consent: found out before a key is published.
fn somebody_reports(draft: &Draft<'_>, fleet: Fleet) -> Result<(), Refusal> {
    offline_means_offline(draft, fleet)?;
    if fleet == Fleet::Reporting && impact::live(draft) == 0 {
        return Err(unattended(
            "no live replica reports, so nobody could tell when the fleet holds the new key".to_owned(),
        ));
    }
    Ok(())
}

fn offline_means_offline(draft: &Draft<'_>, fleet: Fleet) -> Result<(), Refusal> {
    let live = impact::live(draft);
    if fleet == Fleet::Offline && live > 0 {
        return Err(Refusal::new(
            Code::ReplicasLive,
            format!(
                "--offline says that no gateway runs, and {} reported",
                impact::count(live, "live replica", "live replicas")
            ),
            "leave --offline out, or stop the gateways first",
        ));
    }
    Ok(())
}

fn sign(mut draft: Draft<'_>, operation: &Operation, no_rollback: bool) -> Result<Plan, Refusal> {
    let from = draft.now.plus(draft.next.policy.activation_lead);
    finish(&mut draft, operation, from, no_rollback || operation.no_rollback);
    let statement = statement(&draft, operation, from);
    draft.finish(statement)
}

fn scheduled(mut draft: Draft<'_>, lead: u64, no_rollback: bool) -> Result<Plan, Refusal> {
    let least = draft.before.policy.schedule_minimum(draft.maxima);
    if lead < least {
        return Err(Refusal::new(
            Code::ScheduleTooShort,
            format!("a lead of {}; replicas and outside verifiers need {}", in_words(lead), in_words(least)),
            format!("give at least {least}s: keystile rotate --schedule {least}s"),
        ));
    }
    draft.no_activation_ahead()?;
    let from_kid = draft.active()?.kid.clone();
    let to_kid = draft.add_key(Urgency::Ordinary)?;
    let from = draft.now.plus(lead);
    let operation = operation(&draft, from_kid, to_kid);
    finish(&mut draft, &operation, from, no_rollback);
    let statement = statement(&draft, &operation, from);
    draft.finish(statement)
}

fn emergency(mut draft: Draft<'_>, in_flight: Option<Operation>, no_rollback: bool) -> Result<Plan, Refusal> {
    let operation = if let Some(operation) = in_flight {
        operation
    } else {
        // Integrity is never skipped, but the old signer may be lost: that is what it is for.
        let signer = draft.before.active_at(draft.now).map(|key| key.kid.clone());
        let from_kid = signer.or_else(|| draft.before.last_signer().cloned());
        let to_kid = draft.add_key(Urgency::Emergency)?;
        operation(&draft, from_kid.unwrap_or_else(|| to_kid.clone()), to_kid)
    };
    let from = draft.before.timeline.last().map_or(draft.now, |last| last.from.max(draft.now));
    let now = draft.now;
    draft.activate(&operation.to_kid, now);
    if from > now {
        draft.activate(&operation.to_kid, from);
    }
    conclude(&mut draft, &operation, no_rollback || operation.no_rollback);
    let mut statement = statement(&draft, &operation, now);
    statement.warnings.insert(
        0,
        "--emergency skips the gate: until they read the store again, replicas answer tokens of the new key by a \
         read of the store, and outside verifiers refuse them."
            .to_owned(),
    );
    draft.finish(statement)
}

fn operation(draft: &Draft<'_>, from_kid: Kid, to_kid: Kid) -> Operation {
    Operation {
        id: format!("rotation-{}", draft.next.generation),
        request_id: draft.request.request_id.clone(),
        started_at: draft.now,
        from_kid,
        to_kid,
        no_rollback: false,
    }
}

fn finish(draft: &mut Draft<'_>, operation: &Operation, from: UnixTime, no_rollback: bool) {
    draft.activate(&operation.to_kid, from);
    conclude(draft, operation, no_rollback);
}

fn conclude(draft: &mut Draft<'_>, operation: &Operation, no_rollback: bool) {
    draft.without_rollback(no_rollback);
    draft.end_operation();
    draft.done(Some(&operation.to_kid));
}

fn statement(draft: &Draft<'_>, operation: &Operation, from: UnixTime) -> Impact {
    let old = operation.from_kid.to_string();
    let end = impact::end_of_window(draft, &old, from);
    Impact {
        headline: format!(
            "Would let {} sign for keyring {} in the place of {old}.",
            operation.to_kid, draft.before.gateway_id
        ),
        steps: vec![
            Step::new(draft.now, format!("generation {}", draft.next.generation), "the switch is committed"),
            Step::new(from, "–", format!("{} signs; tokens already out stay valid", operation.to_kid)),
            end,
        ],
        supervisors: impact::renewals(draft),
        warnings: impact::pinned(),
        undo: draft.way_back(),
    }
}
