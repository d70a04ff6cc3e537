//! What may happen in a life, as data that shrinks well.

use keystile_keyring::Policy;
use proptest::prelude::*;

use crate::world::small;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// True time passes.
    Wait(u64),
    /// A replica reads the store and reports.
    Read(usize),
    /// All of them do.
    ReadAll,
    /// A replica mints a token of a fresh lineage.
    Mint(usize),
    /// A replica verifies an earlier token and mints its successor.
    Refresh(usize, usize),
    /// A replica stops, and another one starts in its place.
    Restart(usize),
    /// An operator plans on a clock of this offset; the commit lands so much later.
    Operate { offset: i64, pick: Pick, lands_in: u64 },
}

/// A verb, its parameters as numbers that are reduced to what the keyring holds.
#[derive(Clone, Debug)]
pub(crate) enum Pick {
    Prepare { no_rollback: bool },
    Activate,
    Rotate { no_rollback: bool },
    Schedule { beyond_minimum: u64 },
    Emergency,
    Rollback { to: Option<usize> },
    Revoke { key: usize, descendants: bool },
    Retire { key: usize, after: Option<u64>, force: bool },
    Prune,
    SetPolicy { member: &'static str, value: u64 },
}

/// Which verbs a life may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Picks {
    /// All of them.
    Any,
    /// Those that never need a read of the store: no emergency, rollback, revocation or raise.
    Planned,
}

/// Replicas in every world.
pub(crate) const REPLICAS: usize = 3;

pub(crate) fn policies(picks: Picks) -> impl Strategy<Value = Policy> {
    let cache = prop_oneof![3 => Just(0u64), 1 => 1..=2u64];
    let forever = u32::from(picks == Picks::Any);
    let ttl = prop_oneof![6 => Just(4u64), 1 => Just(6), forever => Just(0)];
    (ttl, 1..=3u64, 0..=3u64, cache, 0..=12u64, 3..=8u64).prop_map(
        |(token_ttl, max_staleness, activation_lead, verifier_cache, rollback_custody, max_keys)| Policy {
            token_ttl,
            max_staleness,
            activation_lead,
            verifier_cache,
            rollback_custody,
            max_keys,
            ..small()
        },
    )
}

pub(crate) fn steps(picks: Picks) -> impl Strategy<Value = Vec<Step>> {
    let late = u32::from(picks == Picks::Any);
    let lands_in = prop_oneof![6 => Just(0u64), 4 => Just(1), late => 2..=9u64];
    let operate = (0..=1i64, pick(picks), lands_in).prop_map(|(offset, pick, lands_in)| Step::Operate {
        offset,
        pick,
        lands_in,
    });
    let replica = 0..REPLICAS;
    let step = prop_oneof![
        6 => (1..=3u64).prop_map(Step::Wait),
        3 => replica.clone().prop_map(Step::Read),
        4 => Just(Step::ReadAll),
        6 => replica.clone().prop_map(Step::Mint),
        1 => (replica.clone(), 0..8usize).prop_map(|(replica, token)| Step::Refresh(replica, token)),
        1 => replica.prop_map(Step::Restart),
        6 => operate,
    ];
    prop::collection::vec(step, 1..120)
}

fn pick(picks: Picks) -> BoxedStrategy<Pick> {
    // Instants are whole seconds: within the second of the minimum, a replica may hear of the key first
    // from a token, and needs its read.
    let least_beyond = u64::from(picks == Picks::Planned);
    let planned = prop_oneof![
        3 => any::<bool>().prop_map(|no_rollback| Pick::Prepare { no_rollback }),
        6 => Just(Pick::Activate),
        4 => any::<bool>().prop_map(|no_rollback| Pick::Rotate { no_rollback }),
        3 => (least_beyond..=3).prop_map(|beyond_minimum| Pick::Schedule { beyond_minimum }),
        3 => Just(Pick::Prune),
        1 => member(&[("max_staleness", 1), ("token_ttl", 2), ("max_skew", 1), ("activation_lead", 2)]),
    ];
    if picks == Picks::Planned {
        return planned.boxed();
    }
    let any_kind = prop_oneof![
        12 => planned,
        4 => Just(Pick::Emergency),
        4 => prop::option::of(0..8usize).prop_map(|to| Pick::Rollback { to }),
        3 => (0..8usize, prop::bool::weighted(0.2))
            .prop_map(|(key, descendants)| Pick::Revoke { key, descendants }),
        6 => (0..8usize, prop::option::of(0..20u64), any::<bool>())
            .prop_map(|(key, after, force)| Pick::Retire { key, after, force }),
        4 => raised(),
    ];
    any_kind.boxed()
}

fn member(values: &'static [(&'static str, u64)]) -> impl Strategy<Value = Pick> {
    prop::sample::select(values).prop_map(|(member, value)| Pick::SetPolicy { member, value })
}

fn raised() -> impl Strategy<Value = Pick> {
    member(&[
        ("token_ttl", 0),
        ("token_ttl", 5),
        ("token_ttl", 9),
        ("max_staleness", 3),
        ("max_staleness", 5),
        ("max_skew", 2),
        ("leeway", 2),
        ("leeway", 1),
        ("verifier_cache", 2),
        ("commit_delay", 2),
        ("rollback_custody", 0),
    ])
}
