//! One read of the store and its witness, weighed against what is held.

use std::sync::Arc;

use keystile_keyring::{Manifest, ReplicaReport, Standing};
use keystile_store::{LoadError, LoadedPublic, Store, StoreError};
use keystile_system::Clock;
use keystile_token::{Keyring, KeyringError};

use crate::held::{Held, Moment, inherited, known_keys};
use crate::offer::{Fault, Generation, Overrule, Weighed, weigh};

/// Why a read gave no keyring, or not the newest.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store cannot be read, or holds nothing usable.
    #[error("the keyring cannot be loaded")]
    Load(#[from] LoadError),
    /// The witness cannot be read.
    #[error("the witness cannot be read")]
    Witness(#[source] StoreError),
    /// Manifest and keys do not go together.
    #[error("the keyring cannot be used")]
    Keyring(#[from] KeyringError),
    /// What was read is not the newest.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl ReadError {
    /// The word for it: metric label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Load(_) => "load",
            Self::Witness(_) => "witness",
            Self::Keyring(_) => "keyring",
            Self::Fault(Fault::Regression { .. }) => "regression",
            Self::Fault(Fault::Broken(Standing::Behind { .. })) => "behind-witness",
            Self::Fault(Fault::Forked { .. } | Fault::Undoes { .. } | Fault::Broken(_)) => "forked",
        }
    }
}

/// Reads for one replica.
pub struct Reader {
    /// Where the keyring lives.
    pub store: Arc<dyn Store>,
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Whether private keys are left alone.
    pub verify_only: bool,
}

/// What a read came to.
pub(crate) struct Read {
    /// What to hold from now on; absent if nothing about it changed.
    pub(crate) held: Held,
    /// Whether it is another generation than before.
    pub(crate) newer: bool,
    /// Whether it confirmed what is held.
    pub(crate) confirmed: bool,
    /// What was wrong.
    pub(crate) error: Option<ReadError>,
}

impl Reader {
    /// The first read: anything wrong is an error, and nothing is created. `predecessor` is the last
    /// report of an earlier process of the same name.
    pub async fn first(&self, predecessor: Option<&ReplicaReport>) -> Result<Held, ReadError> {
        let began = Moment::read(self.clock.as_ref());
        let witness = self.store.witness().await.map_err(ReadError::Witness)?;
        let offered = self.public(witness.as_ref()).await?;
        let weighed = weigh(None, generation(&offered), witness.as_ref());
        if let Some(fault) = weighed.fault {
            return Err(fault.into());
        }
        let mut held = self.open(None, witness.as_ref(), offered, began).await?;
        if let Some(predecessor) = predecessor {
            held.keys = inherited(&held.keys, predecessor);
        }
        Ok(held)
    }

    /// A later read: whatever is wrong, `held` stays in force.
    pub(crate) async fn again(&self, held: &Held) -> Read {
        let began = Moment::read(self.clock.as_ref());
        let (witness, witness_error) = match self.store.witness().await {
            Ok(witness) => (witness, None),
            Err(error) => (None, Some(ReadError::Witness(error))),
        };
        let kept = |error| Read { held: held.clone(), newer: false, confirmed: false, error: Some(error) };
        let offered = match self.public(witness.as_ref()).await {
            Ok(offered) => offered,
            Err(error) => return kept(error.into()),
        };
        let mine = Generation { manifest: held.keyring.manifest(), digest: held.digest() };
        let Weighed { take, confirms, fault } = weigh(Some(mine), generation(&offered), witness.as_ref());
        let freshness = offered.freshness;
        let mut next = held.clone();
        if take {
            match self.open(Some(held), witness.as_ref(), offered, began).await {
                Ok(opened) => next = opened,
                Err(error) => return kept(error),
            }
        }
        if confirms {
            next.confirmed = began.into();
            next.freshness = freshness;
        } else {
            next.confirmed = held.confirmed;
        }
        next.overrule = match &witness_error {
            None => Arc::new(Overrule::by(witness.as_ref(), next.keyring.manifest())),
            // An unreadable witness says nothing: what an earlier one forbade stays forbidden.
            Some(_) => Arc::clone(&held.overrule),
        };
        Read {
            held: next,
            newer: take,
            confirmed: confirms,
            error: fault.map(ReadError::from).or(witness_error),
        }
    }

    /// The newest public part. A replica that only verifies takes the witness's word where the store
    /// went back or cannot be read: no change has succeeded before the witness knows of it.
    async fn public(&self, witness: Option<&Manifest>) -> Result<LoadedPublic, LoadError> {
        let loaded = self.store.load_public().await;
        let Some(witness) = witness.filter(|_| self.verify_only) else {
            return loaded;
        };
        match &loaded {
            Ok(store) if store.manifest.generation >= witness.generation => loaded,
            _ => witnessed(witness, self.clock.as_ref()).map_or(loaded, Ok),
        }
    }

    /// Opens what was offered, with its private keys unless the replica only verifies.
    async fn open(
        &self,
        before: Option<&Held>,
        witness: Option<&Manifest>,
        offered: LoadedPublic,
        began: Moment,
    ) -> Result<Held, ReadError> {
        let freshness = offered.freshness;
        let keyring = if self.verify_only {
            Keyring::verify_only(offered.manifest, offered.digest)?
        } else {
            // A second read, which may find a newer generation yet: then that one counts, if it may.
            let loaded = self.store.load().await?;
            let mine =
                before.map(|held| Generation { manifest: held.keyring.manifest(), digest: held.digest() });
            let offered = Generation { manifest: &loaded.manifest, digest: loaded.digest };
            let weighed = weigh(mine, offered, witness);
            if let Some(fault) = weighed.fault.filter(|_| !weighed.take) {
                return Err(fault.into());
            }
            Keyring::open(loaded.manifest, loaded.digest, loaded.private)?
        };
        let keys = known_keys(&keyring, before.map(|held| &*held.keys), self.clock.now());
        Ok(Held {
            overrule: Arc::new(Overrule::by(witness, keyring.manifest())),
            keyring: Arc::new(keyring),
            keys,
            confirmed: began.into(),
            freshness,
            trouble: None,
        })
    }
}

fn generation(offered: &LoadedPublic) -> Generation<'_> {
    Generation { manifest: &offered.manifest, digest: offered.digest }
}

fn witnessed(witness: &Manifest, clock: &dyn Clock) -> Option<LoadedPublic> {
    let bytes = witness.to_json().ok()?;
    Some(LoadedPublic {
        digest: keystile_token::digest(&bytes),
        manifest: witness.clone(),
        read_began: clock.uptime(),
        freshness: keystile_store::Freshness::Confirmed,
    })
}
