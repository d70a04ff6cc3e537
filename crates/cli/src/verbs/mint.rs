//! `keystile mint`: a first token for a sandbox that gets it in a file.

use std::path::PathBuf;

use keystile_keyring::{Kid, UnixTime, in_words};
use keystile_token::{BootstrapMethod, Keyring, MintError, Minted, Reason, SandboxGrant, SandboxId};
use serde::Serialize;

use crate::app::App;
use crate::change;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;

/// Options of `mint`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "The token is a secret: whoever has it is the sandbox until it expires. Its lifetime is the \
    keyring's token_ttl."
)]
pub(crate) struct Args {
    /// The sandbox that the token is for
    #[arg(value_name = "SANDBOX")]
    sandbox: SandboxId,

    /// Write the token to this file, mode 0600, instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A minted token. Schema `keystile/mint/v1`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// Whether nothing was minted.
    dry_run: bool,
    /// The sandbox.
    sandbox_id: &'a str,
    /// The key that signed it.
    kid: &'a Kid,
    /// When it expires, seconds since 1970; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
    /// The token; absent where it was written to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

/// Mints the token.
pub(crate) async fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let loaded = app.operator()?.newest().await.map_err(|error| change::failure(&error, app))?;
    let keyring = Keyring::open(loaded.manifest, loaded.digest, loaded.private)
        .map_err(|error| Failure::of(Exit::Unreachable, &error))?;
    let now = app.now();
    let grant = SandboxGrant::bootstrap(args.sandbox.clone(), BootstrapMethod::TokenFile, now);
    let minted = keyring.mint(&grant, now).map_err(|error| failure(&error, &keyring, now))?;
    let file = args.out.as_ref().map(|path| path.display().to_string());
    if let Some(path) = args.out.as_ref().filter(|_| !dry_run) {
        files::write_secret(path, &format!("{}\n", minted.token.expose()))?;
    }
    let shown = (!dry_run && file.is_none()).then(|| minted.token.expose());
    let report = Report {
        dry_run,
        sandbox_id: args.sandbox.as_str(),
        kid: &minted.kid,
        expires_at: minted.expires_at,
        token: shown,
        file,
    };
    if !app.json() {
        app.say(&told(app, &report, &minted));
    }
    app.answer("keystile/mint/v1", &report, || shown.map_or_else(String::new, |token| format!("{token}\n")))
}

/// That no token was minted. A revocation of descendants refuses every lineage that began by its second.
fn failure(error: &MintError, keyring: &Keyring, now: UnixTime) -> Failure {
    let failure = Failure::of(Exit::Other, error);
    match (error, keyring.manifest().lineage_floor) {
        (MintError::Stillborn(Reason::LineageRevoked), Some(floor)) => {
            let wait = in_words(floor.since(now) + 1);
            failure.remedy(format!(
                "a revocation refuses every lineage that began until now: mint again in {wait}"
            ))
        }
        _ => failure,
    }
}

/// What is said beside the token, on standard error.
fn told(app: &App, report: &Report<'_>, minted: &Minted) -> String {
    let verb = if report.dry_run { "Would mint" } else { "Minted" };
    let end = match minted.expires_at {
        Some(at) => format!("expires {}", app.when().both(at)),
        None => "never expires, as the policy says".to_owned(),
    };
    let file = report.file.as_ref().map_or_else(String::new, |file| format!(" into {file}"));
    format!("{verb} a token for {}{file}: signed by {}, {end}\n", report.sandbox_id, minted.kid.short())
}
