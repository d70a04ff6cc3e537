//! Every verb that writes, run as the real program under strace: killed at each of its system calls that change
//! files, and these and those that read the store failed in every way (which, says `fault`). Whatever happens, the
//! store is the old generation or the new one; as it was left, a gateway of Keystile's and one that knows a single
//! key start from it; `reconcile` leaves nothing behind.
//!
//! A part of it runs with the other tests; all of it with
//! `cargo test -p keystile --test injection -- --ignored --nocapture`. Needs strace, and says so.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod desk;
mod fault;
mod lives;
mod readers;
mod whole;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use desk::Desk;
use fault::{Fault, TRIES, Tracer};
use lives::{LIVES, Life};

/// What came of the faults of one life.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    faults: usize,
    old: usize,
    new: usize,
    /// Of them, those that hit the runtime's own wake-up, and what slept then was killed.
    hung: usize,
    /// Besides, those that hit nothing however often they were tried: no thread made so many calls again.
    missed: usize,
}

impl Tally {
    fn and(mut self, other: &Self) -> Self {
        self.faults += other.faults;
        self.old += other.old;
        self.new += other.new;
        self.hung += other.hung;
        self.missed += other.missed;
        self
    }
}

#[test]
fn a_kill_at_any_call_of_a_rotation_leaves_the_old_generation_or_the_new() {
    let Some(tracer) = Tracer::find() else { return };
    let life = LIVES.iter().find(|life| life.name == "rotate").expect("it is there");
    let tally = inject(&tracer, life, &[Fault::Kill], 2);
    assert!(tally.faults > 10 && tally.old > 0 && tally.new > 0, "{tally:?}");
}

#[test]
#[ignore = "takes minutes: every verb, every call, every fault"]
fn any_fault_at_any_call_of_any_verb_leaves_the_old_generation_or_the_new() {
    let Some(tracer) = Tracer::find() else { panic!("strace is not here") };
    // More than there are processors: one that hangs is waited for.
    let tallies = LIVES.iter().map(|life| inject(&tracer, life, &Fault::ALL, 4));
    let tally = tallies.fold(Tally::default(), |sum, tally| sum.and(&tally));
    println!("all: {tally:?}");
    assert!(tally.old > 0 && tally.new > 0);
}

#[test]
#[ignore = "takes minutes: every verb, every length"]
fn a_file_that_is_cut_short_is_never_read() {
    assert!(fault::limits_files(), "prlimit is not here");
    let Some(tracer) = Tracer::find() else { panic!("strace is not here") };
    let mut cut = Vec::new();
    for life in LIVES {
        let template = Template::of(life);
        // Up to the first that cuts nothing.
        let lengths: Vec<_> = (0..template.longest + 61).step_by(61).collect();
        cut.extend(each(&lengths, 4, |bytes| cut_short(&tracer, &template, *bytes)));
    }
    let sum = |of: fn(&Cut) -> usize| cut.iter().map(of).sum::<usize>();
    let (killed, failed, short) = (sum(|cut| cut.killed), sum(|cut| cut.failed), sum(|cut| cut.short));
    println!("{killed} runs were killed at the write that was cut short");
    println!("{failed} ended with an error, after {short} writes that returned a short count");
    assert!(killed > LIVES.len() && failed > LIVES.len() && short > LIVES.len());
}

/// What came of files that may not grow.
struct Cut {
    killed: usize,
    failed: usize,
    /// Writes that returned less than was to be written.
    short: usize,
}

/// Runs the verb with files of at most so many bytes: once so that it dies of that, once so that it is told.
fn cut_short(tracer: &Tracer, template: &Template, bytes: usize) -> Cut {
    let what = format!("{} with files of at most {bytes} bytes", template.name);
    let desk = Desk::copy_of(&template.desk);
    let killed = fault::limited(&desk, &template.verb, bytes);
    assert!(killed.succeeded() || killed.killed(), "{what}: {}", killed.said);
    template.check(&desk, &what);
    let what = format!("{what}, and told so");
    let desk = Desk::copy_of(&template.desk);
    let (told, short) = tracer.shorten(&desk, &template.verb, bytes);
    assert!(!told.hung() && !told.killed() && !told.said.contains("panicked"), "{what}: {}", told.said);
    if !told.succeeded() {
        assert!(told.said.contains("File too large"), "{what}: {}", told.said);
        assert!(told.said.contains("\n  do: "), "{what}: {}", told.said);
    }
    template.check(&desk, &what);
    Cut { killed: usize::from(!killed.succeeded()), failed: usize::from(!told.succeeded()), short }
}

/// A store just before the verb, what it held then, and the verb.
struct Template {
    name: &'static str,
    desk: Desk,
    before: Option<u64>,
    after: Option<u64>,
    /// Bytes of the longest file after it.
    longest: usize,
    /// Whether a single-key gateway could start before the verb.
    members: bool,
    /// Whether its witness knows of a newer generation: then no gateway starts until the verb has mended it.
    went_back: bool,
    verb: Vec<String>,
}

impl Template {
    fn of(life: &Life) -> Self {
        let desk = Desk::new();
        let verb = (life.prepare)(&desk);
        let whole = Desk::copy_of(&desk);
        whole.succeeds(&verb);
        let before = desk.generation();
        let members = desk.single_key_reader(life.name);
        let went_back = life.name == "reconcile";
        Self {
            name: life.name,
            before,
            after: whole.generation(),
            longest: whole.longest_file(),
            members,
            went_back,
            verb,
            desk,
        }
    }

    /// Whoever reads the store finds it whole, and it goes on. Returns whether the verb's change is there.
    fn check(&self, desk: &Desk, what: &str) -> bool {
        let found = desk.generation();
        assert!(found == self.before || found == self.after, "{what}: generation {found:?}");
        let members = desk.single_key_reader(what);
        assert_eq!(members, self.members || found.is_some(), "{what}: single-key members");
        if found.is_none() {
            // A first generation that never came into being can be tried again.
            desk.succeeds(&self.verb);
        }
        let refused = self.went_back && found == self.before;
        match desk.gateway() {
            Ok(served) => assert_eq!((Some(served), refused), (found.or(self.after), false), "{what}"),
            Err(said) => {
                let expected = refused && said.contains("it went back; run: keystile reconcile");
                assert!(expected, "{what}: no gateway starts: {said}");
            }
        }
        desk.assert_goes_on(what);
        found != self.before
    }
}

/// Lets `fault` befall a call, and looks at what it left.
fn befall(tracer: &Tracer, template: &Template, fault: Fault, call: &str, number: usize) -> Tally {
    let run = || {
        let desk = Desk::copy_of(&template.desk);
        let injected = tracer.inject(&desk, &template.verb, fault, call, number);
        (desk, injected)
    };
    let mut tried = run();
    for _ in 1..TRIES {
        if !tried.1.hit {
            tried = run();
        }
    }
    let (desk, injected) = tried;
    let ended = &injected.ended;
    let what = format!("{}: {fault:?} at {call} number {number}", template.name);
    // A thread whose wake-up is made to fail, which no system does, sleeps on or panics.
    if !injected.wake_up {
        assert!(!ended.hung(), "{what}: it hangs: {}", ended.said);
        assert!(!ended.said.contains("panicked"), "{what}: {}", ended.said);
    }
    let changed = template.check(&desk, &what);
    let hit = usize::from(injected.hit);
    Tally {
        faults: hit,
        old: if changed { 0 } else { hit },
        new: if changed { hit } else { 0 },
        hung: usize::from(ended.hung()),
        missed: 1 - hit,
    }
}

/// Does `work` on each of `jobs`, so many at once; what comes of them, in no order.
fn each<T: Sync, R: Send>(jobs: &[T], workers: usize, work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let take = || jobs.get(next.fetch_add(1, Ordering::Relaxed)).map(&work);
    thread::scope(|scope| {
        let workers: Vec<_> =
            (0..workers).map(|_| scope.spawn(|| std::iter::from_fn(take).collect::<Vec<_>>())).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("its jobs end well")).collect()
    })
}

/// Injects every one of `faults` at every call of the verb of `life`, so many at once.
fn inject(tracer: &Tracer, life: &Life, faults: &[Fault], workers: usize) -> Tally {
    let template = Template::of(life);
    let points = tracer.points(&template.desk, &template.verb);
    let mut jobs = Vec::new();
    // The last first: a wake-up is a write, and whoever hangs in it is waited for while others work.
    for (call, numbers) in points.iter().rev() {
        let befall: Vec<_> = faults.iter().filter(|fault| fault.can_befall(call)).collect();
        for number in numbers {
            let each = befall.iter().map(|fault| (**fault, call.as_str(), *number));
            jobs.extend(each);
        }
    }
    let done = each(&jobs, workers, |(fault, call, number)| befall(tracer, &template, *fault, call, *number));
    let tally = done.iter().fold(Tally::default(), Tally::and);
    let calls: Vec<_> = points.iter().map(|(call, numbers)| format!("{} {call}", numbers.len())).collect();
    println!("{}: {tally:?} at {}", life.name, calls.join(", "));
    tally
}
