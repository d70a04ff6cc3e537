//! What a supervisor shows of itself: a line whenever its state changes.

use keystile_keyring::{Kid, UnixTime};
use keystile_supervisor::{Expiry, State, Supervisor};
use serde::Serialize;

use crate::app::App;
use crate::console::harmless;
use crate::failure::Failure;

/// A supervisor's state. Schema `keystile/supervise/v1`; one line of JSON for each change.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: &'static str,
    /// `obtaining`, `fresh`, `renewing`, `stale`, `stranded` or `stopped`.
    state: &'static str,
    /// When it began.
    at: UnixTime,
    /// The key that signed the token that is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a Kid>,
    /// When that token ends; absent if never, or not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
    /// When its renewal begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    renew_at: Option<UnixTime>,
    /// The state in words.
    what: String,
}

/// Tells every change of state on standard error; ends only with the supervisor.
pub(super) async fn tell(app: &App, supervisor: &Supervisor) -> Result<(), Failure> {
    let mut states = supervisor.state();
    loop {
        let state = states.borrow_and_update().clone();
        app.say(&line(app, &state));
        if state == State::Stopped || states.changed().await.is_err() {
            return Ok(());
        }
    }
}

fn line(app: &App, state: &State) -> String {
    let when = app.when();
    let lease = state.lease();
    let expires_at = lease.and_then(|lease| match lease.expires {
        Expiry::At(at) => Some(at),
        Expiry::Never | Expiry::Unknown => None,
    });
    if !app.json() {
        // A gateway's words may be in it.
        let words = harmless(&words(state, expires_at.map(|at| when.both(at))));
        return format!("{} {words}\n", when.clock(when.now()));
    }
    let report = Report {
        schema: "keystile/supervise/v1",
        state: state.label(),
        at: when.now(),
        kid: lease.and_then(|lease| lease.kid.as_ref()),
        expires_at,
        renew_at: lease.map(|lease| lease.renew_at),
        what: state.to_string(),
    };
    serde_json::to_string(&report).map_or_else(|error| error.to_string(), |line| line + "\n")
}

fn words(state: &State, end: Option<String>) -> String {
    let end = end.unwrap_or_else(|| "nobody knows when, or never".to_owned());
    match state {
        State::Fresh(lease) => {
            let kid = lease.kid.as_ref().map_or("an unnamed key", Kid::short);
            format!("fresh: signed by {kid}, ends {end}")
        }
        State::Renewing(_) => format!("renewing: the token that is held ends {end}"),
        State::Stale { failure, .. } => format!("stale: the token ends {end}; renewal failed: {failure}"),
        other => other.to_string(),
    }
}
