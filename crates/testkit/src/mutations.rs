//! A fuzzer that needs no toolchain of its own: inputs from a kept corpus, changed over and over, the same ones in every
//! run. Not led by coverage; what it once found stays in the corpus.
//!
//! Needs nothing but the standard library, so that crates below this one take it by path.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::path::Path;

/// How many changed inputs a target gets: `FUZZ_RUNS=1000000 cargo test … fuzz_` builds it with more.
pub fn runs(usual: u64) -> u64 {
    option_env!("FUZZ_RUNS").and_then(|runs| runs.parse().ok()).unwrap_or(usual)
}

/// The inputs kept in a directory, in the order of their names.
///
/// # Panics
///
/// If it cannot be read, or holds nothing.
pub fn corpus(directory: &Path) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("a corpus is there");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.sort();
    let kept: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("it can be read")).collect();
    assert!(!kept.is_empty(), "{} holds nothing", directory.display());
    kept
}

/// Puts every input of the corpus to `target`, and then `runs` inputs changed at random. `words` are put in as they
/// are. What `target` panics on is printed.
pub fn fuzz(corpus: &[Vec<u8>], words: &[&str], runs: u64, mut target: impl FnMut(&[u8])) {
    let mut told = |input: &[u8]| {
        let shown = Shown(input);
        target(shown.0);
    };
    for input in corpus {
        told(input);
    }
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..runs {
        let mut input = random.pick(corpus).clone();
        for _ in 0..=random.below(4) {
            random.change(&mut input, corpus, words);
        }
        told(&input);
    }
    println!("{} inputs kept, {runs} changed", corpus.len());
}

/// Prints the input if the target panics.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the input, for the corpus: {}", self.0.escape_ascii());
        }
    }
}

/// xorshift64*, which is random enough to change inputs.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
        let at = self.below(input.len() + 1);
        let end = (at + 1 + self.below(16)).min(input.len());
        match self.below(9) {
            0 if at < input.len() => input[at] ^= 1 << self.below(8),
            1 if at < input.len() => input[at] = self.byte(),
            2 if at < end => drop(input.drain(at..end)),
            3 if at < end => {
                let again = input[at..end].to_vec();
                input.splice(at..at, again);
            }
            4 => input.truncate(at),
            5 => {
                let other = self.pick(corpus);
                let from = self.below(other.len() + 1);
                input.splice(at.., other[from..].iter().copied());
            }
            6 if at < end => {
                let word = if words.is_empty() { "" } else { self.pick(words) };
                input.splice(at..end, word.bytes());
            }
            _ => {
                let word = if words.is_empty() { "0" } else { self.pick(words) };
                input.splice(at..at, word.bytes());
            }
        }
    }
}
