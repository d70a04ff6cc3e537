//! What keeps a stream open: the verdict on its token, which a fresh token renews.

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use http::StatusCode;
use keystile_replica::{Judged, Outcome, Refused};
use keystile_token::{SandboxId, Vouched};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::StreamId;
use crate::ended::Ended;
use crate::leases::Leases;

/// What keeps a stream open: its token, for as long as that is good; in the extensions of every request that the
/// layer let in. A clone is the same lease, and holds its place until the last one is gone.
///
/// A service that takes a connection over (an upgrade to WebSocket, say) keeps the lease and stops when it
/// [ended](Lease::ended): the layer cannot see into it.
#[derive(Clone)]
pub struct Lease(pub(crate) Arc<Open>);

/// A stream that is open.
pub(crate) struct Open {
    leases: Arc<Leases>,
    number: u64,
    named: AtomicBool,
    /// Seconds for which the stream outlives its token's end, in wait of a fresh one.
    grace: u64,
    state: watch::Sender<State>,
    this: Weak<Open>,
}

enum State {
    Under(Arc<Vouched>),
    Ended(Ended),
}

/// Why a stream was not renewed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotRenewed {
    /// There is none of this name: it has ended, another process has it, or it is another sandbox's.
    #[error("no open stream of this sandbox has that id here; open a new one")]
    NoSuchStream,
    /// The fresh token is of another sandbox than the stream's.
    #[error("the fresh token is another sandbox's; a stream goes on for the sandbox that opened it")]
    AnotherSandbox,
    /// The fresh token is not good.
    #[error("the fresh token is not good: {}", why(.0))]
    Refused(Refused),
    /// It was too late: the stream's own token was good no more.
    #[error("the stream has ended with its token ({}); open a new one", .0.as_str())]
    Ended(Ended),
}

/// What is wrong with a fresh token.
fn why(refused: &Refused) -> Cow<'static, str> {
    match refused {
        Refused::Absent => "it is another issuer's".into(),
        refused => refused.clone().answer().text,
    }
}

impl NotRenewed {
    /// What HTTP calls it.
    pub fn http_status(&self) -> StatusCode {
        match self {
            Self::NoSuchStream => StatusCode::NOT_FOUND,
            Self::AnotherSandbox => StatusCode::FORBIDDEN,
            Self::Refused(refused) => {
                let code = refused.clone().answer().http;
                StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
            }
            Self::Ended(_) => StatusCode::GONE,
        }
    }
}

impl Lease {
    /// A lease under a token that was just accepted; `None` if as many as may be are open.
    pub(crate) fn open(leases: &Arc<Leases>, token: Vouched, grace: u64) -> Option<Self> {
        let number = leases.take()?;
        Some(Self(Arc::new_cyclic(|this| Open {
            leases: Arc::clone(leases),
            number,
            named: AtomicBool::new(false),
            grace,
            state: watch::Sender::new(State::Under(Arc::new(token))),
            this: this.clone(),
        })))
    }

    /// The sandbox whose token opened the stream; absent once it has ended.
    pub fn sandbox_id(&self) -> Option<SandboxId> {
        self.0.token().ok().map(|token| token.claims().sandbox_id.clone())
    }

    /// The stream's name, by which a request beside it may renew it.
    pub fn id(&self) -> StreamId {
        let open = &self.0;
        if !open.named.swap(true, Ordering::SeqCst) {
            open.leases.name(open.number, Weak::clone(&open.this));
        }
        StreamId { process: open.leases.process, number: open.number }
    }

    /// Lets the stream go on under `token`, which a caller presented within the stream itself.
    pub async fn renew_with(&self, token: &[u8]) -> Result<(), NotRenewed> {
        let Judged { outcome, held, .. } = self.0.leases.replica.verify(token).await;
        let accepted = match outcome {
            Outcome::Accepted(accepted) => accepted,
            Outcome::NotOurs => return Err(NotRenewed::Refused(Refused::Absent)),
            Outcome::Rejected(rejection) => {
                return Err(NotRenewed::Refused(Refused::Rejected(rejection.answer())));
            }
            Outcome::Unavailable => return Err(NotRenewed::Refused(Refused::Unavailable)),
        };
        let fresh = held.keyring.vouch(&accepted).ok_or(NotRenewed::Refused(Refused::Unavailable))?;
        self.0.renew(Arc::new(fresh)).await
    }

    /// Lets another stream of the same sandbox go on under the token of this request.
    pub async fn renew(&self, stream: StreamId) -> Result<(), NotRenewed> {
        let fresh = self.0.token().map_err(NotRenewed::Ended)?;
        let leases = &self.0.leases;
        let found = leases.find(stream.number).filter(|_| stream.process == leases.process);
        let found = found.ok_or(NotRenewed::NoSuchStream)?;
        match found.renew(fresh).await {
            // Whose a stream is, is nobody else's business.
            Err(NotRenewed::AnotherSandbox) => Err(NotRenewed::NoSuchStream),
            renewed => renewed,
        }
    }

    /// Why the stream has ended, if somebody found out.
    pub(crate) fn is_over(&self) -> Option<Ended> {
        self.0.token().err()
    }

    /// Waits until the stream has to end, and says why. It costs a look at the keyring whenever that changes, and
    /// nothing in between.
    pub fn ended(&self) -> impl Future<Output = Ended> + Send + use<> {
        let open = Arc::clone(&self.0);
        async move { open.ended().await }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("number", &self.0.number).finish_non_exhaustive()
    }
}

impl Open {
    fn token(&self) -> Result<Arc<Vouched>, Ended> {
        match &*self.state.borrow() {
            State::Under(token) => Ok(Arc::clone(token)),
            State::Ended(ended) => Err(*ended),
        }
    }

    /// The verdict on `token` now; if it is not good, that ends the stream, unless it goes on under another by now.
    async fn judge(&self, token: &Arc<Vouched>) -> (Judged, Option<Ended>) {
        let judged = self.leases.replica.verify_again(token, self.grace).await;
        let ended = Ended::by(&judged.outcome);
        if let Some(ended) = ended {
            let this = |state: &State| matches!(state, State::Under(under) if Arc::ptr_eq(under, token));
            let ends = self.state.send_if_modified(|state| {
                let ends = this(state);
                if ends {
                    *state = State::Ended(ended);
                }
                ends
            });
            if ends {
                self.tell(ended, token);
            }
        }
        (judged, ended)
    }

    async fn renew(&self, fresh: Arc<Vouched>) -> Result<(), NotRenewed> {
        let token = self.token().map_err(NotRenewed::Ended)?;
        if token.claims().sandbox_id != fresh.claims().sandbox_id {
            return Err(NotRenewed::AnotherSandbox);
        }
        // What nobody looked at since it went bad is not renewed: a revocation has no grace.
        self.judge(&token).await;
        let mut renewed = Ok(());
        self.state.send_if_modified(|state| match state {
            State::Under(token) => {
                *token = Arc::clone(&fresh);
                true
            }
            State::Ended(ended) => {
                renewed = Err(NotRenewed::Ended(*ended));
                false
            }
        });
        renewed
    }

    async fn ended(&self) -> Ended {
        let mut state = self.state.subscribe();
        let mut changes = self.leases.replica.changes();
        loop {
            // Before the look, so that nothing falls between it and the wait.
            changes.mark_unchanged();
            let token = match &*state.borrow_and_update() {
                State::Under(token) => Arc::clone(token),
                State::Ended(ended) => return *ended,
            };
            let (judged, None) = self.judge(&token).await else { continue };
            let wake = judged.held.next_look(token.claims().expires_at, self.grace, judged.moment);
            drop(judged);
            tokio::select! {
                _ = state.changed() => {}
                _ = changes.changed() => {}
                () = sleep(wake) => {}
            }
        }
    }

    fn tell(&self, ended: Ended, token: &Vouched) {
        let uptime = self.leases.replica.moment().uptime;
        if let Some(left_out) = self.leases.ends.line(uptime) {
            let (sandbox, kid) = (&token.claims().sandbox_id, token.kid());
            tracing::info!(reason = ended.as_str(), %sandbox, %kid, left_out, "a stream ends with its token");
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.leases.give_back(self.number, *self.named.get_mut());
    }
}
