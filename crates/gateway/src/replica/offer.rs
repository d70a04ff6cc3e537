//! What a replica makes of what its store and its witness offer: take it, or keep what it holds.
//! Pure; the rules of invariants I5, I8 and I9.

use std::collections::BTreeSet;

use keystile_keyring::manifest::End;
use keystile_keyring::{Digest, Kid, Manifest, UnixTime};

/// A generation that the replica holds, or that was read.
#[derive(Clone, Copy)]
pub(crate) struct Generation<'a> {
    pub(crate) manifest: &'a Manifest,
    pub(crate) digest: Digest,
}

impl Generation<'_> {
    fn number(&self) -> u64 {
        self.manifest.generation
    }
}

/// What is wrong with an offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The store went back.
    #[error(
        "the store went back: it offers generation {offered}, this replica holds {held}; run: keystile reconcile"
    )]
    Regression {
        /// What is held.
        held: u64,
        /// What was offered.
        offered: u64,
    },
    /// The store offers another content under the same number.
    #[error(
        "the keyring has forked: the store offers another generation {generation} than this replica holds; \
         find out who wrote it, then run: keystile reconcile"
    )]
    Forked {
        /// The number.
        generation: u64,
    },
    /// The store is older than its witness: a backup was restored.
    #[error(
        "the store is at generation {store}, its witness at {witness}: it went back; run: keystile reconcile"
    )]
    BehindWitness {
        /// The store's.
        store: u64,
        /// The witness's.
        witness: u64,
    },
    /// Store and witness hold different contents under the same number.
    #[error(
        "the keyring has forked: store and witness differ at generation {generation}; \
         find out who wrote them, then run: keystile reconcile"
    )]
    ForkedFromWitness {
        /// The number.
        generation: u64,
    },
}

/// What to do with an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Weighed {
    /// Load what was offered.
    pub(crate) take: bool,
    /// The read says that nothing newer than what is then held was committed when it began.
    pub(crate) confirms: bool,
    /// What is wrong.
    pub(crate) fault: Option<Fault>,
}

/// Weighs what was read against what is held. The witness must have been read before the store: it
/// is written after it, so it can be ahead only of a store that went back.
pub(crate) fn weigh(
    held: Option<Generation<'_>>,
    offered: Generation<'_>,
    witness: Option<&Manifest>,
) -> Weighed {
    let keep = |fault| Weighed {
        take: false,
        // The witness remembers the newest change that succeeded. If that is what is held, then
        // whatever became of the store, nothing newer was committed.
        confirms: held.is_some_and(|held| witness == Some(held.manifest)),
        fault: Some(fault),
    };
    let number = offered.number();
    let behind = witness.map(|witness| witness.generation).filter(|ahead| *ahead > number);
    if witness.is_some_and(|witness| witness.generation == number && witness != offered.manifest) {
        return keep(Fault::ForkedFromWitness { generation: number });
    }
    let fault = behind.map(|witness| Fault::BehindWitness { store: number, witness });
    let confirms = fault.is_none();
    match held {
        Some(held) if number < held.number() => {
            keep(Fault::Regression { held: held.number(), offered: number })
        }
        Some(held) if number == held.number() && offered.digest != held.digest => {
            keep(Fault::Forked { generation: number })
        }
        Some(held) if number == held.number() => Weighed { take: false, confirms, fault },
        // A replica that starts has nothing good to go on serving, and may not begin with what went back.
        None if fault.is_some() => keep(fault.unwrap_or(Fault::Forked { generation: number })),
        _ => Weighed { take: true, confirms, fault },
    }
}

/// What a witness that is newer than the keyring held forbids: a revocation reaches a replica even
/// where the store that should bring it went back (I8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overrule {
    pub(crate) revoked: BTreeSet<Kid>,
    pub(crate) lineage_floor: Option<UnixTime>,
}

impl Overrule {
    pub(crate) fn by(witness: Option<&Manifest>, held: &Manifest) -> Self {
        let Some(witness) = witness.filter(|witness| witness.generation > held.generation) else {
            return Self::default();
        };
        let keys = witness.keys.iter().filter(|key| key.revoked.is_some()).map(|key| &key.kid);
        let gone =
            witness.tombstones.iter().filter(|stone| stone.end == End::Revoked).map(|stone| &stone.kid);
        let held_good = |kid: &&Kid| held.key(kid).is_some_and(|key| key.revoked.is_none());
        Self {
            revoked: keys.chain(gone).filter(held_good).cloned().collect(),
            lineage_floor: witness
                .lineage_floor
                .filter(|floor| held.lineage_floor.is_none_or(|held| held < *floor)),
        }
    }
}
