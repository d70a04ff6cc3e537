//! The metrics of a gateway.

use std::fmt::Write as _;

use keystile_gateway::{METRICS, Metric, VIEWED};

/// One row for each metric.
pub(super) fn table() -> String {
    let mut table = "| metric | labels | meaning |\n|---|---|---|\n".to_owned();
    let mut metrics: Vec<&Metric> = METRICS.iter().chain(VIEWED).collect();
    metrics.sort_by_key(|metric| metric.name);
    for Metric { name, help, labels } in metrics {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(table, "| `keystile_{name}` | {} | {help} |", labels.join(", "));
    }
    table
}
