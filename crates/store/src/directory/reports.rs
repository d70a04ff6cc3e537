//! The replicas' reports: one small file each, replaced whole.

use keystile_keyring::{ReplicaId, ReplicaReport};

use super::generation::{self, Generation};
use super::names::REPLICAS;
use super::place::{Content, Place};
use super::{Root, occupancy};
use crate::members::{self, limits};
use crate::{FileError, LoadError, StoreError};

/// Replaces the report of its replica.
///
/// It is not made durable: a report that a power loss takes is written again in seconds.
pub(super) fn write(root: &Root, report: &ReplicaReport) -> Result<(), StoreError> {
    let name = members::report(&report.replica);
    let bytes = serde_json::to_vec(report).map_err(|error| FileError::new("write", &name, error))?;
    if bytes.len() > limits::REPORT_BYTES {
        return Err(StoreError::ReportTooLarge {
            replica: report.replica.clone(),
            found: bytes.len(),
            limit: limits::REPORT_BYTES,
        });
    }
    let place = generation::open(root)?;
    if Generation::newest(&place)?.is_none() {
        // Reports are remains of a life: none may appear where no keyring ever was.
        let found = occupancy::look(&place).map_or_else(|error| error.to_string(), |found| found.to_string());
        return Err(LoadError::Missing { place: root.path.display().to_string(), found }.into());
    }
    let reports = if place.has(REPLICAS)? { place.enter(REPLICAS)? } else { make(&place)? };
    let _turn = root.reporting.lock();
    let new = unfinished(&name);
    reports.remove(&new)?;
    reports.create_fast(&new, 0o644, &bytes)?;
    Ok(reports.rename(&new, &name)?)
}

/// Two replicas may make the directory at once.
fn make(place: &Place) -> Result<Place, StoreError> {
    match place.make(REPLICAS) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(place.enter(REPLICAS)?),
        made => Ok(made?),
    }
}

fn unfinished(name: &str) -> String {
    format!(".{name}.new")
}

/// Every report there is.
pub(super) fn read(root: &Root) -> Result<Vec<ReplicaReport>, StoreError> {
    let place = generation::open(root)?;
    if !place.has(REPLICAS)? {
        return Ok(Vec::new());
    }
    let place = place.enter(REPLICAS)?;
    let names: Vec<_> = place.names()?.into_iter().filter(|name| !name.starts_with('.')).collect();
    let now = root.clock.now();
    let mut reports = Vec::new();
    for name in names.iter().take(limits::REPORTS) {
        match read_one(&place, name) {
            Ok(Some(report)) => reports.push(report),
            Ok(None) => {}
            Err(why) => {
                // Where not even its age can be told, it counts as of now.
                let written = place.modified(name).ok().flatten().unwrap_or(now);
                reports.push(ReplicaReport::unreadable(name, written, &why));
            }
        }
    }
    reports.extend(members::beyond_the_limit(names.len(), now));
    Ok(reports)
}

fn read_one(place: &Place, name: &str) -> Result<Option<ReplicaReport>, String> {
    let content = place.read(name, limits::REPORT_BYTES, false).map_err(|error| error.source.to_string())?;
    let Some(Content { bytes, modified, .. }) = content else {
        return Ok(None);
    };
    if bytes.len() > limits::REPORT_BYTES {
        return Err(format!("more than {} bytes", limits::REPORT_BYTES));
    }
    let mut report = ReplicaReport::from_json(&bytes).map_err(|error| error.to_string())?;
    if members::report(&report.replica) != name {
        return Err(format!("it is of {}, which has another file", report.replica));
    }
    let reported = i64::try_from(report.reported_at.0).unwrap_or(i64::MAX);
    report.clock_offset = Some(ReplicaReport::offset(reported, modified));
    Ok(Some(report))
}

/// Removes the report of `replica`.
pub(super) fn forget(root: &Root, replica: &ReplicaId) -> Result<(), StoreError> {
    let place = generation::open(root)?;
    if place.has(REPLICAS)? {
        let reports = place.enter(REPLICAS)?;
        let name = members::report(replica);
        reports.remove(&unfinished(&name))?;
        reports.remove(&name)?;
    }
    Ok(())
}
