//! A keyring that is followed, to verify by.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use keystile_replica::{
    Bearer, Judged, Outcome, ReadError, Reader, Readiness, Refused, Reloader, Replica, Viewer,
};
use keystile_store::{DirectoryStore, Store, StoreError};
use keystile_system::{Clock, Entropy, EntropyError, SystemClock, SystemEntropy};
use keystile_token::{Accepted, Rejection};

use crate::layer::VerifyLayer;
use crate::lease::Lease;
use crate::leases::Leases;
use crate::refusal::Refusal;

/// What a verifier may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most requests worked on and streams open at a time, taken together; beyond it the answer is
    /// `unavailable`.
    pub streams: usize,
    /// The most bytes of tokens whose good signatures are remembered; 0 remembers none.
    pub remembered_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { streams: 65_536, remembered_bytes: 16 * 1024 * 1024 }
    }
}

/// Why no keyring is followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// It is no place of a store.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
    /// There is no keyring to verify by. None is created.
    #[error(transparent)]
    Keyring(#[from] ReadError),
    /// No random bytes.
    #[error("no name for this process can be made")]
    Entropy(#[from] EntropyError),
}

/// Follows a keyring, and tells by it who calls. Clones are the same; with the last of them, of the layers and
/// services made of it and of their streams, the store is followed no more.
#[derive(Clone)]
pub struct Verifier(Arc<Leases>);

impl Verifier {
    /// Follows the keyring in a directory, by the clock of this machine. Where nothing but the witness can be read,
    /// that is followed. No private key is read.
    pub async fn of_directory(path: impl AsRef<Path>) -> Result<Self, FollowError> {
        let clock = Arc::new(SystemClock::default());
        let store = DirectoryStore::new(path.as_ref(), clock.clone())?;
        Self::follow(Arc::new(store), clock, &SystemEntropy, Limits::default()).await
    }

    /// Follows the keyring in any store. To be called within a tokio runtime, in which the store is followed.
    pub async fn follow(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        limits: Limits,
    ) -> Result<Self, FollowError> {
        let mut process = [0; 8];
        entropy.fill(&mut process)?;
        let reader = Reader { store, clock: Arc::clone(&clock), verify_only: true };
        let first = reader.first(None).await?;
        let replica = Arc::new(Replica::new(clock, first, limits.remembered_bytes));
        let reloader = Reloader { reader, replica: Arc::clone(&replica), tally: Arc::new(()) };
        let following = tokio::spawn(reloader.run());
        let leases = Leases::new(replica, following, u64::from_be_bytes(process), limits.streams);
        Ok(Self(Arc::new(leases)))
    }

    /// The layer that lets in who presents a good token.
    pub fn layer(&self) -> VerifyLayer {
        VerifyLayer::new(self.clone())
    }

    /// Whether requests should be sent here, and what somebody should look at.
    pub fn readiness(&self) -> Readiness {
        let replica = &self.0.replica;
        replica.readiness(&replica.held(), replica.moment(), Viewer::Operators)
    }

    /// How many requests are worked on and streams open now.
    pub fn open_streams(&self) -> usize {
        self.0.open()
    }

    /// A lease for who presents a good token in `headers`, and the token.
    pub(crate) async fn admit(&self, headers: &HeaderMap, grace: u64) -> Result<(Lease, Accepted), Refusal> {
        let presented = Bearer::of(headers);
        let refusal = |refused| Refusal::of(refused, presented);
        let token = presented.token().map_err(refusal)?;
        let Judged { outcome, held, moment } = self.0.replica.verify(token).await;
        let accepted = match outcome {
            Outcome::Accepted(accepted) => accepted,
            Outcome::NotOurs => return Err(refusal(Refused::Absent)),
            Outcome::Unavailable => return Err(refusal(Refused::Unavailable)),
            Outcome::Rejected(rejection) => {
                let adopted = held.adopted(rejection.kid.as_ref());
                self.tell(&rejection, adopted, moment.uptime);
                return Err(refusal(Refused::Rejected(rejection.answer())));
            }
        };
        let token = held.keyring.vouch(&accepted).ok_or_else(|| refusal(Refused::Unavailable))?;
        let lease = Lease::open(&self.0, token, grace).ok_or_else(Refusal::crowded)?;
        Ok((lease, accepted))
    }

    /// Bounded lines about refused tokens: never a token, and a sandbox only after a good signature.
    fn tell(&self, rejection: &Rejection, adopted: bool, uptime: std::time::Duration) {
        let reason = rejection.reason.as_str();
        let kid = rejection.kid.as_ref().map(tracing::field::display);
        let sandbox = rejection.sandbox_id.as_ref().map(tracing::field::display);
        if rejection.alarm
            && let Some(left_out) = self.0.alarms.line(uptime)
        {
            let suspicion = rejection.reason.suspicion(adopted);
            tracing::error!(alarm = reason, kid, sandbox, left_out, "{suspicion}");
        }
        if let Some(left_out) = self.0.refusals.line(uptime) {
            tracing::warn!(reason, kid, sandbox, left_out, "a token is refused");
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("open_streams", &self.open_streams()).finish_non_exhaustive()
    }
}
