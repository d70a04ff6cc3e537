//! Is the fleet in order?

use keystile_keyring::report::Presence;
use keystile_keyring::{UnixTime, in_words};
use keystile_store::{LoadedPublic, Store};

use super::Check;
use crate::health::problems;

/// Replicas, clocks, and what `status` would complain of.
pub(super) async fn checks(store: &dyn Store, loaded: &LoadedPublic, now: UnixTime) -> Vec<Check> {
    let manifest = &loaded.manifest;
    let reports = match store.replicas().await {
        Ok(reports) => reports,
        Err(error) => return vec![Check::error("replicas", &error)],
    };
    let maxima = manifest.maxima(now);
    let live: Vec<_> =
        reports.iter().filter(|report| report.presence(now, maxima) == Presence::Live).collect();
    let mut checks = Vec::new();
    if live.is_empty() {
        let found = "no replica reports: rotate will refuse unless told that no gateway runs";
        checks.push(Check::warn("replicas", found, "start a gateway: keystile serve"));
    } else {
        let current = live.iter().filter(|report| report.generation == manifest.generation).count();
        let found = format!("{} live, {current} at generation {}", live.len(), manifest.generation);
        checks.push(Check::ok("replicas", found));
        let offsets = live.iter().filter_map(|report| report.clock_offset).map(i64::unsigned_abs);
        if let Some(worst) = offsets.max() {
            let found = format!("within {} of the store's", in_words(worst));
            let bound = manifest.policy.max_skew;
            if worst <= bound {
                checks.push(Check::ok("clocks", found));
            }
        }
    }
    let problems = problems(manifest, loaded.digest, &reports, now);
    checks.extend(problems.iter().map(|problem| Check::of("fleet", problem)));
    checks
}
