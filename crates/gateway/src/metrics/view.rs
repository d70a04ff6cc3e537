//! Metrics that are read off the replica when they are asked for.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::replica::Replica;

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
        let readiness = self.0.readiness(&held, moment);
        let gauges: [(&str, &str, u64); 7] = [
            ("generation", "Generation of the keyring held", held.generation()),
            (
                "confirmation_age_seconds",
                "Seconds since a read that confirmed it began",
                readiness.confirmed_seconds_ago,
            ),
            ("key_age_seconds", "Age of the active key", manifest.key_age(moment.now).unwrap_or_default()),
            (
                "rotation_due",
                "1 if policy calls for a rotation",
                u64::from(manifest.rotation_due(moment.now)),
            ),
            ("ready", "1 if requests should be sent here", u64::from(readiness.ready)),
            ("mints", "1 if tokens are minted here", u64::from(readiness.mints)),
            (
                "degraded",
                "1 if the last read of the store was not in order",
                u64::from(held.trouble.is_some()),
            ),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)?;
        }
        let mut accepted = encoder.encode_descriptor(
            "key_accepted",
            "Tokens accepted, by key",
            None,
            MetricType::Counter,
        )?;
        for key in held.keys.iter() {
            let labels = [("kid", key.kid.as_str())];
            ConstCounter::new(key.accepted.get()).encode(accepted.encode_family(&labels)?)?;
        }
        let mut minted =
            encoder.encode_descriptor("key_minted", "Tokens minted, by key", None, MetricType::Counter)?;
        for key in held.keys.iter() {
            let labels = [("kid", key.kid.as_str())];
            ConstCounter::new(key.minted.get()).encode(minted.encode_family(&labels)?)?;
        }
        let mut states =
            encoder.encode_descriptor("key_state", "1 for each key's state", None, MetricType::Gauge)?;
        for key in &manifest.keys {
            let labels = [("kid", key.kid.as_str()), ("state", manifest.state_of(key, moment.now).as_str())];
            ConstGauge::new(1i64).encode(states.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
