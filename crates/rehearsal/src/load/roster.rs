//! Which replicas to go to: a caller leaves one that gave no answer alone for a moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::dice::Dice;
use crate::moment::Moment;
use crate::replica::ReplicaName;

/// How long a replica that gave no answer is left alone.
const REST: Duration = Duration::from_millis(100);

/// Until when each replica is left alone, in microseconds of the run.
pub(super) struct Roster {
    rests_until: Box<[AtomicU64]>,
}

impl Roster {
    pub(super) fn new(replicas: usize) -> Self {
        Self { rests_until: (0..replicas).map(|_| AtomicU64::new(0)).collect() }
    }

    pub(super) fn is_silent(&self, replica: ReplicaName, at: Moment) {
        let until = Moment(at.0 + REST);
        if let Some(rests) = self.rests_until.get(replica.index()) {
            rests.fetch_max(micros(until), Ordering::Relaxed);
        }
    }

    pub(super) fn answers(&self, replica: ReplicaName) {
        if let Some(rests) = self.rests_until.get(replica.index()) {
            rests.store(0, Ordering::Relaxed);
        }
    }

    /// All replicas in a random order, those that gave no answer last.
    pub(super) fn order(&self, at: Moment, dice: &mut Dice) -> Vec<ReplicaName> {
        let now = micros(at);
        let mut order: Vec<_> = (0..self.rests_until.len()).map(ReplicaName::of_index).collect();
        for index in (1..order.len()).rev() {
            order.swap(index, dice.below(index + 1));
        }
        order.sort_by_key(|name| {
            self.rests_until.get(name.index()).is_some_and(|rests| rests.load(Ordering::Relaxed) > now)
        });
        order
    }
}

fn micros(moment: Moment) -> u64 {
    u64::try_from(moment.0.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::fixture::moment;

    #[test]
    fn every_replica_comes_first_sometimes() {
        let (roster, mut dice) = (Roster::new(3), Dice::new(1));
        let firsts: BTreeSet<_> = (0..100).map(|_| roster.order(moment(1.0), &mut dice)[0]).collect();
        assert_eq!(firsts.len(), 3);
    }

    #[test]
    fn a_silent_one_comes_last_for_a_moment() {
        let (roster, mut dice) = (Roster::new(3), Dice::new(1));
        let silent = ReplicaName::of_index(1);
        roster.is_silent(silent, moment(1.0));
        for _ in 0..50 {
            assert_eq!(roster.order(moment(1.05), &mut dice)[2], silent);
        }
        let late: BTreeSet<_> = (0..100).map(|_| roster.order(moment(1.2), &mut dice)[0]).collect();
        assert!(late.contains(&silent), "it is tried again");
        roster.is_silent(silent, moment(2.0));
        roster.answers(silent);
        let back: BTreeSet<_> = (0..100).map(|_| roster.order(moment(2.0), &mut dice)[0]).collect();
        assert!(back.contains(&silent));
    }
}
