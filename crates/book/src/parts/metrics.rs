//! The metrics of a gateway.

use std::fmt::Write as _;

use keystile_gateway::{METRICS, Metric, PROCESS, VIEWED};

/// One row for each metric.
pub(super) fn table() -> String {
    let mut table = "| metric | labels | meaning |\n|---|---|---|\n".to_owned();
    let own = METRICS.iter().chain(VIEWED).map(|metric| ("keystile_", metric));
    let mut metrics: Vec<(&str, &Metric)> = own.chain(PROCESS.iter().map(|metric| ("", metric))).collect();
    metrics.sort_by_key(|(prefix, metric)| (prefix.is_empty(), metric.name));
    for (prefix, Metric { name, help, labels }) in metrics {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(table, "| `{prefix}{name}` | {} | {help} |", labels.join(", "));
    }
    table
}
