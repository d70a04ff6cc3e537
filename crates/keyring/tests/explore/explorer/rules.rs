//! The rules that are explored: those of the keyring, or weaker ones put in the place of one of them.

use keystile_keyring::check;
use keystile_keyring::plan::{Context, Plan, Planned, Remains, Request, plan, repair};
use keystile_keyring::{Breach, KeyState, Manifest, Policy, Refusal, Standing, UnixTime};

use crate::world::{Token, Why, verify};

/// Every rule that a world lives by, each in one place so that a test can put a weaker one there.
#[derive(Clone, Copy)]
pub struct Rules {
    pub plan: fn(&Manifest, &Request, &Context<'_>) -> Result<Planned, Refusal>,
    pub repair: fn(&Remains<'_>, &Manifest, UnixTime) -> Result<Plan, Refusal>,
    pub verify: fn(&Manifest, &Token, UnixTime) -> Result<(), Why>,
    /// Whether a replica that cannot read its store, last confirmed at that instant of its clock, accepts a
    /// token that what it holds refuses.
    pub doubt: fn(&Manifest, &Token, Why, UnixTime) -> bool,
    /// How long a replica verifies without a confirmation.
    pub verifies_for: fn(&Policy) -> u64,
    pub standing: fn(&Manifest, &Manifest) -> Standing,
    /// Which keys belong in the JWK Set.
    pub published: fn(KeyState) -> bool,
    /// What a replica refuses to load, whatever led to it.
    pub structure: fn(&Manifest) -> Result<(), check::Violation>,
}

impl Rules {
    /// The rules as they are.
    pub const KEYRING: Self = Self {
        plan,
        repair: |remains, witness, now| repair(remains, witness, "olga", now),
        verify,
        doubt,
        verifies_for: |policy| policy.verify_staleness,
        standing: |store, witness| store.standing(Some(witness)),
        published: KeyState::published,
        structure: check::structure,
    };
}

/// A prepared key may have been activated since the replica last heard: the token's `iat` must do.
fn doubt(held: &Manifest, token: &Token, why: Why, confirmed: UnixTime) -> bool {
    let policy = &held.policy;
    let prepared = held.key(&token.kid).is_some() && held.first_activation(&token.kid).is_none();
    let by_policy = match token.times.expires_at {
        None => policy.mints_forever(),
        Some(exp) => exp.since(token.times.issued_at) <= policy.token_ttl,
    };
    prepared
        && by_policy
        && why == Why::Breach(Breach::SignedBeforeActivation)
        && token.times.issued_at >= confirmed.minus(policy.max_skew)
}
