//! What may be done in a state: every verb of a setting, with every parameter that makes a difference.

use keystile_keyring::gate::Fleet;
use keystile_keyring::plan::{Due, Mode, PolicyChange, Verb, due};
use keystile_keyring::{KeyState, Kid, UnixTime};

use super::act::Act;
use super::scene::{Backup, Scene};

/// A kind of act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Prepare,
    PrepareForGood,
    Activate,
    Rotate,
    /// So many seconds beyond the least that may be given.
    Schedule(u64),
    Emergency,
    Rollback,
    RollbackTo,
    Revoke,
    RevokeDescendants,
    Retire,
    RetireByForce,
    Prune,
    Reconcile,
    Set(&'static str, u64),
    /// Any earlier generation comes back, with or without its private keys, and is repaired.
    Restore,
    /// The same with the witness, which is put back to the same generation.
    RestoreAll,
}

impl Scene {
    /// Every act of this kind that is worth trying now.
    pub fn acts(&self, kind: Kind) -> Vec<Act> {
        match kind {
            Kind::Restore => return self.restores(false),
            Kind::RestoreAll => return self.restores(true),
            _ => {}
        }
        self.verbs(kind).into_iter().map(Act::Operate).collect()
    }

    fn restores(&self, witness: bool) -> Vec<Act> {
        if self.backup.is_some() {
            return vec![Act::Repair];
        }
        let earlier = 0..self.log.len() - 1;
        let both = |index| [true, false].map(|private| Act::Restore(Backup { index, private, witness }));
        earlier.flat_map(both).collect()
    }

    fn verbs(&self, kind: Kind) -> Vec<Verb> {
        let newest = self.newest();
        let mode = |mode| vec![Verb::Rotate { mode, no_rollback: false }];
        match kind {
            Kind::Prepare => vec![Verb::Prepare { no_rollback: false }],
            Kind::PrepareForGood => vec![Verb::Prepare { no_rollback: true }],
            Kind::Activate => vec![Verb::Activate { fleet: Fleet::Reporting, no_rollback: false }],
            Kind::Rotate => mode(Mode::Gated(Fleet::Reporting)),
            Kind::Schedule(beyond) => {
                mode(Mode::Scheduled(newest.policy.schedule_minimum(newest.maxima(self.clock(0))) + beyond))
            }
            Kind::Emergency => mode(Mode::Emergency),
            Kind::Rollback => vec![Verb::Rollback { to: None }],
            Kind::RollbackTo => self.idle().map(|kid| Verb::Rollback { to: Some(kid) }).collect(),
            Kind::Revoke | Kind::RevokeDescendants => {
                let descendants = kind == Kind::RevokeDescendants;
                let good = newest.keys.iter().filter(|key| key.revoked.is_none());
                good.map(|key| Verb::Revoke { kid: key.kid.clone(), descendants }).collect()
            }
            Kind::Retire => self.retire(&[1, 5, 9], false),
            Kind::RetireByForce => self.retire(&[0, 3], true),
            Kind::Prune => vec![Verb::Prune],
            Kind::Reconcile => match due(newest, self.clock(0)) {
                Due::Resume(verb) | Due::Rotate(verb) | Due::Prune(verb) => vec![verb],
                Due::Nothing => Vec::new(),
            },
            Kind::Set(member, value) => {
                vec![Verb::SetPolicy(PolicyChange([(member.to_owned(), Some(value))].into()))]
            }
            Kind::Restore | Kind::RestoreAll => Vec::new(),
        }
    }

    /// Keys that only verify.
    fn idle(&self) -> impl Iterator<Item = Kid> {
        let (newest, now) = (self.newest(), self.clock(0));
        let idle = newest.keys.iter().filter(move |key| newest.state_of(key, now) == KeyState::VerifyOnly);
        idle.map(|key| key.kid.clone())
    }

    fn retire(&self, after: &[u64], force: bool) -> Vec<Verb> {
        let at = |seconds: u64| UnixTime(self.now + seconds);
        let each = |kid: Kid| {
            let verb = move |seconds: &u64| Verb::Retire { kid: kid.clone(), at: Some(at(*seconds)), force };
            after.iter().map(verb).collect::<Vec<_>>()
        };
        self.idle().flat_map(each).collect()
    }
}
