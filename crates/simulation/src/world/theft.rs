//! A thief of every private key tries what must be refused, once a second at one replica.
//!
//! What the thief makes a replica read again helps nobody: otherwise fleets with thieves would converge sooner.

use super::World;
use crate::moment::Moment;
use crate::replica::{Outcome, Sight};
use crate::thief::arsenal;

impl World<'_> {
    pub(super) fn steal(&mut self, now: Moment) {
        let policy = &self.settings.options.policy;
        let number = self.any_victim(now);
        let floor = self.floor;
        for forged in arsenal(&self.loot, floor, policy, &self.archive, now) {
            let sight = sight!(self, now);
            let Some(mut replica) = self.replicas.get(number).cloned() else { return };
            let outcome = replica.verify(&forged.kid, forged.token.times(), &sight);
            let knows = replica.held >= forged.known && !(forged.passes_unread && sight.outage.is_some());
            let attack = self.tally.attacks.entry(forged.what).or_default();
            attack.presented += 1;
            self.tally.forged += 1;
            if outcome == Outcome::Accepted && knows {
                attack.accepted += 1;
                self.tally.wrongly_accepted += 1;
                self.tally
                    .mistake(|| format!("{now} gateway-{}: accepted a token {}", number + 1, forged.what));
            }
        }
    }

    /// Each replica in its turn.
    fn any_victim(&self, now: Moment) -> usize {
        usize::try_from(now.second()).unwrap_or_default() % self.replicas.len().max(1)
    }
}
