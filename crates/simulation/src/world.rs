//! The world: events in the order of time, and who acts on each.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::plan::Plan;
use keystile_keyring::{Manifest, UnixTime};
use keystile_supervisor::Dice;

use crate::archive::Archive;
use crate::calendar::{Calendar, Event};
use crate::chance::{Chance, Seeded};
use crate::moment::Moment;
use crate::operator::{Next, Operator, Outlook};
use crate::oracle::Oracle;
use crate::replica::{PERIOD, Replica, Sight};
use crate::sandbox::Sandbox;
use crate::script::Action;
use crate::settings::{Broken, Settings, outages};
use crate::spread::Spread;
use crate::tally::Tally;
use crate::thief::Loot;
use crate::token::Token;

/// What a replica sees now, without borrowing the replicas.
macro_rules! sight {
    ($world:expr, $now:expr) => {
        Sight {
            now: $now,
            archive: &$world.archive,
            outage: $world.outage,
            healed: $world.healed,
            broken: $world.settings.options.broken,
        }
    };
}

mod account;
mod supervise;
mod theft;

/// How far the tail of watch delays reaches: the deviation of their logarithm.
const TAIL: f64 = 1.0;

/// Something that happens to the fleet as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Note {
    /// The outage is over.
    Heal,
    /// Nobody can read the store any more.
    Break,
    /// A replica hears of a change.
    Load(usize),
    /// The operator looks.
    Operate,
    /// Shares are noted.
    Sample,
    /// The thief tries; what replicas answered in the second is noted.
    Second,
}

/// Everything.
pub(crate) struct World<'a> {
    settings: &'a Settings,
    archive: Archive,
    replicas: Vec<Replica>,
    sandboxes: Vec<Sandbox>,
    /// Tokens put by to be presented again.
    kept: Vec<Token>,
    /// Places in `kept` that may be taken again.
    free: Vec<u32>,
    operator: Operator,
    oracle: Oracle,
    loot: Vec<Loot>,
    /// Lineages that had begun by then are refused, and since which generation.
    floor: Option<(UnixTime, usize)>,
    calendar: Calendar,
    agenda: BinaryHeap<Reverse<(Moment, Note)>>,
    outage: Option<Moment>,
    healed: Moment,
    /// Supervisors' own dice, and who answers, and everything else.
    dice: Dice,
    routing: Chance,
    delays: Chance,
    pace: Chance,
    /// Sandboxes that hold a token of each key.
    holders: Vec<u32>,
    /// What each replica has answered in this second.
    answered: Vec<u32>,
    tally: Tally,
}

impl<'a> World<'a> {
    pub(crate) fn new(settings: &'a Settings) -> Self {
        let options = &settings.options;
        let seed = options.seed;
        let archive = Archive::new(settings.first.clone());
        let mut clocks = Chance::new(seed, 1);
        let replicas = (0..options.replicas).map(|number| {
            #[allow(clippy::cast_precision_loss, reason = "policy bounds it to 300")]
            let most = options.policy.max_skew as f64 / 2.0;
            let seconds = match &options.skew {
                Spread::Modelled(deviation) => clocks.normal_within(*deviation, most),
                Spread::Measured(measured) => clocks.one_of(measured.sorted()),
            };
            #[allow(clippy::cast_possible_truncation, reason = "at most 150,000")]
            let offset = (seconds * 1000.0) as i32;
            Replica::new(number, offset, clocks.within(PERIOD))
        });
        let replicas: Vec<_> = replicas.collect();
        let mut world = Self {
            settings,
            tally: Tally::new(settings.end),
            answered: vec![0; replicas.len()],
            archive,
            replicas,
            sandboxes: Vec::new(),
            kept: Vec::new(),
            free: Vec::new(),
            operator: Operator::new(&settings.script, options.broken),
            oracle: Oracle::new(&options.policy),
            loot: Vec::new(),
            floor: None,
            calendar: Calendar::to(settings.end),
            agenda: BinaryHeap::new(),
            outage: None,
            healed: Moment(0),
            dice: Dice::new(Arc::new(Seeded::new(seed))),
            routing: Chance::new(seed, 2),
            delays: Chance::new(seed, 3),
            pace: Chance::new(seed, 4),
            holders: Vec::new(),
        };
        world.know_the_keys();
        world.populate();
        world.open_agenda();
        world
    }

    fn open_agenda(&mut self) {
        for (from, to) in outages(&self.settings.script) {
            self.note(from, Note::Break);
            self.note(to, Note::Heal);
        }
        if let Some(first) = self.operator.first() {
            self.note(first, Note::Operate);
        }
        self.note(Moment(0), Note::Sample);
        self.note(Moment(1000), Note::Second);
    }

    /// Plays everything.
    pub(crate) fn run(mut self) -> Tally {
        let end = self.settings.end;
        while let Some(Reverse((at, note))) = self.agenda.pop() {
            self.play_until(at.min(end));
            if at >= end {
                break;
            }
            self.tally.events += 1;
            self.act(at, note);
        }
        self.play_until(end);
        self.close()
    }

    fn play_until(&mut self, limit: Moment) {
        while let Some((now, event)) = self.calendar.next_before(limit) {
            self.tally.events += 1;
            match event {
                Event::Round(index) => self.round(index, now),
                Event::Call(index) => self.call(index, now),
                Event::Kept(index) => self.present_kept(index, now),
            }
        }
    }

    fn note(&mut self, at: Moment, note: Note) {
        self.agenda.push(Reverse((at, note)));
    }

    fn act(&mut self, now: Moment, note: Note) {
        match note {
            Note::Break => self.outage = Some(now),
            Note::Heal => (self.outage, self.healed) = (None, now),
            Note::Load(replica) => self.load(replica, now),
            Note::Operate => self.operate(now),
            Note::Sample => {
                self.tally.shares.push(self.holders.clone());
                self.note(now.plus(Duration::from_secs(u64::from(self.tally.every))), Note::Sample);
            }
            Note::Second => {
                let busiest = self.answered.iter().copied().max().unwrap_or_default();
                self.tally.busiest = self.tally.busiest.max(busiest);
                self.answered.fill(0);
                self.steal(now);
                self.note(now.plus(Duration::from_secs(1)), Note::Second);
            }
        }
    }

    fn load(&mut self, replica: usize, now: Moment) {
        if self.outage.is_some() {
            let end = outages(&self.settings.script).map(|(_, end)| end).find(|end| *end > now);
            let again = end.unwrap_or(now).plus(self.delays.within(PERIOD));
            self.note(again, Note::Load(replica));
            return;
        }
        let sight = sight!(self, now);
        if let Some(replica) = self.replicas.get_mut(replica) {
            replica.load(&sight);
        }
        self.converge(now);
    }

    fn operate(&mut self, now: Moment) {
        let sight = sight!(self, now);
        let reports = self
            .outage
            .is_none()
            .then(|| self.replicas.iter().filter_map(|replica| replica.report(&sight)).collect());
        let next = self.operator.look(&Outlook { now, archive: &self.archive, reports });
        match next {
            Next::Idle => {}
            Next::At(then) => self.note(then, Note::Operate),
            Next::Commit { action, plan, then } => {
                self.commit(&action, *plan, now);
                self.note(then, Note::Operate);
            }
        }
    }

    fn commit(&mut self, action: &Action, plan: Plan, now: Moment) {
        let mut next = plan.next;
        if self.settings.options.broken == Some(Broken::NoWindow) {
            without_windows(&mut next);
        }
        self.archive.commit(next, now);
        self.holders.resize(self.archive.kids().len(), 0);
        self.heed(action, now);
        self.know_the_keys();
        self.tell_of(plan.verb, now);
        let most = f64::from(u32::try_from(self.settings.options.policy.max_staleness).unwrap_or(u32::MAX));
        for replica in 0..self.replicas.len() {
            let delay = match &self.settings.options.watch {
                Spread::Modelled(median) => self.delays.log_normal(*median, TAIL, most),
                Spread::Measured(measured) => self.delays.one_of(measured.sorted()).min(most),
            };
            self.note(now.plus(Duration::from_secs_f64(delay)), Note::Load(replica));
        }
    }
}

fn without_windows(manifest: &mut Manifest) {
    for superseded in manifest.keys.iter_mut().filter_map(|key| key.superseded.as_mut()) {
        superseded.accept_until = Some(superseded.at);
    }
}
