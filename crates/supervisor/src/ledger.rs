//! What is counted, and how long there was no usable token.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::failure::FailureKind;
use crate::token::Token;

/// What has happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Tokens got by renewal.
    pub renewals: u64,
    /// Tokens issued for a certificate or a ServiceAccount token.
    pub bootstraps: u64,
    /// Tokens taken from a value or a file.
    pub adopted: u64,
    /// Renewals that a rejected call forced.
    pub forced: u64,
    /// Failed attempts, by kind.
    pub failures: BTreeMap<FailureKind, u64>,
    /// Times that the output file was replaced.
    pub writes: u64,
    /// Times that the output file could not be replaced.
    pub write_failures: u64,
    /// From the start to the first token; `None` while there is none.
    pub first_token_after: Option<Duration>,
    /// The longest time without a usable token since the first, the present one included. A token is unusable
    /// from the end of its life, or from the report that it was rejected.
    pub longest_gap: Duration,
    /// All such times together.
    pub total_gap: Duration,
}

/// [`Counters`] in the making. Written by the engine and by reports of rejected calls.
pub(crate) struct Ledger(Mutex<Entries>);

struct Entries {
    started: Duration,
    counters: Counters,
    current: Option<Token>,
    usable_until: Option<Duration>,
}

/// How a token came in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Receipt {
    Adopted,
    Bootstrap,
    Renewal,
}

impl Ledger {
    pub(crate) fn new(started: Duration) -> Self {
        let entries = Entries { started, counters: Counters::default(), current: None, usable_until: None };
        Self(Mutex::new(entries))
    }

    /// A token came in at `now`; it is good until `usable_until` (`None`: for ever).
    pub(crate) fn received(
        &self,
        token: &Token,
        receipt: Receipt,
        now: Duration,
        usable_until: Option<Duration>,
    ) {
        let mut entries = self.lock();
        let gap = entries.gap(now);
        let started = entries.started;
        let counters = &mut entries.counters;
        match receipt {
            Receipt::Adopted => counters.adopted += 1,
            Receipt::Bootstrap => counters.bootstraps += 1,
            Receipt::Renewal => counters.renewals += 1,
        }
        counters.longest_gap = counters.longest_gap.max(gap);
        counters.total_gap = counters.total_gap.saturating_add(gap);
        counters.first_token_after.get_or_insert(now.saturating_sub(started));
        entries.current = Some(token.clone());
        entries.usable_until = usable_until;
    }

    /// The token was rejected somewhere. False if it is not the current one: then there is nothing to do.
    pub(crate) fn rejected(&self, token: &Token, now: Duration) -> bool {
        let mut entries = self.lock();
        if entries.current.as_ref() != Some(token) {
            return false;
        }
        entries.usable_until = Some(entries.usable_until.map_or(now, |until| until.min(now)));
        true
    }

    /// Whether the current token is of no more use, or there is none.
    pub(crate) fn is_without(&self, now: Duration) -> bool {
        let entries = self.lock();
        entries.current.is_none() || entries.usable_until.is_some_and(|until| until <= now)
    }

    /// What is left at `now` of the time in which the current token is good; `None` if that is nothing, or for
    /// ever.
    pub(crate) fn left(&self, now: Duration) -> Option<Duration> {
        let left = self.lock().usable_until?.saturating_sub(now);
        (!left.is_zero()).then_some(left)
    }

    pub(crate) fn failed(&self, kind: FailureKind) {
        *self.lock().counters.failures.entry(kind).or_default() += 1;
    }

    pub(crate) fn forced(&self) {
        self.lock().counters.forced += 1;
    }

    pub(crate) fn wrote(&self, succeeded: bool) {
        let counters = &mut self.lock().counters;
        *if succeeded { &mut counters.writes } else { &mut counters.write_failures } += 1;
    }

    pub(crate) fn read(&self, now: Duration) -> Counters {
        let entries = self.lock();
        let gap = entries.gap(now);
        let mut counters = entries.counters.clone();
        counters.longest_gap = counters.longest_gap.max(gap);
        counters.total_gap = counters.total_gap.saturating_add(gap);
        counters
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing here can leave the entries half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    /// How long there has been no usable token at `now`; zero before the first.
    fn gap(&self, now: Duration) -> Duration {
        let lost_at = self.current.as_ref().and(self.usable_until);
        lost_at.map_or(Duration::ZERO, |lost_at| now.saturating_sub(lost_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(text: &str) -> Token {
        Token::new(text).unwrap()
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_wait_for_the_first_token_is_no_gap() {
        let ledger = Ledger::new(s(100));
        assert!(ledger.is_without(s(103)));
        ledger.received(&token("a"), Receipt::Bootstrap, s(103), Some(s(200)));
        let counters = ledger.read(s(150));
        assert_eq!(counters.first_token_after, Some(s(3)));
        assert_eq!(counters.longest_gap, Duration::ZERO);
        assert_eq!(counters.bootstraps, 1);
    }

    #[test]
    fn a_gap_lasts_from_the_end_of_a_life_to_the_next_token() {
        let ledger = Ledger::new(s(0));
        ledger.received(&token("a"), Receipt::Adopted, s(0), Some(s(10)));
        assert_eq!(ledger.read(s(14)).longest_gap, s(4), "an open gap shows");
        ledger.received(&token("b"), Receipt::Renewal, s(17), Some(s(30)));
        ledger.received(&token("c"), Receipt::Renewal, s(32), None);
        let counters = ledger.read(s(1000));
        assert_eq!((counters.longest_gap, counters.total_gap), (s(7), s(9)));
    }

    #[test]
    fn a_rejection_opens_a_gap_only_for_the_current_token() {
        let ledger = Ledger::new(s(0));
        ledger.received(&token("a"), Receipt::Renewal, s(0), Some(s(100)));
        ledger.received(&token("b"), Receipt::Renewal, s(10), None);
        assert!(!ledger.rejected(&token("a"), s(11)), "late news of a token that was replaced");
        assert!(!ledger.is_without(s(12)));
        assert!(ledger.rejected(&token("b"), s(12)));
        assert!(ledger.rejected(&token("b"), s(15)), "the first report counts");
        assert!(ledger.is_without(s(15)));
        ledger.received(&token("c"), Receipt::Renewal, s(16), None);
        assert_eq!(ledger.read(s(20)).longest_gap, s(4));
    }
}
