//! `keystile jwks`: the public keys, for outside verifiers.

use keystile_token::{Keyring, public_key_to_pem};

use crate::app::App;
use crate::change;
use crate::exit::Exit;
use crate::failure::Failure;

/// Options of `jwks`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "The JWK Set (RFC 7517) is the same with either --output: a verifier can take it as it is."
)]
pub(crate) struct Args {
    /// Print PEM blocks instead, each after a line with its kid and state
    #[arg(long)]
    pem: bool,
}

/// Prints every key whose tokens can be good: prepared, active and verify-only.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let loaded = app.operator()?.newest_public().await.map_err(|error| change::failure(&error, app))?;
    let keyring = Keyring::verify_only(loaded.manifest, loaded.digest)
        .map_err(|error| Failure::of(Exit::Unreachable, &error))?;
    let now = app.now();
    if args.pem {
        let manifest = keyring.manifest();
        let states = manifest.keys.iter().map(|key| (key, manifest.state_of(key, now)));
        let blocks = states.filter(|(_, state)| state.published());
        let text = blocks
            .map(|(key, state)| format!("# {} {state}\n{}", key.kid, public_key_to_pem(&key.public_key)));
        return app.print(&text.collect::<String>());
    }
    let set = serde_json::to_string_pretty(&keyring.jwk_set(now));
    app.print(&(set.map_err(|error| Failure::of(Exit::Other, &error))? + "\n"))
}
