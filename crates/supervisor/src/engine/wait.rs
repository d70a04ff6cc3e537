//! Between two rounds: what the outcome means, and what may bring the next one forward.

use std::time::Duration;

use tokio::time::{Interval, sleep};

use super::{Engine, Outcome};
use crate::failure::{Failure, FailureKind};
use crate::state::State;
use crate::token::Token;

/// The longest sleep without a look at the clock: timers stand still while the machine is suspended, the
/// clock that counts uptime does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

impl Engine {
    pub(super) async fn settle(&mut self, outcome: Outcome) {
        if let Some(token) = self.current() {
            self.output.keep(token, &self.ledger).await;
        }
        let now = self.clock.uptime();
        match outcome {
            Outcome::Got => {
                self.backoff.reset();
                self.stranded.reset();
                if let Some(lease) = self.lease.clone() {
                    self.show(State::Fresh(lease));
                }
            }
            Outcome::Failed(failure) => {
                let wait = self.wait_after(&failure);
                // What a gateway asked for comes first, and not for all supervisors at the same instant.
                let wait = self.gateways.held_for(now).saturating_add(wait);
                self.due = now.saturating_add(wait);
                self.show_failed(failure, wait);
            }
            Outcome::Refused(failure) => {
                let wait = self.slow_wait();
                self.due = now.saturating_add(wait);
                self.lease = None;
                let remedy = self.sources.remedy();
                tracing::error!(%failure, %remedy, "the token was refused and no source has a better one");
                self.show(State::Stranded { failure, remedy });
            }
        }
    }

    fn wait_after(&mut self, failure: &Failure) -> Duration {
        if failure.kind.is_transient() || failure.kind == FailureKind::File {
            self.backoff.next(self.timing.backoff_first, self.timing.backoff_max, &self.dice)
        } else {
            self.slow_wait()
        }
    }

    fn slow_wait(&mut self) -> Duration {
        self.stranded.next(self.timing.backoff_max, self.timing.stranded_max, &self.dice)
    }

    fn show_failed(&mut self, failure: Failure, wait: Duration) {
        match self.lease.clone() {
            Some(lease) => {
                let retry_at = self.clock.now().plus(wait.as_secs());
                self.show(State::Stale { lease, failure, retry_at });
            }
            None if self.current().is_none() => self.show(State::Obtaining { failure: Some(failure) }),
            // Still stranded: an attempt that failed for another reason changes nothing about that.
            None => {}
        }
    }

    /// Waits until the next round is due; returns what appeared in a token file, if that comes first.
    pub(super) async fn wait(&mut self, settled: bool, poll: &mut Option<Interval>) -> Option<Token> {
        let mut forcing = false;
        loop {
            let now = self.clock.uptime();
            let left = self.due.saturating_sub(now);
            if left.is_zero() {
                if forcing {
                    self.forced.pass(now, self.timing.rejection_interval);
                    self.ledger.forced();
                }
                return None;
            }
            tokio::select! {
                () = sleep(left.min(LONGEST_SLEEP)) => {}
                Ok(()) = self.orders.changed() => {
                    // After a failure the wait is what protects the gateway: it is not cut short.
                    if settled {
                        forcing |= self.heed(forcing);
                    }
                }
                () = tick(poll) => {
                    self.output.retry(&self.ledger).await;
                    if let Some(token) = self.sources.news().await
                        && self.is_better(&token)
                    {
                        return Some(token);
                    }
                }
            }
        }
    }

    /// Brings the next round forward as the handles' orders say; true if a rejected call did.
    fn heed(&mut self, already_forcing: bool) -> bool {
        let now = self.clock.uptime();
        let orders = self.orders.borrow_and_update().clone();
        let current = self.current();
        if let Some((token, before)) = orders.renew_before
            && current.as_ref() == Some(&token)
        {
            let left = Duration::from_secs(before.since(self.clock.now()));
            let at = now.saturating_add(self.dice.between(Duration::ZERO, left));
            self.due = self.due.min(at);
        }
        if already_forcing || orders.rejected.is_none() || orders.rejected != current {
            return false;
        }
        let ready_at = self.forced.ready_at(self.timing.rejection_interval).max(now);
        let at = ready_at.saturating_add(self.dice.between(Duration::ZERO, self.timing.rejection_spread));
        self.due = self.due.min(at);
        true
    }

    /// Whether a token from a file is worth more than the one that is held: the held one is of no use, or the
    /// other is younger.
    fn is_better(&self, token: &Token) -> bool {
        let Some(current) = self.current() else { return true };
        if current == *token {
            return false;
        }
        let age = |token: &Token| token.facts().issued_at;
        self.ledger.is_without(self.clock.uptime())
            || age(token).is_none_or(|iat| age(&current).is_none_or(|held| iat > held))
    }
}

async fn tick(poll: &mut Option<Interval>) {
    match poll {
        Some(poll) => {
            poll.tick().await;
        }
        None => std::future::pending().await,
    }
}
