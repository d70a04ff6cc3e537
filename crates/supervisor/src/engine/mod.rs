//! The loop that keeps one token fresh: ask, settle, wait.

mod hold;
mod round;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::UnixTime;
use keystile_system::Clock;
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::config::{Config, Timing};
use crate::dice::Dice;
use crate::failure::Failure;
use crate::gateways::Gateways;
use crate::ledger::Ledger;
use crate::output::OutputFile;
use crate::schedule::{Backoff, ForcedGate};
use crate::sources::Sources;
use crate::state::{Lease, State};
use crate::token::Token;

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
    /// The last refusal of what is held or offered; `None` since something better was taken.
    refusal: Option<Failure>,
    /// When the next round begins, in uptime.
    due: Duration,
    backoff: Backoff,
    stranded: Backoff,
    forced: ForcedGate,
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
            refusal: None,
            due: Duration::ZERO,
            backoff: Backoff::default(),
            stranded: Backoff::default(),
            forced: ForcedGate::default(),
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

    fn current(&self) -> Option<Token> {
        self.slot.borrow().clone()
    }

    fn show(&self, state: State) {
        self.state.send_if_modified(|shown| {
            let differs = *shown != state;
            *shown = state;
            differs
        });
    }
}
