//! One pass over everything that could bring a token.

use super::{Engine, Outcome};
use crate::failure::{Failure, FailureKind};
use crate::gateways::{Issued, Question};
use crate::sources::Offer;
use crate::state::{Origin, State};
use crate::token::{Expiry, Token};

impl Engine {
    /// One pass over everything that could bring a token.
    pub(super) async fn round(&mut self, news: Option<Token>) -> Outcome {
        self.enter(news.is_some());
        let mut failure = None;
        if let Some(token) = news {
            match self.exchange(&token).await {
                Ok(()) => return Outcome::Got,
                Err(error) if error.kind.refuses() => failure = Some(error),
                Err(error) => {
                    self.adopt_in_doubt(&token);
                    return Outcome::Failed(error);
                }
            }
        }
        if let Some(current) = self.current()
            && !self.sources.was_refused(&current)
        {
            match self.exchange(&current).await {
                Ok(()) => return Outcome::Got,
                // A token that is of no use any more: why wait for the gateway to say so?
                Err(error) if error.kind.refuses() || self.ledger.is_without(self.clock.uptime()) => {
                    failure = Some(error);
                }
                Err(error) => return Outcome::Failed(error),
            }
        }
        self.bootstrap(failure).await
    }

    fn enter(&mut self, has_news: bool) {
        let state = self.state.borrow().clone();
        match state {
            State::Fresh(lease) => self.show(State::Renewing(lease)),
            // Its time has come round again: the gateway's keyring may have been mended.
            State::Stranded { .. } if !has_news => self.sources.forgive(),
            _ => {}
        }
    }

    /// Tries the sources in their order. `failure` is what made it necessary.
    async fn bootstrap(&mut self, failure: Option<Failure>) -> Outcome {
        let mut failures: Vec<Failure> = failure.into_iter().collect();
        for index in 0..self.sources.len() {
            let offer = match self.sources.offer(index).await {
                Ok(Some(offer)) => offer,
                Ok(None) => continue,
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            };
            match self.take(offer).await {
                Ok(()) => return Outcome::Got,
                Err(failure) => failures.push(failure),
            }
        }
        self.judge(failures)
    }

    /// Of several failures the one that says what to do: try again, if any leaves hope; else act on a refusal;
    /// else on a file.
    fn judge(&self, failures: Vec<Failure>) -> Outcome {
        let rank = |failure: &Failure| match failure.kind {
            kind if kind.refuses() => 1,
            FailureKind::File => 2,
            _ => 0,
        };
        let Some(first) = failures.into_iter().min_by_key(rank) else {
            // Where all there is was refused in earlier rounds that left hope, this one leaves none.
            let refused = self.refusal.clone().filter(|_| self.has_nothing_better());
            return refused.map_or(Outcome::Failed(Failure::nothing_offered()), Outcome::Refused);
        };
        match rank(&first) {
            0 => Outcome::Failed(first),
            // Nothing was ever presented: a file that is not there yet is no refusal.
            _ if self.current().is_none() && first.kind == FailureKind::File => Outcome::Failed(first),
            _ => Outcome::Refused(first),
        }
    }

    async fn take(&mut self, offer: Offer) -> Result<(), Failure> {
        let question = match offer {
            Offer::Token(token) if self.current().is_none() => {
                self.adopt(&token);
                return Ok(());
            }
            Offer::Token(token) => {
                let outcome = self.exchange(&token).await;
                if outcome.as_ref().is_err_and(|error| !error.kind.refuses()) {
                    self.adopt_in_doubt(&token);
                }
                return outcome;
            }
            Offer::Certificate => Question::IssueForCertificate,
            Offer::ServiceAccount(bearer) => Question::IssueForBearer(bearer),
        };
        let issued = self.ask(&question).await?;
        self.install(issued, Origin::Issued);
        Ok(())
    }

    /// Gets a fresh token for `token`.
    async fn exchange(&mut self, token: &Token) -> Result<(), Failure> {
        match self.ask(&Question::Refresh(token.clone())).await {
            Ok(issued) => {
                self.install(issued, Origin::Renewed);
                Ok(())
            }
            Err(failure) => {
                if failure.kind.refuses() {
                    self.sources.refuse(token);
                    self.ledger.rejected(token, self.clock.uptime());
                    self.refusal = Some(failure.clone());
                }
                Err(failure)
            }
        }
    }

    async fn ask(&mut self, question: &Question) -> Result<Issued, Failure> {
        let ledger = &self.ledger;
        let left = |now| ledger.left(now);
        let on_failure = |failure: &Failure| {
            ledger.failed(failure.kind);
            tracing::warn!(
                gateway = failure.place,
                code = failure.kind.label(),
                said = failure.message,
                "no token from this gateway"
            );
        };
        self.gateways.ask(question, left, on_failure).await
    }

    /// Uses a token that no gateway could judge, if it may be better than what is held. One that has ended by
    /// its own word is not: a caller that presents it is refused, as it is without one.
    fn adopt_in_doubt(&mut self, token: &Token) {
        let ended = matches!(token.facts().expires, Expiry::At(end) if end <= self.clock.now());
        if !ended && self.has_nothing_better() {
            self.adopt(token);
        }
    }

    /// Whether what is held was refused, or nothing is held.
    fn has_nothing_better(&self) -> bool {
        self.current().is_none_or(|current| self.sources.was_refused(&current))
    }
}
