//! What the replicas may have reported when an operator looks at a gate.
//!
//! One replica reads and reports at every instant. Beside it stands one that lags: whenever it read last, on
//! whatever clock, it reported honestly what it then held. More of them would each be one of these.

use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{Kid, ReplicaId, ReplicaReport, UnixTime};

use super::scene::Scene;
use super::story::Violation;
use crate::world::START;

/// The reports, and what the replica that lags does in truth.
pub struct Fleet {
    pub reports: Vec<ReplicaReport>,
    pub lags: Option<Lagging>,
}

/// A replica that lags.
pub struct Lagging {
    /// Index of the generation that it holds.
    pub held: usize,
    /// When it read last, true time.
    pub read_at: u64,
    pub offset: u64,
    /// When it first held the key that is to sign, true time.
    pub since: Option<u64>,
}

impl Scene {
    /// The fleet where nobody lags.
    pub fn prompt(&self) -> Fleet {
        let since = |kid: &Kid| UnixTime(self.published(kid).map_or(START, |index| self.log[index].at));
        let prompt =
            self.setting.reports.then(|| self.report("gateway-1", self.log.len() - 1, self.clock(0), since));
        let reports = prompt.into_iter().collect();
        Fleet { reports, lags: None }
    }

    /// Every fleet that may stand before the gate of `kid`.
    pub fn fleets(&self, kid: &Kid) -> Vec<Fleet> {
        let maxima = self.newest().maxima(self.clock(1));
        let first = self.now.saturating_sub(maxima.staleness + maxima.skew + 2).max(START);
        let mut fleets = vec![self.prompt()];
        for read_at in first..=self.now {
            for offset in self.setting.offsets.iter().copied() {
                for held in (0..self.log.len()).filter(|held| self.may_have_read(*held, read_at)) {
                    fleets.extend(
                        self.since(held, kid, read_at)
                            .into_iter()
                            .map(|since| self.lagging(kid, Lagging { held, read_at, offset, since })),
                    );
                }
            }
        }
        fleets
    }

    /// Whether a read at this instant may have brought this generation.
    fn may_have_read(&self, held: usize, read_at: u64) -> bool {
        self.log[held].at <= read_at && self.log.get(held + 1).is_none_or(|next| next.at >= read_at)
    }

    /// Since when a replica may have held `kid`: from the first read that could bring it, or only now.
    fn since(&self, held: usize, kid: &Kid, read_at: u64) -> Vec<Option<u64>> {
        if self.generation(held).key(kid).is_none() {
            return vec![None];
        }
        let first = self.published(kid).map_or(read_at, |index| self.log[index].at);
        if first == read_at { vec![Some(first)] } else { vec![Some(first), Some(read_at)] }
    }

    fn lagging(&self, kid: &Kid, lags: Lagging) -> Fleet {
        let Lagging { held, read_at, offset, since } = lags;
        let held_since =
            |of: &Kid| UnixTime(if of == kid { since.unwrap_or(read_at) } else { START } + offset);
        let mut fleet = self.prompt();
        fleet.reports.push(self.report("gateway-2", held, UnixTime(read_at + offset), held_since));
        fleet.lags = Some(lags);
        fleet
    }

    fn report(
        &self,
        name: &str,
        held: usize,
        at: UnixTime,
        since: impl Fn(&Kid) -> UnixTime,
    ) -> ReplicaReport {
        let manifest = self.generation(held);
        let keys = manifest.keys.iter().map(|key| KeyReport {
            kid: key.kid.clone(),
            held_since: since(&key.kid),
            from_start: false,
            usage: KeyUsage::default(),
        });
        ReplicaReport {
            replica: ReplicaId::new(name).expect("a name"),
            build: String::new(),
            started_at: UnixTime(START),
            reported_at: at,
            generation: manifest.generation,
            digest: None,
            condition: Condition::Ready,
            confirmed_at: Some(at),
            keys: keys.collect(),
            revoked: manifest.revoked_kids().cloned().collect(),
            lineage_floor: manifest.lineage_floor,
            withdrawn_at: None,
            tls_stale: None,
            clock_offset: None,
        }
    }

    /// I2: what an open gate promises of the replica that lags, and of who fetched the JWK Set from it.
    pub fn gate_holds(&self, kid: &Kid, lags: &Lagging, from: UnixTime) -> Result<(), Violation> {
        let Lagging { held, read_at, offset, since } = *lags;
        let who = self.replica(held, offset);
        let policy = &self.generation(held).policy;
        let Some(since) = since else {
            if self.now - read_at > policy.max_staleness {
                return Ok(());
            }
            let what = format!(
                "the gate lets {kid} sign; {who}, read at {read_at}, never heard of it and still serves"
            );
            return Err(self.violation("I2", what));
        };
        // The gateway gives the JWK Set half of verifier_cache to live.
        let cached_until = since + self.newest().policy.verifier_cache / 2;
        let fastest = self.setting.offsets.iter().max().copied().unwrap_or(0);
        let signs = self.now.max(from.0.saturating_sub(fastest));
        if signs >= cached_until {
            return Ok(());
        }
        let what = format!(
            "the gate lets {kid} sign, from {signs} on the fastest clock; who fetched the JWK Set from {who} before it \
             held the key, at {since}, caches it until {cached_until}"
        );
        Err(self.violation("I2", what))
    }
}
