//! Every endpoint, called by everybody over every connection. What is answered stands in the book.

mod callers;
mod endpoints;
mod page;
mod wire;

use std::collections::BTreeMap;

use http::StatusCode;
use keystile_proto::keystile::v1::WhoAmIResponse;
use keystile_proto::openshell::v1::{IssueSandboxTokenResponse, RefreshSandboxTokenResponse};
use keystile_token::inspect;
use prost::Message;
use tokio::task::JoinSet;
use tonic::Code;

use callers::{Caller, Connection, Everybody};
use endpoints::Endpoint;
use wire::{Said, ask};

/// An answer, as the book prints it, and in whose name it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub code: String,
    /// What a caller of gRPC is told beside the code.
    pub text: String,
    /// Whether what was asked for was given.
    pub good: bool,
    pub sandbox: Option<String>,
}

impl Answer {
    fn of(path: &str, said: Said) -> Self {
        match said {
            Said::Http { code, headers } => {
                let sandbox = headers.get("x-sandbox-id").map(|id| id.to_str().expect("ASCII").to_owned());
                let good = code == StatusCode::OK;
                Self { code: code.as_u16().to_string(), text: String::new(), good, sandbox }
            }
            Said::Grpc { code, text, message } => {
                let good = code == Code::Ok;
                let sandbox = good.then(|| sandbox(path, message)).flatten();
                Self { code: name(code), text, good, sandbox }
            }
        }
    }
}

/// The sandbox that a good answer is about.
fn sandbox(path: &str, message: bytes::Bytes) -> Option<String> {
    let token = match path {
        "/keystile.v1.Keystile/WhoAmI" => {
            return Some(WhoAmIResponse::decode(message).expect("an answer").sandbox_id);
        }
        "/openshell.v1.OpenShell/IssueSandboxToken" => {
            IssueSandboxTokenResponse::decode(message).expect("an answer").token
        }
        "/openshell.v1.OpenShell/RefreshSandboxToken" => {
            RefreshSandboxTokenResponse::decode(message).expect("an answer").token
        }
        _ => return None,
    };
    let claims = inspect(token.as_bytes()).expect("a token").claims;
    Some(claims["sandbox_id"].as_str().expect("an id").to_owned())
}

/// As the specification of gRPC writes it.
fn name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

/// The sandbox in whose name the endpoint may answer; `None` if it may not.
///
/// This is the rule; the book's table is what it comes to. An endpoint that it does not name gives everybody the same.
fn allowed(path: &str, caller: &Caller, connection: &Connection) -> Option<&'static str> {
    match path {
        "/openshell.v1.OpenShell/IssueSandboxToken" => {
            connection.sandbox.filter(|_| caller.is_nothing_of_ours())
        }
        "/openshell.v1.OpenShell/RefreshSandboxToken" | "/keystile.v1.Keystile/WhoAmI" | "/verify" => {
            caller.sandbox
        }
        _ => None,
    }
}

/// Where who calls makes a difference.
const ASKED: [&str; 4] = [
    "/openshell.v1.OpenShell/IssueSandboxToken",
    "/openshell.v1.OpenShell/RefreshSandboxToken",
    "/keystile.v1.Keystile/WhoAmI",
    "/verify",
];

/// The answers to all callers over all connections, of one endpoint.
type Answers = BTreeMap<(usize, usize), Answer>;

/// Everybody calls the endpoint at once. A caller that is told to try again does.
async fn answers(endpoint: &Endpoint, everybody: &Everybody) -> Answers {
    let connections = if endpoint.admin { &everybody.admin } else { &everybody.connections };
    let mut calls = JoinSet::new();
    for (over, connection) in connections.iter().enumerate() {
        for (by, caller) in everybody.callers.iter().enumerate() {
            let (channel, token) = (connection.channel.clone(), caller.token.clone());
            let Endpoint { call, path, .. } = endpoint.clone();
            calls.spawn(async move {
                let said = crate::client::until("an answer", || async {
                    let said = ask(&channel, &call, token.as_deref()).await.expect("the connection stays");
                    (!said.is_unavailable()).then_some(said)
                });
                ((over, by), Answer::of(&path, said.await))
            });
        }
    }
    calls.join_all().await.into_iter().collect()
}

#[tokio::test]
async fn everybody_is_answered_as_the_book_says_at_every_endpoint() {
    let everybody = Everybody::meet().await;
    let first = everybody.connections.first().expect("a connection");
    let mut seen = Vec::new();
    for endpoint in endpoints::all(&first.channel).await {
        let answers = answers(&endpoint, &everybody).await;
        if endpoint.admin || !ASKED.contains(&endpoint.path.as_str()) {
            let one = answers.values().next().expect("an answer");
            assert!(answers.values().all(|answer| answer == one), "{endpoint:?}: {answers:?}");
            assert_eq!(one.sandbox, None, "{endpoint:?}");
        } else {
            for ((over, by), answer) in &answers {
                let (caller, connection) = (&everybody.callers[*by], &everybody.connections[*over]);
                let allowed = allowed(&endpoint.path, caller, connection);
                let what = format!("{endpoint:?} {} {}: {answer:?}", caller.name, connection.name);
                assert_eq!(answer.sandbox.as_deref(), allowed, "{what}");
                assert_eq!(answer.good, allowed.is_some(), "{what}");
            }
        }
        seen.push((endpoint, answers));
    }
    let asked: usize = seen.iter().map(|(_, answers)| answers.len()).sum();
    println!("{} endpoints asked {asked} times, each answered as it should be", seen.len());
    everybody.were_rejected_as_they_should().await;
    page::holds(&page::text(&everybody, &seen));
    everybody.part().await;
}

#[tokio::test]
async fn over_a_connection_that_is_refused_nothing_is_answered() {
    let mut everybody = Everybody::meet().await;
    let first = everybody.connections.first().expect("a connection");
    let endpoints = endpoints::all(&first.channel).await;
    let refused = std::mem::take(&mut everybody.refused);
    for (name, channel) in refused {
        // With TLS 1.3 a client learns of it on its first request.
        let Ok(channel) = channel else { continue };
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.admin) {
            for caller in &everybody.callers {
                let said = ask(&channel, &endpoint.call, caller.token.as_deref()).await;
                assert!(said.is_err(), "{name}: {endpoint:?}: {said:?}");
            }
        }
    }
    everybody.part().await;
}
