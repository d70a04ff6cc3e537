//! What a replica makes of what its store and its witness offer: take it, or keep what it holds.
//! Pure; the rules of invariants I5, I8 and I9.

use std::collections::BTreeSet;

use keystile_keyring::{Digest, Kid, Manifest, Standing, Undone, UnixTime};

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
    /// The store offers a newer generation that undoes what is final in the one held.
    #[error("generation {offered} of the store does not follow the one held: {what}; {}", remedy(.what))]
    Undoes {
        /// What was offered.
        offered: u64,
        /// What it undoes.
        what: Undone,
    },
    /// The store does not follow its witness: a backup was restored, or somebody went on from one.
    #[error("{0}; run: keystile reconcile")]
    Broken(Standing),
}

fn remedy(what: &Undone) -> String {
    match what {
        Undone::Revocation(kid) => format!("revoke it there too: keystile revoke {kid}"),
        Undone::Change(_) => "run: keystile reconcile".to_owned(),
        Undone::LineageFloor(_) => {
            "repeat the revocation there: keystile revoke KID --descendants".to_owned()
        }
    }
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
    let standing = offered.manifest.standing(witness);
    if matches!(standing, Standing::Forked { .. } | Standing::Undoes { .. }) {
        return keep(Fault::Broken(standing));
    }
    if let Some(what) =
        held.and_then(|held| offered.manifest.undoes(held.manifest)).filter(|_| newer(held, number))
    {
        return keep(Fault::Undoes { offered: number, what });
    }
    let fault = standing.is_broken().then_some(Fault::Broken(standing));
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

fn newer(held: Option<Generation<'_>>, offered: u64) -> bool {
    held.is_some_and(|held| offered > held.number())
}

/// What a witness forbids that the keyring held does not: a revocation reaches a replica even where the store
/// that should bring it went back (I8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrule {
    /// Keys that were revoked.
    pub revoked: BTreeSet<Kid>,
    /// The lineage floor, where it is higher than the keyring's.
    pub lineage_floor: Option<UnixTime>,
}

impl Overrule {
    pub(crate) fn by(witness: Option<&Manifest>, held: &Manifest) -> Self {
        let Some(witness) = witness else {
            return Self::default();
        };
        let held_good = |kid: &&Kid| held.key(kid).is_some_and(|key| key.revoked.is_none());
        Self {
            revoked: witness.revoked_kids().filter(held_good).cloned().collect(),
            lineage_floor: witness
                .lineage_floor
                .filter(|floor| held.lineage_floor.is_none_or(|held| held < *floor)),
        }
    }
}

#[cfg(test)]
mod tests {
    use keystile_keyring::manifest::{Origin, Revoked};
    use keystile_keyring::plan::{Candidate, init};
    use keystile_keyring::{GatewayId, Policy, PublicKey};

    use super::*;

    /// Generation `number`; another `content` is another manifest.
    fn manifest(number: u64, content: u8) -> Manifest {
        let candidate = Candidate {
            kid: Kid::new("a").expect("a kid"),
            public_key: PublicKey([content; 32]),
            origin: Origin::Generated,
        };
        let gateway_id = GatewayId::new("openshell").expect("a name");
        let plan = init(gateway_id, Policy::default(), &candidate, "test", UnixTime(1000));
        Manifest { generation: number, ..plan.expect("an empty place").next }
    }

    fn generation(manifest: &Manifest) -> Generation<'_> {
        Generation { manifest, digest: keystile_token::digest(&manifest.to_json().expect("it is written")) }
    }

    fn weighed(held: Option<(u64, u8)>, offered: (u64, u8), witness: Option<(u64, u8)>) -> Weighed {
        let held = held.map(|(number, content)| manifest(number, content));
        let offered = manifest(offered.0, offered.1);
        let witness = witness.map(|(number, content)| manifest(number, content));
        weigh(held.as_ref().map(generation), generation(&offered), witness.as_ref())
    }

    const MINE: (u64, u8) = (5, 1);

    #[test]
    fn i5_in_every_small_world_generations_only_grow() {
        let worlds: Vec<(u64, u8)> = (4..=6).flat_map(|number| [(number, 1), (number, 2)]).collect();
        let witnesses = || std::iter::once(None).chain(worlds.iter().copied().map(Some));
        for offered in &worlds {
            for witness in witnesses() {
                let Weighed { take, confirms, fault } = weighed(Some(MINE), *offered, witness);
                let world = format!("offered {offered:?}, witness {witness:?}");
                assert!(!take || offered.0 > MINE.0, "{world}");
                assert!(
                    !take || witness.is_none_or(|known| known == *offered || known.0 != offered.0),
                    "{world}"
                );
                let next = if take { *offered } else { MINE };
                let newest = witness.is_none_or(|known| known.0 < next.0 || known == next);
                assert!(!confirms || newest, "{world}: the witness knows a newer one");
                assert!(
                    !confirms || *offered == next || witness == Some(next),
                    "{world}: nobody vouches for it"
                );
                assert_eq!(fault.is_none(), confirms && *offered == next, "{world}: what is wrong is said");
            }
        }
    }

    #[test]
    fn what_a_replica_starts_with_is_not_older_than_the_witness() {
        assert!(weighed(None, MINE, None).take);
        assert!(weighed(None, MINE, Some(MINE)).take);
        assert!(weighed(None, MINE, Some((4, 1))).take, "the last change was cut off before the witness");
        let behind = weighed(None, MINE, Some((6, 1)));
        let went_back = Fault::Broken(Standing::Behind { store: 5, witness: 6 });
        assert_eq!((behind.take, behind.fault), (false, Some(went_back)));
        let forked = weighed(None, MINE, Some((5, 2)));
        let broken = Fault::Broken(Standing::Forked { generation: 5 });
        assert_eq!((forked.take, forked.fault), (false, Some(broken)));
    }

    #[test]
    fn a_store_that_went_back_is_named_and_confirms_only_by_the_witness() {
        let back = weighed(Some(MINE), (4, 1), None);
        let fault = Some(Fault::Regression { held: 5, offered: 4 });
        assert_eq!(back, Weighed { take: false, confirms: false, fault: fault.clone() });
        let remembered = weighed(Some(MINE), (4, 1), Some(MINE));
        assert_eq!(remembered, Weighed { take: false, confirms: true, fault });
        let forked = weighed(Some(MINE), (5, 2), None);
        assert_eq!(forked.fault, Some(Fault::Forked { generation: 5 }));
        assert!(!forked.take && !forked.confirms);
    }

    #[test]
    fn i8_a_higher_number_does_not_bring_a_revoked_key_back() {
        let mut held = manifest(5, 1);
        held.keys[0].revoked = Some(Revoked { at: UnixTime(2000), reason: "stolen".to_owned() });
        let offered = manifest(6, 1);
        let what = Undone::Revocation(Kid::new("a").expect("a kid"));
        let live = weigh(Some(generation(&held)), generation(&offered), None);
        assert_eq!((live.take, live.fault), (false, Some(Fault::Undoes { offered: 6, what: what.clone() })));
        let fresh = weigh(None, generation(&offered), Some(&held));
        let broken = Fault::Broken(Standing::Undoes { store: 6, what });
        assert_eq!((fresh.take, fresh.fault), (false, Some(broken)));
        let mut aware = offered.clone();
        aware.keys[0].revoked.clone_from(&held.keys[0].revoked);
        assert!(weigh(Some(generation(&held)), generation(&aware), Some(&held)).take);
    }

    #[test]
    fn i8_only_what_the_witness_revoked_and_the_replica_holds_is_overruled() {
        let held = manifest(5, 1);
        let mut witness = manifest(6, 1);
        assert_eq!(Overrule::by(Some(&witness), &held), Overrule::default());
        let revoked = Revoked { at: UnixTime(2000), reason: "stolen".to_owned() };
        witness.keys[0].revoked = Some(revoked.clone());
        witness.lineage_floor = Some(UnixTime(1500));
        let overrule = Overrule::by(Some(&witness), &held);
        assert_eq!(overrule.revoked, BTreeSet::from([Kid::new("a").expect("a kid")]));
        assert_eq!(overrule.lineage_floor, Some(UnixTime(1500)));
        let mut aware = held.clone();
        aware.keys[0].revoked = Some(revoked);
        aware.lineage_floor = Some(UnixTime(1500));
        assert_eq!(Overrule::by(Some(&witness), &aware), Overrule::default(), "it knows already");
        witness.generation = 4;
        assert_eq!(Overrule::by(Some(&witness), &held), overrule, "final, whatever the number");
        assert_eq!(Overrule::by(None, &held), Overrule::default());
    }
}
