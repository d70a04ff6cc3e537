//! The first generation: a fresh keyring, or an OpenShell key set taken over in place.

use crate::check;
use crate::ident::GatewayId;
use crate::manifest::{Activation, Change, Lifetime, Manifest, SCHEMA};
use crate::plan::draft::would_break;
use crate::plan::room::{new_key, short};
use crate::plan::windows::raise_lifetime;
use crate::plan::{Candidate, Impact, Plan, Step};
use crate::policy::Policy;
use crate::refusal::{Code, Refusal};
use crate::time::{UnixTime, in_words};

/// What the operator says of a key set's past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The longest lifetime of the tokens out there.
    pub longest_token: Lifetime,
}

/// Generation 1 with one active key.
pub fn init(
    gateway_id: GatewayId,
    policy: Policy,
    candidate: &Candidate,
    actor: &str,
    now: UnixTime,
) -> Result<Plan, Refusal> {
    let impact = Impact {
        headline: format!(
            "Would create keyring {gateway_id} with key {}, signing from now on.",
            candidate.kid
        ),
        steps: vec![Step::new(now, "generation 1", "the key is published and signs")],
        supervisors: vec!["There are none yet: no token of this keyring is out.".to_owned()],
        warnings: Vec::new(),
        undo: "remove the store and its witness, as long as no token was minted".to_owned(),
    };
    let first = first_manifest(gateway_id, policy, candidate, "init", actor, now);
    finish(first, "init", now, impact, now)
}

/// Generation 1 from an OpenShell key set, active from the epoch on: its tokens are older than the
/// keyring and stay valid.
pub fn adopt(
    gateway_id: GatewayId,
    policy: Policy,
    candidate: &Candidate,
    adoption: Adoption,
    actor: &str,
    now: UnixTime,
) -> Result<Plan, Refusal> {
    let mut manifest = first_manifest(gateway_id, policy, candidate, "adopt", actor, now);
    for key in &mut manifest.keys {
        key.longest_token = key.longest_token.max(adoption.longest_token);
        key.never_expires |= adoption.longest_token == Lifetime::Unbounded;
    }
    let past = match adoption.longest_token {
        Lifetime::Bounded(seconds) => format!("tokens already out live for at most {}", in_words(seconds)),
        Lifetime::Unbounded => "tokens already out may live for ever".to_owned(),
    };
    let mut warnings = Vec::new();
    if adoption.longest_token == Lifetime::Unbounded {
        warnings.push(
            "After a rotation this key verifies until you set a deadline: keystile retire KID --at INSTANT. \
             If you know the longest lifetime, say so: --longest-token 1h."
                .to_owned(),
        );
    }
    let impact = Impact {
        headline: format!("Would adopt key {} in place as keyring {}.", candidate.kid, manifest.gateway_id),
        steps: vec![Step::new(now, "generation 1", format!("the key goes on signing; {past}"))],
        supervisors: vec!["None has to do anything: every token already out stays valid.".to_owned()],
        warnings,
        undo: "point the single-key gateway at the same files again: they hold the same key".to_owned(),
    };
    finish(manifest, "adopt", UnixTime::EPOCH, impact, now)
}

fn first_manifest(
    gateway_id: GatewayId,
    policy: Policy,
    candidate: &Candidate,
    verb: &str,
    actor: &str,
    now: UnixTime,
) -> Manifest {
    let mut key = new_key(candidate, now);
    raise_lifetime(&mut key, policy.token_ttl);
    let first = Change {
        generation: 1,
        at: now,
        verb: verb.to_owned(),
        actor: actor.to_owned(),
        reason: None,
        request_id: None,
    };
    Manifest {
        schema: SCHEMA.to_owned(),
        gateway_id,
        generation: 1,
        previous: None,
        policy,
        policy_before: None,
        lineage_floor: None,
        keys: vec![key],
        timeline: Vec::new(),
        tombstones: Vec::new(),
        operation: None,
        requests: Vec::new(),
        history: vec![first],
    }
}

fn finish(
    mut manifest: Manifest,
    verb: &'static str,
    from: UnixTime,
    impact: Impact,
    now: UnixTime,
) -> Result<Plan, Refusal> {
    manifest.history.iter().try_for_each(|change| short("the actor", &change.actor))?;
    manifest.timeline.extend(manifest.keys.first().map(|key| Activation { from, kid: key.kid.clone() }));
    manifest.policy.check().map_err(|error| {
        Refusal::new(Code::PolicyOutOfRange, error.to_string(), "give the member a value within its range")
    })?;
    check::postcondition(&manifest, now).map_err(|violation| would_break(&violation))?;
    Ok(Plan { verb, planned_at: now, base: None, next: manifest, takes_candidate: true, impact })
}
