//! The library behind the operator's verbs: plan on what the store holds, commit, remember in the
//! witness.
//!
//! All decisions are in [`keystile_keyring::plan`]; what is here reads, makes keys, writes and waits.
//! An [`Operator`] can be embedded: the command line, a hook Job and a rehearsal use the same calls.

mod commit;
mod error;
mod first;
mod progress;
mod reconcile;
mod rotate;
mod survey;

use std::sync::Arc;

use keystile_keyring::manifest::{DoneRequest, Origin};
use keystile_keyring::plan::{Candidate, Context, Impact, Plan, Planned, Request, no_replica_ahead, plan};
use keystile_keyring::{Digest, Kid, Manifest, ReplicaReport};
use keystile_store::{Loaded, LoadedPublic, Store};
use keystile_system::{Clock, Entropy};
use keystile_token::{PrivateKey, kid_of};

pub use error::{Failure, OperateError};
pub use first::First;
pub use progress::{Progress, Silent};
pub use reconcile::Reconcile;
pub use rotate::Rotation;
pub use survey::Survey;

/// Changes one keyring in one store, on behalf of somebody who may.
#[derive(Clone)]
pub struct Operator {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// What a change came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A generation was committed, and the witness remembers it.
    Committed(Box<Committed>),
    /// The request was done before: its first outcome.
    Done(DoneRequest),
    /// There was nothing to do, and why.
    Nothing(String),
}

/// A committed change.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The verb.
    pub verb: &'static str,
    /// The generation that it made.
    pub generation: u64,
    /// The key that was made for it, if one was.
    pub made: Option<Kid>,
    /// What it does to the running fleet.
    pub impact: Impact,
}

/// A planned request with what it takes to commit it.
struct Ready {
    loaded: Loaded,
    reports: Vec<ReplicaReport>,
    fresh: Option<(Candidate, PrivateKey)>,
}

impl Operator {
    /// An operator of the keyring in `store`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { store, clock, entropy }
    }

    /// The store that it works on.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Plans `request` and changes nothing.
    pub async fn preview(&self, request: &Request) -> Result<Planned, OperateError> {
        if let Some((plan, ..)) = self.lost_signer_repair(request).await? {
            return Ok(Planned::Change(Box::new(plan)));
        }
        let ready = self.read(request.verb.may_take_a_key()).await?;
        self.plan(&ready, request)
    }

    /// Does one change. For a rotation that waits for its gate, see [`Operator::rotate`].
    pub async fn apply(
        &self,
        request: &Request,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, OperateError> {
        let ready = self.read(request.verb.may_take_a_key()).await?;
        let generation = ready.loaded.manifest.generation;
        match self.plan(&ready, request)? {
            Planned::Change(plan) => {
                let committed = self.commit(*plan, ready, progress).await?;
                Ok(Outcome::Committed(Box::new(committed)))
            }
            Planned::Done(done) => self.done_before(&ready.loaded, Outcome::Done(done)).await,
            Planned::Nothing(why) => self.done_before(&ready.loaded, Outcome::Nothing(why)).await,
            Planned::Wait { gate, operation } => {
                Err(OperateError::Held { gate, operation: Box::new(operation), generation })
            }
        }
    }

    /// The newest generation with its private keys, unless the store does not follow its witness, or a live
    /// replica holds what neither knows: then nothing may be built on it, and nothing signed.
    pub async fn newest(&self) -> Result<Loaded, OperateError> {
        let reports = self.store.replicas().await?;
        let witness = self.store.witness().await?;
        let loaded = self.store.load().await?;
        self.in_order(&loaded.manifest, loaded.digest, witness.as_ref(), &reports)?;
        Ok(loaded)
    }

    /// The same without private keys.
    pub async fn newest_public(&self) -> Result<LoadedPublic, OperateError> {
        let reports = self.store.replicas().await?;
        let witness = self.store.witness().await?;
        let loaded = self.store.load_public().await?;
        self.in_order(&loaded.manifest, loaded.digest, witness.as_ref(), &reports)?;
        Ok(loaded)
    }

    /// Reports are read first: a replica that then is ahead of the store holds what the store has lost.
    async fn read(&self, with_key: bool) -> Result<Ready, OperateError> {
        let reports = self.store.replicas().await?;
        let loaded = self.newest().await?;
        let fresh = if with_key { Some(self.make_key()?) } else { None };
        Ok(Ready { loaded, reports, fresh })
    }

    /// Refuses a store that went back, or that somebody went on with from a backup. Reports and witness were read
    /// before it.
    fn in_order(
        &self,
        manifest: &Manifest,
        digest: Digest,
        witness: Option<&Manifest>,
        reports: &[ReplicaReport],
    ) -> Result<(), OperateError> {
        if let Some(refusal) = manifest.standing(witness).refusal() {
            return Err(refusal.into());
        }
        Ok(no_replica_ahead(manifest, digest, reports, self.clock.now())?)
    }

    fn plan(&self, ready: &Ready, request: &Request) -> Result<Planned, OperateError> {
        let context = Context {
            now: self.clock.now(),
            digest: ready.loaded.digest,
            reports: &ready.reports,
            candidate: ready.fresh.as_ref().map(|(candidate, _)| candidate),
        };
        Ok(plan(&ready.loaded.manifest, request, &context)?)
    }

    fn make_key(&self) -> Result<(Candidate, PrivateKey), OperateError> {
        let private = PrivateKey::generate(self.entropy.as_ref()).map_err(OperateError::Key)?;
        let public_key = private.public_key();
        let candidate = Candidate { kid: kid_of(&public_key), public_key, origin: Origin::Generated };
        Ok((candidate, private))
    }
}

/// What is shown of a plan that was committed.
fn committed(plan: &Plan, made: Option<Kid>) -> Committed {
    Committed { verb: plan.verb, generation: plan.next.generation, made, impact: plan.impact.clone() }
}
