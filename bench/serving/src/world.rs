//! What every server is given: one keyring in a directory, and tokens of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_keyring::plan::{Mode, Request, Verb};
use keystile_keyring::{GatewayId, Kid, Policy};
use keystile_operator::{First, Operator, Outcome, Silent};
use keystile_store::DirectoryStore;
use keystile_system::{Clock, SystemClock, SystemEntropy};
use keystile_token::{BootstrapMethod, Keyring, SandboxGrant, SandboxId};
use tempfile::TempDir;

use crate::error::{BenchError, because};

/// `iss` and `aud` of the tokens.
pub(crate) const ISSUER: &str = "openshell-gateway:openshell";
/// Lifetime of the tokens, seconds.
pub(crate) const TTL: u64 = 3600;
/// How many distinct tokens are presented.
pub(crate) const TOKENS: usize = 10_000;

/// The keyring and its tokens.
pub(crate) struct World {
    directory: TempDir,
    operator: Operator,
    clock: Arc<dyn Clock>,
}

impl World {
    /// A fresh keyring, and token files.
    pub(crate) async fn make() -> Result<Self, BenchError> {
        let directory = tempfile::tempdir().map_err(because("make a temporary directory"))?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let path = directory.path().join("keyring");
        let store = DirectoryStore::new(&path, Arc::clone(&clock)).map_err(because("open the store"))?;
        let operator = Operator::new(Arc::new(store), Arc::clone(&clock), Arc::new(SystemEntropy));
        // Nobody else verifies here: a switch need not be announced ahead.
        let policy = Policy { token_ttl: TTL, activation_lead: 0, ..Policy::default() };
        let gateway_id = GatewayId::new("openshell").map_err(because("name the gateway"))?;
        let first = First { gateway_id, policy, actor: "bench".to_owned(), adopt: None };
        operator.begin(&first, &mut Silent).await.map_err(because("make the keyring"))?;
        let world = Self { directory, operator, clock };
        world.write_tokens().await?;
        Ok(world)
    }

    /// The keyring's directory.
    pub(crate) fn keyring(&self) -> PathBuf {
        self.path("keyring")
    }

    /// A file beside the keyring.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn load(&self) -> Result<Keyring, BenchError> {
        let loaded = self.operator.store().load().await.map_err(because("load the keyring"))?;
        Keyring::open(loaded.manifest, loaded.digest, loaded.private).map_err(because("open the keyring"))
    }

    /// One token a line: `good` and, of the same size but with another signature each, `bad`.
    async fn write_tokens(&self) -> Result<(), BenchError> {
        let keyring = self.load().await?;
        let (mut good, mut bad) = (String::new(), String::new());
        for number in 0..TOKENS {
            // As long as a UUID: what OpenShell names its sandboxes by.
            let sandbox = SandboxId::new(format!("5a4db0f0-0000-4000-8000-{number:012}"));
            let sandbox = sandbox.map_err(because("name a sandbox"))?;
            let now = self.clock.now();
            let grant = SandboxGrant::bootstrap(sandbox, BootstrapMethod::TokenFile, now);
            let minted = keyring.mint(&grant, now).map_err(because("mint a token"))?;
            good.push_str(minted.token.expose());
            good.push('\n');
            bad.push_str(&forged(minted.token.expose(), number));
            bad.push('\n');
        }
        write(&self.path("good"), &good)?;
        write(&self.path("bad"), &bad)
    }

    /// The JWK Set of the keyring.
    pub(crate) async fn jwks(&self) -> Result<String, BenchError> {
        let keyring = self.load().await?;
        let set = keyring.jwk_set(self.clock.now());
        serde_json::to_string(&set).map_err(because("write the JWK Set"))
    }

    /// A second key, so that there are two to switch between.
    pub(crate) async fn second_key(&self) -> Result<[Kid; 2], BenchError> {
        let verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
        self.change(verb).await?;
        let loaded = self.operator.store().load_public().await.map_err(because("load the keyring"))?;
        let kids: Vec<_> = loaded.manifest.keys.iter().map(|key| key.kid.clone()).collect();
        kids.try_into().map_err(|_| BenchError::new("rotate", "the keyring does not hold two keys"))
    }

    /// Lets another key sign.
    pub(crate) async fn switch_to(&self, kid: &Kid) -> Result<(), BenchError> {
        self.change(Verb::Rollback { to: Some(kid.clone()) }).await
    }

    async fn change(&self, verb: Verb) -> Result<(), BenchError> {
        let request = Request {
            verb,
            actor: "bench".to_owned(),
            reason: Some("a measurement".to_owned()),
            request_id: None,
        };
        match self.operator.apply(&request, &mut Silent).await.map_err(because("change the keyring"))? {
            Outcome::Committed(_) => Ok(()),
            other => Err(BenchError::new("change the keyring", format!("it came to {other:?}"))),
        }
    }
}

/// The token with another signature.
fn forged(token: &str, number: usize) -> String {
    let (signed, _) = token.rsplit_once('.').unwrap_or((token, ""));
    let mut signature = [0x0b; 64];
    for (byte, chance) in signature.iter_mut().zip(number.to_le_bytes()) {
        *byte = chance;
    }
    // Below the order of the group, or the library would refuse it before it did the work.
    signature[63] = 0;
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

fn write(path: &Path, text: &str) -> Result<(), BenchError> {
    std::fs::write(path, text).map_err(because(format!("write {}", path.display())))
}
