//! One supervisor's calls: its current token, to changing replicas, all the time.

use std::sync::Arc;
use std::time::Duration;

use keystile_supervisor::{Supervisor, Token};

use super::{Field, facts, other};
use crate::dice::Dice;
use crate::event::{Call, Event, Outcome, TokenFacts, Via};
use crate::replica::ReplicaName;

/// How long a call may take before it is made elsewhere.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a caller rests that has no token, or whose token was just refused.
const WITHOUT: Duration = Duration::from_millis(20);

/// Calls until it is dropped.
pub(crate) async fn keep_calling(field: Field, index: usize, supervisor: Supervisor, mut dice: Dice) {
    let mut via = if index.is_multiple_of(2) { Via::WhoAmI } else { Via::Verify };
    let mut wallet = Wallet::default();
    loop {
        rest(&field, &mut dice).await;
        let order = field.roster.order(field.clock.moment(), &mut dice);
        let current = || wallet.holding(supervisor.token());
        let present = |replica, held| call(&field, index, replica, via, held);
        match in_turn(order, current, present).await {
            Turn::Accepted | Turn::Unanswered => {}
            Turn::Refused(held) => {
                supervisor.rejected(&held.token);
                tokio::time::sleep(WITHOUT).await;
            }
            Turn::WithoutToken => {
                field.tell(Event::WithoutToken { supervisor: index, at: field.clock.stamp() });
                tokio::time::sleep(WITHOUT).await;
                continue;
            }
        }
        via = other(via);
    }
}

/// The pause between two calls, more or less, so that callers do not march in step.
async fn rest(field: &Field, dice: &mut Dice) {
    tokio::time::sleep(field.pacer.pause().mul_f64(0.5 + dice.unit())).await;
}

/// A token and what it says.
#[derive(Clone)]
struct Held {
    token: Token,
    facts: Arc<TokenFacts>,
}

/// The supervisor's token, read once.
#[derive(Default)]
struct Wallet(Option<Held>);

impl Wallet {
    fn holding(&mut self, token: Option<Token>) -> Option<Held> {
        if self.0.as_ref().map(|held| &held.token) != token.as_ref() {
            self.0 = token.and_then(|token| {
                facts::read(token.expose()).map(|facts| Held { token, facts: Arc::new(facts) })
            });
        }
        self.0.clone()
    }
}

/// What came of presenting a token to one replica after the other.
enum Turn {
    Accepted,
    Refused(Held),
    /// No replica gave a verdict.
    Unanswered,
    WithoutToken,
}

/// Presents the token to one replica after the other until one gives a verdict.
///
/// Each of them is shown the token of that moment, as by the supervisor's own layer: one that stands still may
/// take longer than what was left of the token that it was shown.
async fn in_turn<P: Future<Output = Option<bool>>>(
    order: Vec<ReplicaName>,
    mut current: impl FnMut() -> Option<Held>,
    mut present: impl FnMut(ReplicaName, Held) -> P,
) -> Turn {
    for replica in order {
        let Some(held) = current() else {
            return Turn::WithoutToken;
        };
        match present(replica, held.clone()).await {
            Some(true) => return Turn::Accepted,
            Some(false) => return Turn::Refused(held),
            None => {}
        }
    }
    Turn::Unanswered
}

/// Presents the token to one replica, and tells. Whether it was accepted; `None` if there was no verdict.
async fn call(field: &Field, index: usize, replica: ReplicaName, via: Via, held: Held) -> Option<bool> {
    let wire = field.fleet.wire(replica)?;
    let sent = field.clock.stamp();
    let outcome = wire.present(via, held.token.header(), PATIENCE).await;
    let answered = field.clock.stamp();
    field.note(replica, &outcome);
    let accepted = match outcome {
        Outcome::Accepted { .. } => Some(true),
        Outcome::Rejected(_) => Some(false),
        Outcome::NoAnswer(_) => None,
    };
    if accepted.is_some() {
        field.pacer.answered(answered.moment.since(sent.moment));
    }
    let token = held.facts;
    field.tell(Event::Call(Call { supervisor: index, replica, via, sent, answered, token, outcome }));
    accepted
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::ready;

    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn token(kid: &str) -> Token {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let text =
            format!("{}.{}.c2ln", part(&format!(r#"{{"kid":"{kid}"}}"#)), part(r#"{"iat":100,"exp":106}"#));
        Token::new(&text).expect("a token")
    }

    fn replicas(count: usize) -> Vec<ReplicaName> {
        (0..count).map(ReplicaName::of_index).collect()
    }

    #[tokio::test]
    async fn the_next_replica_is_shown_the_token_of_that_moment() {
        let slot = RefCell::new(Some(token("old")));
        let mut shown = Vec::new();
        let mut wallet = Wallet::default();
        let present = |replica: ReplicaName, held: Held| {
            shown.push((replica.index(), held.facts.kid.to_string()));
            // While this one stands still the supervisor renews.
            slot.replace(Some(token("new")));
            ready((replica.index() > 0).then_some(true))
        };
        let turn = in_turn(replicas(3), || wallet.holding(slot.borrow().clone()), present).await;
        assert!(matches!(turn, Turn::Accepted));
        assert_eq!(shown, [(0, "old".to_owned()), (1, "new".to_owned())]);
    }

    #[tokio::test]
    async fn the_first_refusal_ends_it_and_is_of_the_token_that_was_shown() {
        let mut asked = 0;
        let mut wallet = Wallet::default();
        let present = |_, _| {
            asked += 1;
            ready(Some(false))
        };
        let turn = in_turn(replicas(3), || wallet.holding(Some(token("a"))), present).await;
        assert!(matches!(turn, Turn::Refused(held) if held.token == token("a")));
        assert_eq!(asked, 1);
    }

    #[tokio::test]
    async fn without_a_token_or_an_answer_there_is_no_verdict() {
        let mut wallet = Wallet::default();
        let without = in_turn(replicas(2), || wallet.holding(None), |_, _| ready(Some(true))).await;
        assert!(matches!(without, Turn::WithoutToken));
        let silent = in_turn(replicas(2), || wallet.holding(Some(token("a"))), |_, _| ready(None)).await;
        assert!(matches!(silent, Turn::Unanswered));
    }
}
