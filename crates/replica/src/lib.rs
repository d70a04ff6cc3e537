//! The replica's keyring: follows its store, swapped atomically, confirmed again and again, asked by every
//! request. A gateway and whatever else verifies tokens hold one.
//!
//! The request path loads an [`Arc`], reads the clocks once and decides; the one lock that it takes is that
//! of the few tokens among which its own may be remembered. Only a token that would be refused for a
//! reason that a newer generation could change waits for the store.

mod bearer;
mod chain;
mod held;
mod jump;
mod offer;
mod quota;
mod reader;
mod readiness;
mod reload;
mod reread;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use keystile_keyring::UnixTime;
use keystile_system::Clock;
use keystile_token::{
    Accepted, Circumstance, Keyring, Reason, Rejection, Remembered, RememberedCounts, Signature, Verdict,
    Vouched,
};
use tokio::sync::watch;

pub use bearer::{Bearer, RETRY_AFTER, Refused, is_grpc};
pub use chain::chain;
pub use held::{Confirmation, Count, Held, KnownKey, Moment};
pub use offer::{Fault, Overrule};
pub use quota::Quota;
pub use reader::{ReadError, Reader};
pub use readiness::{Readiness, Viewer};
pub use reload::{Reloader, Tally};
use reread::{Reread, Rereads};

/// What a replica knows, shared by everything that serves.
pub struct Replica {
    clock: Arc<dyn Clock>,
    held: ArcSwap<Held>,
    /// Signatures that were found good. Everything else about a token is judged at each request.
    remembered: Remembered,
    rereads: Rereads,
    /// Counts what a report should tell at once.
    news: watch::Sender<u64>,
    /// Counts what may change a verdict that was given.
    changes: watch::Sender<u64>,
    stopping: AtomicBool,
}

/// What became of a token.
pub enum Outcome {
    /// It is good now.
    Accepted(Accepted),
    /// It is another issuer's.
    NotOurs,
    /// It is refused.
    Rejected(Rejection),
    /// Nobody can know now: the keyring cannot be confirmed.
    Unavailable,
}

impl Outcome {
    /// Whether a newer generation could make it another one.
    fn could_change(&self) -> bool {
        matches!(self, Self::Rejected(Rejection { reread: true, .. }))
    }
}

/// An outcome, and what it was found with.
pub struct Judged {
    /// What became of the token.
    pub outcome: Outcome,
    /// The keyring that decided. Its count was not touched, which all threads would change at every request. Not to be
    /// kept while nothing happens: a thread has room for a few such, and counts from then on.
    pub held: Guard<Arc<Held>>,
    /// When.
    pub moment: Moment,
}

impl Replica {
    /// A replica that holds `first` and remembers good signatures in `remembered_bytes` bytes.
    pub fn new(clock: Arc<dyn Clock>, first: Held, remembered_bytes: usize) -> Self {
        Self {
            clock,
            held: ArcSwap::from_pointee(first),
            remembered: Remembered::new(remembered_bytes),
            rereads: Rereads::new(),
            news: watch::Sender::new(0),
            changes: watch::Sender::new(0),
            stopping: AtomicBool::new(false),
        }
    }

    /// The clocks now.
    pub fn moment(&self) -> Moment {
        Moment::read(self.clock.as_ref())
    }

    /// What is held now.
    pub fn held(&self) -> Arc<Held> {
        self.held.load_full()
    }

    /// From now on requests are decided by `held`. What a key has signed that verifies nothing any more
    /// is forgotten.
    pub fn put_in_force(&self, held: Held) {
        let held = Arc::new(held);
        let before = self.held.swap(Arc::clone(&held));
        self.remembered.settle(&held.keyring, self.clock.now());
        if before.digest() != held.digest() || before.overrule != held.overrule {
            self.look_again();
        }
    }

    /// How the memory of good signatures has done.
    pub fn remembered(&self) -> RememberedCounts {
        self.remembered.counts()
    }

    /// Ticks when there is something to report at once.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Ticks when a verdict that was given may be another one now, for another reason than that its time has come
    /// (see [`Held::next_look`]): when another keyring came into force, and when the clocks jumped.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn look_again(&self) {
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// From now on the replica is not ready: it is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.tell();
    }

    /// Whether [`Replica::stop`] was called.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn tell(&self) {
        self.news.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// The verdict on a token, after the store was read again where that could change it.
    pub async fn verify(&self, token: &[u8]) -> Judged {
        let verify = |keyring: &Keyring, now, circumstance| {
            keyring.verify_remembering(token, now, circumstance, &self.remembered)
        };
        let first = self.judge(verify, None);
        if !first.outcome.could_change() {
            return first;
        }
        let reread = self.rereads.next().await;
        self.judge(verify, Some(reread))
    }

    /// The verdict now on a token that was accepted before and still counts for `grace` seconds after it has expired
    /// ([`Keyring::verify_again`]). For those whose number is bounded already: they wait for a read as requests do,
    /// but all of them may.
    pub async fn verify_again(&self, vouched: &Vouched, grace: u64) -> Judged {
        let verify =
            |keyring: &Keyring, now, circumstance| keyring.verify_again(vouched, now, grace, circumstance);
        let first = self.judge(verify, None);
        if !first.outcome.could_change() {
            return first;
        }
        let reread = self.rereads.soon().await;
        self.judge(verify, Some(reread))
    }

    fn judge(
        &self,
        verify: impl Fn(&Keyring, UnixTime, Circumstance) -> Verdict,
        reread: Option<Reread>,
    ) -> Judged {
        let (moment, held) = (self.moment(), self.held.load());
        if !held.fresh_to_verify(moment) {
            self.rereads.nudge();
            return Judged { outcome: Outcome::Unavailable, held, moment };
        }
        let circumstance = match reread {
            None | Some(Reread::Done) => Circumstance::Usual,
            Some(Reread::Failed | Reread::Crowded) => {
                Circumstance::StoreUnreadable { confirmed_at: held.confirmed.at }
            }
        };
        let outcome = match verify(&held.keyring, moment.now, circumstance) {
            Verdict::Accepted(accepted) => overruled(&held, accepted),
            Verdict::NotOurs => Outcome::NotOurs,
            Verdict::Rejected(rejection) => Outcome::Rejected(rejection),
            Verdict::Unavailable(_) => Outcome::Unavailable,
        };
        Judged { outcome, held, moment }
    }

    /// `held` if it may be minted with, else what a read of the store brings; `None` if it cannot be
    /// confirmed.
    pub async fn to_mint(&self, held: Arc<Held>, moment: Moment) -> Option<(Arc<Held>, Moment)> {
        let usable = |held: Arc<Held>, moment| held.may_mint(moment).then_some((held, moment));
        if let Some(found) = usable(held, moment) {
            return Some(found);
        }
        self.rereads.next().await;
        usable(self.held(), self.moment())
    }
}

/// A newer witness may forbid what the keyring held still accepts.
fn overruled(held: &Held, accepted: Accepted) -> Outcome {
    let began = accepted.claims.lineage.began;
    let reason = if held.overrule.revoked.contains(&accepted.kid) {
        Reason::RevokedKey
    } else if held.overrule.lineage_floor.is_some_and(|floor| began <= floor) {
        Reason::LineageRevoked
    } else {
        return Outcome::Accepted(accepted);
    };
    Outcome::Rejected(Rejection {
        reason,
        fault: None,
        kid: Some(accepted.kid),
        sandbox_id: Some(accepted.claims.sandbox_id),
        signature: Signature::Good,
        alarm: false,
        reread: false,
    })
}
