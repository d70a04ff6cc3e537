//! The loop that keeps one token fresh: ask, settle, wait.

use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::UnixTime;
use keystile_system::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use crate::config::{Config, Timing};
use crate::dice::Dice;
use crate::failure::{Failure, FailureKind};
use crate::gateways::{Gateways, Issued, Question};
use crate::ledger::{Ledger, Receipt};
use crate::output::OutputFile;
use crate::schedule::{Backoff, ForcedGate, exchange_after, renewal_after};
use crate::sources::{Offer, Sources};
use crate::state::{Lease, Origin, State};
use crate::token::{Expiry, Token};

/// The longest sleep without a look at the clock: timers stand still while the machine is suspended, the
/// clock that counts uptime does not.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// What handles tell the engine.
#[derive(Clone, Default)]
pub(crate) struct Orders {
    pub(crate) stop: bool,
    /// A call with this token was answered UNAUTHENTICATED.
    pub(crate) rejected: Option<Token>,
    /// This token should be renewed before then.
    pub(crate) renew_before: Option<(Token, UnixTime)>,
}

/// How a round ended.
enum Outcome {
    /// With a token.
    Got,
    /// Without, but it is worth trying again.
    Failed(Failure),
    /// Everything that there is to present was refused.
    Refused(Failure),
}

pub(crate) struct Engine {
    timing: Timing,
    clock: Arc<dyn Clock>,
    dice: Dice,
    gateways: Gateways,
    sources: Sources,
    output: OutputFile,
    ledger: Arc<Ledger>,
    slot: watch::Sender<Option<Token>>,
    state: watch::Sender<State>,
    orders: watch::Receiver<Orders>,
    /// What is known of the token in the slot; `None` once it was refused for good.
    lease: Option<Lease>,
    /// When the next round begins, in uptime.
    due: Duration,
    backoff: Backoff,
    stranded: Backoff,
    forced: ForcedGate,
    last_refusal: Option<Failure>,
}

/// The engine's ends of the channels that it shares with the handles.
pub(crate) struct Wires {
    pub(crate) slot: watch::Sender<Option<Token>>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) orders: watch::Receiver<Orders>,
    pub(crate) ledger: Arc<Ledger>,
}

impl Engine {
    pub(crate) fn new(config: Config, clock: Arc<dyn Clock>, dice: Dice, wires: Wires) -> Self {
        Self {
            gateways: Gateways::new(&config, clock.clone(), &dice),
            timing: config.timing,
            clock,
            dice,
            sources: Sources::new(config.sources),
            output: OutputFile::new(config.output),
            ledger: wires.ledger,
            slot: wires.slot,
            state: wires.state,
            orders: wires.orders,
            lease: None,
            due: Duration::ZERO,
            backoff: Backoff::default(),
            stranded: Backoff::default(),
            forced: ForcedGate::default(),
            last_refusal: None,
        }
    }

    /// Works until it is told to stop or nobody holds a handle any more.
    pub(crate) async fn run(mut self) {
        let mut orders = self.orders.clone();
        tokio::select! {
            biased;
            // An error means that the last handle is gone.
            _ = orders.wait_for(|orders| orders.stop) => {}
            () = self.work() => {}
        }
        self.output.stop().await;
        self.show(State::Stopped);
    }

    async fn work(&mut self) {
        self.output.tidy().await;
        let mut poll = self.file_poll();
        let mut news = None;
        loop {
            let outcome = self.round(news).await;
            let settled = matches!(outcome, Outcome::Got);
            self.settle(outcome).await;
            news = self.wait(settled, &mut poll).await;
        }
    }

    /// Ticks while there are files to look after. Its phase is random: a file that reaches a whole fleet at
    /// once must not make it call at once.
    fn file_poll(&self) -> Option<Interval> {
        let wanted = self.sources.has_files() || self.output.is_wanted();
        wanted.then(|| {
            let period = self.timing.file_poll;
            let first = Instant::now() + self.dice.between(Duration::ZERO, period);
            let mut poll = interval_at(first, period);
            poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
            poll
        })
    }

    /// One pass over everything that could bring a token.
    async fn round(&mut self, news: Option<Token>) -> Outcome {
        self.enter(news.is_some());
        let mut failure = None;
        if let Some(token) = news {
            match self.exchange(&token).await {
                Ok(()) => return Outcome::Got,
                Err(error) if error.kind.refuses() => failure = Some(error),
                Err(error) => {
                    if self.has_nothing_better() {
                        self.adopt(&token);
                    }
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
        let first = failures.into_iter().chain(self.last_refusal.clone()).min_by_key(rank);
        let Some(first) = first else {
            return Outcome::Failed(Failure::nothing_offered());
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
                let in_doubt = outcome.as_ref().is_err_and(|error| !error.kind.refuses());
                if in_doubt && self.has_nothing_better() {
                    self.adopt(&token);
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
                    self.last_refusal = Some(failure.clone());
                }
                Err(failure)
            }
        }
    }

    async fn ask(&mut self, question: &Question) -> Result<Issued, Failure> {
        let ledger = &self.ledger;
        self.gateways
            .ask(question, |failure| {
                ledger.failed(failure.kind);
                tracing::warn!(
                    gateway = failure.place,
                    code = failure.kind.label(),
                    said = failure.message,
                    "no token from this gateway"
                );
            })
            .await
    }

    /// Puts a token that a gateway gave into use.
    fn install(&mut self, issued: Issued, origin: Origin) {
        let now = self.clock.now();
        let life = life_of(&issued, now);
        let renew_after = renewal_after(life, &self.timing, &self.dice);
        self.due = issued.asked_at.saturating_add(renew_after);
        let usable_until = life.map(|life| issued.asked_at.saturating_add(life));
        let receipt = if origin == Origin::Issued { Receipt::Bootstrap } else { Receipt::Renewal };
        self.hold(issued.token, issued.expires, origin, receipt, usable_until);
    }

    /// Puts a token that nobody has confirmed into use.
    fn adopt(&mut self, token: &Token) {
        let now = self.clock.uptime();
        let expires = token.facts().expires;
        let left = match expires {
            Expiry::At(end) => Some(Duration::from_secs(end.since(self.clock.now()))),
            Expiry::Never | Expiry::Unknown => None,
        };
        self.due = now.saturating_add(exchange_after(left, &self.timing, &self.dice));
        let usable_until = left.map(|left| now.saturating_add(left));
        self.hold(token.clone(), expires, Origin::Given, Receipt::Adopted, usable_until);
    }

    fn hold(
        &mut self,
        token: Token,
        expires: Expiry,
        origin: Origin,
        receipt: Receipt,
        usable_until: Option<Duration>,
    ) {
        let now = self.clock.uptime();
        let renew_in = self.due.saturating_sub(now);
        let renew_at = self.clock.now().plus(renew_in.as_secs());
        let kid = token.facts().kid.clone();
        tracing::info!(
            kid = kid.as_ref().map(tracing::field::display),
            %expires,
            renew_in_s = renew_in.as_secs(),
            ?origin,
            "holding a token"
        );
        self.ledger.received(&token, receipt, now, usable_until);
        self.lease = Some(Lease { expires, renew_at, kid, origin });
        self.last_refusal = None;
        self.slot.send_replace(Some(token));
    }

    async fn settle(&mut self, outcome: Outcome) {
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
    async fn wait(&mut self, settled: bool, poll: &mut Option<Interval>) -> Option<Token> {
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
                        forcing |= self.heed(now, forcing);
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
    fn heed(&mut self, now: Duration, already_forcing: bool) -> bool {
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

    fn current(&self) -> Option<Token> {
        self.slot.borrow().clone()
    }

    /// Whether what is held was refused, or nothing is held.
    fn has_nothing_better(&self) -> bool {
        self.current().is_none_or(|current| self.sources.was_refused(&current))
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

    fn show(&self, state: State) {
        self.state.send_if_modified(|shown| {
            let differs = *shown != state;
            *shown = state;
            differs
        });
    }
}

/// The life that a token began when it was issued.
///
/// `exp - iat` are two readings of the gateway's own clock, so a supervisor whose clock is wrong still renews
/// in time; only where there is no `iat` does its clock count.
fn life_of(issued: &Issued, now: UnixTime) -> Option<Duration> {
    let Expiry::At(end) = issued.expires else { return None };
    let begin = issued.token.facts().issued_at.filter(|iat| *iat <= end).unwrap_or(now);
    Some(Duration::from_secs(end.since(begin)))
}

async fn tick(poll: &mut Option<Interval>) {
    match poll {
        Some(poll) => {
            poll.tick().await;
        }
        None => std::future::pending().await,
    }
}
