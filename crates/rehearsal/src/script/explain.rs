//! The language of scripts, for people.

use super::{FAULTS, Script};

const LANGUAGE: &str = "\
A script has one step a line; # begins a comment. Instants count from the moment when the load runs.

  at 4s rotate [--emergency]              a new key: publish, wait for the fleet, let it sign
  at 4s rollback                          back to the former key
  at 4s revoke KEY [--descendants]        refuse a key's tokens from now on
  at 4s retire KEY [--force]              end a superseded key's window
  at 4s prune | reconcile                 what nothing needs any more; what is due
  at 4s kill gateway-2 for 1500ms         kill -9, and start it again after a while
  at 4s restart gateway-2 for 500ms       SIGTERM, and start it again after a while
  at 4s freeze gateway-1 for 2s           SIGSTOP, and SIGCONT after a while
  at 4s hide-store for 2s                 the store's directory is out of reach for a while
  at 44s end                              the load ends

KEY is active, verify-only (the one that signed last), or key-1, key-2 ... in the order they appear.
An operation that must be refused says so: at 9s retire verify-only expect live-tokens.
The operator does one thing at a time: a step that finds the one before unfinished waits for it, and
every later step moves by as much.
";

/// Explains the language and shows `script`.
pub fn explained(script: &Script) -> String {
    let faults = FAULTS.iter().map(|(name, what)| format!("  --fault {name:<12} {what}\n"));
    format!(
        "{LANGUAGE}\nFaults that have a name:\n{}\nThe script with these options:\n\n{script}",
        faults.collect::<String>()
    )
}
