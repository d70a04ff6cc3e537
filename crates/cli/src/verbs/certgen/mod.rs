//! `keystile certgen`: a certificate authority, a server pair and client pairs for local use.

mod issue;

use std::path::{Path, PathBuf};

use keystile_token::SandboxId;
use serde::Serialize;

use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::parse;
use crate::when::When;
use issue::{Authority, Pair};

/// Options of `certgen`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "An authority that is there already signs the new pairs, a server pair that is there \
    already stays, and nothing is ever overwritten. For another sandbox: keystile certgen DIR --sandbox ID \
    --client NAME."
)]
pub(crate) struct Args {
    /// The directory: ca.crt, ca.key, server/tls.{crt,key}, client/tls.{crt,key}
    #[arg(default_value = "tls")]
    directory: PathBuf,

    /// A name or address of the server; may be repeated
    #[arg(long = "server-name", value_name = "NAME", default_values_t = ["localhost", "127.0.0.1", "::1"].map(String::from))]
    server_names: Vec<String>,

    /// The sandbox that the client certificate bootstraps, as URI SAN spiffe://openshell/sandbox/ID
    #[arg(long, value_name = "ID", default_value = "local", value_parser = sandbox)]
    sandbox: SandboxId,

    /// The client pair's directory
    #[arg(long, value_name = "NAME", default_value = "client")]
    client: String,

    /// How long server and client certificates are valid
    #[arg(long, value_name = "DURATION", default_value = "365d", value_parser = parse::duration)]
    valid_for: u64,
}

/// A sandbox that a certificate can name.
fn sandbox(text: &str) -> Result<SandboxId, String> {
    let id = SandboxId::new(text).map_err(|error| error.to_string())?;
    if id.is_path_segment() {
        return Ok(id);
    }
    Err("a certificate can name only a sandbox of letters, digits, - . and _ (SPIFFE-ID section 2.2); for another: keystile mint".to_owned())
}

/// What `certgen` did. Schema `keystile/certgen/v1`.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether nothing was written.
    dry_run: bool,
    /// The files, in the order they are written.
    files: Vec<FileReport>,
    /// The client certificate's URI SAN.
    client_uri: String,
    /// When server and client certificates end, RFC 3339.
    not_after: Option<String>,
}

/// One file of a [`Report`].
#[derive(Debug, Serialize)]
struct FileReport {
    /// Its path.
    path: String,
    /// Whether it is made by this run; otherwise it was there and stays.
    made: bool,
}

/// Makes the certificates.
pub(crate) fn run(app: &App, args: &Args, dry_run: bool) -> Result<(), Failure> {
    let places = Places::of(args)?;
    let have_authority = places.authority.is_taken()?;
    let have_server = places.server.is_taken()?;
    if have_server && !have_authority {
        return Err(taken(&places.server.certificate)
            .remedy("give another directory, or bring back ca.crt and ca.key"));
    }
    if places.client.is_taken()? {
        return Err(taken(&places.client.certificate).remedy("give another: keystile certgen --client NAME"));
    }
    let validity = issue::Validity::from(app.now(), args.valid_for)
        .ok_or_else(|| Failure::usage("the certificates would end after the year 9999"))?;
    let uri = args.sandbox.subject();
    if !dry_run {
        let authority =
            if have_authority { Authority::read(&places.authority)? } else { Authority::make(validity)? };
        if !have_authority {
            write_pair(&places.authority, &authority.pair())?;
        }
        if !have_server {
            write_pair(&places.server, &authority.server(&args.server_names, validity)?)?;
        }
        write_pair(&places.client, &authority.client(&uri, validity)?)?;
    }
    let made = [(&places.authority, !have_authority), (&places.server, !have_server), (&places.client, true)];
    let files = made.into_iter().flat_map(|(place, made)| {
        [&place.certificate, &place.key].map(|path| FileReport { path: path.display().to_string(), made })
    });
    let not_after = When::rfc3339(validity.not_after());
    let report = Report { dry_run, files: files.collect(), client_uri: uri, not_after };
    app.answer("keystile/certgen/v1", &report, || text(app, &report, validity))
}

fn text(app: &App, report: &Report, validity: issue::Validity) -> String {
    let verb = if report.dry_run { "would be made" } else { "made" };
    let lines = report.files.iter().map(|file| {
        let word = if file.made { verb } else { "was there, stays" };
        format!("  {:<28} {word}\n", file.path)
    });
    let lines: String = lines.collect();
    let when = app.when();
    format!(
        "{lines}client certificate: {}\nserver and client certificates end {}\n",
        report.client_uri,
        when.both(validity.not_after())
    )
}

/// Where a certificate and its key lie.
pub(super) struct Place {
    certificate: PathBuf,
    key: PathBuf,
}

impl Place {
    /// Whether both are there; half a pair is refused.
    fn is_taken(&self) -> Result<bool, Failure> {
        let (there, missing) = match (self.certificate.exists(), self.key.exists()) {
            (false, false) => return Ok(false),
            (true, true) => return Ok(true),
            (true, false) => (&self.certificate, &self.key),
            (false, true) => (&self.key, &self.certificate),
        };
        Err(taken(there)
            .expected(format!("{} beside it, or neither", missing.display()))
            .remedy("bring the other back, or give another directory"))
    }
}

struct Places {
    authority: Place,
    server: Place,
    client: Place,
}

impl Places {
    fn of(args: &Args) -> Result<Self, Failure> {
        let plain =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if args.client.is_empty() || !plain(&args.client) || args.client == "server" {
            return Err(Failure::usage(format!("{:?} cannot name the client pair's directory", args.client))
                .expected("letters, digits, - and _; not \"server\""));
        }
        let root = &args.directory;
        let pair = |name: &str| {
            let directory = root.join(name);
            Place { certificate: directory.join("tls.crt"), key: directory.join("tls.key") }
        };
        let authority = Place { certificate: root.join("ca.crt"), key: root.join("ca.key") };
        Ok(Self { authority, server: pair("server"), client: pair(&args.client) })
    }
}

fn taken(path: &Path) -> Failure {
    Failure::new(Exit::Refused, format!("{} exists; nothing is overwritten", path.display()))
}

fn write_pair(place: &Place, pair: &Pair) -> Result<(), Failure> {
    files::make_parent(&place.key, files::Entry::Owner)?;
    for (path, text, mode) in [(&place.key, &pair.key, 0o600), (&place.certificate, &pair.certificate, 0o644)]
    {
        files::write_new(path, text, mode).map_err(|error| files::cannot_write(path, &error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_names_only_what_a_gateway_takes_from_it() {
        assert_eq!(sandbox("7f3a-0c.5_2").map(|id| id.to_string()), Ok("7f3a-0c.5_2".to_owned()));
        for other in ["a/b", "..", "a%2fb", "a:b", "", "a b"] {
            assert!(sandbox(other).is_err(), "{other}");
        }
    }
}
