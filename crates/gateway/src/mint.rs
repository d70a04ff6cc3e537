//! Minting: for whom, with which keyring, and what is noted of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use keystile_keyring::Kid;
use keystile_system::Entropy;
use keystile_token::{
    Answer, Audience, Caller as ExtensionCaller, ExtensionGrant, MintError, Minted, SandboxGrant, SandboxId,
};

use crate::audit::{self, MintLine, Operation};
use crate::gatekeeper::Gatekeeper;
use crate::rate::ExtensionLimit;
use crate::report::{SandboxDigest, Sighting};
use keystile_replica::chain;
use keystile_replica::{Held, Moment};

/// Mints for callers that the gatekeeper let in.
pub(crate) struct Mint {
    pub(crate) gatekeeper: Arc<Gatekeeper>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// The audiences of the extension services that credentials are minted for.
    pub(crate) services: BTreeMap<String, Audience>,
    pub(crate) limit: ExtensionLimit,
}

/// A keyring that may be minted with, at a moment.
pub(crate) struct Press {
    held: Arc<Held>,
    pub(crate) moment: Moment,
}

/// For whom a token is minted, and why.
pub(crate) struct Occasion<'a> {
    pub(crate) operation: Operation,
    /// The key of the token that was presented.
    pub(crate) presented: Option<&'a Kid>,
    pub(crate) peer: SocketAddr,
}

impl Mint {
    /// The keyring to mint with: `held` if it was confirmed lately, else what a read brings.
    pub(crate) async fn press(&self, held: Arc<Held>, moment: Moment) -> Result<Press, Answer> {
        let confirmed = self.gatekeeper.replica.to_mint(held, moment).await;
        confirmed.map(|(held, moment)| Press { held, moment }).ok_or_else(|| {
            self.gatekeeper.metrics.mint_refusals.inc("unconfirmed");
            Answer::UNAVAILABLE
        })
    }

    /// A sandbox token.
    pub(crate) fn sandbox_token(
        &self,
        press: &Press,
        grant: &SandboxGrant,
        occasion: &Occasion<'_>,
    ) -> Result<Minted, Answer> {
        let minted =
            press.held.keyring.mint(grant, press.moment.now).map_err(|error| self.refused(&error))?;
        self.note(press, &minted, &grant.sandbox_id, occasion, None);
        self.gatekeeper.census.note(Sighting {
            sandbox: SandboxDigest::of(&grant.sandbox_id),
            name: minted.expires_at.is_none().then(|| grant.sandbox_id.as_str().to_owned()),
            kid: minted.kid.clone(),
            issued_at: press.moment.now,
            expires_at: minted.expires_at,
            method: grant.lineage.method,
            seen_at: press.moment.now,
        });
        Ok(minted)
    }

    /// A credential for one extension service.
    pub(crate) fn extension_token(
        &self,
        press: &Press,
        sandbox: &SandboxId,
        audience: &Audience,
        occasion: &Occasion<'_>,
    ) -> Result<Minted, Answer> {
        let keyring = &press.held.keyring;
        let grant = ExtensionGrant {
            audience: audience.clone(),
            caller: ExtensionCaller::Supervisor(sandbox.clone()),
            ttl: keyring.extension_ttl(),
        };
        let minted = keyring
            .mint_extension(&grant, press.moment.now, self.entropy.as_ref())
            .map_err(|error| self.refused(&error))?;
        self.note(press, &minted, sandbox, occasion, Some(audience.as_str()));
        Ok(minted)
    }

    fn note(
        &self,
        press: &Press,
        minted: &Minted,
        sandbox: &SandboxId,
        occasion: &Occasion<'_>,
        audience: Option<&str>,
    ) {
        let Occasion { operation, presented, peer } = *occasion;
        self.gatekeeper.metrics.mints.inc(operation.as_str());
        if let Some(key) = press.held.key(&minted.kid) {
            key.minted.inc();
        }
        let (kid, expires_at) = (&minted.kid, minted.expires_at);
        audit::minted(&MintLine { operation, sandbox, kid, presented, expires_at, audience, peer });
    }

    fn refused(&self, error: &MintError) -> Answer {
        let label = match error {
            MintError::NoSigner(_) | MintError::NoPrivateKey(_) => "not-configured",
            MintError::LineageTooOld { .. } => "lineage-too-old",
            MintError::Sign { .. }
            | MintError::Stillborn(_)
            | MintError::Encoding(_)
            | MintError::Extension(_) => {
                tracing::error!(why = %chain(error), "no token was minted");
                "other"
            }
        };
        self.gatekeeper.metrics.mint_refusals.inc(label);
        error.answer()
    }
}
