//! `keystile verify`: would a gateway let this token in, now?

use keystile_keyring::manifest::Origin;
use keystile_keyring::{KeyState, Kid, UnixTime};
use keystile_token::{Keyring, Rejection, Signature, Verdict};
use serde::Serialize;

use crate::app::App;
use crate::change;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::input;

/// Options of `verify`.
#[derive(Clone, Debug, clap::Args)]
#[command(
    after_help = "Exit 3 if the token is rejected. Prefer a file or standard input: arguments can be seen by \
    other users of the machine."
)]
pub(crate) struct Args {
    /// The token, the name of a file that holds it, or - for standard input
    #[arg(value_name = "TOKEN", default_value = "-", allow_hyphen_values = true)]
    token: String,
}

/// The verdict on a token. Schema `keystile/verify/v1`.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// `accepted`, `rejected`, `unavailable` or `not-ours`.
    verdict: &'static str,
    /// The rule that it breaks first.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Which claim is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<&'static str>,
    /// `not-checked`, `good` or `bad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'static str>,
    /// Whether somebody other than a replica has signed with the key.
    alarm: bool,
    /// What the caller outside is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    answer: Option<String>,
    /// The key that signed it, or that it names.
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<Kid>,
    /// The key's state.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<KeyState>,
    /// The sandbox, if the signature is good.
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_id: Option<String>,
    /// When it was minted.
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_at: Option<UnixTime>,
    /// When it expires; absent if never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<UnixTime>,
    /// When its chain of refreshes began.
    #[serde(skip_serializing_if = "Option::is_none")]
    lineage_began: Option<UnixTime>,
}

/// Verifies the token.
pub(crate) async fn run(app: &App, args: &Args) -> Result<(), Failure> {
    let token = input::token(app, &args.token)?;
    let loaded = app.operator()?.newest_public().await.map_err(|error| change::failure(&error, app))?;
    let keyring = Keyring::verify_only(loaded.manifest, loaded.digest)
        .map_err(|error| Failure::of(Exit::Unreachable, &error))?;
    let verdict = keyring.verify(&token, app.now());
    let report = report(&verdict);
    app.answer("keystile/verify/v1", &report, || text(app, &report, suspicion(&keyring, &verdict)))?;
    if verdict.is_accepted() { Ok(()) } else { Err(Failure::silent(Exit::Refused)) }
}

/// What an alarm may mean, if there is one.
fn suspicion(keyring: &Keyring, verdict: &Verdict) -> Option<&'static str> {
    let (Verdict::Rejected(rejection) | Verdict::Unavailable(rejection)) = verdict else {
        return None;
    };
    let key = rejection.kid.as_ref().and_then(|kid| keyring.manifest().key(kid));
    let adopted = key.is_some_and(|key| key.origin == Origin::Adopted);
    rejection.alarm.then(|| rejection.reason.suspicion(adopted))
}

fn report(verdict: &Verdict) -> Report {
    match verdict {
        Verdict::Accepted(accepted) => Report {
            verdict: "accepted",
            signature: Some("good"),
            kid: Some(accepted.kid.clone()),
            state: Some(accepted.state),
            sandbox_id: Some(accepted.claims.sandbox_id.to_string()),
            issued_at: Some(accepted.claims.issued_at),
            expires_at: accepted.claims.expires_at,
            lineage_began: Some(accepted.claims.lineage.began),
            ..Report::default()
        },
        Verdict::NotOurs => Report { verdict: "not-ours", ..Report::default() },
        Verdict::Rejected(rejection) => rejected("rejected", rejection),
        Verdict::Unavailable(rejection) => rejected("unavailable", rejection),
    }
}

fn rejected(verdict: &'static str, rejection: &Rejection) -> Report {
    Report {
        verdict,
        reason: Some(rejection.reason.as_str()),
        claim: rejection.fault.map(|fault| fault.claim.as_str()),
        signature: Some(match rejection.signature {
            Signature::NotChecked => "not-checked",
            Signature::Good => "good",
            Signature::Bad => "bad",
        }),
        alarm: rejection.alarm,
        answer: Some(rejection.answer().text.into_owned()),
        kid: rejection.kid.clone(),
        sandbox_id: rejection.sandbox_id.as_ref().map(ToString::to_string),
        ..Report::default()
    }
}

fn text(app: &App, report: &Report, suspicion: Option<&str>) -> String {
    let when = app.when();
    let kid = report.kid.as_ref().map_or_else(String::new, |kid| format!("  key        {kid}\n"));
    let mut lines = match report.verdict {
        "accepted" => "accepted\n".to_owned(),
        "not-ours" => "not ours: another issuer's token, and no key of this keyring\n".to_owned(),
        verdict => {
            let claim = report.claim.map_or_else(String::new, |claim| format!(" (claim {claim})"));
            format!("{verdict}: {}{claim}\n", report.reason.unwrap_or_default())
        }
    };
    lines.push_str(&kid);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            lines.push_str(&format!("  {name:<10} {value}\n"));
        }
    };
    line("state", report.state.map(|state| state.to_string()));
    line("signature", report.signature.map(str::to_owned));
    line("sandbox", report.sandbox_id.clone());
    line("issued", report.issued_at.map(|at| when.both(at)));
    let never = report.state.map(|_| "never".to_owned());
    line("expires", report.expires_at.map(|at| when.both(at)).or(never));
    line("lineage", report.lineage_began.map(|at| format!("began {}", when.both(at))));
    line(
        "answer",
        report.answer.as_ref().map(|answer| format!("{answer:?}, which is all that a caller is told")),
    );
    line("alarm", suspicion.map(str::to_owned));
    lines
}
