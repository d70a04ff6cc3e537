//! Interleaved measuring: every contender has its turn in every round, so that whatever else the machine does
//! meets them all.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What one turn should take: long beside the clock, short beside what disturbs.
const TURN: Duration = Duration::from_millis(2);

/// Something that is measured. What it returns says whether it did its work.
pub struct Contender<'a> {
    /// Its name in the tables.
    pub name: String,
    warm: u32,
    run: Box<dyn FnMut() -> bool + 'a>,
}

impl<'a> Contender<'a> {
    /// `run` under a name.
    pub fn new(name: impl Into<String>, run: impl FnMut() -> bool + 'a) -> Self {
        Self { name: name.into(), warm: 0, run: Box::new(run) }
    }

    /// The same, run `times` times before each turn without being timed: the others' turns have taken the caches.
    #[must_use]
    pub fn warmed(self, times: u32) -> Self {
        Self { warm: times, ..self }
    }

    /// Runs it `times` times; whether each did its work.
    pub fn run(&mut self, times: u32) -> bool {
        (0..times).fold(true, |good, _| good & black_box((self.run)()))
    }
}

/// The processor time of one operation in each round, in nanoseconds.
#[derive(Clone, Debug)]
pub struct Measured {
    /// The contender's name.
    pub name: String,
    rounds: Vec<f64>,
}

impl Measured {
    /// The median round.
    pub fn median(&self) -> f64 {
        median(&self.rounds)
    }

    /// How much longer than `other` it takes, in nanoseconds: the median of the rounds' differences.
    pub fn longer_than(&self, other: &Self) -> f64 {
        let more: Vec<_> = self.rounds.iter().zip(&other.rounds).map(|(own, other)| own - other).collect();
        median(&more)
    }

    /// How many times as fast as `other` it is: the median of the rounds' ratios.
    pub fn faster_than(&self, other: &Self) -> f64 {
        let ratios: Vec<_> = self.rounds.iter().zip(&other.rounds).map(|(own, other)| other / own).collect();
        median(&ratios)
    }
}

/// The measured one of this name.
pub fn named<'m>(all: &'m [Measured], name: &str) -> Result<&'m Measured, Box<dyn Error>> {
    all.iter().find(|one| one.name == name).ok_or_else(|| format!("{name} was not measured").into())
}

/// The median of some numbers; 0 of none.
pub fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Measures every contender in `rounds` rounds. An error names the one that did not do its work.
pub fn measure(mut contenders: Vec<Contender<'_>>, rounds: usize) -> Result<Vec<Measured>, String> {
    let mut turns = Vec::new();
    for contender in &mut contenders {
        let mut times = 1;
        while timed(contender, times)? < TURN && times < 1 << 20 {
            times *= 2;
        }
        let (name, rounds) = (contender.name.clone(), Vec::with_capacity(rounds));
        turns.push((times, Measured { name, rounds }));
    }
    for _ in 0..rounds {
        for (contender, (times, measured)) in contenders.iter_mut().zip(&mut turns) {
            let took = timed(contender, *times)?.as_secs_f64() * 1e9;
            measured.rounds.push(took / f64::from(*times));
        }
    }
    Ok(turns.into_iter().map(|(_, measured)| measured).collect())
}

/// The processor time that a turn takes of this thread: what other processes take is not in it.
fn timed(contender: &mut Contender<'_>, times: u32) -> Result<Duration, String> {
    let warm = contender.run(contender.warm);
    let began = processor_time();
    let good = warm & contender.run(times);
    let took = processor_time().saturating_sub(began);
    if good { Ok(took) } else { Err(format!("{} did not do its work", contender.name)) }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
