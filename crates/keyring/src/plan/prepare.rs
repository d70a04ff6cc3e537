//! Publish a new key that does not sign yet: the first step of a rotation.

use crate::manifest::Operation;
use crate::plan::draft::Draft;
use crate::plan::room::Urgency;
use crate::plan::{Impact, Plan, Step, Verb, impact};
use crate::refusal::{Code, Refusal};
use crate::time::in_words;

pub(super) fn prepare(mut draft: Draft<'_>, no_rollback: bool) -> Result<Plan, Refusal> {
    if let Some(operation) = &draft.before.operation {
        return Err(in_flight(operation, &draft));
    }
    draft.no_activation_ahead()?;
    let from_kid = draft.active()?.kid.clone();
    let to_kid = draft.add_key(Urgency::Ordinary)?;
    draft.without_rollback(no_rollback);
    let statement = statement(&draft, &from_kid.to_string());
    draft.next.operation = Some(Operation {
        id: format!("rotation-{}", draft.next.generation),
        request_id: draft.request.request_id.clone(),
        started_at: draft.now,
        from_kid,
        to_kid: to_kid.clone(),
        no_rollback,
    });
    if matches!(draft.request.verb, Verb::Prepare { .. }) {
        draft.done(Some(&to_kid));
    }
    draft.finish(statement)
}

/// A rotation is in flight and this request is not it.
pub(super) fn in_flight(operation: &Operation, draft: &Draft<'_>) -> Refusal {
    let whose = operation.request_id.as_ref().map_or(String::new(), |id| format!(", request id {id}"));
    Refusal::new(
        Code::RotationInFlight,
        format!(
            "{} has been in flight for {}{whose}: key {} is published and does not sign yet",
            operation.id,
            in_words(draft.now.since(operation.started_at)),
            operation.to_kid,
        ),
        "go on with it: keystile rotate; or drop its key: keystile rollback",
    )
}

fn statement(draft: &Draft<'_>, from: &str) -> Impact {
    let (policy, now) = (&draft.next.policy, draft.now);
    let cache = draft.maxima.verifier_cache;
    let signs = now.plus(cache).plus(policy.activation_lead);
    let generation = draft.next.generation;
    let mut steps = vec![
        Step::new(now, format!("generation {generation}"), "the new key is published; nothing else changes"),
        Step::new(
            now.plus(cache),
            "gate",
            format!(
                "{} must report it, then outside verifiers' caches run out ({})",
                impact::count(impact::live(draft), "replica", "replicas"),
                in_words(cache),
            ),
        ),
        Step::new(
            signs,
            format!("generation {}", generation + 1),
            "the new key signs; tokens already out stay valid",
        ),
    ];
    steps.push(impact::end_of_window(draft, from, signs));
    let age =
        draft.before.key_age(now).map_or(String::new(), |age| format!(" (active for {})", in_words(age)));
    Impact {
        headline: format!(
            "Would rotate keyring {} from {from}{age} to a new Ed25519 key.",
            draft.before.gateway_id
        ),
        steps,
        supervisors: impact::renewals(draft),
        warnings: impact::pinned(),
        undo: draft.way_back(),
    }
}
