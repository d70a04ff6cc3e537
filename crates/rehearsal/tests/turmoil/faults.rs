//! What goes wrong in a life, and when: all of it from the seed.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::world::chance::Chance;
use crate::world::network::{BOTH_WAYS, Broken, Way};

/// What kind of life it is, by what its faults exceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Clocks differ by at most max_skew, and the store says "confirmed" only of what is.
    WithinBounds,
    /// Gateways' clocks are wrong by more than max_skew for a while.
    ClocksBeyond,
    /// Store and witness answer as of long ago, and say that it is confirmed.
    StoreLies,
}

impl Class {
    pub fn of(chance: &mut Chance) -> Self {
        match chance.between(1, 10) {
            1 => Self::ClocksBeyond,
            2 => Self::StoreLies,
            _ => Self::WithinBounds,
        }
    }
}

/// How many of each there are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub gateways: usize,
    pub supervisors: usize,
    pub operators: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    Gateway(usize),
    Supervisor(usize),
    Operator(usize),
}

#[derive(Clone, Debug)]
pub enum What {
    /// Nothing gets through between a supervisor and a gateway in these directions.
    Cut {
        supervisor: usize,
        gateway: usize,
        ways: Vec<Way>,
    },
    /// Nobody and the gateway hear each other.
    Isolated(usize),
    /// Up to so many milliseconds more each way.
    Slow {
        supervisor: usize,
        gateway: usize,
        millis: u64,
    },
    StoreAway(Who),
    StoreSlow(Who, u64),
    StoreBehind(Who, Duration),
    WitnessBehind(Who, Duration),
    StoreLies(Who, Duration),
    LosesAnswers(usize),
    /// The wall clock is set so many milliseconds ahead, and stays.
    ClockSet(Who, i64),
    /// The same, until the fault ends.
    ClockWrong(Who, i64),
    Asleep(Who),
    /// The process dies; its callers hear of it or not.
    Killed(usize, Broken),
    /// The process is stopped in order and started again.
    Restarted(usize),
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub at: Duration,
    pub until: Duration,
    pub what: What,
}

/// The most by which a clock within bounds is ahead or behind, in milliseconds.
const SKEW: u64 = super::life::MAX_SKEW * 1000 / 2;

/// A reading of a clock within bounds.
pub fn within_skew(chance: &mut Chance) -> i64 {
    signed(chance.between(0, 2 * SKEW)) - signed(SKEW)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).expect("a few years of milliseconds")
}

/// The faults of a life. All are over at `end`.
pub fn draw(chance: &mut Chance, class: Class, size: Size, end: Duration) -> Vec<Fault> {
    let mut busy = BTreeMap::new();
    let mut faults = Vec::new();
    for _ in 0..chance.between(6, 20) {
        let at = chance.millis(4_000, u64::try_from(end.as_millis()).expect("minutes") - 4_000);
        let lasts =
            if chance.percent(25) { chance.millis(15_000, 60_000) } else { chance.millis(500, 12_000) };
        let until = (at + lasts).min(end);
        let what = what(chance, class, size);
        // Of what cannot happen twice at once, the later begins when the earlier is over.
        let slot = slot(&what);
        let free = busy.get(&slot).copied().unwrap_or_default();
        if at >= free || slot.is_none() {
            busy.insert(slot, until);
            faults.push(Fault { at, until, what });
        }
    }
    faults.sort_by_key(|fault| fault.at);
    faults
}

type Slot = Option<(&'static str, Who, usize)>;

fn slot(what: &What) -> Slot {
    match what {
        What::Cut { .. } | What::Isolated(_) | What::StoreAway(_) | What::ClockSet(..) => None,
        What::Slow { supervisor, gateway, .. } => Some(("slow", Who::Supervisor(*supervisor), *gateway)),
        What::StoreSlow(who, _) => Some(("store slow", *who, 0)),
        What::StoreBehind(who, _) | What::WitnessBehind(who, _) | What::StoreLies(who, _) => {
            Some(("store", *who, 0))
        }
        What::LosesAnswers(operator) => Some(("answers", Who::Operator(*operator), 0)),
        What::ClockWrong(who, _) => Some(("clock", *who, 0)),
        What::Asleep(who) => Some(("process", *who, 0)),
        What::Killed(gateway, _) | What::Restarted(gateway) => Some(("process", Who::Gateway(*gateway), 0)),
    }
}

fn what(chance: &mut Chance, class: Class, size: Size) -> What {
    let gateway = chance.index(size.gateways);
    let supervisor = chance.index(size.supervisors);
    let operator = chance.index(size.operators);
    let who = match chance.index(3) {
        0 => Who::Supervisor(supervisor),
        1 => Who::Operator(operator),
        _ => Who::Gateway(gateway),
    };
    let reader = if chance.percent(70) { Who::Gateway(gateway) } else { Who::Operator(operator) };
    if class != Class::WithinBounds && chance.percent(25) {
        let most = if chance.percent(50) { 60_000 } else { 90_000_000 };
        let wrong = signed(chance.between(3_000, most));
        return match class {
            Class::StoreLies => What::StoreLies(Who::Gateway(gateway), chance.millis(1_000, 120_000)),
            _ => What::ClockWrong(Who::Gateway(gateway), if chance.percent(50) { wrong } else { -wrong }),
        };
    }
    match chance.index(17) {
        0 | 1 => What::Cut { supervisor, gateway, ways: BOTH_WAYS.to_vec() },
        2 => What::Cut { supervisor, gateway, ways: vec![BOTH_WAYS[chance.index(2)]] },
        3 => What::Isolated(gateway),
        4 => What::Slow { supervisor, gateway, millis: chance.between(50, 1_500) },
        5 | 6 => What::StoreAway(reader),
        7 => What::StoreSlow(reader, chance.between(50, 900)),
        8 => What::StoreBehind(reader, chance.millis(1_000, 120_000)),
        9 => What::WitnessBehind(reader, chance.millis(1_000, 60_000)),
        10 => What::LosesAnswers(operator),
        11 | 12 => What::ClockSet(who, within_skew(chance)),
        13 => What::Asleep(Who::Supervisor(supervisor)),
        14 => What::Asleep(Who::Gateway(gateway)),
        15 => What::Killed(gateway, if chance.percent(50) { Broken::Reset } else { Broken::Silent }),
        _ => What::Restarted(gateway),
    }
}
