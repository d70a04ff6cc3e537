//! What a supervisor is told: from flags, else from the variables of OpenShell's supervisor.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use keystile_supervisor::{
    Config, ConfigError, Endpoint, EndpointError, Identity, Output, Source, Timing, Tls, Token,
};

use super::Args;
use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;

/// The configuration; `private` is where the token lies if no file was named.
pub(super) fn of(app: &App, args: &Args, private: Option<&Path>) -> Result<Config, Failure> {
    let endpoints = args.gateways.iter().map(|url| endpoint(url)).collect::<Result<_, Failure>>()?;
    let output = match (&args.out, private) {
        (Some(path), _) => Some(Output { path: path.clone(), remove_at_stop: args.remove }),
        (None, Some(directory)) => Some(Output { path: directory.join("token"), remove_at_stop: true }),
        (None, None) => None,
    };
    Ok(Config {
        endpoints,
        sources: sources(app, args)?,
        tls: tls(app, args)?,
        allow_plaintext: args.allow_plaintext,
        output,
        timing: Timing::default(),
    })
}

fn endpoint(url: &str) -> Result<Endpoint, Failure> {
    Endpoint::url(url)
        .map_err(|error| Failure::usage(format!("--gateway {url:?} cannot be used")).because(Some(&error)))
}

/// What a configuration lacks, by the flags that give it.
pub(super) fn failure(error: &ConfigError) -> Failure {
    let usage = |found: &str, expected: &str| Failure::usage(found).expected(expected);
    match error {
        ConfigError::NoSource => usage(
            "no source of a first token is named",
            "--token-file, --client-certificate, --service-account-token, or one of the OPENSHELL_ variables",
        ),
        ConfigError::NoIdentity => usage(
            "--client-certificate is given without a certificate",
            "--tls-cert and --tls-key, and --tls-ca for the gateway's",
        ),
        ConfigError::Endpoint { endpoint, source } => {
            let failure =
                Failure::usage(format!("--gateway {endpoint} cannot be used")).because(Some(source));
            match source {
                EndpointError::Plaintext => failure.expected(
                    "an https:// URL with --tls-ca; or, if nobody can listen on the way, --allow-plaintext",
                ),
                _ => failure.expected("http://HOST:PORT, or https://HOST:PORT with --tls-ca"),
            }
        }
        other => Failure::of(Exit::Usage, other),
    }
}

/// Flags first, then the variables in the order in which OpenShell looks at them.
fn sources(app: &App, args: &Args) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    sources.extend(args.token_file.clone().map(Source::TokenFile));
    if args.client_certificate {
        sources.push(Source::ClientCertificate);
    }
    sources.extend(args.service_account_token.clone().map(Source::ServiceAccount));
    if !sources.is_empty() {
        return Ok(sources);
    }
    let given = |name| app.world.environment.get(name).filter(|value| !value.is_empty());
    if let Some(text) = given("OPENSHELL_SANDBOX_TOKEN") {
        let token = Token::new(&text);
        let token = token
            .map_err(|error| Failure::usage("OPENSHELL_SANDBOX_TOKEN is no token").because(Some(&error)))?;
        sources.push(Source::Token(token));
    }
    sources.extend(given("OPENSHELL_SANDBOX_TOKEN_FILE").map(|path| Source::TokenFile(path.into())));
    sources.extend(given("OPENSHELL_K8S_SA_TOKEN_FILE").map(|path| Source::ServiceAccount(path.into())));
    Ok(sources)
}

fn tls(app: &App, args: &Args) -> Result<Option<Tls>, Failure> {
    let given = |flag: &Option<PathBuf>, name: &str| {
        flag.clone()
            .or_else(|| app.world.environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from))
    };
    let ca = given(&args.tls_ca, "OPENSHELL_TLS_CA");
    let certificate = given(&args.tls_cert, "OPENSHELL_TLS_CERT");
    let key = given(&args.tls_key, "OPENSHELL_TLS_KEY");
    let environment = &app.world.environment;
    let name = args.tls_server_name.clone().or_else(|| environment.get("OPENSHELL_GATEWAY_TLS_SERVER_NAME"));
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Identity { certificate, key }),
        (None, None) => None,
        (certificate, _) => {
            let (there, missing) =
                if certificate.is_some() { ("certificate", "key") } else { ("key", "certificate") };
            return Err(Failure::usage(format!("there is a client {there} without its {missing}"))
                .expected("both --tls-cert and --tls-key, or neither"));
        }
    };
    match (ca, identity) {
        (Some(ca), identity) => Ok(Some(Tls { ca, identity, server_name: name })),
        (None, None) => Ok(None),
        (None, Some(_)) => {
            Err(Failure::usage("there is a client certificate, and nothing to check the gateway's by")
                .expected("--tls-ca FILE"))
        }
    }
}

/// A directory of this process alone, where a program needs a token file and none was named.
pub(super) fn private_directory(app: &App, args: &Args) -> Result<Option<PathBuf>, Failure> {
    if args.program.is_empty() || args.out.is_some() {
        return Ok(None);
    }
    let mut random = [0; 8];
    app.world.entropy.fill(&mut random).map_err(|error| Failure::of(Exit::Other, &error))?;
    let root = app.world.environment.get("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let path = root.join(format!("keystile-{:016x}", u64::from_be_bytes(random)));
    let made = std::fs::DirBuilder::new().mode(0o700).create(&path);
    made.map_err(|error| {
        Failure::new(Exit::Other, format!("cannot create {}", path.display())).because(Some(&error))
    })?;
    Ok(Some(path))
}
