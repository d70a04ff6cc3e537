//! Metrics that are read off the replica when they are asked for.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Metric;
use keystile_replica::{Replica, Viewer};

macro_rules! viewed {
    ($($constant:ident = $name:literal, $labels:expr, $help:literal;)+) => {
        $(const $constant: Metric = Metric { name: $name, help: $help, labels: $labels };)+

        /// Every metric that is read off the replica.
        pub const VIEWED: &[Metric] = &[$($constant,)+];
    };
}

viewed! {
    GENERATION = "generation", &[], "Generation of the keyring held";
    CONFIRMATION_AGE = "confirmation_age_seconds", &[], "Seconds since a read that confirmed it began";
    KEY_AGE = "key_age_seconds", &[], "Age of the active key";
    ROTATION_DUE = "rotation_due", &[], "1 if policy calls for a rotation";
    READY = "ready", &[], "1 if requests should be sent here";
    MINTING = "minting", &[], "1 if tokens are minted here";
    DEGRADED = "degraded", &[], "1 if the last read of the store was not in order";
    REMEMBERED_TOKENS = "remembered_tokens", &[], "Tokens whose good signature is remembered";
    REMEMBERED_BYTES = "remembered_bytes", &[], "Bytes that they take";
    REMEMBERED_HITS = "remembered_hits", &[], "Verifications that found the signature remembered";
    REMEMBERED_MISSES = "remembered_misses", &[], "Verifications that did not";
    KEY_ACCEPTED = "key_accepted", &["kid"], "Tokens accepted, by key";
    KEY_MINTED = "key_minted", &["kid"], "Tokens minted, by key";
    KEY_STATE = "key_state", &["kid", "state"], "1 for the state that each key is in";
}

/// Shows the keyring held, its keys and its age.
pub(crate) struct View(pub(crate) Arc<Replica>);

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("View")
    }
}

impl Collector for View {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (held, moment) = (self.0.held(), self.0.moment());
        let manifest = held.keyring.manifest();
        let readiness = self.0.readiness(&held, moment, Viewer::Operators);
        let remembered = self.0.remembered();
        let gauges = [
            (GENERATION, held.generation()),
            (CONFIRMATION_AGE, readiness.confirmed_seconds_ago),
            (KEY_AGE, manifest.key_age(moment.now).unwrap_or_default()),
            (ROTATION_DUE, u64::from(manifest.rotation_due(moment.now))),
            (READY, u64::from(readiness.ready)),
            (MINTING, u64::from(readiness.mints)),
            (DEGRADED, u64::from(held.trouble.is_some())),
            (REMEMBERED_TOKENS, remembered.entries),
            (REMEMBERED_BYTES, remembered.bytes),
        ];
        for (metric, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(describe(&mut encoder, metric, MetricType::Gauge)?)?;
        }
        for (metric, count) in [(REMEMBERED_HITS, remembered.hits), (REMEMBERED_MISSES, remembered.misses)] {
            ConstCounter::new(count).encode(describe(&mut encoder, metric, MetricType::Counter)?)?;
        }
        let mut accepted = describe(&mut encoder, KEY_ACCEPTED, MetricType::Counter)?;
        for key in held.keys.iter() {
            let labels = [("kid", key.kid.as_str())];
            ConstCounter::new(key.accepted.get()).encode(accepted.encode_family(&labels)?)?;
        }
        let mut minted = describe(&mut encoder, KEY_MINTED, MetricType::Counter)?;
        for key in held.keys.iter() {
            let labels = [("kid", key.kid.as_str())];
            ConstCounter::new(key.minted.get()).encode(minted.encode_family(&labels)?)?;
        }
        let mut states = describe(&mut encoder, KEY_STATE, MetricType::Gauge)?;
        for key in &manifest.keys {
            let labels = [("kid", key.kid.as_str()), ("state", manifest.state_of(key, moment.now).as_str())];
            ConstGauge::new(1i64).encode(states.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

fn describe<'e>(
    encoder: &'e mut DescriptorEncoder<'_>,
    metric: Metric,
    kind: MetricType,
) -> Result<MetricEncoder<'e>, fmt::Error> {
    encoder.encode_descriptor(metric.name, metric.help, None, kind)
}
