//! Extend the bounds that a late commit set too tight.

use crate::plan::draft::Draft;
use crate::plan::windows::move_end;
use crate::plan::{Impact, Plan, Step};
use crate::refusal::Refusal;
use crate::time::{UnixTime, in_words};

/// Moves what the plan of `planned_at` bounded by `excess` seconds: until it landed, replicas went on
/// under the generation before it.
pub(super) fn extend(mut draft: Draft<'_>, excess: u64, planned_at: UnixTime) -> Result<Plan, Refusal> {
    let leeway = draft.next.policy.leeway;
    for key in &mut draft.next.keys {
        let before = key.clone();
        if let Some(superseded) = key.superseded.as_mut().filter(|superseded| superseded.at >= planned_at) {
            superseded.last_iat = superseded.last_iat.plus(excess);
            move_end(key, &before, leeway);
        }
    }
    draft.next.policy_before = draft.before.policy_before.map(|mut former| {
        former.until = former.until.plus(excess);
        former
    });
    let generation = format!("generation {}", draft.next.generation);
    let statement = Impact {
        headline: format!("Would extend the windows of superseded keys by {}.", in_words(excess)),
        steps: vec![Step::new(
            draft.now,
            generation,
            "the last commit landed later than its plan allowed for",
        )],
        supervisors: vec!["None is affected: valid tokens stay valid.".to_owned()],
        warnings: Vec::new(),
        undo: "none is needed".to_owned(),
    };
    draft.finish(statement)
}
