//! Every verb that writes, run as the real program under strace: killed at each of its system calls that touch
//! files, and each of them failed in every way. Whatever happens, the store is the old generation or the new one.
//!
//! A part of it runs with the other tests; all of it with
//! `cargo test -p keystile --test injection -- --ignored --nocapture`. Needs strace, and says so.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

mod desk;
mod fault;
mod lives;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use desk::{Desk, Ending};
use fault::{Fault, Tracer};
use lives::{LIVES, Life};

/// What came of the faults of one life.
#[derive(Debug, Default)]
struct Tally {
    faults: usize,
    old: usize,
    new: usize,
    /// Of them, those where the runtime's own wake-up was hit.
    hung: usize,
}

impl Tally {
    fn and(mut self, other: &Self) -> Self {
        self.faults += other.faults;
        self.old += other.old;
        self.new += other.new;
        self.hung += other.hung;
        self
    }
}

#[test]
fn a_kill_at_any_call_of_a_rotation_leaves_the_old_generation_or_the_new() {
    let Some(tracer) = Tracer::find() else { return };
    let life = LIVES.iter().find(|life| life.name == "rotate").expect("it is there");
    let tally = inject(&tracer, life, &[Fault::Kill]);
    println!("{}: {tally:?}", life.name);
    assert!(tally.faults > 10 && tally.old > 0 && tally.new > 0, "{tally:?}");
}

#[test]
#[ignore = "takes minutes: every verb, every call, every fault"]
fn any_fault_at_any_call_of_any_verb_leaves_the_old_generation_or_the_new() {
    let Some(tracer) = Tracer::find() else { panic!("strace is not here") };
    let next = AtomicUsize::new(0);
    let work = || {
        let life = || LIVES.get(next.fetch_add(1, Ordering::Relaxed));
        let told = |life: &Life| {
            let tally = inject(&tracer, life, &Fault::ALL);
            println!("{:<10} {tally:?}", life.name);
            tally
        };
        std::iter::from_fn(life).map(told).fold(Tally::default(), |sum, tally| sum.and(&tally))
    };
    // More than there are processors: one that hangs is waited for.
    let sum = thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        let tallies = workers.into_iter().map(|worker| worker.join().expect("its lives end well"));
        tallies.fold(Tally::default(), |sum, tally| sum.and(&tally))
    });
    println!("{:<10} {sum:?}", "all");
    assert!(sum.old > 0 && sum.new > 0);
}

#[test]
#[ignore = "takes minutes: every verb, every length"]
fn a_file_that_is_cut_short_is_never_read() {
    assert!(fault::limits_files(), "prlimit is not here");
    let mut cut = 0;
    for life in LIVES {
        let template = Template::of(life);
        for bytes in (0..4096).step_by(61) {
            let desk = Desk::copy_of(&template.desk);
            let ending = fault::limited(&desk, &template.verb, bytes);
            assert_ne!(ending, Ending::Hung, "{} with files of at most {bytes} bytes", life.name);
            cut += usize::from(ending == Ending::Failed);
            template.check(&desk, &format!("{} with files of at most {bytes} bytes", life.name));
        }
    }
    println!("{cut} runs were cut short");
    assert!(cut > LIVES.len());
}

/// A store just before the verb, what it held then, and the verb.
struct Template {
    desk: Desk,
    before: Option<u64>,
    after: Option<u64>,
    verb: Vec<String>,
}

impl Template {
    fn of(life: &Life) -> Self {
        let desk = Desk::new();
        let verb = (life.prepare)(&desk);
        let whole = Desk::copy_of(&desk);
        whole.succeeds(&verb);
        Self { before: desk.generation(), after: whole.generation(), verb, desk }
    }

    /// The store is whole, and goes on. Returns whether the verb's change is there.
    fn check(&self, desk: &Desk, what: &str) -> bool {
        let found = desk.generation();
        assert!(found == self.before || found == self.after, "{what}: generation {found:?}");
        if found.is_some() {
            desk.assert_one_generation_for_single_key_readers(what);
        } else {
            // A first generation that never came into being can be tried again.
            desk.succeeds(&self.verb);
        }
        desk.assert_goes_on(what);
        found != self.before
    }
}

/// Injects every one of `faults` at every call of the life's verb.
fn inject(tracer: &Tracer, life: &Life, faults: &[Fault]) -> Tally {
    let template = Template::of(life);
    let calls = tracer.count(&Desk::copy_of(&template.desk), &template.verb);
    let mut tally = Tally::default();
    for fault in faults {
        for (call, count) in &calls {
            for number in (1..=*count).filter(|_| fault.can_befall(call)) {
                let desk = Desk::copy_of(&template.desk);
                let ending = tracer.inject(&desk, &template.verb, *fault, call, number);
                let what = format!("{}: {fault:?} at {call} number {number}", life.name);
                if ending == Ending::Hung {
                    assert_eq!(call, "write", "{what}: it hangs");
                    tally.hung += 1;
                }
                let changed = template.check(&desk, &what);
                tally.faults += 1;
                *(if changed { &mut tally.new } else { &mut tally.old }) += 1;
            }
        }
    }
    tally
}
