//! What is counted. Every label's values are a closed list, or the kids of the keyring held: no caller
//! can make a new one.

mod process;
mod view;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use keystile_replica::Tally;
use keystile_token::Reason;

pub use process::PROCESS;
pub(crate) use process::Process;
pub use view::VIEWED;
pub(crate) use view::View;

/// What comes before the names of all metrics but those of [`PROCESS`].
const PREFIX: &str = "keystile";

/// A metric, for the reference. Its full name is `keystile_` and the name, but for [`PROCESS`]; a counter's ends in
/// `_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
}

/// Counters of one closed label.
pub(crate) struct Closed(Vec<(&'static str, Counter)>);

impl Closed {
    fn register(
        registry: &mut Registry,
        name: &str,
        help: &str,
        label: &'static str,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
        let counters = values.into_iter().map(|value| (value, family.get_or_create_owned(&[(label, value)])));
        let counters = counters.collect();
        registry.register(name, help, family);
        Self(counters)
    }

    /// Adds one to the counter of `value`; a value that is not in the list is not counted.
    pub(crate) fn inc(&self, value: &str) {
        if let Some((_, counter)) = self.0.iter().find(|(known, _)| *known == value) {
            counter.inc();
        }
    }

    /// The counter's value; 0 for a value that is not in the list.
    pub(crate) fn get(&self, value: &str) -> u64 {
        let found = self.0.iter().find(|(known, _)| *known == value);
        found.map(|(_, counter)| counter.get()).unwrap_or_default()
    }
}

macro_rules! metrics {
    (
        plain { $($(#[doc = $doc:literal])+ $plain:ident: $plain_type:ty,)+ }
        closed { $($(#[doc = $closed_doc:literal])+ $closed:ident by $label:literal in $values:expr,)+ }
    ) => {
        /// Every metric of the gateway, in the order in which they are declared.
        pub const METRICS: &[Metric] = &[
            $(Metric { name: stringify!($plain), help: concat!($($doc),+).trim_ascii(), labels: &[] },)+
            $(Metric { name: stringify!($closed), help: concat!($($closed_doc),+).trim_ascii(), labels: &[$label] },)+
        ];

        /// Everything that is counted besides what [`View`] reads off the replica.
        pub(crate) struct Metrics {
            $($(#[doc = $doc])+ pub(crate) $plain: $plain_type,)+
            $($(#[doc = $closed_doc])+ pub(crate) $closed: Closed,)+
        }

        impl Metrics {
            /// The metrics, and the registry that they are shown by.
            pub(crate) fn new() -> (Self, Registry) {
                let mut root = Registry::default();
                let registry = root.sub_registry_with_prefix(PREFIX);
                let metrics = Self {
                    $($plain: {
                        let metric = <$plain_type>::default();
                        registry.register(stringify!($plain), concat!($($doc),+).trim(), metric.clone());
                        metric
                    },)+
                    $($closed: Closed::register(
                        registry, stringify!($closed), concat!($($closed_doc),+).trim(), $label, $values,
                    ),)+
                };
                (metrics, root)
            }
        }
    };
}

metrics! {
    plain {
        /// Connections open now
        connections_open: Gauge,
        /// Connections accepted
        connections: Counter,
        /// Connections closed at once because their address had as many as it may
        connections_refused: Counter,
        /// TLS handshakes that failed or took too long
        handshake_failures: Counter,
        /// Requests refused because as many as allowed were worked on
        overloaded: Counter,
        /// Answers to bad signatures that were held back in a flood
        held_back: Counter,
        /// Requests that took longer than allowed
        timed_out: Counter,
        /// Changed TLS files that were put in force
        tls_reloads: Counter,
        /// Changed TLS files that could not be used
        tls_reload_failures: Counter,
        /// 1 while the TLS files as they are now are not in force, because they cannot be used
        tls_stale: Gauge,
        /// Generations that were loaded after the first
        reloads: Counter,
        /// Reads of the store that requests asked for
        rereads: Counter,
        /// Reports written to the store
        reports: Counter,
        /// Reports that could not be written
        report_failures: Counter,
        /// Tokens that somebody other than a replica signed with our key
        alarms: Counter,
        /// Audit lines left out because there were too many of their kind
        audit_suppressed: Counter,
    }
    closed {
        /// Tokens minted, by operation
        mints by "operation" in ["bootstrap", "refresh", "extension"],
        /// Mintings refused, by reason
        mint_refusals by "reason" in ["unconfirmed", "not-configured", "lineage-too-old", "rate-limited", "denied", "kubernetes", "other"],
        /// Tokens verified, by result
        verifications by "result" in ["accepted", "rejected", "unavailable", "not-ours"],
        /// Tokens rejected, by reason
        rejections by "reason" in Reason::ALL.iter().map(|reason| reason.as_str()),
        /// Reads that did not confirm the newest keyring, by cause
        reload_failures by "cause" in ["load", "witness", "keyring", "regression", "behind-witness", "forked"],
    }
}

impl Metrics {
    /// Counts a connection, until what it returns is dropped.
    pub(crate) fn connection(&self) -> OpenConnection {
        self.connections.inc();
        self.connections_open.inc();
        OpenConnection(self.connections_open.clone())
    }
}

impl Tally for Metrics {
    fn reloaded(&self) {
        self.reloads.inc();
    }

    fn reread(&self) {
        self.rereads.inc();
    }

    fn failed(&self, cause: &'static str) {
        self.reload_failures.inc(cause);
    }
}

/// Shows besides what is counted what is read when it is asked for.
pub(crate) fn show(registry: &mut Registry, view: View) {
    registry.sub_registry_with_prefix(PREFIX).register_collector(Box::new(view));
    registry.register_collector(Box::new(Process));
}

/// A connection that is open.
pub(crate) struct OpenConnection(Gauge);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_metrics_have_one_name() {
        let mut names: Vec<_> =
            METRICS.iter().chain(VIEWED).chain(PROCESS).map(|metric| metric.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn a_value_outside_the_list_is_counted_nowhere() {
        let (metrics, registry) = Metrics::new();
        metrics.mints.inc("refresh");
        metrics.mints.inc("whatever a caller says");
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("it is written");
        assert!(text.contains("keystile_mints_total{operation=\"refresh\"} 1"), "{text}");
        assert!(!text.contains("whatever"), "{text}");
    }
}
