//! Signatures that were found good: a token that comes again costs no signature check.
//!
//! What is remembered cannot become untrue: that this signature over these bytes by this key is good,
//! and what the bytes say. Whether the key still counts, whether the token has expired and every other
//! rule of the keyring is decided anew at each request, so nothing here can outlive a revocation.
//!
//! The tokens are secrets: they are zeroed when they go, and never printed.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use keystile_keyring::manifest::Alg;
use keystile_keyring::{Kid, PublicKey, UnixTime};
use zeroize::Zeroizing;

use crate::claims::Claims;
use crate::keyring::Keyring;
use crate::verdict::Accepted;

/// The bytes that a set may hold: some ten tokens of the usual size, so that looking through one is quick.
const SET_BYTES: usize = 8 * 1024;

/// A longer token is not remembered: no ordinary one is, and it would push out several.
const LONGEST: usize = 2 * 1024;

/// How many bytes at a token's end choose its set. They are its signature's, which nobody chooses.
const TAIL: usize = 64;

/// What a heap allocation costs besides its bytes, about.
const ALLOCATION: usize = 16;

/// The memory of one process, bounded in bytes. Only accepted tokens enter.
///
/// It is a table of small sets, each with its own lock. A token's place is chosen by a hash that nobody
/// outside can compute; a token is found only if all its bytes are equal. In a full set the one that goes
/// is one that has not been asked for since the last round, so a flood of new tokens pushes out its own.
pub struct Remembered {
    sets: Box<[Place]>,
    hasher: RandomState,
    /// What the tokens of one set may take, in bytes.
    room: usize,
    /// The least generation whose keyring may add something.
    generation: AtomicU64,
    /// Who signs what may be held, as of the last [`Remembered::settle`].
    living: Mutex<Vec<Arc<Author>>>,
}

/// A set, alone in a line of the processor's cache: two threads with different tokens do not meet.
#[derive(Default)]
#[repr(align(64))]
struct Place(Mutex<Set>);

#[derive(Default)]
struct Set {
    slots: Vec<Slot>,
    bytes: usize,
    hand: usize,
    hits: u64,
    misses: u64,
}

struct Slot {
    hash: u64,
    /// Asked for since the hand last passed.
    asked: bool,
    entry: Box<Entry>,
}

struct Entry {
    token: Zeroizing<Box<[u8]>>,
    author: Arc<Author>,
    /// Not the keyring's: a shared count that every request changes would cost more than the search.
    kid: Kid,
    claims: Claims,
}

/// Who signed: what the fact is about besides the token's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Author {
    pub(crate) kid: Kid,
    pub(crate) alg: Alg,
    pub(crate) public_key: PublicKey,
    /// Of the token, and its audience.
    pub(crate) issuer: String,
}

/// How a [`Remembered`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RememberedCounts {
    /// Tokens that were found.
    pub hits: u64,
    /// Tokens that were not.
    pub misses: u64,
    /// Tokens held.
    pub entries: u64,
    /// Bytes held.
    pub bytes: u64,
}

impl Remembered {
    /// A memory of at most `bytes` bytes, of which little is taken before there is something to
    /// remember; 0 remembers nothing.
    pub fn new(bytes: usize) -> Self {
        let sets = if bytes == 0 { 0 } else { (bytes / SET_BYTES).max(1) };
        let room = bytes.checked_div(sets).unwrap_or_default().saturating_sub(size_of::<Place>());
        Self {
            sets: (0..sets).map(|_| Place::default()).collect(),
            hasher: RandomState::new(),
            room,
            generation: AtomicU64::new(0),
            living: Mutex::default(),
        }
    }

    /// What is known of `token`, if its signature is known to be that of a key of `keyring`.
    pub(crate) fn recall(&self, token: &[u8], keyring: &Keyring) -> Option<(Kid, Claims)> {
        let (hash, mut set) = self.set_of(token)?;
        let mut slots = set.slots.iter_mut();
        let found = slots.find(|slot| slot.hash == hash && **slot.entry.token == *token).and_then(|slot| {
            let author = &slot.entry.author;
            keyring.author(&author.kid).filter(|known| *known == author)?;
            slot.asked = true;
            Some((slot.entry.kid.clone(), slot.entry.claims.clone()))
        });
        match found {
            Some(_) => set.hits += 1,
            None => set.misses += 1,
        }
        found
    }

    /// Remembers that the signature of `token`, which `keyring` accepted, is good.
    pub(crate) fn remember(&self, token: &[u8], keyring: &Keyring, accepted: &Accepted) {
        if token.len() > LONGEST {
            return;
        }
        let (Some(author), Ok(kid)) = (keyring.author(&accepted.kid), Kid::new(accepted.kid.as_str())) else {
            return;
        };
        let (author, claims) = (Arc::clone(author), accepted.claims.clone());
        let entry = Box::new(Entry { token: Zeroizing::new(token.into()), author, kid, claims });
        let cost = entry.cost();
        let Some((hash, mut set)) = self.set_of(token) else { return };
        // Under the lock: what `settle` forgets must not come back from a request that began before it.
        let outdated = keyring.generation() < self.generation.load(Ordering::Acquire);
        let known = set.slots.iter().any(|slot| slot.hash == hash && slot.entry.token == entry.token);
        if outdated || known || cost > self.room {
            return;
        }
        set.make_room(self.room - cost);
        set.insert(Slot { hash, asked: false, entry });
    }

    /// Forgets what keys have signed that verify nothing any more, by `keyring` at `now`, or that it does
    /// not hold. To be called whenever a keyring has come into force, and now and then.
    pub fn settle(&self, keyring: &Keyring, now: UnixTime) {
        self.generation.fetch_max(keyring.generation(), Ordering::Release);
        let now_living: Vec<_> = keyring.verifying_authors(now).cloned().collect();
        let mut living = lock(&self.living);
        if *living == now_living {
            return;
        }
        for set in &self.sets {
            lock(&set.0).retain(|entry| now_living.contains(&entry.author));
        }
        *living = now_living;
    }

    /// How it has done so far.
    pub fn counts(&self) -> RememberedCounts {
        self.sets.iter().map(|set| lock(&set.0)).fold(RememberedCounts::default(), |sum, set| {
            RememberedCounts {
                hits: sum.hits + set.hits,
                misses: sum.misses + set.misses,
                entries: sum.entries + set.slots.len() as u64,
                bytes: sum.bytes + set.bytes as u64,
            }
        })
    }

    fn set_of(&self, token: &[u8]) -> Option<(u64, MutexGuard<'_, Set>)> {
        let hash = self.hasher.hash_one(token.last_chunk::<TAIL>()?);
        let index = hash.checked_rem(self.sets.len() as u64)?;
        let set = self.sets.get(usize::try_from(index).ok()?)?;
        Some((hash, lock(&set.0)))
    }
}

impl Set {
    /// Lets go of tokens until at most `bytes` are held: in turn, and spares those that were asked for
    /// since their last turn.
    fn make_room(&mut self, bytes: usize) {
        while self.bytes > bytes && !self.slots.is_empty() {
            if self.hand >= self.slots.len() {
                self.hand = 0;
            }
            match self.slots.get_mut(self.hand) {
                Some(slot) if slot.asked => {
                    slot.asked = false;
                    self.hand += 1;
                }
                _ => self.bytes -= self.slots.remove(self.hand).entry.cost(),
            }
        }
    }

    /// Adds a token behind the hand: its turn comes last.
    fn insert(&mut self, slot: Slot) {
        self.bytes += slot.entry.cost();
        let place = self.hand.min(self.slots.len());
        self.slots.insert(place, slot);
        self.hand = place + 1;
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        self.slots.retain(|slot| keep(&slot.entry));
        self.bytes = self.slots.iter().map(|slot| slot.entry.cost()).sum();
    }
}

impl Entry {
    /// What it takes, in bytes, with its slot; a vector has room for up to twice what it holds.
    fn cost(&self) -> usize {
        let texts = self.token.len() + self.kid.as_str().len() + self.claims.sandbox_id.as_str().len();
        size_of::<Self>() + 2 * size_of::<Slot>() + texts + 4 * ALLOCATION
    }
}

impl fmt::Debug for Remembered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.counts().fmt(f)
    }
}

/// A thread that panicked cannot have left a set half changed in a way that matters: what is found is
/// compared as a whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox_id::SandboxId;
    use crate::testing::{keyring, minted};

    /// A memory of one set whose tokens may take `room` bytes.
    fn one_set(room: usize) -> Remembered {
        let remembered = Remembered::new(room + size_of::<Place>());
        assert_eq!((remembered.sets.len(), remembered.room), (1, room));
        remembered
    }

    fn cost_of(keyring: &Keyring, token: &[u8], accepted: &Accepted) -> usize {
        let author = Arc::clone(keyring.author(&accepted.kid).unwrap());
        let (kid, claims) = (accepted.kid.clone(), accepted.claims.clone());
        Entry { token: Zeroizing::new(token.into()), author, kid, claims }.cost()
    }

    /// Two threads that meet the same new token both come to remember it.
    #[test]
    fn a_token_is_held_once() {
        let keyring = keyring();
        let remembered = one_set(8000);
        for sandbox in ["one", "two", "one", "two"] {
            let (token, accepted) = minted(&keyring, sandbox);
            remembered.remember(token.expose().as_bytes(), &keyring, &accepted);
        }
        assert_eq!(remembered.counts().entries, 2);
    }

    #[test]
    fn a_set_is_filled_to_its_last_byte() {
        let keyring = keyring();
        let tokens: Vec<_> = ["a", "b", "c"].into_iter().map(|id| minted(&keyring, id)).collect();
        let cost = cost_of(&keyring, tokens[0].0.expose().as_bytes(), &tokens[0].1);
        for (room, held) in [(cost - 1, 0), (cost, 1), (2 * cost - 1, 1), (2 * cost, 2), (3 * cost, 3)] {
            let remembered = one_set(room);
            for (token, accepted) in &tokens {
                remembered.remember(token.expose().as_bytes(), &keyring, accepted);
            }
            let counts = remembered.counts();
            assert_eq!((counts.entries, counts.bytes), (held, held * cost as u64), "room for {room}");
        }
    }

    #[test]
    fn it_is_printed_by_its_counts_alone() {
        let remembered = one_set(8000);
        assert_eq!(format!("{remembered:?}"), format!("{:?}", remembered.counts()));
    }

    /// In turn: what came last goes last.
    #[test]
    fn the_oldest_that_nobody_asked_for_goes() {
        let keyring = keyring();
        let tokens: Vec<_> = ["a", "b", "c", "d"].into_iter().map(|id| minted(&keyring, id)).collect();
        let cost = cost_of(&keyring, tokens[0].0.expose().as_bytes(), &tokens[0].1);
        let remembered = one_set(2 * cost);
        for (last, (token, accepted)) in tokens.iter().enumerate() {
            remembered.remember(token.expose().as_bytes(), &keyring, accepted);
            let (_, set) = remembered.set_of(token.expose().as_bytes()).unwrap();
            let mut held: Vec<_> =
                set.slots.iter().map(|slot| slot.entry.claims.sandbox_id.as_str()).collect();
            held.sort_unstable();
            assert_eq!(held, ["a", "b", "c", "d"][last.saturating_sub(1)..=last]);
        }
    }

    /// Whatever the length of its parts, beyond them an entry costs the same.
    #[test]
    fn an_entry_costs_its_texts_and_a_fixed_sum() {
        let keyring = keyring();
        let beyond = |sandbox: &str| {
            let (token, accepted) = minted(&keyring, sandbox);
            let texts = token.expose().len() + accepted.kid.as_str().len() + sandbox.len();
            cost_of(&keyring, token.expose().as_bytes(), &accepted) - texts
        };
        let longest = "x".repeat(SandboxId::MAX);
        let sum = size_of::<Entry>() + 2 * size_of::<Slot>() + 4 * ALLOCATION;
        assert_eq!((beyond("a"), beyond(&longest)), (sum, sum));
    }

    #[test]
    fn a_token_of_2_kib_is_remembered_and_a_longer_one_is_not() {
        let keyring = keyring();
        let (_, accepted) = minted(&keyring, "sandbox-1");
        for (length, held) in [(2048, 1), (2049, 0)] {
            let remembered = one_set(8000);
            remembered.remember(&vec![b'x'; length], &keyring, &accepted);
            assert_eq!(remembered.counts().entries, held, "{length} bytes");
        }
    }

    #[test]
    fn counts_are_those_of_all_sets() {
        let keyring = keyring();
        let remembered = Remembered::new(256 * SET_BYTES);
        let tokens: Vec<_> = (0..40).map(|number| minted(&keyring, &format!("s-{number:02}"))).collect();
        for (token, accepted) in &tokens {
            let token = token.expose().as_bytes();
            assert!(remembered.recall(token, &keyring).is_none());
            remembered.remember(token, &keyring, accepted);
            assert!(remembered.recall(token, &keyring).is_some());
        }
        let cost = cost_of(&keyring, tokens[0].0.expose().as_bytes(), &tokens[0].1) as u64;
        let expected = RememberedCounts { hits: 40, misses: 40, entries: 40, bytes: 40 * cost };
        assert_eq!(remembered.counts(), expected);
    }
}
