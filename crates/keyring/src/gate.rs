//! The gate: what must be seen before a prepared key may sign.

use crate::ident::{Kid, ReplicaId};
use crate::manifest::{Manifest, Operation};
use crate::report::{Presence, ReplicaReport};
use crate::time::UnixTime;

/// The gate of a rotation in flight, at an instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gate {
    /// No replica has ever reported, or none is left: not a pass.
    Unattended,
    /// These live replicas do not hold the prepared key yet.
    Replicas {
        /// Who holds it up.
        behind: Vec<ReplicaId>,
        /// Live replicas in all.
        live: usize,
    },
    /// Every live replica holds it; outside verifiers may still cache a JWK Set without it.
    Caches {
        /// The first instant at which they have run out.
        until: UnixTime,
        /// When the wait began.
        since: UnixTime,
        /// Live replicas.
        live: usize,
    },
    /// The key may sign.
    Open {
        /// Live replicas.
        live: usize,
    },
}

/// Whether the operator says that no gateway runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fleet {
    /// Gateways run and report.
    #[default]
    Reporting,
    /// No gateway runs: no report is no refusal. The caches of outside verifiers are still awaited.
    Offline,
}

impl Manifest {
    /// The gate of `operation` at `now`, by what the replicas have reported.
    ///
    /// It guards against accidents, not against a malicious replica.
    pub fn gate(
        &self,
        operation: &Operation,
        reports: &[ReplicaReport],
        fleet: Fleet,
        now: UnixTime,
    ) -> Gate {
        let maxima = self.maxima(now);
        let mut behind = Vec::new();
        let mut live = 0;
        let mut clear_since = operation.started_at;
        for report in reports {
            let held = held_after_being_below(report, &operation.to_kid);
            let presence = report.presence(now, maxima);
            let cleared = match (presence, held) {
                (Presence::Live, Held::Not) => {
                    behind.push(report.replica.clone());
                    None
                }
                (Presence::Withdrawn(left) | Presence::Lost(left), Held::Not) => Some(left),
                (_, Held::Since(since)) => Some(since),
                (_, Held::FromStart) => None,
            };
            live += usize::from(presence == Presence::Live);
            clear_since = cleared.map_or(clear_since, |instant| clear_since.max(instant));
        }
        let until = clear_since.plus(maxima.verifier_cache);
        if live == 0 && fleet == Fleet::Reporting {
            Gate::Unattended
        } else if !behind.is_empty() {
            behind.sort();
            Gate::Replicas { behind, live }
        } else if now < until {
            Gate::Caches { until, since: clear_since, live }
        } else {
            Gate::Open { live }
        }
    }
}

/// Since when a replica holds a key that it once served without.
enum Held {
    Not,
    Since(UnixTime),
    FromStart,
}

fn held_after_being_below(report: &ReplicaReport, kid: &Kid) -> Held {
    match report.key(kid) {
        None => Held::Not,
        Some(key) if key.from_start => Held::FromStart,
        Some(key) => Held::Since(key.held_since),
    }
}
