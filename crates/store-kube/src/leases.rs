//! The replicas' reports: one Lease each, replaced whole.
//!
//! The report is an annotation; what the Lease itself says is for people. A replica counts as the
//! keyring's rules say (its last report, max_staleness, max_skew), not until its Lease runs out.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keystile_keyring::{ReplicaId, ReplicaReport, UnixTime};
use keystile_kubernetes::{ApiError, Call, Meta, Object, ObjectName, micro_time, rfc3339};
use keystile_store::members::limits;
use keystile_store::parts::beyond_the_limit;
use keystile_store::{FileError, StoreError};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::secret::cause;
use crate::{Pod, Root, witness};

/// The label by which a store's reports are found: a digest of the Secret's name.
const LABEL: &str = "keystile/store";
/// The annotation that holds the report, as JSON.
const REPORT: &str = "keystile/report";
/// The annotation with the API server's clock when the report was written, in seconds.
const SERVER_TIME: &str = "keystile/server-time";
/// The annotation with the name of the replica's pod.
const POD: &str = "keystile/pod";
/// The annotation with its UID.
const POD_UID: &str = "keystile/pod-uid";

/// What people see as the Lease's duration, seconds.
const DURATION: u32 = 330;
/// Leases that one request asks for.
const PAGE: usize = 64;
/// The most bytes of a page.
const PAGE_BYTES: usize = 32 * 1024 * 1024;
/// The most pages: beyond it, what is there is no fleet.
const PAGES: usize = 64;
/// How long a pod that was found to be the one that reports is not asked for again.
const KNOWN: Duration = Duration::from_secs(10);
/// By how much the server's clocks may differ, seconds.
const SLACK: u64 = 60;

/// The Lease of `replica`. Its hash tells any two replicas and any two stores apart; the rest is for people.
fn name(root: &Root, replica: &ReplicaId) -> String {
    const SHOWN: usize = 40;
    let plain = |byte: u8| {
        let byte = byte.to_ascii_lowercase();
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() { char::from(byte) } else { '-' }
    };
    let shown: String = replica.as_str().bytes().take(SHOWN).map(plain).collect();
    let shown = shown.trim_matches('-');
    let hash = short_hash(&format!("{}/{replica}", root.secret));
    if shown.is_empty() { format!("keystile-{hash}") } else { format!("keystile-{shown}-{hash}") }
}

fn short_hash(text: &str) -> String {
    keystile_token::digest(text.as_bytes()).to_string().chars().take(32).collect()
}

fn label(root: &Root) -> String {
    short_hash(&root.secret.to_string())
}

fn collection(root: &Root) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", root.secret.namespace())
}

fn failed(root: &Root, doing: &'static str, what: &str, error: ApiError) -> FileError {
    let place = format!("Lease {}/{what}", root.secret.namespace());
    FileError::new(doing, place, cause(error))
}

/// Replaces the report of its replica.
pub(crate) async fn write(root: &Root, report: &ReplicaReport) -> Result<(), StoreError> {
    let name = name(root, &report.replica);
    let json = serde_json::to_string(report)
        .map_err(|error| FileError::new("write", format!("Lease {name}"), error))?;
    if json.len() > limits::REPORT_BYTES {
        return Err(StoreError::ReportTooLarge {
            replica: report.replica.clone(),
            found: json.len(),
            limit: limits::REPORT_BYTES,
        });
    }
    expect_keyring(root).await?;
    let lease = lease(root, report, &name, json);
    let body = Zeroizing::new(lease.to_string().into_bytes());
    let path = format!("{}/{name}", collection(root));
    let mut written = root.api.call(Call::merge(&path, body.clone())).await;
    if written.as_ref().is_err_and(|error| error.code() == Some(404)) {
        written = root.api.call(Call::create(collection(root), body.clone())).await;
        // Another one of this replica's reports was faster.
        if written.as_ref().is_err_and(|error| error.code() == Some(409)) {
            written = root.api.call(Call::merge(&path, body)).await;
        }
    }
    written.map_err(|error| failed(root, "write", &name, error))?;
    Ok(())
}

/// Reports are remains of a life: none may appear where no keyring ever was.
async fn expect_keyring(root: &Root) -> Result<(), StoreError> {
    if root.used.load(Ordering::Relaxed) {
        return Ok(());
    }
    if root.options.witness_only {
        witness::load(root).await?;
        return Ok(());
    }
    let found = root.read().await?;
    crate::secret::newest(root, found.as_ref())?;
    Ok(())
}

fn lease(root: &Root, report: &ReplicaReport, name: &str, json: String) -> serde_json::Value {
    let mut annotations = BTreeMap::from([(REPORT, json)]);
    if let Some(time) = root.api.time() {
        annotations.insert(SERVER_TIME, time.0.to_string());
    }
    // Whoever reads the report looks for the pod in the store's namespace.
    let pod = root.options.pod.as_ref().filter(|pod| pod.name.namespace() == root.secret.namespace());
    if let Some(Pod { name, uid }) = pod {
        annotations.insert(POD, name.name().to_owned());
        annotations.insert(POD_UID, uid.clone());
    }
    let holder = if report.withdrawn_at.is_some() { "" } else { report.replica.as_str() };
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "namespace": root.secret.namespace(),
            "name": name,
            "labels": { (LABEL): label(root), "app.kubernetes.io/managed-by": "keystile" },
            "annotations": annotations,
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": DURATION,
            "renewTime": micro_time(report.reported_at),
        },
    })
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
    // An empty list may be written as null.
    items: Option<Vec<Lease>>,
}

#[derive(Deserialize)]
struct ListMeta {
    #[serde(default, rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Lease {
    metadata: Meta,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    renew_time: Option<String>,
}

async fn page(root: &Root, size: usize, next: Option<&str>) -> Result<List, StoreError> {
    let selector = format!("{LABEL}={}", label(root));
    let call = Call::get(collection(root)).with("labelSelector", &selector).with("limit", &size.to_string());
    let call = match next {
        Some(next) => call.with("continue", next),
        None => call,
    };
    let listed = root.api.json(call.at_most(PAGE_BYTES)).await;
    Ok(listed.map_err(|error| failed(root, "list", "*", error))?)
}

/// Whether any replica ever reported here.
pub(crate) async fn any(root: &Root) -> Result<bool, StoreError> {
    Ok(page(root, 1, None).await?.items.is_some_and(|items| !items.is_empty()))
}

/// Every report there is.
pub(crate) async fn read(root: &Root) -> Result<Vec<ReplicaReport>, StoreError> {
    let now = root.clock.now();
    let mut reports = Vec::new();
    let (mut count, mut next) = (0, None);
    for _ in 0..PAGES {
        let listed = page(root, PAGE, next.as_deref()).await?;
        for lease in listed.items.unwrap_or_default() {
            count += 1;
            if count <= limits::REPORTS {
                reports.push(read_one(root, &lease, now).await);
            }
        }
        next = listed.metadata.next.filter(|next| !next.is_empty());
        if next.is_none() {
            break;
        }
    }
    reports.extend(beyond_the_limit(count, now));
    Ok(reports)
}

async fn read_one(root: &Root, lease: &Lease, now: UnixTime) -> ReplicaReport {
    let meta = &lease.metadata;
    let read = match understood(root, meta) {
        Ok(report) => against_pod(root, meta, report).await,
        Err(why) => Err(why),
    };
    read.unwrap_or_else(|why| {
        // Where not even its age can be told, it counts as of now.
        let written = lease.spec.renew_time.as_deref().and_then(rfc3339).unwrap_or(now);
        ReplicaReport::unreadable(&meta.name, written.min(now), &why)
    })
}

fn understood(root: &Root, meta: &Meta) -> Result<ReplicaReport, String> {
    let json = meta.annotations.get(REPORT).ok_or_else(|| format!("it has no annotation {REPORT}"))?;
    if json.len() > limits::REPORT_BYTES {
        return Err(format!("more than {} bytes", limits::REPORT_BYTES));
    }
    let mut report = ReplicaReport::from_json(json.as_bytes()).map_err(|error| error.to_string())?;
    if name(root, &report.replica) != meta.name {
        return Err(format!("it is of {}, which has another Lease", report.replica));
    }
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    let reported = signed(report.reported_at.0);
    report.clock_offset = server_time(meta).map(|time| ReplicaReport::offset(reported, signed(time.0)));
    Ok(report)
}

fn server_time(meta: &Meta) -> Option<UnixTime> {
    meta.annotations.get(SERVER_TIME)?.parse().ok().map(UnixTime)
}

/// A report that speaks for a pod must be of the pod that has that name: one that goes on after another
/// pod took the name is nobody's whom the cluster knows, and is not taken for a replica's consent.
async fn against_pod(root: &Root, meta: &Meta, report: ReplicaReport) -> Result<ReplicaReport, String> {
    let (Some(pod), Some(uid)) = (meta.annotations.get(POD), meta.annotations.get(POD_UID)) else {
        return Ok(report);
    };
    let Ok(pod) = ObjectName::new(root.secret.namespace(), pod) else {
        return Err(format!("its annotation {POD} names no pod"));
    };
    let known = (pod.name().to_owned(), uid.clone());
    if root.is_known(&known) {
        return Ok(report);
    }
    let path = format!("/api/v1/namespaces/{}/pods/{}", pod.namespace(), pod.name());
    let found: Result<Option<Object>, _> = root.api.find(Call::get(path).metadata_only()).await;
    let live = match found {
        Ok(Some(live)) => live.metadata,
        // A pod that is gone: its report counts until it is too old, as any.
        Ok(None) => return Ok(report),
        // Gateways may not ask, and need not: whoever rotates should.
        Err(error) => {
            tracing::debug!(%error, "a report is not checked against its pod");
            return Ok(report);
        }
    };
    if live.uid == *uid {
        root.know(known);
        return Ok(report);
    }
    let successor_since = live.creation_timestamp.as_deref().and_then(rfc3339);
    let spoke_at = server_time(meta).unwrap_or(report.reported_at);
    let outlived = successor_since.is_some_and(|since| spoke_at > since.plus(SLACK));
    if outlived && report.withdrawn_at.is_none() {
        return Err(format!("it speaks for pod {} {uid}, and that name is now of {}", pod.name(), live.uid));
    }
    Ok(report)
}

impl Root {
    fn is_known(&self, pod: &(String, String)) -> bool {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.get(pod).is_some_and(|at| self.clock.uptime().saturating_sub(*at) < KNOWN)
    }

    fn know(&self, pod: (String, String)) {
        let now = self.clock.uptime();
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        pods.retain(|_, at| now.saturating_sub(*at) < KNOWN);
        pods.insert(pod, now);
    }
}

/// Removes the report of `replica`.
pub(crate) async fn forget(root: &Root, replica: &ReplicaId) -> Result<(), StoreError> {
    let name = name(root, replica);
    match root.api.call(Call::delete(format!("{}/{name}", collection(root)))).await {
        Err(error) if error.code() != Some(404) => Err(failed(root, "delete", &name, error).into()),
        _ => Ok(()),
    }
}
