//! Go back: drop a key that has no activation yet, or let the former key sign again.
//!
//! A committed activation is never removed: a replica that missed the rollback may sign by it, and
//! its tokens must be accepted.

use crate::ident::Kid;
use crate::manifest::{End, Key, Operation, PrivateState, limits};
use crate::plan::draft::Draft;
use crate::plan::{Impact, Plan, Step, impact};
use crate::refusal::{Code, Refusal};
use crate::state::KeyState;
use crate::time::{UnixTime, in_words};

pub(super) fn rollback(draft: Draft<'_>, to: Option<&Kid>) -> Result<Plan, Refusal> {
    match draft.before.operation.clone() {
        Some(operation) if to.is_none_or(|kid| *kid == operation.from_kid) => {
            drop_prepared(draft, &operation)
        }
        Some(operation) => Err(super::prepare::in_flight(&operation, &draft)),
        None => return_to_former(draft, to),
    }
}

fn drop_prepared(mut draft: Draft<'_>, operation: &Operation) -> Result<Plan, Refusal> {
    let now = draft.now;
    draft.end_operation();
    draft.bury(&operation.to_kid, End::Retired, now)?;
    draft.done(Some(&operation.to_kid));
    let statement = Impact {
        headline: format!(
            "Would drop {}, which never signed; {} goes on.",
            operation.to_kid, operation.from_kid
        ),
        steps: vec![Step::new(
            now,
            format!("generation {}", draft.next.generation),
            "the prepared key and its private part are removed",
        )],
        supervisors: vec!["None is affected: no token of the key is out.".to_owned()],
        warnings: Vec::new(),
        undo: "keystile rotate makes another key".to_owned(),
    };
    draft.finish(statement)
}

fn return_to_former(mut draft: Draft<'_>, to: Option<&Kid>) -> Result<Plan, Refusal> {
    rollback_not_ahead(&draft)?;
    timeline_has_room(&draft)?;
    let from = draft.before.timeline.last().map_or(draft.now, |last| last.from.max(draft.now));
    let abandoned = draft.before.last_signer().cloned();
    let former = match to {
        Some(kid) => named(&draft, kid)?,
        None => former(&draft)?,
    };
    can_sign_again(&draft, former, abandoned.as_ref(), from)?;
    let former = former.kid.clone();
    draft.activate(&former, from);
    draft.done(Some(&former));
    let statement = statement(&draft, &former, abandoned.as_ref(), from);
    draft.finish(statement)
}

/// Refuses while an earlier rollback lies ahead: a second one would race it.
fn rollback_not_ahead(draft: &Draft<'_>) -> Result<(), Refusal> {
    let timeline = &draft.before.timeline;
    let ahead = timeline.iter().enumerate().find(|(index, activation)| {
        let again = timeline[..*index].iter().any(|earlier| earlier.kid == activation.kid);
        again && activation.from > draft.now
    });
    let Some((_, again)) = ahead else {
        return Ok(());
    };
    Err(Refusal::new(
        Code::ActivationAhead,
        format!("key {} is to sign again in {}", again.kid, in_words(again.from.since(draft.now))),
        "wait for it; in an emergency: keystile rotate --emergency",
    ))
}

/// Going back and forth is the one thing that lengthens the timeline without an end: a few entries
/// are kept for what cannot wait.
fn timeline_has_room(draft: &Draft<'_>) -> Result<(), Refusal> {
    const KEPT: usize = 8;
    let found = draft.before.timeline.len();
    if found + KEPT < limits::ACTIVATIONS {
        return Ok(());
    }
    Err(Refusal::new(
        Code::ManifestFull,
        format!("the timeline has {found} entries; expected at most {}", limits::ACTIVATIONS),
        "go forward to a new key: keystile rotate; entries go with their keys: keystile prune",
    ))
}

/// The latest earlier key that was never rolled back from.
fn former<'a>(draft: &Draft<'a>) -> Result<&'a Key, Refusal> {
    let before = draft.before;
    let last = before.last_signer();
    let abandoned: Vec<_> = before.abandoned().collect();
    let earlier = before.timeline.iter().rev().map(|activation| &activation.kid);
    let mut candidates = earlier.filter(|kid| Some(*kid) != last && !abandoned.contains(kid));
    candidates.find_map(|kid| before.key(kid)).ok_or_else(|| {
        Refusal::new(
            Code::NothingToRollBack,
            "there is no earlier key that was not rolled back from",
            "name one: keystile rollback --to KID; or go forward: keystile rotate",
        )
    })
}

fn named<'a>(draft: &Draft<'a>, kid: &Kid) -> Result<&'a Key, Refusal> {
    draft.before.key(kid).ok_or_else(|| impact::unknown_key(draft.before, kid))
}

fn can_sign_again(
    draft: &Draft<'_>,
    key: &Key,
    abandoned: Option<&Kid>,
    from: UnixTime,
) -> Result<(), Refusal> {
    let forward = "go forward instead: keystile rotate, or keystile rotate --emergency";
    let late = |why: String| Err(Refusal::new(Code::RollbackTooLate, why, forward));
    if abandoned == Some(&key.kid) {
        return Err(Refusal::new(
            Code::KeySigns,
            format!("key {} signs already", key.kid),
            "there is nothing to do",
        ));
    }
    match draft.before.state_of(key, from) {
        KeyState::Revoked => Err(Refusal::new(
            Code::KeyRevoked,
            format!("key {} was revoked; that is final", key.kid),
            "name an earlier key: keystile rollback --to KID; or go forward: keystile rotate",
        )),
        KeyState::Retired => late(format!("key {} has retired; its tokens are refused", key.kid)),
        KeyState::Prepared => Err(Refusal::new(
            Code::KeyPrepared,
            format!("key {} has never signed", key.kid),
            "let it sign: keystile activate",
        )),
        KeyState::Active | KeyState::VerifyOnly => match key.private {
            PrivateState::Present => Ok(()),
            PrivateState::DestroyedAt(at) => {
                let ago = in_words(draft.now.since(at));
                late(format!("the private key of {} was destroyed {ago} ago", key.kid))
            }
        },
    }
}

fn statement(draft: &Draft<'_>, former: &Kid, abandoned: Option<&Kid>, from: UnixTime) -> Impact {
    let abandoned = abandoned.map_or_else(String::new, ToString::to_string);
    let end = impact::end_of_window(draft, &abandoned, from);
    Impact {
        headline: format!("Would go back: {former} signs again, and {abandoned} only verifies."),
        steps: vec![
            Step::new(
                draft.now,
                format!("generation {}", draft.next.generation),
                "the switch back is committed",
            ),
            Step::new(from, "–", format!("{former} signs; tokens of {abandoned} stay valid")),
            end,
        ],
        supervisors: impact::renewals(draft),
        warnings: impact::pinned(),
        undo: "keystile rotate makes another key; keystile rollback --to KID names one".to_owned(),
    }
}
