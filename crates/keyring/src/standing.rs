//! How two manifests of one keyring stand to one another: the one place of the rules by which a store that
//! went back, or that somebody else went on with, is recognised (I5, I8).

use std::fmt;

use crate::ident::Kid;
use crate::manifest::{End, Manifest};
use crate::refusal::{Code, Refusal};
use crate::time::UnixTime;

/// How a store stands to its witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They hold the same, or there is no witness yet.
    InStep,
    /// The store is ahead: the last change was cut off before the witness was told.
    Ahead,
    /// The store is older: a backup was restored.
    Behind {
        /// The store's generation.
        store: u64,
        /// The witness's.
        witness: u64,
    },
    /// They hold different manifests of one generation.
    Forked {
        /// The generation.
        generation: u64,
    },
    /// The store is newer by its number, and undoes what the witness knows to be final.
    Undoes {
        /// The store's generation.
        store: u64,
        /// What it undoes.
        what: Undone,
    },
}

/// A decision that is final, and that a manifest does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undone {
    /// The key was revoked, and is held as good.
    Revocation(Kid),
    /// Lineages that began up to this instant were refused, and are not.
    LineageFloor(UnixTime),
    /// The change that made this generation succeeded, and is not among those that the store has seen.
    Change(u64),
}

impl Manifest {
    /// How a store that holds this manifest stands to a witness that remembers `witness`.
    pub fn standing(&self, witness: Option<&Manifest>) -> Standing {
        let Some(witness) = witness else {
            return Standing::InStep;
        };
        let (store, remembered) = (self.generation, witness.generation);
        if store < remembered {
            return Standing::Behind { store, witness: remembered };
        }
        if store == remembered {
            return if self == witness { Standing::InStep } else { Standing::Forked { generation: store } };
        }
        let undone = self.undoes(witness).or_else(|| self.never_saw(witness));
        undone.map_or(Standing::Ahead, |what| Standing::Undoes { store, what })
    }

    /// The last change of `witness`, if this manifest's history goes back so far and does not hold it: then what
    /// was committed here was committed on an older backup, and keys that the witness knows may be missing.
    fn never_saw(&self, witness: &Manifest) -> Option<Undone> {
        let last = witness.history.last()?;
        let reaches = self.history.first().is_some_and(|oldest| oldest.generation <= last.generation);
        let seen = self.history.iter().any(|change| change == last);
        (reaches && !seen).then_some(Undone::Change(last.generation))
    }

    /// What `known` has decided for good and this manifest does not know, if anything. No generation that
    /// follows `known` undoes it: a revoked key stays revoked until it is gone, and the floor only rises.
    pub fn undoes(&self, known: &Manifest) -> Option<Undone> {
        let good = |kid: &&Kid| self.key(kid).is_some_and(|key| key.revoked.is_none());
        if let Some(kid) = known.revoked_kids().find(good) {
            return Some(Undone::Revocation(kid.clone()));
        }
        let floor = known.lineage_floor.filter(|floor| self.lineage_floor.is_none_or(|mine| mine < *floor));
        floor.map(Undone::LineageFloor)
    }

    /// The kids of which it is known that they were revoked, held or gone.
    pub fn revoked_kids(&self) -> impl Iterator<Item = &Kid> {
        let held = self.keys.iter().filter(|key| key.revoked.is_some()).map(|key| &key.kid);
        let gone = self.tombstones.iter().filter(|stone| stone.end == End::Revoked).map(|stone| &stone.kid);
        held.chain(gone)
    }
}

impl Standing {
    /// Whether nothing may be built on the store before it is repaired.
    pub fn is_broken(&self) -> bool {
        !matches!(self, Self::InStep | Self::Ahead)
    }

    /// Why nothing may be built on the store, if so.
    pub fn refusal(&self) -> Option<Refusal> {
        let code = match self {
            Self::InStep | Self::Ahead => return None,
            Self::Behind { .. } => Code::StoreWentBack,
            Self::Forked { .. } | Self::Undoes { .. } => Code::StoreForked,
        };
        Some(Refusal::new(code, self.to_string(), "repair it: keystile reconcile"))
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InStep => f.write_str("store and witness hold the same"),
            Self::Ahead => f.write_str("the store is ahead of its witness"),
            Self::Behind { store, witness } => {
                write!(f, "the store is at generation {store}, its witness at {witness}: it went back")
            }
            Self::Forked { generation } => {
                write!(f, "store and witness hold different manifests of generation {generation}")
            }
            Self::Undoes { store, what } => {
                write!(f, "generation {store} of the store does not follow the witness: {what}")
            }
        }
    }
}

impl fmt::Display for Undone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revocation(kid) => write!(f, "key {kid} was revoked, and it holds the key as good"),
            Self::Change(generation) => {
                write!(
                    f,
                    "it was made on an older one, and knows nothing of the witness's generation {generation}"
                )
            }
            Self::LineageFloor(floor) => {
                write!(f, "lineages that began up to {} were refused, and it accepts them", floor.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Change, Revoked, Tombstone};
    use crate::testing::{at, kid, ring_of};

    fn ring(generation: u64) -> Manifest {
        Manifest { generation, ..ring_of(&[("a", 1000), ("b", 2000)]) }
    }

    fn revoked(generation: u64) -> Manifest {
        let mut manifest = ring(generation);
        manifest.keys[0].revoked = Some(Revoked { at: at(2100), reason: "stolen".to_owned() });
        manifest
    }

    #[test]
    fn a_store_is_measured_by_its_witness() {
        assert_eq!(ring(5).standing(None), Standing::InStep);
        assert_eq!(ring(5).standing(Some(&ring(5))), Standing::InStep);
        assert_eq!(ring(6).standing(Some(&ring(5))), Standing::Ahead);
        assert_eq!(ring(5).standing(Some(&ring(6))), Standing::Behind { store: 5, witness: 6 });
        assert_eq!(ring(5).standing(Some(&revoked(5))), Standing::Forked { generation: 5 });
        assert_eq!(revoked(6).standing(Some(&ring(5))), Standing::Ahead);
    }

    #[test]
    fn what_is_broken_is_refused_and_nothing_else() {
        let undone = Standing::Undoes { store: 9, what: Undone::Change(2) };
        let broken = [Standing::Behind { store: 5, witness: 6 }, Standing::Forked { generation: 5 }, undone];
        assert!(broken.iter().all(|standing| standing.is_broken() && standing.refusal().is_some()));
        let sound = [Standing::InStep, Standing::Ahead];
        assert!(sound.iter().all(|standing| !standing.is_broken() && standing.refusal().is_none()));
    }

    #[test]
    fn i8_a_newer_number_does_not_undo_a_revocation() {
        let undone = Standing::Undoes { store: 9, what: Undone::Revocation(kid("a")) };
        assert_eq!(ring(9).standing(Some(&revoked(5))), undone);
        assert_eq!(undone.refusal().map(|refusal| refusal.code), Some(Code::StoreForked));
        let mut gone = ring(5);
        gone.keys.remove(0);
        let stone = Tombstone { kid: kid("a"), end: End::Revoked, at: at(2100), named_until: None };
        gone.tombstones.push(stone);
        assert_eq!(ring(9).standing(Some(&gone)), undone, "a tombstone remembers too");
        gone.tombstones[0].end = End::Retired;
        assert_eq!(ring(9).standing(Some(&gone)), Standing::Ahead, "a retirement is no revocation");
    }

    /// What follows may forget a kid with its tombstone: nothing accepts it any more.
    #[test]
    fn a_revoked_key_that_is_gone_is_not_undone() {
        let mut next = ring(6);
        next.keys.remove(0);
        assert_eq!(next.undoes(&revoked(5)), None);
    }

    /// A backup on which somebody went on further than the witness: keys that the witness knows may be missing.
    #[test]
    fn a_store_ahead_that_never_saw_the_witnesss_last_change_does_not_follow_it() {
        let change = |generation: u64, actor: &str| Change {
            generation,
            at: at(1000 + generation),
            verb: "rotate".to_owned(),
            actor: actor.to_owned(),
            reason: None,
            request_id: None,
        };
        let with = |generation, history: Vec<Change>| Manifest { history, ..ring(generation) };
        let witness = with(2, vec![change(1, "a"), change(2, "a")]);
        let undone = Standing::Undoes { store: 3, what: Undone::Change(2) };
        let strayed = with(3, vec![change(1, "a"), change(2, "b"), change(3, "b")]);
        assert_eq!(strayed.standing(Some(&witness)), undone);
        let follows = with(3, vec![change(1, "a"), change(2, "a"), change(3, "b")]);
        assert_eq!(follows.standing(Some(&witness)), Standing::Ahead);
        let trimmed = with(9, vec![change(8, "a"), change(9, "a")]);
        assert_eq!(
            trimmed.standing(Some(&witness)),
            Standing::Ahead,
            "its history does not reach back so far"
        );
    }

    #[test]
    fn i8_the_lineage_floor_only_rises() {
        let floor = |generation, at_second: Option<u64>| Manifest {
            lineage_floor: at_second.map(at),
            ..ring(generation)
        };
        assert_eq!(floor(6, None).undoes(&floor(5, Some(1500))), Some(Undone::LineageFloor(at(1500))));
        assert_eq!(floor(6, Some(1499)).undoes(&floor(5, Some(1500))), Some(Undone::LineageFloor(at(1500))));
        assert_eq!(floor(6, Some(1500)).undoes(&floor(5, Some(1500))), None);
        assert_eq!(floor(6, Some(1500)).undoes(&floor(5, None)), None);
    }
}
