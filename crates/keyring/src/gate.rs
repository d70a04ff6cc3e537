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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::PolicyBefore;
    use crate::testing::{at, kid, report, ring};

    /// `b` was published at 2000; caches 40, staleness 50, skew 5.
    fn operation() -> Operation {
        Operation {
            id: "rotation-2".to_owned(),
            request_id: None,
            started_at: at(2000),
            from_kid: kid("a"),
            to_kid: kid("b"),
            no_rollback: false,
        }
    }

    fn gate(reports: &[ReplicaReport], now: u64) -> Gate {
        ring().gate(&operation(), reports, Fleet::Reporting, at(now))
    }

    fn names(behind: &[&str]) -> Vec<ReplicaId> {
        behind.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn holder(name: &str, since: u64) -> ReplicaReport {
        report(name, since, &[("a", 1000), ("b", since)])
    }

    fn below(name: &str, reported: u64) -> ReplicaReport {
        report(name, reported, &[("a", 1000)])
    }

    fn from_start(mut report: ReplicaReport) -> ReplicaReport {
        report.keys.iter_mut().for_each(|key| key.from_start = true);
        report
    }

    #[test]
    fn no_report_at_all_is_not_a_pass() {
        assert_eq!(gate(&[], 9000), Gate::Unattended);
        let long_gone = below("gateway-0", 1000);
        assert_eq!(gate(&[long_gone], 9000), Gate::Unattended);
    }

    #[test]
    fn i2_a_report_that_cannot_be_read_holds_it_up() {
        let unread = ReplicaReport::unreadable("gateway-1.json", at(2003), "cut off");
        let behind = names(&["gateway-1.json"]);
        let reports = [holder("gateway-0", 2050), unread];
        assert_eq!(gate(&reports, 2058), Gate::Replicas { behind, live: 2 });
        let since_it_counts_no_more = Gate::Caches { until: at(2098), since: at(2058), live: 1 };
        assert_eq!(gate(&reports, 2059), since_it_counts_no_more);
    }

    #[test]
    fn offline_no_report_is_no_refusal_and_caches_are_awaited_all_the_same() {
        let offline = |now| ring().gate(&operation(), &[], Fleet::Offline, at(now));
        assert_eq!(offline(2039), Gate::Caches { until: at(2040), since: at(2000), live: 0 });
        assert_eq!(offline(2040), Gate::Open { live: 0 });
    }

    #[test]
    fn every_live_replica_that_lacks_the_key_is_named() {
        let reports = [below("gateway-2", 2005), holder("gateway-1", 2003), below("gateway-0", 2005)];
        let behind = names(&["gateway-0", "gateway-2"]);
        assert_eq!(gate(&reports, 2010), Gate::Replicas { behind, live: 3 });
    }

    #[test]
    fn caches_run_out_after_the_last_replica_came_to_hold_the_key() {
        let reports = [holder("gateway-0", 2003), holder("gateway-1", 2010)];
        assert_eq!(gate(&reports, 2049), Gate::Caches { until: at(2050), since: at(2010), live: 2 });
        assert_eq!(gate(&reports, 2050), Gate::Open { live: 2 });
    }

    #[test]
    fn a_replica_that_is_lost_counts_until_it_could_mint_no_more() {
        let reports = [holder("gateway-0", 2044), below("gateway-1", 1999)];
        assert_eq!(gate(&reports, 2054), Gate::Replicas { behind: names(&["gateway-1"]), live: 2 });
        assert_eq!(gate(&reports, 2055), Gate::Caches { until: at(2094), since: at(2054), live: 1 });
        assert_eq!(gate(&reports, 2094), Gate::Open { live: 1 });
    }

    #[test]
    fn a_replica_that_withdrew_stopped_then() {
        let left = ReplicaReport { withdrawn_at: Some(at(2020)), ..below("gateway-1", 2019) };
        let reports = [holder("gateway-0", 2003), left];
        assert_eq!(gate(&reports, 2021), Gate::Caches { until: at(2060), since: at(2020), live: 1 });
    }

    #[test]
    fn a_replica_that_left_with_the_key_does_not_hold_anything_up() {
        let left = ReplicaReport { withdrawn_at: Some(at(2200)), ..holder("gateway-1", 2003) };
        assert_eq!(gate(&[holder("gateway-0", 2199), left], 2239), Gate::Open { live: 1 });
    }

    #[test]
    fn newcomers_do_not_start_the_wait_anew() {
        let newcomer = from_start(holder("gateway-1", 2041));
        assert_eq!(gate(&[holder("gateway-0", 2003), newcomer.clone()], 2043), Gate::Open { live: 2 });
        let loading = ReplicaReport { keys: Vec::new(), ..newcomer };
        let behind = names(&["gateway-1"]);
        assert_eq!(gate(&[holder("gateway-0", 2003), loading], 2043), Gate::Replicas { behind, live: 2 });
    }

    #[test]
    fn replicas_that_left_before_the_key_was_published_do_not_count() {
        let left = ReplicaReport { withdrawn_at: Some(at(1500)), ..below("gateway-1", 1400) };
        let newcomer = from_start(holder("gateway-0", 2039));
        assert_eq!(gate(&[left, newcomer], 2040), Gate::Open { live: 1 });
    }

    #[test]
    fn former_maxima_count() {
        let mut manifest = ring();
        manifest.policy_before =
            Some(PolicyBefore { staleness: 500, skew: 5, verifier_cache: 400, until: at(9000) });
        let gate =
            |reports: &[ReplicaReport]| manifest.gate(&operation(), reports, Fleet::Reporting, at(2300));
        let behind = names(&["gateway-0"]);
        assert_eq!(gate(&[below("gateway-0", 1990)]), Gate::Replicas { behind, live: 1 });
        let caches = Gate::Caches { until: at(2410), since: at(2010), live: 1 };
        assert_eq!(gate(&[holder("gateway-0", 2010)]), caches);
    }
}
