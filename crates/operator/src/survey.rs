//! What the operator sees: the keyring, its store and the fleet, as of one moment.

use keystile_keyring::Digest;
use keystile_keyring::{Manifest, ReplicaReport, Standing, UnixTime};
use keystile_store::{Freshness, Mirror};

use crate::{OperateError, Operator};

/// The keyring, its store and the fleet, as of one moment.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The operator's clock when it was taken.
    pub now: UnixTime,
    /// The newest generation.
    pub manifest: Manifest,
    /// Its digest.
    pub digest: Digest,
    /// What the read is worth.
    pub freshness: Freshness,
    /// Every report, live or not.
    pub reports: Vec<ReplicaReport>,
    /// The newest generation that the witness remembers.
    pub witness: Option<u64>,
    /// How the store stands to the witness.
    pub standing: Standing,
    /// The single-key members.
    pub mirror: Mirror,
    /// The store, in a few words.
    pub store: String,
}

impl Operator {
    /// Looks, touches no private key and changes nothing.
    pub async fn survey(&self) -> Result<Survey, OperateError> {
        let reports = self.store.replicas().await?;
        let witness = self.store.witness().await?;
        let loaded = self.store.load_public().await?;
        let standing = loaded.manifest.standing(witness.as_ref());
        let mirror = self.store.mirror().await?;
        Ok(Survey {
            now: self.clock.now(),
            manifest: loaded.manifest,
            digest: loaded.digest,
            freshness: loaded.freshness,
            reports,
            witness: witness.map(|manifest| manifest.generation),
            standing,
            mirror,
            store: self.store.describe(),
        })
    }
}
