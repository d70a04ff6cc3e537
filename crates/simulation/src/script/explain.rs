//! The language of scripts, for people.

use super::Script;

const LANGUAGE: &str = "\
A script has one step a line; # begins a comment. Instants count in virtual time, from a fleet at work.

  at 10m rotate [--emergency]             a new key: publish, wait for the fleet, let it sign
  at 10m rollback                         back to the former key
  at 10m revoke KEY [--descendants]       refuse a key's tokens from now on
  at 10m retire KEY [--force]             end a superseded key's window
  at 10m prune                            destroy what nothing needs any more
  at 10m outage for 8m                    nobody can reach the store, nor the API server
  at 2h end                               the simulation ends

KEY is active, verify-only (the one that signed last), or key-1, key-2 ... in the order they appear.
An operation that must be refused says so: at 12m retire key-1 expect key-signs.
The operator does one thing at a time: a step that finds the one before unfinished waits for it.
";

/// Explains the language and shows `script`.
pub fn explained(script: &Script) -> String {
    format!("{LANGUAGE}\nThe script with these options:\n\n{script}")
}
