//! `keystile supervise`: keep a sandbox's token fresh, for a file or a program.

mod config;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use keystile_supervisor::{Supervisor, run_command};

use crate::app::App;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::signals;

/// Options of `supervise`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Without a program it runs until SIGTERM. With one, the program finds its token in the file that \
    KEYSTILE_TOKEN_FILE names, gets the signals, and its exit code is passed on. The OPENSHELL_ variables are those of \
    OpenShell's own supervisor."
)]
pub(crate) struct Args {
    /// A gateway, http://HOST:PORT or https://HOST:PORT; may be repeated
    #[arg(long = "gateway", value_name = "URL", required = true)]
    gateways: Vec<String>,

    /// A file with a token [env: OPENSHELL_SANDBOX_TOKEN_FILE; OPENSHELL_SANDBOX_TOKEN holds a token itself]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Let the gateway issue the first token for the client certificate
    #[arg(long)]
    client_certificate: bool,

    /// A file with a ServiceAccount token, for which the gateway issues the first token [env: OPENSHELL_K8S_SA_TOKEN_FILE]
    #[arg(long, value_name = "FILE")]
    service_account_token: Option<PathBuf>,

    /// PEM file with the authorities of the gateway's certificate [env: OPENSHELL_TLS_CA]
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// PEM file with the client certificate [env: OPENSHELL_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// PEM file with the client certificate's private key [env: OPENSHELL_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// The name in the gateway's certificate, if not the host in its URL [env: OPENSHELL_GATEWAY_TLS_SERVER_NAME]
    #[arg(long, value_name = "NAME")]
    tls_server_name: Option<String>,

    /// Send tokens to other machines without TLS
    #[arg(long)]
    allow_plaintext: bool,

    /// Keep the current token in this file, mode 0600 [default with a program: a private one]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,

    /// Remove that file at the end
    #[arg(long, requires = "out")]
    remove: bool,

    /// A program to run with the token, and its arguments
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// Runs until it is told to stop, or the program ends.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let private = config::private_directory(app, args)?;
    let config = config::of(app, args, private.as_deref())?;
    let (clock, entropy) = (Arc::clone(&app.world.clock), Arc::clone(&app.world.entropy));
    let stop = signals::stop();
    let supervisor = Supervisor::start(config, clock, entropy).map_err(|error| config::failure(&error))?;
    let done = tokio::select! {
        done = attend(args, &supervisor, stop) => done,
        never = watch::tell(app, &supervisor) => never,
    };
    supervisor.shutdown().await;
    if let Some(directory) = private {
        // What is left of it holds no token any more.
        let _ = std::fs::remove_dir(directory);
    }
    done
}

async fn attend(
    args: &Args,
    supervisor: &Supervisor,
    stop: Result<impl Future<Output = ()>, Failure>,
) -> Result<(), Failure> {
    let Some((program, rest)) = args.program.split_first() else {
        stop?.await;
        return Ok(());
    };
    let mut command = tokio::process::Command::new(program);
    command.args(rest);
    let ending = run_command(supervisor, command).await.map_err(|error| Failure::of(Exit::Other, &error))?;
    match ending.exit_code() {
        0 => Ok(()),
        code => Err(Failure::silent(Exit::Program(code))),
    }
}
