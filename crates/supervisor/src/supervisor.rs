//! The handle by which a program uses its supervisor.

use std::path::Path;
use std::sync::Arc;

use http::HeaderValue;
use keystile_keyring::UnixTime;
use keystile_system::{Clock, Entropy};
use tokio::sync::watch;

use crate::config::{Config, ConfigError};
use crate::dice::Dice;
use crate::engine::{Engine, Orders, Wires};
use crate::ledger::{Counters, Ledger};
use crate::present::{Interceptor, PresentLayer};
use crate::state::State;
use crate::token::Token;

/// A running supervisor. Clones share it; it stops with [`Supervisor::shutdown`] or when the last one is dropped.
#[derive(Clone)]
pub struct Supervisor {
    slot: watch::Receiver<Option<Token>>,
    state: watch::Receiver<State>,
    orders: Arc<watch::Sender<Orders>>,
    ledger: Arc<Ledger>,
    clock: Arc<dyn Clock>,
    output: Option<Arc<Path>>,
}

/// The supervisor stopped before there was a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the supervisor stopped before it had a token")]
pub struct Stopped;

impl Supervisor {
    /// Starts a supervisor in the background of the current tokio runtime. It returns at once: a token from a
    /// value or a file is there a moment later, one that a gateway must issue when the gateway has answered.
    pub fn start(
        config: Config,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let (slot_sender, slot) = watch::channel(None);
        let (state_sender, state) = watch::channel(State::Obtaining { failure: None });
        let (orders, orders_receiver) = watch::channel(Orders::default());
        let ledger = Arc::new(Ledger::new(clock.uptime()));
        let wires =
            Wires { slot: slot_sender, state: state_sender, orders: orders_receiver, ledger: ledger.clone() };
        let output = config.output.as_ref().map(|output| Arc::from(output.path.as_path()));
        let engine = Engine::new(config, clock.clone(), Dice::new(entropy), wires);
        tokio::spawn(engine.run());
        Ok(Self { slot, state, orders: Arc::new(orders), ledger, clock, output })
    }

    /// The current token, if there is one yet. One that was refused stays here until there is a better one.
    pub fn token(&self) -> Option<Token> {
        self.slot.borrow().clone()
    }

    /// The value of the `authorization` header for the current token, marked sensitive.
    pub fn authorization(&self) -> Option<HeaderValue> {
        self.slot.borrow().as_ref().map(Token::header)
    }

    /// The file that the current token is kept in, if one is configured.
    pub fn output_file(&self) -> Option<&Path> {
        self.output.as_deref()
    }

    /// Waits for the first token.
    pub async fn ready(&self) -> Result<Token, Stopped> {
        let mut slot = self.slot.clone();
        let token = slot.wait_for(Option::is_some).await.map_err(|_| Stopped)?;
        token.clone().ok_or(Stopped)
    }

    /// Where the supervisor stands, now and at every change.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// What has happened since the start.
    pub fn counters(&self) -> Counters {
        self.ledger.read(self.clock.uptime())
    }

    /// Reports that a call which presented `token` was answered UNAUTHENTICATED (HTTP: 401). The token is renewed
    /// at once, within the bounds of [`crate::Timing`]; a report about a token that was replaced meanwhile does
    /// nothing.
    pub fn rejected(&self, token: &Token) {
        if self.ledger.rejected(token, self.clock.uptime()) {
            self.orders.send_modify(|orders| orders.rejected = Some(token.clone()));
        }
    }

    /// Passes on a gateway's wish (`renew_by` of `keystile.v1` `WhoAmI`) that `token` be renewed before `instant`.
    /// It can bring the renewal forward, to a random point before then, never put it off.
    pub fn renew_before(&self, token: &Token, instant: UnixTime) {
        self.orders.send_modify(|orders| orders.renew_before = Some((token.clone(), instant)));
    }

    /// Presents the current token with every call of a tonic client. Does not see the answers: report rejected
    /// calls, or use [`Supervisor::layer`].
    pub fn interceptor(&self) -> Interceptor {
        Interceptor::new(self.slot.clone())
    }

    /// Presents the current token with every request, gRPC or HTTP, and reports the ones that are rejected.
    pub fn layer(&self) -> PresentLayer {
        PresentLayer::new(self.clone())
    }

    /// Stops the supervisor and waits until it has. Clones keep the last token, and nothing renews it.
    pub async fn shutdown(&self) {
        self.orders.send_modify(|orders| orders.stop = true);
        let mut state = self.state.clone();
        // An error means that it is gone, which is what was wanted.
        let _ = state.wait_for(|state| *state == State::Stopped).await;
    }
}
