//! The worlds that are explored: a policy with its edges close together, and what may happen.

use keystile_keyring::Policy;

use super::act::Pace;
use super::menu::Kind;

/// One world.
pub struct Setting {
    pub name: &'static str,
    pub policy: Policy,
    /// What clocks show, less true time.
    pub offsets: &'static [u64],
    pub kinds: &'static [Kind],
    pub paces: &'static [Pace],
    /// How many acts the tests explore; the command goes further.
    pub acts: usize,
    /// Whether replicas report to whoever plans.
    pub reports: bool,
    /// Whether nothing happens here that needs a read of the store: then every token is accepted without.
    pub strict: bool,
    /// Whether a thief refreshes what he forged.
    pub thief: bool,
}

/// TTL 4, staleness 2, skew 1, commit delay 1, leeway 1.
const SMALL: Policy = Policy {
    token_ttl: 4,
    leeway: 1,
    max_skew: 1,
    max_staleness: 2,
    verify_staleness: 8,
    commit_delay: 1,
    verifier_cache: 0,
    activation_lead: 0,
    rotation_due_after: 0,
    rotate_every: None,
    rollback_custody: 6,
    max_keys: 8,
    max_lineage_age: None,
};

const PACES: &[Pace] = &[Pace::PROMPT, Pace::AHEAD, Pace::DELAYED];
const EVERY_PACE: &[Pace] = &[Pace::PROMPT, Pace::AHEAD, Pace::DELAYED, Pace::LATE, Pace::UNTOLD];
const ANY_PACE: &[Pace] = &[Pace::PROMPT, Pace::AHEAD, Pace::DELAYED, Pace::LATE];

/// Rotations that wait for the fleet, and rules that are only tightened: nobody needs the store.
pub static PLANNED: Setting = Setting {
    name: "planned rotations, store cut off",
    policy: SMALL,
    offsets: &[0, 1],
    kinds: &[
        Kind::Prepare,
        Kind::PrepareForGood,
        Kind::Activate,
        Kind::Schedule(0),
        Kind::Prune,
        Kind::Set("token_ttl", 2),
        Kind::Set("max_staleness", 1),
    ],
    paces: PACES,
    acts: 2,
    reports: true,
    strict: true,
    thief: false,
};

/// The same where an activation lies ahead for a while, and outside verifiers cache.
pub static PLANNED_AHEAD: Setting = Setting {
    name: "planned rotations with a lead and caches, store cut off",
    policy: Policy { activation_lead: 3, verifier_cache: 2, ..SMALL },
    offsets: &[0, 1],
    kinds: &[Kind::Rotate, Kind::Schedule(0), Kind::Schedule(2), Kind::Reconcile],
    paces: PACES,
    acts: 2,
    reports: true,
    strict: true,
    thief: false,
};

/// To and fro between keys.
pub static ROTATIONS: Setting = Setting {
    name: "rotations and rollbacks",
    policy: SMALL,
    offsets: &[0, 1],
    kinds: &[Kind::Rotate, Kind::Schedule(0), Kind::Emergency, Kind::Rollback, Kind::RollbackTo, Kind::Prune],
    paces: ANY_PACE,
    acts: 2,
    reports: true,
    strict: false,
    thief: false,
};

/// The same with activations that lie ahead.
pub static ROTATIONS_AHEAD: Setting = Setting {
    name: "rotations and rollbacks with a lead",
    policy: Policy { activation_lead: 3, max_staleness: 4, ..SMALL },
    offsets: &[0, 1],
    kinds: &[Kind::Prepare, Kind::Activate, Kind::Emergency, Kind::Rollback, Kind::Revoke],
    paces: PACES,
    acts: 2,
    reports: true,
    strict: false,
    thief: false,
};

/// Rules change while keys do.
pub static POLICY: Setting = Setting {
    name: "changes of policy",
    policy: Policy { max_staleness: 3, ..SMALL },
    offsets: &[0, 1],
    kinds: &[
        Kind::Prepare,
        Kind::Activate,
        Kind::Emergency,
        Kind::Rollback,
        Kind::Set("token_ttl", 2),
        Kind::Set("token_ttl", 6),
        Kind::Set("max_staleness", 1),
        Kind::Set("max_staleness", 5),
        Kind::Set("max_skew", 2),
        Kind::Set("max_skew", 1),
    ],
    paces: PACES,
    acts: 2,
    reports: true,
    strict: false,
    thief: false,
};

/// A longer lifetime between the making of a key and its activation, and little else.
pub static RAISES: Setting = Setting {
    name: "a raise before an activation",
    policy: SMALL,
    offsets: &[0, 1],
    kinds: &[Kind::Prepare, Kind::Set("token_ttl", 6), Kind::Activate, Kind::Emergency],
    paces: &[Pace::PROMPT],
    acts: 3,
    reports: true,
    strict: false,
    thief: false,
};

/// Tokens that never expire, and the deadlines that end them.
pub static ENDLESS: Setting = Setting {
    name: "tokens without an end, deadlines, forced ends",
    policy: SMALL,
    offsets: &[0, 1],
    kinds: &[
        Kind::Emergency,
        Kind::Rollback,
        Kind::Set("token_ttl", 0),
        Kind::Set("token_ttl", 4),
        Kind::Retire,
        Kind::RetireByForce,
        Kind::Prune,
    ],
    paces: PACES,
    acts: 2,
    reports: true,
    strict: false,
    thief: false,
};

/// A stolen key.
pub static THEFT: Setting = Setting {
    name: "theft, revocation, descendants",
    policy: Policy { rollback_custody: 0, max_keys: 3, ..SMALL },
    offsets: &[0, 1],
    kinds: &[
        Kind::Prepare,
        Kind::Schedule(0),
        Kind::Emergency,
        Kind::Rollback,
        Kind::Revoke,
        Kind::RevokeDescendants,
        Kind::Prune,
    ],
    paces: PACES,
    acts: 2,
    reports: true,
    strict: false,
    thief: true,
};

/// A backup takes the store's place; an operator may die before it tells the witness.
pub static RESTORES: Setting = Setting {
    name: "restores, the witness, repairs",
    policy: SMALL,
    offsets: &[0, 1],
    kinds: &[Kind::Emergency, Kind::Revoke, Kind::Restore],
    paces: &[Pace::PROMPT, Pace::UNTOLD],
    acts: 3,
    reports: true,
    strict: false,
    thief: false,
};

/// The same where only the witness remembers, also with an activation ahead.
pub static RESTORES_UNSEEN: Setting = Setting {
    name: "restores that no living replica saw",
    policy: SMALL,
    offsets: &[0, 1],
    kinds: &[Kind::Schedule(0), Kind::Emergency, Kind::Revoke, Kind::Restore],
    paces: &[Pace::PROMPT],
    acts: 3,
    reports: false,
    strict: false,
    thief: false,
};

/// Store and witness are put back together, and an operator accepts that: only living replicas remember.
pub static RESTORES_OF_ALL: Setting = Setting {
    name: "restores of store and witness",
    policy: SMALL,
    offsets: &[0, 1],
    kinds: &[Kind::Emergency, Kind::Revoke, Kind::RestoreAll],
    paces: &[Pace::PROMPT],
    acts: 3,
    reports: true,
    strict: false,
    thief: false,
};

/// A keyring with few places.
pub static FULL: Setting = Setting {
    name: "a full keyring",
    policy: Policy { max_keys: 3, ..SMALL },
    offsets: &[0],
    kinds: &[Kind::Schedule(0), Kind::Emergency, Kind::Revoke, Kind::Prune],
    paces: &[Pace::PROMPT],
    acts: 3,
    reports: true,
    strict: false,
    thief: false,
};

/// To and fro, and nothing else.
pub static TO_AND_FRO: Setting = Setting {
    name: "emergencies and rollbacks",
    policy: SMALL,
    offsets: &[0, 1],
    kinds: &[Kind::Emergency, Kind::Rollback],
    paces: PACES,
    acts: 2,
    reports: true,
    strict: false,
    thief: false,
};

/// Two clocks that are each within max_skew of true time, and twice that apart.
pub static TWICE_THE_SKEW: Setting = Setting {
    name: "clocks apart by twice the skew",
    policy: SMALL,
    offsets: &[0, 2],
    kinds: &[],
    paces: PACES,
    acts: 2,
    reports: true,
    strict: false,
    thief: false,
};

/// Windows without a leeway, so that what is pruned too early is missed.
pub static PRUNED: Setting = Setting {
    name: "prune at the end of a window",
    policy: Policy { leeway: 0, ..SMALL },
    offsets: &[0, 1],
    kinds: &[Kind::Emergency, Kind::Prune],
    paces: ANY_PACE,
    acts: 2,
    reports: true,
    strict: false,
    thief: false,
};

/// Everything that operators, thieves and backups do, in one world: pairs of acts that the others keep apart.
pub static EVERYTHING: Setting = Setting {
    name: "every kind of act",
    policy: SMALL,
    offsets: &[0, 1],
    kinds: &[
        Kind::Prepare,
        Kind::PrepareForGood,
        Kind::Activate,
        Kind::Rotate,
        Kind::Schedule(0),
        Kind::Emergency,
        Kind::Rollback,
        Kind::RollbackTo,
        Kind::Revoke,
        Kind::RevokeDescendants,
        Kind::Retire,
        Kind::RetireByForce,
        Kind::Prune,
        Kind::Reconcile,
        Kind::Set("token_ttl", 0),
        Kind::Set("token_ttl", 6),
        Kind::Set("max_staleness", 1),
        Kind::Restore,
        Kind::RestoreAll,
    ],
    paces: EVERY_PACE,
    acts: 2,
    reports: true,
    strict: false,
    thief: true,
};

/// All of them but for the wide.
pub static ALL: &[&Setting] = &[
    &PLANNED,
    &PLANNED_AHEAD,
    &ROTATIONS,
    &ROTATIONS_AHEAD,
    &POLICY,
    &RAISES,
    &ENDLESS,
    &THEFT,
    &RESTORES,
    &RESTORES_UNSEEN,
    &RESTORES_OF_ALL,
    &TO_AND_FRO,
    &PRUNED,
    &FULL,
];

/// So wide that an act more is out of reach.
pub static WIDE: &[&Setting] = &[&EVERYTHING];
