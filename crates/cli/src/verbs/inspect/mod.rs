//! `keystile inspect`: what a token, a key, a manifest or a directory says of itself. Verifies nothing.

mod token;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystile_keyring::{Kid, Manifest, PublicKey};
use keystile_store::Occupancy;
use keystile_token::{PrivateKey, kid_of, public_key_from_pem};
use serde::Serialize;

use crate::app::App;
use crate::console::harmless;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;
use crate::place::Place;

/// Options of `inspect`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Nothing is verified: see keystile verify. A signature or a private key is never shown."
)]
pub(crate) struct Args {
    /// A file, a directory, a token, or - for standard input
    #[arg(value_name = "WHAT", default_value = "-", allow_hyphen_values = true)]
    what: String,
}

/// What was found. Schema `keystile/inspect/v1`.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Report {
    /// A token, taken apart.
    Token(token::Parts),
    /// A manifest.
    Manifest(Box<ManifestParts>),
    /// A public or private key: its public part.
    Key(KeyParts),
    /// A directory.
    Directory(DirectoryParts),
}

#[derive(Debug, Serialize)]
struct ManifestParts {
    manifest: Manifest,
}

#[derive(Debug, Serialize)]
struct KeyParts {
    /// Whether the private part was there too.
    private: bool,
    /// The public key, 64 hexadecimal digits.
    public_key: PublicKey,
    /// The kid that is derived from it.
    derived_kid: Kid,
}

#[derive(Debug, Serialize)]
struct DirectoryParts {
    path: PathBuf,
    /// What it holds, in words.
    holds: String,
    /// The kid of a single-key set, verbatim.
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Kid>,
    /// The kid that is derived from its public key.
    #[serde(skip_serializing_if = "Option::is_none")]
    derived_kid: Option<Kid>,
    /// The generation of a keyring.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
}

/// Nothing that is inspected is larger.
const MOST_BYTES: u64 = 256 * 1024;

/// Shows what is there.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let path = Path::new(&args.what);
    let report = if path.is_dir() {
        Report::Directory(directory(app, path).await?)
    } else {
        let bytes = input::named(app, &args.what, MOST_BYTES)?;
        document(&bytes)
            .map_err(|failure| if input::is_itself(&args.what) { nothing(&args.what) } else { failure })?
    };
    app.answer("keystile/inspect/v1", &report, || text(app, &report))
}

/// What may be read.
const EXPECTED: &str = "a token, a PEM key, a manifest, or a directory of keys";

/// A name that was mistyped. What may have been meant as a token is not shown.
fn nothing(what: &str) -> Failure {
    let failure = match what.matches('.').count() {
        2 => Failure::usage("there is no file of that name, and it is not a token either"),
        _ => input::no_file(what, "a token"),
    };
    failure.expected(EXPECTED)
}

fn document(bytes: &[u8]) -> Result<Report, Failure> {
    let not = |what: &str, error: &(dyn std::error::Error + 'static)| {
        Failure::new(Exit::Other, format!("it looks like {what}, and is none")).because(Some(error))
    };
    if bytes.starts_with(b"{") {
        let manifest = Manifest::from_json(bytes).map_err(|error| not("a manifest", &error))?;
        return Ok(Report::Manifest(Box::new(ManifestParts { manifest })));
    }
    if bytes.starts_with(b"-----BEGIN PRIVATE KEY") {
        let key = PrivateKey::from_pem(bytes).map_err(|error| not("a private key", &error))?;
        return Ok(Report::Key(KeyParts::of(key.public_key(), true)));
    }
    if bytes.starts_with(b"-----BEGIN") {
        let key = public_key_from_pem(bytes).map_err(|error| not("a public key", &error))?;
        return Ok(Report::Key(KeyParts::of(key, false)));
    }
    let parts = keystile_token::inspect(bytes).map_err(|reason| {
        Failure::new(Exit::Other, format!("it is not a token: {reason}")).expected(EXPECTED)
    })?;
    Ok(Report::Token(parts.into()))
}

impl KeyParts {
    fn of(public_key: PublicKey, private: bool) -> Self {
        Self { private, public_key, derived_kid: kid_of(&public_key) }
    }
}

async fn directory(app: &App, path: &Path) -> Result<DirectoryParts, Failure> {
    let place = Place::Directory { path: path.to_owned(), witness: None };
    let unreadable = |error: &(dyn std::error::Error + 'static)| Failure::of(Exit::Unreachable, error);
    let store = app.open(&place, Arc::clone(&app.world.clock))?;
    let occupancy = store.occupancy().await.map_err(|error| unreadable(&error))?;
    let holds = occupancy.to_string();
    let mut parts =
        DirectoryParts { path: path.to_owned(), holds, kid: None, derived_kid: None, generation: None };
    match occupancy {
        Occupancy::Keyring => {
            let loaded = store.load_public().await.map_err(|error| unreadable(&error))?;
            parts.generation = Some(loaded.manifest.generation);
        }
        Occupancy::OpenShellKeySet(kid) => {
            let set = store.read_key_set().await.map_err(|error| unreadable(&error))?;
            parts.kid = Some(kid);
            parts.derived_kid = Some(kid_of(&set.public));
        }
        Occupancy::Empty | Occupancy::Remains(_) => {}
    }
    Ok(parts)
}

fn text(app: &App, report: &Report) -> String {
    match report {
        Report::Token(parts) => parts.text(&app.when()),
        Report::Manifest(parts) => manifest_text(app, &parts.manifest),
        Report::Key(key) => {
            let what = if key.private { "private key; its public part:" } else { "public key" };
            format!("Ed25519 {what}\n  public     {}\n  derived    kid {}\n", key.public_key, key.derived_kid)
        }
        Report::Directory(parts) => {
            let mut text = format!("{} holds {}\n", parts.path.display(), parts.holds);
            if let Some(generation) = parts.generation {
                text.push_str(&format!("  generation {generation}\n"));
            }
            if let (Some(kid), Some(derived)) = (&parts.kid, &parts.derived_kid) {
                let note =
                    if kid == derived { "derived from the key" } else { "not derived from the key: fine" };
                text.push_str(&format!("  kid        {kid} ({note})\n"));
            }
            text
        }
    }
}

fn manifest_text(app: &App, manifest: &Manifest) -> String {
    let when = app.when();
    let mut text =
        format!("manifest of keyring {}, generation {}\n", manifest.gateway_id, manifest.generation);
    for key in manifest.keys.iter().rev() {
        text.push_str(&format!("  key        {} {}\n", key.kid, manifest.state_of(key, when.now())));
    }
    for activation in &manifest.timeline {
        text.push_str(&format!("  activation {} {}\n", activation.kid, when.both(activation.from)));
    }
    for change in manifest.history.iter().rev() {
        let why = change.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
        let what = harmless(&format!("{} by {}{why}", change.verb, change.actor));
        text.push_str(&format!("  history    {} {what}, {}\n", change.generation, when.both(change.at)));
    }
    text
}
