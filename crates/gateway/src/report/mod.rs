//! What this replica says of itself to the store, every few seconds and when there is news.

mod census;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keystile_keyring::report::{Condition, KeyReport};
use keystile_keyring::{ReplicaId, ReplicaReport, UnixTime};
use keystile_store::Store;

use crate::metrics::Metrics;
use crate::tls::Tls;
use keystile_replica::chain;
use keystile_replica::{Held, Moment, Replica, Viewer};

pub(crate) use census::{Census, SandboxDigest, Sighting};

/// The most bytes of a condition's reason.
const REASON_BYTES: usize = 512;

/// Who reports.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) replica: ReplicaId,
    pub(crate) started_at: UnixTime,
}

impl Identity {
    /// The report of a replica that has loaded nothing yet.
    pub(crate) fn loading(&self, now: UnixTime) -> ReplicaReport {
        ReplicaReport {
            replica: self.replica.clone(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            reported_at: now,
            generation: 0,
            digest: None,
            condition: Condition::Loading,
            confirmed_at: None,
            keys: Vec::new(),
            revoked: Vec::new(),
            lineage_floor: None,
            withdrawn_at: None,
            tls_stale: None,
            clock_offset: None,
        }
    }
}

/// Reports for one replica.
pub(crate) struct Reporter {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) replica: Arc<Replica>,
    pub(crate) census: Arc<Census>,
    pub(crate) identity: Identity,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) interval: Duration,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether the last report could not be written.
    pub(crate) failing: AtomicBool,
}

impl Reporter {
    /// The report as of now.
    pub(crate) fn compose(&self) -> ReplicaReport {
        let (held, moment) = (self.replica.held(), self.replica.moment());
        let tally = self.census.tally();
        let keys = held.keys.iter().map(|key| KeyReport {
            kid: key.kid.clone(),
            held_since: key.held_since,
            from_start: key.from_start,
            usage: tally.get(&key.kid).cloned().unwrap_or_default(),
        });
        ReplicaReport {
            generation: held.generation(),
            digest: Some(held.digest()),
            condition: self.condition(&held, moment),
            confirmed_at: Some(held.confirmed.at),
            keys: keys.collect(),
            revoked: held.revoked().cloned().collect(),
            lineage_floor: held.lineage_floor(),
            tls_stale: self.tls.as_ref().and_then(|tls| tls.why_stale()).map(shortened),
            ..self.identity.loading(moment.now)
        }
    }

    fn condition(&self, held: &Held, moment: Moment) -> Condition {
        let readiness = self.replica.readiness(held, moment, Viewer::Operators);
        let why = held.trouble.as_deref().map(str::to_owned);
        let why =
            why.or_else(|| readiness.problems.into_iter().next().filter(|_| !held.fresh_to_mint(moment)));
        why.map_or(Condition::Ready, |why| Condition::Degraded(shortened(why)))
    }

    /// Reports once. Whether the store took it.
    pub(crate) async fn report(&self) -> bool {
        self.write(&self.compose()).await
    }

    /// Reports until `stop` is done, then withdraws.
    pub(crate) async fn run(self, stop: impl Future<Output = ()>) {
        let mut news = self.replica.news();
        tokio::pin!(stop);
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.interval) => {}
                _ = news.changed() => {}
                () = &mut stop => break,
            }
            // Never cut off: what a cut-off report still wrote could come after the withdrawal.
            self.report().await;
        }
        let mut last = self.compose();
        last.withdrawn_at = Some(last.reported_at);
        self.write(&last).await;
    }

    async fn write(&self, report: &ReplicaReport) -> bool {
        let outcome = self.store.report(report).await;
        let failed_before = self.failing.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                self.metrics.reports.inc();
                if failed_before {
                    tracing::info!("reports reach the store again");
                }
                true
            }
            Err(error) => {
                self.metrics.report_failures.inc();
                if !failed_before {
                    let why = chain(&error);
                    tracing::error!(%why, "no report was written: a rotation's gate does not see this replica");
                }
                false
            }
        }
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > REASON_BYTES {
        let end = (0..=REASON_BYTES).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
        text.truncate(end);
    }
    text
}
