//! What `keystile serve` does with a token, from its bytes to the answer: the replica with its clocks, its atomic pointer,
//! its memory and its count.

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use keystile_keyring::{Manifest, UnixTime};
use keystile_replica::{Count, Held, KnownKey, Moment, Outcome, Replica};
use keystile_store::Freshness;
use keystile_system::{Clock, SystemClock};
use keystile_token::{Keyring, digest};

use crate::fixture::NOW;

/// A replica that holds a keyring of the fixture.
pub struct Gateway {
    replica: Replica,
    clock: Arc<dyn Clock>,
}

impl Gateway {
    /// One that holds `keyring` and remembers in `bytes` bytes. Its clocks are the machine's, the wall clock set to
    /// the fixture's time.
    pub fn new(keyring: Keyring, bytes: usize) -> Self {
        let ahead = NOW.0.cast_signed() - SystemClock::default().now().0.cast_signed();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::shifted(ahead));
        let replica = Replica::new(Arc::clone(&clock), held(Arc::new(keyring), clock.as_ref()), bytes);
        Self { replica, clock }
    }

    /// Whether `token` is let in; counted as a gateway counts it.
    pub fn admits(&self, token: &str) -> bool {
        let judging = pin!(self.replica.verify(token.as_bytes()));
        // A token that is good is judged without waiting for anything.
        let Poll::Ready(judged) = judging.poll(&mut Context::from_waker(Waker::noop())) else {
            return false;
        };
        let Outcome::Accepted(accepted) = judged.outcome else { return false };
        if let Some(key) = judged.held.key(&accepted.kid) {
            key.accepted.inc();
        }
        true
    }

    /// Puts `keyring` in force, as a replica does that has read it.
    pub fn put_in_force(&self, keyring: Arc<Keyring>) {
        self.replica.put_in_force(held(keyring, self.clock.as_ref()));
    }

    /// Has every one of `tokens` seen.
    pub fn see(&self, tokens: &[String]) -> Result<(), Box<dyn Error>> {
        if tokens.iter().all(|token| self.admits(token)) {
            Ok(())
        } else {
            Err("a good token was refused".into())
        }
    }
}

/// A keyring as it is held that was confirmed now.
fn held(keyring: Arc<Keyring>, clock: &dyn Clock) -> Held {
    let known = |kid: &keystile_keyring::Kid| KnownKey {
        kid: kid.clone(),
        held_since: UnixTime(0),
        from_start: true,
        accepted: Count::default(),
        minted: Count::default(),
    };
    Held {
        keys: keyring.manifest().keys.iter().map(|key| known(&key.kid)).collect(),
        keyring,
        confirmed: Moment::read(clock).into(),
        freshness: Freshness::Confirmed,
        overrule: Arc::default(),
        trouble: None,
    }
}

/// Compiles a manifest as a replica does that only verifies.
pub fn compiled(manifest: Manifest) -> Result<Keyring, Box<dyn Error>> {
    let digest = digest(&manifest.to_json()?);
    Ok(Keyring::verify_only(manifest, digest)?)
}
