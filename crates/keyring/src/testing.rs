//! What unit tests build manifests from.

use crate::ident::{GatewayId, Kid, PublicKey};
use crate::manifest::{Activation, Lifetime, Manifest, Origin, Superseded};
use crate::plan::{Candidate, init};
use crate::policy::Policy;
use crate::report::{Condition, KeyReport, KeyUsage, ReplicaReport};
use crate::time::UnixTime;

pub(crate) fn kid(name: &str) -> Kid {
    Kid::new(name).unwrap()
}

pub(crate) fn at(seconds: u64) -> UnixTime {
    UnixTime(seconds)
}

fn candidate(name: &str) -> Candidate {
    let mut public_key = [0; 32];
    public_key.iter_mut().zip(name.bytes().cycle()).for_each(|(byte, of)| *byte = of);
    Candidate { kid: kid(name), public_key: PublicKey(public_key), origin: Origin::Generated }
}

/// TTL 100, leeway 10, skew 5, staleness 50, commit delay 20, caches 40.
pub(crate) fn policy() -> Policy {
    Policy {
        token_ttl: 100,
        leeway: 10,
        max_skew: 5,
        max_staleness: 50,
        commit_delay: 20,
        verifier_cache: 40,
        ..Policy::default()
    }
}

/// Key `a` signs since 1000.
pub(crate) fn ring() -> Manifest {
    init(GatewayId::new("test").unwrap(), policy(), &candidate("a"), "olga", at(1000)).unwrap().next
}

/// The keyring with the timeline `entries`: keys are made as they are named, and every key but the
/// last signer has the bounds that its end gives it.
pub(crate) fn ring_of(entries: &[(&str, u64)]) -> Manifest {
    let mut manifest = ring();
    let first = manifest.keys.remove(0);
    manifest.timeline.clear();
    for (name, from) in entries {
        if manifest.key(&kid(name)).is_none() {
            let mut key = first.clone();
            (key.kid, key.public_key) = (kid(name), candidate(name).public_key);
            manifest.keys.push(key);
        }
        manifest.timeline.push(Activation { from: at(*from), kid: kid(name) });
    }
    let ends: Vec<_> = manifest.keys.iter().map(|key| manifest.last_period_end(&key.kid)).collect();
    for (key, end) in manifest.keys.iter_mut().zip(ends) {
        key.longest_token = Lifetime::Bounded(100);
        key.superseded = end.map(|end| Superseded {
            at: end,
            last_iat: end.plus(75),
            accept_until: Some(end.plus(185)),
            custody_until: end.plus(500),
        });
    }
    manifest
}

/// A report of `replica` at `reported` that it holds `kids`, each for so long.
pub(crate) fn report(replica: &str, reported: u64, kids: &[(&str, u64)]) -> ReplicaReport {
    let held = |(name, since): &(&str, u64)| KeyReport {
        kid: kid(name),
        held_since: at(*since),
        from_start: false,
        usage: KeyUsage::default(),
    };
    ReplicaReport {
        replica: replica.parse().unwrap(),
        build: "test".to_owned(),
        started_at: at(1),
        reported_at: at(reported),
        generation: 1,
        digest: None,
        condition: Condition::Ready,
        confirmed_at: None,
        keys: kids.iter().map(held).collect(),
        revoked: Vec::new(),
        lineage_floor: None,
        withdrawn_at: None,
        tls_stale: None,
        clock_offset: None,
    }
}
