//! The supervisors: the real client library, each with a way of its own to get its first token.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keystile_store::Store;
use keystile_supervisor::{Config, Endpoint, Identity, Source, Supervisor, Tls};
use keystile_system::{Clock, Entropy};
use keystile_token::{BootstrapMethod, Keyring, MintError, SandboxGrant, SandboxId};
use tokio::task::JoinSet;

use crate::certificates::Authority;
use crate::error::RehearsalError;
use crate::fleet::Fleet;
use crate::sandbox::SandboxName;
use crate::scale::scaled_timing;
use crate::settings::Bootstrap;
use crate::work::{WorkDir, write_secret};

/// How long the first tokens may take: this, and for each supervisor the time of a few handshakes.
const FIRST: Duration = Duration::from_secs(30);
const FIRST_EACH: Duration = Duration::from_millis(10);

/// One sandbox, with what its supervisor is told.
pub(crate) struct Sandbox {
    id: SandboxId,
    source: Source,
    tls: Tls,
}

/// The supervisors of a run and the sandboxes that they are for.
pub(crate) struct Crew {
    sandboxes: Vec<Sandbox>,
    supervisors: Vec<Supervisor>,
}

impl Sandbox {
    /// Prepares the sandbox with this number: a certificate, or the place of a token file.
    pub(crate) fn prepare(
        number: usize,
        bootstrap: Bootstrap,
        authority: &Authority,
        work: &WorkDir,
    ) -> Result<Self, RehearsalError> {
        let name = SandboxName::of_index(number).to_string();
        let id = SandboxId::new(name.clone()).map_err(|error| RehearsalError::Token(error.to_string()))?;
        let (source, identity) = match bootstrap {
            Bootstrap::ClientCertificate => {
                let pair = authority.sandbox(&name)?;
                let identity = Identity { certificate: pair.certificate, key: pair.key };
                (Source::ClientCertificate, Some(identity))
            }
            Bootstrap::TokenFile => (Source::TokenFile(work.join(format!("tokens/{name}"))), None),
        };
        let tls = Tls { ca: authority.path(), identity, server_name: None };
        Ok(Self { id, source, tls })
    }

    /// Its token file, if it has one.
    fn file(&self) -> Option<&PathBuf> {
        match &self.source {
            Source::TokenFile(path) => Some(path),
            _ => None,
        }
    }
}

impl Crew {
    /// A crew that has not started.
    pub(crate) fn of(sandboxes: Vec<Sandbox>) -> Self {
        Self { sandboxes, supervisors: Vec::new() }
    }

    /// Starts every supervisor and waits until each has a token.
    pub(crate) async fn start(
        &mut self,
        fleet: &Fleet,
        ttl: u64,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<(), RehearsalError> {
        let endpoints: Vec<_> = fleet.urls().filter_map(|url| Endpoint::url(&url).ok()).collect();
        for sandbox in &self.sandboxes {
            let config = Config {
                endpoints: endpoints.clone(),
                sources: vec![sandbox.source.clone()],
                tls: Some(sandbox.tls.clone()),
                allow_plaintext: false,
                output: None,
                timing: scaled_timing(ttl),
            };
            self.supervisors.push(Supervisor::start(config, Arc::clone(clock), Arc::clone(entropy))?);
        }
        self.first_tokens().await
    }

    async fn first_tokens(&self) -> Result<(), RehearsalError> {
        let mut waiting = JoinSet::new();
        for supervisor in &self.supervisors {
            let supervisor = supervisor.clone();
            waiting.spawn(async move { supervisor.ready().await.is_ok() });
        }
        let all = async { while waiting.join_next().await.is_some() {} };
        let count = u32::try_from(self.supervisors.len()).unwrap_or(u32::MAX);
        let patience = FIRST + FIRST_EACH.saturating_mul(count);
        let _ = tokio::time::timeout(patience, all).await;
        let without = self.supervisors.iter().filter(|supervisor| supervisor.token().is_none());
        let without: Vec<_> = without.collect();
        let Some(first) = without.first() else {
            return Ok(());
        };
        Err(RehearsalError::NoTokens {
            without: without.len(),
            all: self.supervisors.len(),
            seconds: patience.as_secs(),
            first: first.state().borrow().to_string(),
        })
    }

    /// The supervisors, in the order of their numbers.
    pub(crate) fn supervisors(&self) -> &[Supervisor] {
        &self.supervisors
    }

    /// Tokens that gateways have given to each so far.
    pub(crate) fn obtained(&self) -> Vec<u64> {
        let counters = self.supervisors.iter().map(Supervisor::counters);
        counters.map(|counters| counters.renewals + counters.bootstraps).collect()
    }

    /// Writes a new token file for every sandbox that lives by one, as `keystile mint` does. How many.
    pub(crate) async fn write_files(
        &self,
        store: &dyn Store,
        clock: &dyn Clock,
    ) -> Result<u64, RehearsalError> {
        let mut written = 0;
        let mut keyring = None;
        for sandbox in &self.sandboxes {
            let Some(path) = sandbox.file() else {
                continue;
            };
            if keyring.is_none() {
                keyring = Some(open(store).await?);
            }
            if let Some(keyring) = &keyring {
                write_secret(path, &format!("{}\n", mint(keyring, &sandbox.id, clock).await?))?;
                written += 1;
            }
        }
        Ok(written)
    }
}

async fn open(store: &dyn Store) -> Result<Keyring, RehearsalError> {
    let loaded = store.load().await?;
    let opened = Keyring::open(loaded.manifest, loaded.digest, loaded.private);
    opened.map_err(|error| RehearsalError::Token(error.to_string()))
}

/// How long a file is tried to be minted: a revocation with its descendants may name an instant that is a
/// few seconds ahead, and until then nothing can be minted that outlives it.
const MINT: Duration = Duration::from_secs(30);

/// Mints a first token, once it can be good.
async fn mint(keyring: &Keyring, id: &SandboxId, clock: &dyn Clock) -> Result<String, RehearsalError> {
    let began = clock.uptime();
    while clock.uptime().saturating_sub(began) < MINT {
        let now = clock.now();
        let grant = SandboxGrant::bootstrap(id.clone(), BootstrapMethod::TokenFile, now);
        match keyring.mint(&grant, now) {
            Ok(minted) => return Ok(minted.token.expose().to_owned()),
            Err(MintError::Stillborn(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => return Err(RehearsalError::Token(error.to_string())),
        }
    }
    Err(RehearsalError::Token(format!("every token minted in {} s would be refused", MINT.as_secs())))
}
