//! One supervisor's calls: its current token, to changing replicas, all the time.

use std::sync::Arc;
use std::time::Duration;

use keystile_supervisor::{Supervisor, Token};

use super::{Field, facts, other};
use crate::dice::Dice;
use crate::event::{Call, Event, Outcome, TokenFacts, Via};

/// How long a call may take before it is made elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a caller rests that has no token, or whose token was just refused.
const WITHOUT: Duration = Duration::from_millis(20);

/// Calls until it is dropped.
pub(crate) async fn keep_calling(field: Field, index: usize, supervisor: Supervisor, mut dice: Dice) {
    let mut via = if index.is_multiple_of(2) { Via::WhoAmI } else { Via::Verify };
    let mut current: Option<(Token, Arc<TokenFacts>)> = None;
    loop {
        rest(&field, &mut dice).await;
        let token = supervisor.token();
        if current.as_ref().map(|(known, _)| known) != token.as_ref() {
            current =
                token.and_then(|token| facts::read(token.expose()).map(|facts| (token, Arc::new(facts))));
        }
        let Some((token, facts)) = &current else {
            field.tell(Event::WithoutToken { supervisor: index, at: field.clock.stamp() });
            tokio::time::sleep(WITHOUT).await;
            continue;
        };
        let caller = Caller { field: &field, index, token, facts };
        if caller.call(via, &mut dice).await {
            supervisor.rejected(token);
            tokio::time::sleep(WITHOUT).await;
        }
        via = other(via);
    }
}

/// The pause between two calls, more or less, so that callers do not march in step.
async fn rest(field: &Field, dice: &mut Dice) {
    tokio::time::sleep(field.pacer.pause().mul_f64(0.5 + dice.unit())).await;
}

struct Caller<'a> {
    field: &'a Field,
    index: usize,
    token: &'a Token,
    facts: &'a Arc<TokenFacts>,
}

impl Caller<'_> {
    /// Presents the token to one replica after the other until one gives a verdict. Whether that was a
    /// refusal.
    async fn call(&self, via: Via, dice: &mut Dice) -> bool {
        let field = self.field;
        for replica in field.roster.order(field.clock.moment(), dice) {
            let Some(wire) = field.fleet.wire(replica) else {
                continue;
            };
            let sent = field.clock.stamp();
            let outcome = wire.present(via, self.token.header(), PATIENCE).await;
            let answered = field.clock.stamp();
            field.note(replica, &outcome);
            let verdict = match outcome {
                Outcome::Accepted { .. } => Some(false),
                Outcome::Rejected(_) => Some(true),
                Outcome::NoAnswer(_) => None,
            };
            if verdict.is_some() {
                field.pacer.answered(answered.moment.since(sent.moment));
            }
            let (supervisor, token) = (self.index, Arc::clone(self.facts));
            field.tell(Event::Call(Call { supervisor, replica, via, sent, answered, token, outcome }));
            if let Some(refused) = verdict {
                return refused;
            }
        }
        false
    }
}
