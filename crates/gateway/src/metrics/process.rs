//! What the process takes of the machine, by the names that Prometheus' own clients give it.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::Metric;

const OPEN_FDS: Metric = Metric {
    name: "process_open_fds",
    help: "Descriptors that the process has open; Linux only",
    labels: &[],
};
const RESIDENT: Metric = Metric {
    name: "process_resident_memory_bytes",
    help: "Bytes of memory of the process that are resident; Linux only",
    labels: &[],
};

/// Every metric of the process. Their names are whole: nothing comes before them.
pub const PROCESS: &[Metric] = &[OPEN_FDS, RESIDENT];

/// Shows what the process takes of the machine.
#[derive(Debug)]
pub(crate) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(footprint) = keystile_system::footprint() else {
            return Ok(());
        };
        for (metric, value) in [(OPEN_FDS, footprint.open_fds), (RESIDENT, footprint.resident_bytes)] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(metric.name, metric.help, None, MetricType::Gauge)?)?;
        }
        Ok(())
    }
}
