//! The adversary: every kind of bad token, to every replica, all the time.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use keystile_store::Store;
use tokio::sync::RwLock;
use tokio::task::JoinSet;

use super::Field;
use crate::adversary::{Arsenal, Attack, Target};
use crate::dice::Dice;
use crate::event::{Attacked, Event, NoAnswer, Outcome, Via};
use crate::replica::ReplicaName;

/// Longer than a gateway waits to read its store again for an unknown key.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two looks at a store that is out of reach.
const RETRY: Duration = Duration::from_millis(100);

/// How many attacks may wait for their answer at a time.
const IN_FLIGHT: usize = 256;

/// Attacks until it is dropped.
pub(crate) async fn attack(
    field: Field,
    arsenal: Arc<RwLock<Arsenal>>,
    store: Arc<dyn Store>,
    mut dice: Dice,
) {
    let mut in_flight = JoinSet::new();
    let mut turn = dice.below(Attack::ALL.len());
    loop {
        tokio::time::sleep(field.pacer.pause().mul_f64(0.5 + dice.unit())).await;
        while in_flight.try_join_next().is_some() {}
        if in_flight.len() >= IN_FLIGHT {
            in_flight.join_next().await;
        }
        turn = turn.wrapping_add(1);
        let replica = ReplicaName::of_index(dice.below(field.fleet.len()));
        let via = if dice.below(2) == 0 { Via::Verify } else { Via::WhoAmI };
        if let Some(attack) = Attack::ALL.get(turn % Attack::ALL.len()) {
            let (arsenal, store) = (Arc::clone(&arsenal), Arc::clone(&store));
            in_flight.spawn(present(field.clone(), arsenal, store, *attack, replica, (via, turn)));
        }
    }
}

async fn present(
    field: Field,
    arsenal: Arc<RwLock<Arsenal>>,
    store: Arc<dyn Store>,
    attack: Attack,
    replica: ReplicaName,
    (via, turn): (Via, usize),
) {
    let target =
        Target { now: field.clock.stamp().wall, shown: field.shown(replica), turn: turn / Attack::ALL.len() };
    let (made, generation) = {
        let arsenal = arsenal.read().await;
        (arsenal.token(attack, target), arsenal.generation())
    };
    let bearer = made.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
    let (Some(bearer), Some(wire)) = (bearer, field.fleet.wire(replica)) else {
        return;
    };
    let mut outcome = wire.present(via, bearer, PATIENCE).await;
    let accepted = matches!(outcome, Outcome::Accepted { .. });
    // A rollback may have made the key sign again before the answer: then the token was good. The store is asked, since
    // a replica may have read it sooner than the adversary.
    if accepted && attack == Attack::Superseded && newest(store.as_ref()).await != generation {
        outcome = Outcome::NoAnswer(NoAnswer::Other);
    }
    field.tell(Event::Attacked(Attacked { at: field.clock.moment(), attack, replica, outcome }));
}

/// The newest generation, as soon as the store can be read.
async fn newest(store: &dyn Store) -> u64 {
    loop {
        if let Ok(loaded) = store.load_public().await {
            return loaded.manifest.generation;
        }
        tokio::time::sleep(RETRY).await;
    }
}
