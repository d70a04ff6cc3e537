//! Who still uses which key: what a replica remembers of the tokens it accepted and minted, within bounds.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use keystile_keyring::report::KeyUsage;
use keystile_keyring::{Kid, UnixTime};
use keystile_token::{BootstrapMethod, Claims, SandboxId};
use tokio::sync::mpsc;

/// Sandboxes remembered in each of two halves; when the younger is full, the older is forgotten.
const HALF: usize = 50_000;

/// Sightings on their way to the book. One that finds no room is not counted.
const QUEUE: usize = 16_384;

/// One token that was accepted or minted.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    pub(crate) sandbox: SandboxDigest,
    /// The sandbox's name, where the token never expires.
    pub(crate) name: Option<String>,
    pub(crate) kid: Kid,
    pub(crate) issued_at: UnixTime,
    pub(crate) expires_at: Option<UnixTime>,
    pub(crate) method: BootstrapMethod,
    pub(crate) seen_at: UnixTime,
}

/// A sandbox id shortened to a fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SandboxDigest([u8; 16]);

impl SandboxDigest {
    pub(crate) fn of(sandbox: &SandboxId) -> Self {
        let mut short = [0; 16];
        for (to, from) in short.iter_mut().zip(keystile_token::digest(sandbox.as_str().as_bytes()).0) {
            *to = from;
        }
        Self(short)
    }
}

/// Usage of each key, as of the last tally.
pub(crate) type Tally = BTreeMap<Kid, KeyUsage>;

/// Takes sightings without a lock, and shows the last tally.
pub(crate) struct Census {
    sightings: mpsc::Sender<Sighting>,
    tally: ArcSwap<Tally>,
    /// What was noted lately, by its hash: one that others have pushed out is noted once more.
    lately: Box<[AtomicU64]>,
    hasher: RandomState,
}

/// How many hashes of what was noted lately are kept.
const LATELY: usize = 1 << 16;

impl Census {
    /// A census, and what [`Census::keep`] takes.
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<Sighting>) {
        let (sightings, queue) = mpsc::channel(QUEUE);
        let lately = (0..LATELY).map(|_| AtomicU64::new(0)).collect();
        (Arc::new(Self { sightings, tally: ArcSwap::default(), lately, hasher: RandomState::new() }), queue)
    }

    /// Whether a token is to be noted: it is once a second, not at each of its requests.
    pub(crate) fn is_news(&self, claims: &Claims, kid: &Kid, now: UnixTime) -> bool {
        let hash = self.hasher.hash_one((&claims.sandbox_id, kid, claims.issued_at, now));
        let place = usize::try_from(hash).unwrap_or_default() % LATELY;
        self.lately.get(place).is_none_or(|place| place.swap(hash, Ordering::Relaxed) != hash)
    }

    /// Notes a token. Under a load that the book cannot follow, some are not noted.
    pub(crate) fn note(&self, sighting: Sighting) {
        let _ = self.sightings.try_send(sighting);
    }

    /// The last tally.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        self.tally.load_full()
    }

    /// Keeps the book, for ever, and tallies it every `interval`.
    pub(crate) async fn keep(
        self: Arc<Self>,
        mut queue: mpsc::Receiver<Sighting>,
        interval: Duration,
        horizon: impl Fn() -> UnixTime,
    ) {
        let mut book = Book::default();
        let mut batch = Vec::new();
        let mut tick = tokio::time::interval(interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                noted = queue.recv_many(&mut batch, 1024) => {
                    if noted == 0 {
                        return;
                    }
                    batch.drain(..).for_each(|sighting| book.note(sighting));
                }
                _ = tick.tick() => self.tally.store(Arc::new(book.tally(horizon()))),
            }
        }
    }
}

/// What is remembered of one sandbox: its newest token.
#[derive(Clone, Debug)]
struct Entry {
    kid: Kid,
    issued_at: UnixTime,
    expires_at: Option<UnixTime>,
    method: BootstrapMethod,
    name: Option<String>,
}

/// The sandboxes seen, at most twice [`HALF`].
#[derive(Default)]
struct Book {
    young: HashMap<SandboxDigest, Entry>,
    old: HashMap<SandboxDigest, Entry>,
    last_use: BTreeMap<Kid, UnixTime>,
}

impl Book {
    fn note(&mut self, sighting: Sighting) {
        let last = self.last_use.entry(sighting.kid.clone()).or_insert(sighting.seen_at);
        *last = sighting.seen_at.max(*last);
        let known = self.young.remove(&sighting.sandbox).or_else(|| self.old.remove(&sighting.sandbox));
        let entry = match known {
            Some(known) if known.issued_at > sighting.issued_at => known,
            _ => Entry {
                kid: sighting.kid,
                issued_at: sighting.issued_at,
                expires_at: sighting.expires_at,
                method: sighting.method,
                name: sighting.name,
            },
        };
        if self.young.len() >= HALF {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(sighting.sandbox, entry);
    }

    /// Counts the sandboxes whose newest token has not expired before `horizon`.
    fn tally(&mut self, horizon: UnixTime) -> Tally {
        let alive = |entry: &Entry| entry.expires_at.is_none_or(|expires_at| expires_at >= horizon);
        self.young.retain(|_, entry| alive(entry));
        self.old.retain(|_, entry| alive(entry));
        let mut tally = Tally::new();
        for entry in self.young.values().chain(self.old.values()) {
            let usage = tally.entry(entry.kid.clone()).or_default();
            usage.sandboxes += 1;
            *usage.methods.entry(entry.method.as_str().to_owned()).or_default() += 1;
            if let Some(name) = entry.name.as_ref().filter(|_| usage.never_expires.len() < KeyUsage::NAMED) {
                usage.never_expires.push(name.clone());
            }
        }
        // A key that nobody names any more and that was last used before every living token: forgotten.
        self.last_use.retain(|kid, last| tally.contains_key(kid) || *last >= horizon);
        for (kid, last) in &self.last_use {
            tally.entry(kid.clone()).or_default().last_use = Some(*last);
        }
        for usage in tally.values_mut() {
            usage.never_expires.sort();
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use keystile_token::Lineage;

    use super::*;

    fn kid(text: &str) -> Kid {
        Kid::new(text).expect("a kid")
    }

    fn sighting(sandbox: &str, key: &str, issued: u64, lives: u64) -> Sighting {
        Sighting {
            sandbox: SandboxDigest::of(&SandboxId::new(sandbox).expect("an id")),
            name: (lives == 0).then(|| sandbox.to_owned()),
            kid: kid(key),
            issued_at: UnixTime(issued),
            expires_at: (lives != 0).then(|| UnixTime(issued + lives)),
            method: BootstrapMethod::TokenFile,
            seen_at: UnixTime(issued),
        }
    }

    #[test]
    fn a_token_is_noted_once_a_second() {
        let (census, _queue) = Census::new();
        let claims = |sandbox: &str| Claims {
            sandbox_id: SandboxId::new(sandbox).expect("an id"),
            issued_at: UnixTime(100),
            expires_at: Some(UnixTime(160)),
            lineage: Lineage::begin(UnixTime(100), BootstrapMethod::TokenFile),
        };
        let news = |sandbox: &str, now| census.is_news(&claims(sandbox), &kid("a"), UnixTime(now));
        assert!(news("s1", 110) && !news("s1", 110) && !news("s1", 110));
        assert!(news("s2", 110) && news("s1", 111));
        let lost = (0..1000).filter(|number| !news(&format!("other-{number}"), 111)).count();
        assert_eq!(lost, 0, "a token that was not noted is news");
    }

    #[test]
    fn a_sandbox_counts_for_its_newest_token_only() {
        let mut book = Book::default();
        book.note(sighting("s1", "a", 100, 60));
        book.note(sighting("s2", "a", 100, 60));
        book.note(sighting("s1", "b", 130, 60));
        book.note(sighting("s1", "a", 100, 60));
        let tally = book.tally(UnixTime(140));
        assert_eq!(tally.get(&kid("a")).map(|usage| usage.sandboxes), Some(1));
        assert_eq!(tally.get(&kid("b")).map(|usage| usage.sandboxes), Some(1));
        assert_eq!(tally.get(&kid("a")).and_then(|usage| usage.last_use), Some(UnixTime(100)));
    }

    #[test]
    fn expired_tokens_are_not_held_by_anybody() {
        let mut book = Book::default();
        book.note(sighting("s1", "a", 100, 60));
        assert_eq!(book.tally(UnixTime(160)).get(&kid("a")).map(|usage| usage.sandboxes), Some(1));
        assert!(book.tally(UnixTime(161)).is_empty());
    }

    #[test]
    fn sandboxes_that_hold_a_token_without_end_are_named_up_to_sixteen() {
        let mut book = Book::default();
        for number in 0..20 {
            book.note(sighting(&format!("s{number}"), "a", 100, 0));
        }
        let tally = book.tally(UnixTime(1_000_000));
        let usage = tally.get(&kid("a")).expect("the key is used");
        assert_eq!((usage.sandboxes, usage.never_expires.len()), (20, KeyUsage::NAMED));
    }

    #[test]
    fn the_book_does_not_grow_without_bound() {
        let mut book = Book::default();
        for number in 0..3 * HALF {
            book.note(sighting(&format!("s{number}"), "a", 100, 60));
        }
        assert!(book.young.len() + book.old.len() <= 2 * HALF);
        // The ones seen last are remembered.
        let last = SandboxDigest::of(&SandboxId::new(format!("s{}", 3 * HALF - 1)).expect("an id"));
        assert!(book.young.contains_key(&last));
    }
}
