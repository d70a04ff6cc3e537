//! The command line: global options here, each verb's own in its file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit::Exit;
use crate::verbs;

/// Rotate the JWT signing keys of a gateway online: bounded, reversible, observable.
#[derive(Debug, Parser)]
#[command(name = "keystile", version, after_help = exits(), subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// The options that every verb has.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Where the keyring is: a directory, or k8s:NAMESPACE/NAME [env: KEYSTILE_STORE] [default: ./keystile]
    #[arg(long, global = true, value_name = "PLACE")]
    pub(crate) store: Option<String>,

    /// A file beside the store that remembers the newest keyring [env: KEYSTILE_WITNESS] [default: beside the store]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) witness: Option<PathBuf>,

    /// How to answer
    #[arg(long, global = true, value_enum, default_value_t = Format::Text)]
    pub(crate) output: Format,

    /// Show instants in UTC instead of the local time zone
    #[arg(long, global = true)]
    pub(crate) utc: bool,

    /// Who is at work, for the keyring's history [default: user@host]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) actor: Option<String>,

    /// Say more on standard error: -v, -vv or -vvv
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Write to standard output what goes to standard error: for a log that is to have all in order, not for a program to read
    #[arg(long, global = true)]
    pub(crate) one_stream: bool,
}

/// How to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs: one document with a `schema` member
    Json,
}

/// A verb that writes: it can be tried first.
#[derive(Clone, Debug, Args)]
pub(crate) struct Writing<A: Args> {
    #[command(flatten)]
    pub(crate) args: A,

    /// Say what would happen, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show the keyring and the fleet: keys over time, what is next, what is wrong
    Status(verbs::status::Args),

    #[command(flatten)]
    Change(Change),

    /// Say what a change would do, and change nothing: the verb with --dry-run
    Plan {
        /// The change
        #[command(subcommand)]
        change: Change,
    },

    /// Run a gateway replica: tokens over gRPC, public keys and forward-auth over HTTP
    Serve(verbs::serve::Args),
    /// Keep a sandbox's token fresh, for a file or a program
    Supervise(verbs::supervise::Args),
    /// Rehearse rotation, rollback and revocation on this machine, under load
    Rehearse(verbs::rehearse::Args),
    /// Simulate a fleet of up to millions of sandboxes: load, gaps and verdicts through changes and outages
    Simulate(verbs::simulate::Args),
    /// Mint a first token for a sandbox that gets it in a file
    Mint(Writing<verbs::mint::Args>),
    /// Say whether a token is good now, and if not, which rule it breaks
    Verify(verbs::verify::Args),
    /// Show what a token, a key, a manifest or a directory says of itself; verifies nothing
    Inspect(verbs::inspect::Args),
    /// Print the public keys as a JWK Set, or as PEM
    Jwks(verbs::jwks::Args),
    /// Check that everything is in order; changes nothing
    Doctor(verbs::doctor::Args),
    /// Make CA, server and client certificates for local use
    Certgen(Writing<verbs::certgen::Args>),
    /// Print a shell's completion script
    Completions(verbs::completions::Args),
    /// Print, or write, the manual pages
    Man(verbs::man::Args),
}

/// A change of the keyring.
#[derive(Debug, Subcommand)]
pub(crate) enum Change {
    /// Create a keyring in a place that was never used
    Init(Writing<verbs::init::Args>),
    /// Take over an OpenShell key set where it lies; its tokens stay valid
    Adopt(Writing<verbs::adopt::Args>),
    /// Replace the signing key: publish a new one, wait for the fleet, let it sign
    Rotate(Writing<verbs::rotate::Args>),
    /// Go back to the former key, or drop one that has not signed
    Rollback(Writing<verbs::rollback::Args>),
    /// Refuse a key's tokens from now on, for ever
    Revoke(Writing<verbs::revoke::Args>),
    /// Set the end of a key's window, or bring it forward
    Retire(Writing<verbs::retire::Args>),
    /// Publish a new key that does not sign yet: the first half of rotate
    Prepare(Writing<verbs::prepare::Args>),
    /// Let the prepared key sign: the second half of rotate
    Activate(Writing<verbs::activate::Args>),
    /// Destroy keys that nothing needs any more
    Prune(Writing<verbs::prune::Args>),
    /// Do everything that is due: what a schedule runs
    Reconcile(Writing<verbs::reconcile::Args>),
    /// Change the rules: lifetimes, bounds, windows
    SetPolicy(Writing<verbs::set_policy::Args>),
}

fn exits() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {}  {}", exit.code(), exit.meaning()));
    let durations = "Durations are seconds, or such as 90s, 15m, 2h, 1h30m, 30d. Every verb that changes something has --dry-run.";
    format!("Exit codes:\n{}\n\n{durations}", lines.join("\n"))
}
