//! How fast the end of a key reaches each replica.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use tokio::task::JoinSet;

use crate::event::{Event, Outcome, Via};
use crate::moment::Moment;
use crate::replica::ReplicaName;
use crate::stage::Stage;

/// How often each replica is asked.
const POLL: Duration = Duration::from_millis(5);
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a replica may take to say that the probe is good.
const AT_ONCE: Duration = Duration::from_millis(300);

/// A token of the key that is to end, good but for that.
pub(super) struct Probe(HeaderValue);

impl Probe {
    /// Takes a token, if no replica refuses it now: else a later refusal would show nothing. A replica that
    /// does not answer at once holds nobody up.
    pub(super) async fn of(stage: &Arc<Stage>, token: &str) -> Option<Self> {
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        let mut asking = JoinSet::new();
        for replica in stage.field.fleet.names() {
            let (stage, bearer) = (Arc::clone(stage), bearer.clone());
            asking.spawn(async move {
                let wire = stage.field.fleet.wire(replica)?;
                Some(wire.present(Via::Verify, bearer, AT_ONCE).await)
            });
        }
        let answers = asking.join_all().await;
        let refused = answers.iter().any(|outcome| matches!(outcome, Some(Outcome::Rejected(_))));
        (!refused).then_some(Self(bearer))
    }

    /// Presents it to each replica again and again until each has refused it, or `limit` is over.
    pub(super) fn watch(self, stage: &Arc<Stage>, step: usize, since: Moment, limit: Duration) -> Watch {
        let mut watching = JoinSet::new();
        for replica in stage.field.fleet.names() {
            let (stage, bearer) = (Arc::clone(stage), self.0.clone());
            watching.spawn(async move {
                let reached = until_refused(&stage, replica, bearer);
                tokio::time::timeout(limit, reached).await.ok()?;
                let after = stage.field.clock.moment().since(since);
                stage.field.tell(Event::Reached { step, replica, after });
                Some(after)
            });
        }
        Watch(watching)
    }
}

/// Probes under way.
pub(super) struct Watch(JoinSet<Option<Duration>>);

impl Watch {
    /// How long the last replica took to refuse; `None` if one never did.
    pub(super) async fn last(mut self) -> Option<Duration> {
        let mut reached = Vec::new();
        while let Some(one) = self.0.join_next().await {
            reached.push(one.ok().flatten());
        }
        // One that never refused outweighs all that did.
        reached.into_iter().collect::<Option<Vec<_>>>()?.into_iter().max()
    }
}

async fn until_refused(stage: &Stage, replica: ReplicaName, bearer: HeaderValue) {
    while let Some(wire) = stage.field.fleet.wire(replica) {
        if let Outcome::Rejected(_) = wire.present(Via::Verify, bearer.clone(), PATIENCE).await {
            return;
        }
        tokio::time::sleep(POLL).await;
    }
}
