//! Several threads at once: what a second one adds, and whether anybody waits when the keyring is swapped.

use std::error::Error;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use keystile_keyring::Manifest;
use keystile_system::{Clock as _, SystemClock};
use keystile_token::Keyring;

use crate::fixture::{NOW, manifest, tokens};
use crate::gateway::{Gateway, compiled};
use crate::measure::median;

/// The rate of two threads beside that of one, each round's by its own.
pub struct Threads {
    /// What they do.
    pub what: String,
    one: Vec<f64>,
    two: Vec<f64>,
}

impl Threads {
    /// Verifications per second of one thread: the median round's.
    pub fn one(&self) -> f64 {
        median(&self.one)
    }

    /// The same of two.
    pub fn two(&self) -> f64 {
        median(&self.two)
    }

    /// What the second thread adds: the median of the rounds' ratios.
    pub fn ratio(&self) -> f64 {
        let ratios: Vec<_> = self.one.iter().zip(&self.two).map(|(one, two)| two / one).collect();
        median(&ratios)
    }
}

/// One of so many threads.
#[derive(Clone, Copy)]
pub struct Seat {
    /// Which, from 0.
    pub thread: usize,
    /// How many there are.
    pub threads: usize,
}

impl Seat {
    /// At turn `number` through its part of `all`: so all threads together go through as much as one alone.
    pub fn of_its_part<T>(self, all: &[T], number: usize) -> Option<&T> {
        let part = all.len() / self.threads;
        all.get(number.checked_rem(part)? + self.thread * part)
    }
}

/// What a thread does at its turn `.1`.
pub type Work<'a> = Box<dyn Fn(Seat, usize) -> bool + Sync + 'a>;

/// Each piece of work by one thread and by two, in turn, `rounds` times; each thread does it so many times.
pub fn threads(work: &[(String, usize, Work<'_>)], rounds: usize) -> Result<Vec<Threads>, Box<dyn Error>> {
    let start =
        |(what, ..): &(String, usize, Work<'_>)| Threads { what: what.clone(), one: vec![], two: vec![] };
    let mut all: Vec<_> = work.iter().map(start).collect();
    for _ in 0..rounds {
        for (threads, (_, times, work)) in all.iter_mut().zip(work) {
            threads.one.push(rate(1, *times, work)?);
            threads.two.push(rate(2, *times, work)?);
        }
    }
    Ok(all)
}

/// Operations per second of `threads` threads together, by the wall clock: from when all of them have warmed up until
/// the last has ended.
fn rate(threads: usize, times: usize, work: &Work<'_>) -> Result<f64, Box<dyn Error>> {
    let (clock, warm) = (SystemClock::default(), Barrier::new(threads));
    let run = |thread: usize, times: usize| (0..times).all(|number| work(Seat { thread, threads }, number));
    let took = std::thread::scope(|scope| {
        let start = |thread: usize| {
            let (run, warm) = (&run, &warm);
            scope.spawn(move || {
                let good = run(thread, times / 4);
                warm.wait();
                let began = clock.uptime();
                (good && run(thread, times)).then(|| (began, clock.uptime()))
            })
        };
        let running: Vec<_> = (0..threads).map(start).collect();
        let spans = running.into_iter().map(|thread| thread.join().ok().flatten());
        spans.collect::<Option<Vec<_>>>().and_then(|spans| {
            let (began, ended): (Vec<_>, Vec<_>) = spans.into_iter().unzip();
            Some(ended.into_iter().max()?.saturating_sub(began.into_iter().min()?))
        })
    });
    let took = took.ok_or("an honest token was refused")?;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    Ok((threads * times) as f64 / took.as_secs_f64())
}

/// How long each of very many operations took.
pub struct Latencies {
    /// How often each number of nanoseconds was found.
    counts: Vec<u64>,
    /// Whatever took longer than any of these.
    longer: Vec<u64>,
}

impl Default for Latencies {
    fn default() -> Self {
        Self { counts: vec![0; 1 << 16], longer: Vec::new() }
    }
}

impl Latencies {
    fn note(&mut self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        match usize::try_from(nanos).ok().and_then(|nanos| self.counts.get_mut(nanos)) {
            Some(count) => *count += 1,
            None => self.longer.push(nanos),
        }
    }

    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.longer.extend(&other.longer);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.longer.len() as u64
    }

    /// The nanoseconds that all but one in `one_in` stayed within.
    pub fn all_but_one_in(&self, one_in: u64) -> u64 {
        let mut left = self.count() - self.count() / one_in;
        for (nanos, count) in (0..).zip(&self.counts) {
            if *count >= left {
                return nanos;
            }
            left -= count;
        }
        let mut longer = self.longer.clone();
        longer.sort_unstable();
        let at = usize::try_from(left).unwrap_or_default().saturating_sub(1);
        longer.get(at).or(longer.last()).copied().unwrap_or_default()
    }

    /// The longest.
    pub fn longest(&self) -> u64 {
        let within = self.counts.iter().rposition(|count| *count > 0).unwrap_or_default() as u64;
        self.longer.iter().copied().max().unwrap_or(within)
    }
}

/// How verifications fared while another thread read new generations.
pub struct Waits {
    /// What became of the generations.
    pub what: &'static str,
    /// How many threads verified.
    pub readers: usize,
    /// Each verification's time by the wall clock.
    pub latencies: Latencies,
    /// Generations that were put in force.
    pub swaps: u64,
    /// How often a verifying thread slept, which it does where it waits for a lock.
    pub slept: u64,
    /// How often the system took its processor away.
    pub preempted: u64,
}

/// What the other thread does with the generations that it has compiled.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Swap {
    /// It drops them.
    Never,
    /// It puts each in force.
    SameKeys,
    /// The same, and each has one key more or less that verifies: the whole memory is gone through.
    OtherKeys,
}

/// What is done with the generations in the rows of [`waits`].
pub const NONE: &str = "dropped";
/// The same.
pub const EACH: &str = "put in force";
/// The same.
pub const EACH_OTHER: &str = "put in force, and all that is remembered looked through";

const SWAPS: [(&str, Swap); 3] = [(NONE, Swap::Never), (EACH, Swap::SameKeys), (EACH_OTHER, Swap::OtherKeys)];

/// How long readers read in one turn.
const TURN: Duration = Duration::from_millis(25);

/// A gateway with tokens that it has seen, and generations to come.
pub struct Swapping {
    gateway: Gateway,
    tokens: Vec<String>,
    generation: AtomicU64,
}

impl Swapping {
    /// One that knows `tokens`.
    pub fn new(tokens: Vec<String>) -> Result<Self, Box<dyn Error>> {
        let gateway = Gateway::new(crate::fixture::keyring(1, 2)?, crate::run::MEMORY);
        Ok(Self { gateway, tokens, generation: AtomicU64::new(1) })
    }

    /// Does `work` while another thread compiles one generation after the other, and does `what` with each: [`NONE`],
    /// [`EACH`] or [`EACH_OTHER`]. How many were put in force, and what `work` came to.
    pub fn during<T>(
        &self,
        what: &str,
        work: impl FnOnce(&Gateway, &[String]) -> T,
    ) -> Result<(u64, T), Box<dyn Error>> {
        let found = SWAPS.iter().find(|(name, _)| *name == what).ok_or("it is one of the three")?;
        let swap = found.1;
        // Whatever was forgotten is seen again, by a generation as new as any.
        self.gateway.put_in_force(Arc::new(self.next(Swap::SameKeys)?));
        self.gateway.see(&self.tokens)?;
        let (over, begun) = (AtomicBool::new(false), Barrier::new(2));
        std::thread::scope(|scope| {
            let writing = scope.spawn(|| {
                begun.wait();
                let mut swaps = 0;
                while !over.load(Ordering::Relaxed) {
                    let keyring = self.next(swap).ok()?;
                    if swap != Swap::Never {
                        self.gateway.put_in_force(Arc::new(keyring));
                        swaps += 1;
                    }
                }
                Some(swaps)
            });
            begun.wait();
            let result = work(&self.gateway, &self.tokens);
            over.store(true, Ordering::Relaxed);
            let swaps = writing.join().ok().flatten().ok_or("a generation could not be compiled")?;
            Ok((swaps, result))
        })
    }

    /// The generation after the last, compiled.
    fn next(&self, swap: Swap) -> Result<Keyring, Box<dyn Error>> {
        let number = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        compiled(with_keys(number, swap == Swap::OtherKeys && number.is_multiple_of(2))?)
    }
}

/// One and two threads verify remembered tokens, each its own in turn, while another swaps.
pub fn waits(count: usize, rounds: usize) -> Result<Vec<Waits>, Box<dyn Error>> {
    let swapping = Swapping::new(tokens(&crate::fixture::keyring(1, 2)?, count)?)?;
    let mut all = Vec::new();
    for readers in 1..=2 {
        for (what, _) in SWAPS {
            let latencies = Latencies::default();
            all.push(Waits { what, readers, latencies, swaps: 0, slept: 0, preempted: 0 });
        }
    }
    for _ in 0..rounds {
        for waits in &mut all {
            let readers = waits.readers;
            let (swaps, read) =
                swapping.during(waits.what, |gateway, tokens| all_read(gateway, tokens, readers))?;
            waits.swaps += swaps;
            for (latencies, slept, preempted) in read.ok_or("a good token was refused")? {
                waits.latencies.add(&latencies);
                waits.slept += slept;
                waits.preempted += preempted;
            }
        }
    }
    Ok(all)
}

/// What one thread found that verified: how long each took, how often it slept, how often it was preempted.
type Found = (Latencies, u64, u64);

fn all_read(gateway: &Gateway, tokens: &[String], readers: usize) -> Option<Vec<Found>> {
    std::thread::scope(|scope| {
        let start = |tokens| scope.spawn(move || read(gateway, tokens));
        let reading: Vec<_> = tokens.chunks(tokens.len() / readers).take(readers).map(start).collect();
        reading.into_iter().map(|reader| reader.join().ok().flatten()).collect()
    })
}

/// Verifies for one turn.
fn read(gateway: &Gateway, tokens: &[String]) -> Option<Found> {
    let (clock, mut latencies) = (SystemClock::default(), Latencies::default());
    let before = switches();
    let mut began = clock.uptime();
    let until = began + TURN;
    for token in tokens.iter().cycle() {
        let good = gateway.admits(token);
        let ended = clock.uptime();
        latencies.note(ended.saturating_sub(began));
        began = ended;
        if !good {
            return None;
        }
        if ended > until {
            break;
        }
    }
    let after = switches();
    Some((latencies, after.0 - before.0, after.1 - before.1))
}

/// How often this thread has slept and how often it was preempted, as Linux counts it.
fn switches() -> (u64, u64) {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let of = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().parse().ok()
    };
    (
        of("voluntary_ctxt_switches:").unwrap_or_default(),
        of("nonvoluntary_ctxt_switches:").unwrap_or_default(),
    )
}

/// Generation `number` of a keyring of two keys, of which the first has retired or not.
fn with_keys(number: u64, retired: bool) -> Result<Manifest, Box<dyn Error>> {
    let mut manifest = manifest(number, 2)?;
    if retired {
        let first = manifest.keys.first_mut().and_then(|key| key.superseded.as_mut());
        let superseded = first.ok_or("the first of two keys is superseded")?;
        superseded.accept_until = Some(NOW.minus(1));
    }
    Ok(manifest)
}
