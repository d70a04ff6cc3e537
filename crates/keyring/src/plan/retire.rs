//! Set the end of an unbounded window, or bring an end forward.

use crate::ident::Kid;
use crate::manifest::{Key, Lifetime, Superseded};
use crate::plan::draft::Draft;
use crate::plan::{Census, Impact, Planned, Step, impact};
use crate::refusal::{Code, Refusal};
use crate::state::KeyState;
use crate::time::{UnixTime, in_words};

/// No deadline lies further ahead, seconds: it would be a slip of the pen.
const LONGEST_WINDOW: u64 = 3650 * 24 * 3600;

pub(super) fn retire(
    mut draft: Draft<'_>,
    kid: &Kid,
    at: Option<UnixTime>,
    force: bool,
) -> Result<Planned, Refusal> {
    let (key, superseded) = superseded(&draft, kid)?;
    let now = draft.now;
    let by_itself = superseded.accept_until.filter(|_| key.bounded_lifetime().is_some());
    if let Some(until) = by_itself.filter(|until| at.is_some_and(|at| at >= *until)) {
        return Ok(Planned::Nothing(format!(
            "{kid} retires by itself in {}, no later than the instant given",
            in_words(until.since(now))
        )));
    }
    if at.is_some_and(|at| at < now) {
        return Err(Refusal::new(
            Code::DeadlinePast,
            format!("the deadline lies {} in the past", in_words(at.map_or(0, |at| now.since(at)))),
            "give an instant after now: --at \"in 2h\"",
        ));
    }
    if at.is_some_and(|at| at.since(now) > LONGEST_WINDOW) {
        return Err(Refusal::new(
            Code::DeadlineTooFar,
            format!("the deadline lies {} ahead", in_words(at.map_or(0, |at| at.since(now)))),
            format!("give an instant within {}: --at \"in 30d\"", in_words(LONGEST_WINDOW)),
        ));
    }
    let census = Census::of(draft.reports, kid, now, draft.maxima);
    let end = if force { at.unwrap_or(now) } else { deadline(&draft, key, superseded, at, &census)? };
    if force && draft.request.reason.is_none() {
        return Err(Refusal::new(
            Code::ReasonRequired,
            format!("--force cuts off tokens of {kid} that are still good, and no reason was given"),
            "say why: --reason \"…\"",
        ));
    }
    if let Some(superseded) = draft.next.key_mut(kid).and_then(|key| key.superseded.as_mut()) {
        superseded.accept_until = Some(end);
    }
    draft.done(Some(kid));
    let statement = statement(&draft, kid, end, force, &census);
    draft.finish(statement).map(Planned::change)
}

fn superseded<'a>(draft: &Draft<'a>, kid: &Kid) -> Result<(&'a Key, Superseded), Refusal> {
    let key = draft.before.key(kid).ok_or_else(|| impact::unknown_key(draft.before, kid))?;
    let refuse = |code, found: String, remedy: &str| Err(Refusal::new(code, found, remedy));
    if draft.before.signs_now_or_later(kid, draft.now) {
        return refuse(
            Code::KeySigns,
            format!("key {kid} signs, now or by a committed activation"),
            "rotate first: keystile rotate",
        );
    }
    match (draft.before.state_of(key, draft.now), key.superseded) {
        (KeyState::Revoked, _) => {
            refuse(Code::KeyRevoked, format!("key {kid} was revoked"), "there is nothing to do")
        }
        (KeyState::Retired, _) => refuse(
            Code::KeyRetired,
            format!("key {kid} has retired"),
            "remove what is left of it: keystile prune",
        ),
        (_, Some(superseded)) => Ok((key, superseded)),
        (_, None) => {
            refuse(Code::KeyPrepared, format!("key {kid} has never signed"), "drop it: keystile rollback")
        }
    }
}

/// The end that may be set without cutting off a token that is still good.
fn deadline(
    draft: &Draft<'_>,
    key: &Key,
    superseded: Superseded,
    at: Option<UnixTime>,
    census: &Census,
) -> Result<UnixTime, Refusal> {
    let (kid, now) = (&key.kid, draft.now);
    if let Some(until) = superseded.accept_until.filter(|_| key.bounded_lifetime().is_some()) {
        return Err(Refusal::new(
            Code::LiveTokens,
            format!(
                "tokens signed by {kid} may be alive for another {}. {} the key; ending now would cut them off",
                in_words(until.since(now)),
                impact::count(census.sandboxes, "sandbox still uses", "sandboxes still use"),
            ),
            format!("wait: it retires by itself; or: keystile retire {kid} --force --reason \"…\""),
        ));
    }
    let Some(at) = at else {
        let who = match census.never_expires.as_slice() {
            [] => "none was seen lately".to_owned(),
            named => format!("seen: {}", named.join(", ")),
        };
        return Err(Refusal::new(
            Code::DeadlineRequired,
            format!(
                "{kid} may have signed tokens that never expire ({who}), so its window has no end by itself"
            ),
            format!("give it one: keystile retire {kid} --at INSTANT"),
        ));
    };
    // Of an adopted key of unknown past, at least what this keyring minted with it is known.
    let longest = match key.longest_token {
        Lifetime::Bounded(longest) => longest,
        Lifetime::Unbounded => draft.next.policy.token_ttl,
    };
    let finite = superseded.last_iat.plus(longest).plus(draft.next.policy.leeway);
    if at < finite {
        return Err(Refusal::new(
            Code::LiveTokens,
            format!(
                "{kid} also signed tokens that expire; they may be alive for another {}",
                in_words(finite.since(now))
            ),
            format!("give a later instant; or: keystile retire {kid} --at INSTANT --force --reason \"…\""),
        ));
    }
    Ok(at)
}

fn statement(draft: &Draft<'_>, kid: &Kid, end: UnixTime, force: bool, census: &Census) -> Impact {
    let (now, generation) = (draft.now, draft.next.generation);
    let supervisors = vec![format!(
        "{} the key. Those that renew before the end notice nothing; after it, their calls are refused.",
        impact::count(census.sandboxes, "sandbox uses", "sandboxes use"),
    )];
    let mut warnings = Vec::new();
    if force {
        warnings.push("--force: tokens that are still good are cut off at the end.".to_owned());
    }
    let may = draft.before.key(kid).is_some_and(|key| key.never_expires);
    if may || !census.never_expires.is_empty() {
        let seen = match census.never_expires.as_slice() {
            [] => "none was seen lately, which is no proof that there is none".to_owned(),
            named => format!("seen with {}", named.join(", ")),
        };
        warnings.push(format!("Tokens of {kid} that never expire are refused from then on: {seen}."));
    }
    Impact {
        headline: match end.since(now) {
            0 => format!("Would end the window of {kid} now."),
            wait => format!("Would end the window of {kid} in {}.", in_words(wait)),
        },
        steps: vec![
            Step::new(now, format!("generation {generation}"), "the end is published"),
            Step::new(end, "–", format!("{kid} verifies nothing any more")),
        ],
        supervisors,
        warnings,
        undo: "none after the end; before it, keystile rollback --to KID lets the key sign again".to_owned(),
    }
}
