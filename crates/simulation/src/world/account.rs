//! What is kept account of: the operator's orders, what a thief knows, how replicas converge, and the end.

use std::collections::BTreeSet;

use keystile_keyring::{Manifest, UnixTime};

use super::World;
use crate::moment::Moment;
use crate::script::Action;
use crate::settings::outages;
use crate::tally::{Convergence, Phase, Tally};
use crate::thief::Loot;

impl World<'_> {
    /// Tells the oracle which tokens the newest generation ends.
    pub(super) fn heed(&mut self, action: &Action, now: Moment) {
        let newest = self.archive.newest();
        let (before, next) = (self.archive.manifest(newest.saturating_sub(1)), self.archive.manifest(newest));
        for key in &next.keys {
            let was = before.key(&key.kid);
            let Some(number) = self.archive.number_of(&key.kid) else { continue };
            if key.revoked.is_some() && was.is_none_or(|was| was.revoked.is_none()) {
                self.oracle.end(number, UnixTime::EPOCH, newest, now);
            }
            let end = |manifest: &Manifest| {
                manifest
                    .key(&key.kid)
                    .and_then(|key| key.superseded)
                    .and_then(|superseded| superseded.accept_until)
            };
            if let (Action::Retire { .. }, Some(last)) = (action, end(next))
                && end(before).is_none_or(|former| last < former)
            {
                self.oracle.end(number, last, newest, now);
            }
        }
        if let Some(floor) = next.lineage_floor.filter(|floor| before.lineage_floor < Some(*floor)) {
            self.oracle.end_lineages(floor, newest, now);
            self.floor = Some((floor, newest));
        }
    }

    /// What can be known of every key, and since which generation.
    pub(super) fn know_the_keys(&mut self) {
        let newest = self.archive.newest();
        let manifest = self.archive.manifest(newest);
        for (number, kid) in self.archive.kids().iter().enumerate() {
            let Ok(key) = u8::try_from(number) else { break };
            let created = manifest.key(kid).map(|key| key.created_at);
            if number >= self.loot.len() {
                let published = (created.unwrap_or(UnixTime::EPOCH), newest);
                self.loot.push(Loot { key, published, signs: None, superseded: None, revoked: None });
            }
            let (Some(loot), Some(held)) = (self.loot.get_mut(number), manifest.key(kid)) else { continue };
            let since = |known: Option<(UnixTime, usize)>, at: Option<UnixTime>| {
                at.map(|at| known.filter(|(then, _)| *then == at).unwrap_or((at, newest)))
            };
            loot.signs = since(loot.signs, manifest.first_activation(kid));
            loot.superseded = since(loot.superseded, manifest.last_period_end(kid));
            if held.revoked.is_some() {
                loot.revoked.get_or_insert(newest);
            }
        }
    }

    /// A generation was committed.
    pub(super) fn tell_of(&mut self, verb: &str, now: Moment) {
        let generation = self.archive.manifest(self.archive.newest()).generation;
        let verb = verb.to_owned();
        self.tally.convergence.push(Convergence { generation, verb, committed: now, half: None, all: None });
    }

    /// Notes which generations half of the replicas hold now, and which all do.
    pub(super) fn converge(&mut self, now: Moment) {
        let count = self.replicas.len();
        // The generation that the simulation begins with was not committed in it.
        for (index, told) in
            self.tally.convergence.iter_mut().enumerate().filter(|(_, told)| told.all.is_none())
        {
            let holding = self.replicas.iter().filter(|replica| replica.held > index).count();
            let took = now.since(told.committed).as_secs_f64();
            if holding * 2 >= count {
                told.half.get_or_insert(took);
            }
            if holding == count {
                told.all.get_or_insert(took);
            }
        }
    }

    /// The end.
    pub(super) fn close(mut self) -> Tally {
        let end = self.settings.end;
        self.operator.close(end);
        for sandbox in &self.sandboxes {
            if end >= sandbox.usable_until {
                self.tally.without += 1;
                self.tally.gap(sandbox.usable_until, end, sandbox.by_order.then_some(sandbox.source));
            }
        }
        self.tally.keys = self.archive.kids().to_vec();
        self.tally.offsets = self.replicas.iter().map(|replica| replica.offset).collect();
        self.tally.rereads = self.replicas.iter().map(|replica| replica.rereads).sum();
        self.tally.steps = std::mem::take(&mut self.operator.done);
        self.tally.phases = self.phases();
        self.tally
    }

    /// From each step, and each begin and end of an outage, to the next.
    fn phases(&self) -> Vec<Phase> {
        let end = self.settings.end;
        let steps = self.tally.steps.iter().map(|step| (step.began, step.step.clone()));
        let breaks = outages(&self.settings.script);
        let breaks =
            breaks.flat_map(|(from, to)| [(from, "outage".to_owned()), (to, "outage over".to_owned())]);
        let mut begins: BTreeSet<(Moment, String)> =
            steps.chain(breaks).filter(|(at, _)| *at < end).collect();
        if begins.first().is_none_or(|(at, _)| *at > Moment(0)) {
            begins.insert((Moment(0), "steady".to_owned()));
        }
        let ends = begins.iter().skip(1).map(|(at, _)| *at).chain([end]);
        begins
            .iter()
            .zip(ends)
            .map(|((from, what), to)| Phase { what: what.clone(), from: *from, to })
            .collect()
    }
}
