//! The two calls, over as many gateways as there are.

use std::sync::Arc;
use std::time::Duration;

use keystile_proto::openshell::v1::open_shell_client::OpenShellClient;
use keystile_proto::openshell::v1::{IssueSandboxTokenRequest, RefreshSandboxTokenRequest};
use keystile_system::Clock;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::config::{Config, Timing, Tls};
use crate::dice::Dice;
use crate::endpoint::Endpoint;
use crate::failure::{Failure, FailureKind};
use crate::schedule::attempt_within;
use crate::token::{Expiry, MAX_TOKEN, Token, expiry};

/// The largest answer that is read: a token and what is around it.
const MAX_ANSWER: usize = 2 * MAX_TOKEN;

/// What is asked of a gateway.
pub(crate) enum Question {
    /// A fresh token for this one.
    Refresh(Token),
    /// A first token, for the client certificate of the connection.
    IssueForCertificate,
    /// A first token, for a ServiceAccount token.
    IssueForBearer(Token),
}

/// A token as a gateway gave it.
pub(crate) struct Issued {
    pub(crate) token: Token,
    pub(crate) expires: Expiry,
    /// When the call began, in uptime: the token's life began no earlier.
    pub(crate) asked_at: Duration,
}

/// The gateways, and what was heard of each.
pub(crate) struct Gateways {
    list: Vec<Gateway>,
    /// The one to ask first.
    first: usize,
    tls: Option<Tls>,
    timing: Timing,
    clock: Arc<dyn Clock>,
}

struct Gateway {
    endpoint: Endpoint,
    /// It asked to be left alone until then, with this answer.
    held: Option<(Duration, Failure)>,
}

impl Gateways {
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>, dice: &Dice) -> Self {
        let gateway = |endpoint: &Endpoint| Gateway { endpoint: endpoint.clone(), held: None };
        Self {
            list: config.endpoints.iter().map(gateway).collect(),
            // A fleet with one list must not all begin with its first.
            first: dice.index(config.endpoints.len()),
            tls: config.tls.clone(),
            timing: config.timing.clone(),
            clock,
        }
    }

    /// Asks one gateway after the other until one answers with a token or with a refusal.
    ///
    /// `left` says what is left of the held token's life at an instant. `on_failure` hears of every failed
    /// attempt; the last one is returned.
    pub(crate) async fn ask(
        &mut self,
        question: &Question,
        left: impl Fn(Duration) -> Option<Duration>,
        mut on_failure: impl FnMut(&Failure),
    ) -> Result<Issued, Failure> {
        let count = self.list.len();
        let mut last = None;
        for (turn, index) in (self.first..count).chain(0..self.first).enumerate() {
            let Some(gateway) = self.list.get_mut(index) else { continue };
            let now = self.clock.uptime();
            if let Some((until, failure)) = &gateway.held
                && *until > now
            {
                last.get_or_insert_with(|| failure.clone());
                continue;
            }
            let more = turn.saturating_add(1) < count;
            let limit = attempt_within(self.timing.attempt_timeout, left(now).filter(|_| more));
            let hint_max = self.timing.hint_max;
            let outcome = attempt(&gateway.endpoint, question, self.tls.as_ref(), limit, hint_max).await;
            match outcome {
                Ok((token, expires)) => {
                    gateway.held = None;
                    self.first = index;
                    return Ok(Issued { token, expires, asked_at: now });
                }
                Err(failure) => {
                    on_failure(&failure);
                    gateway.held = failure
                        .retry_after
                        .map(|hint| (self.clock.uptime().saturating_add(hint), failure.clone()));
                    if !failure.kind.is_transient() {
                        // Should this one be alone in its view, the next round hears another.
                        self.first = index.checked_add(1).filter(|next| *next < count).unwrap_or_default();
                        return Err(failure);
                    }
                    last = Some(failure);
                }
            }
        }
        Err(last.unwrap_or_else(no_gateway))
    }

    /// How long from `now` until some gateway may be asked again.
    pub(crate) fn held_for(&self, now: Duration) -> Duration {
        let held = self.list.iter().map(|gateway| {
            gateway.held.as_ref().map_or(Duration::ZERO, |(until, _)| until.saturating_sub(now))
        });
        held.min().unwrap_or_default()
    }
}

fn no_gateway() -> Failure {
    Failure {
        place: "no gateway".to_owned(),
        kind: FailureKind::Transport,
        message: "none is configured".to_owned(),
        retry_after: None,
    }
}

async fn attempt(
    endpoint: &Endpoint,
    question: &Question,
    tls: Option<&Tls>,
    limit: Duration,
    hint_max: Duration,
) -> Result<(Token, Expiry), Failure> {
    let place = endpoint.name();
    let answer = tokio::time::timeout(limit, async {
        let channel =
            endpoint.connect(tls, limit).await.map_err(|error| Failure::transport(place, &error))?;
        call(channel, question)
            .await
            .map_err(|status| Failure::from_status(place, &status, question.secret(), hint_max))
    });
    let (text, expires_at_ms) = answer.await.map_err(|_| Failure::timeout(place, limit))??;
    let token = Token::new(&text).map_err(|error| Failure::bad_answer(place, &error))?;
    Ok((token, expiry(expires_at_ms / 1000)))
}

async fn call(channel: Channel, question: &Question) -> Result<(String, i64), Status> {
    let mut client = OpenShellClient::new(channel).max_decoding_message_size(MAX_ANSWER);
    match question {
        Question::Refresh(token) => {
            let request = with_bearer(RefreshSandboxTokenRequest::default(), token)?;
            let answer = client.refresh_sandbox_token(request).await?.into_inner();
            Ok((answer.token, answer.expires_at_ms))
        }
        Question::IssueForCertificate => issue(&mut client, Request::new(IssueSandboxTokenRequest {})).await,
        Question::IssueForBearer(bearer) => {
            issue(&mut client, with_bearer(IssueSandboxTokenRequest {}, bearer)?).await
        }
    }
}

async fn issue(
    client: &mut OpenShellClient<Channel>,
    request: Request<IssueSandboxTokenRequest>,
) -> Result<(String, i64), Status> {
    let answer = client.issue_sandbox_token(request).await?.into_inner();
    Ok((answer.token, answer.expires_at_ms))
}

fn with_bearer<T>(message: T, token: &Token) -> Result<Request<T>, Status> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.metadata()?);
    Ok(request)
}

impl Question {
    fn secret(&self) -> Option<&Token> {
        match self {
            Self::Refresh(token) | Self::IssueForBearer(token) => Some(token),
            Self::IssueForCertificate => None,
        }
    }
}
