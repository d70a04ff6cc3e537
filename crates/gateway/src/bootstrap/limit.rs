//! How fast the API server is asked: so many bootstraps a second, so many at a time.
//!
//! After a revocation a whole fleet bootstraps at once. Whoever cannot be served now is told when to come
//! again, and no two are told the same moment: they come back as fast as they can be served.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};

/// The longest hint: supervisors follow none that is longer.
const LONGEST: Duration = Duration::from_mins(1);

/// Hands out turns.
pub(crate) struct Limit {
    /// The time between two, at that rate.
    gap: Duration,
    /// At a time, with the API server.
    calls: Semaphore,
    /// With the API server or waiting for a place there.
    admitted: Semaphore,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the rate is kept again, as of what was admitted so far.
    even_at: Duration,
    /// The latest moment that anybody was told to come again.
    hinted: Duration,
}

/// A turn, until it is dropped.
pub(crate) struct Turn<'a> {
    _call: SemaphorePermit<'a>,
    _admitted: SemaphorePermit<'a>,
}

impl Limit {
    /// `rate` a second, `concurrency` at a time.
    pub(crate) fn new(rate: u32, concurrency: u32) -> Self {
        Self {
            gap: Duration::from_secs(1) / rate.max(1),
            calls: Semaphore::new(concurrency as usize),
            admitted: Semaphore::new(rate.max(concurrency) as usize),
            state: Mutex::default(),
        }
    }

    /// A turn at `uptime`, or how long to stay away. A second's worth may come at once.
    pub(crate) async fn turn(&self, uptime: Duration) -> Result<Turn<'_>, Duration> {
        let admitted = self.admitted.try_acquire().map_err(|_| self.hint(uptime))?;
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let even_at = state.even_at.max(uptime) + self.gap;
            if even_at > uptime + Duration::from_secs(1) {
                return Err(self.next_hint(&mut state, uptime));
            }
            state.even_at = even_at;
        }
        let call = self.calls.acquire().await.map_err(|_| self.hint(uptime))?;
        Ok(Turn { _call: call, _admitted: admitted })
    }

    /// How long to stay away: each time longer, by as much as one bootstrap takes.
    pub(crate) fn hint(&self, uptime: Duration) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.next_hint(&mut state, uptime)
    }

    fn next_hint(&self, state: &mut State, uptime: Duration) -> Duration {
        // A second's worth is let in at once: nobody needs to come before that is through.
        let first = uptime + Duration::from_secs(1);
        let mut next = state.hinted.max(first).max(state.even_at) + self.gap;
        if next > uptime + LONGEST {
            // More than can be told apart: they spread over the whole time once more.
            next = first + self.gap;
        }
        state.hinted = next;
        next.saturating_sub(uptime)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Duration = Duration::from_secs(100);

    #[tokio::test]
    async fn a_second_of_bootstraps_is_let_in_and_the_rest_is_spread() {
        let limit = Limit::new(50, 1000);
        let mut hints = Vec::new();
        let mut admitted = 0;
        for _ in 0..1000 {
            match limit.turn(AT).await {
                Ok(_) => admitted += 1,
                Err(hint) => hints.push(hint),
            }
        }
        assert_eq!(admitted, 50);
        assert!(
            hints.windows(2).all(|pair| pair[1] == pair[0] + Duration::from_millis(20)),
            "one after the other"
        );
        assert_eq!(hints.last(), Some(&Duration::from_secs(20)), "a second, and 950 at 50 a second");
        // Whoever comes when told is let in, all of them.
        for hint in hints {
            assert!(limit.turn(AT + hint).await.is_ok(), "{hint:?}");
        }
    }

    #[tokio::test]
    async fn in_any_second_no_more_than_twice_the_rate_is_asked_about() {
        let limit = Limit::new(10, 1000);
        let mut admitted = Vec::new();
        for millis in 0..5000_u64 {
            let now = AT + Duration::from_millis(millis);
            if limit.turn(now).await.is_ok() {
                admitted.push(now);
            }
        }
        for now in &admitted {
            let within = admitted.iter().filter(|at| **at >= *now && **at < *now + Duration::from_secs(1));
            assert!(within.count() <= 20);
        }
        assert!((50..=60).contains(&admitted.len()), "{}", admitted.len());
    }

    #[tokio::test]
    async fn no_more_than_so_many_are_in_flight() {
        let limit = Limit::new(2, 2);
        let first = limit.turn(AT).await.expect("the first");
        let second = limit.turn(AT).await.expect("the second");
        let later = AT + Duration::from_secs(10);
        assert!(limit.turn(later).await.is_err(), "the API server has not answered the first two");
        drop((first, second));
        assert!(limit.turn(later).await.is_ok());
    }

    #[tokio::test]
    async fn hints_are_bounded_and_go_on_being_spread() {
        let limit = Limit::new(1, 1);
        let hints: Vec<_> = (0..500).map(|_| limit.hint(AT)).collect();
        assert!(hints.iter().all(|hint| *hint <= LONGEST));
        let mut counts = std::collections::BTreeMap::new();
        for hint in &hints {
            *counts.entry(hint.as_secs()).or_insert(0) += 1;
        }
        assert!(counts.values().all(|count| *count <= 10), "{counts:?}");
    }
}
