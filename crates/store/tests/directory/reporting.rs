//! Report files.

use std::time::{Duration, SystemTime};

use keystile_keyring::ReplicaReport;
use keystile_keyring::report::Condition;
use keystile_store::conformance::{START, Sample, report_of};
use keystile_store::{Store, members};

use crate::common::{Directory, names, write};

async fn ring() -> Directory {
    let directory = Directory::new();
    Sample::new().create(&directory.store()).await;
    directory
}

#[tokio::test]
async fn i2_what_is_not_a_report_counts_as_a_replica_that_holds_nothing() {
    let directory = ring().await;
    let store = directory.store();
    store.report(&report_of("gateway-1", 1)).await.unwrap();
    let reports = directory.path().join("replicas");
    let good = std::fs::read(reports.join(&names(&reports)[0])).unwrap();
    let under_another_name = reports.join("gateway-9.json");
    write(&under_another_name, 0o644, &good);
    write(&reports.join("empty.json"), 0o644, b"");
    write(&reports.join("garbage.json"), 0o644, b"{\"replica\":");
    write(&reports.join("large.json"), 0o644, &vec![b' '; members::limits::REPORT_BYTES + 1]);
    write(&reports.join(".gateway-3.json.new"), 0o644, &good);
    std::fs::create_dir(reports.join("directory.json")).unwrap();
    std::os::unix::fs::symlink(under_another_name, reports.join("link.json")).unwrap();
    let found = store.replicas().await.unwrap();
    let unread = |report: &&ReplicaReport| matches!(report.condition, Condition::Unreadable(_));
    let name = |report: &ReplicaReport| report.replica.as_str().to_owned();
    assert_eq!(found.iter().filter(|report| !unread(report)).map(name).collect::<Vec<_>>(), ["gateway-1"]);
    let mut unreadable: Vec<_> = found.iter().filter(unread).map(name).collect();
    unreadable.sort();
    let expected =
        ["directory.json", "empty.json", "garbage.json", "gateway-9.json", "large.json", "link.json"];
    assert_eq!(unreadable, expected);
    assert!(found.iter().filter(unread).all(|report| report.keys.is_empty()));
}

/// Its age is the file's: once no replica of that age could be live, it counts no more.
#[tokio::test]
async fn a_report_that_cannot_be_read_is_as_old_as_its_file() {
    let directory = ring().await;
    let reports = directory.path().join("replicas");
    std::fs::create_dir(&reports).unwrap();
    write(&reports.join("garbage.json"), 0o644, b"{");
    let stamp = SystemTime::UNIX_EPOCH + Duration::from_secs(START.0);
    let file = std::fs::File::options().write(true).open(reports.join("garbage.json")).unwrap();
    file.set_modified(stamp).unwrap();
    assert_eq!(directory.store().replicas().await.unwrap()[0].reported_at, START);
}

#[tokio::test]
async fn a_report_that_was_cut_off_is_written_over() {
    let directory = ring().await;
    let store = directory.store();
    let report = report_of("gateway-1", 1);
    store.report(&report).await.unwrap();
    let reports = directory.path().join("replicas");
    let unfinished = format!(".{}.new", members::report(&report.replica));
    write(&reports.join(&unfinished), 0o644, b"{");
    store.report(&report).await.unwrap();
    assert_eq!(names(&reports), [members::report(&report.replica)]);
    write(&reports.join(&unfinished), 0o644, b"{");
    store.forget(&report.replica).await.unwrap();
    assert_eq!(names(&reports), Vec::<String>::new());
}

#[tokio::test]
async fn a_bounded_number_is_read() {
    let directory = ring().await;
    let store = directory.store();
    store.report(&report_of("gateway", 1)).await.unwrap();
    let reports = directory.path().join("replicas");
    for number in 0..members::limits::REPORTS + 10 {
        let report = report_of(&format!("gateway-{number}"), 1);
        let bytes = serde_json::to_vec(&report).unwrap();
        write(&reports.join(members::report(&report.replica)), 0o644, &bytes);
    }
    let found = store.replicas().await.unwrap();
    assert_eq!(found.len(), members::limits::REPORTS + 1);
    let last = found.last().unwrap();
    assert_eq!(last.replica.as_str(), "11-more");
    assert!(matches!(&last.condition, Condition::Unreadable(why) if why.contains("1035")), "{last:?}");
}

#[tokio::test]
async fn a_replicas_clock_is_compared_with_the_file_systems() {
    let directory = ring().await;
    let store = directory.store();
    let report = report_of("gateway-1", 1);
    store.report(&report).await.unwrap();
    let file = directory.path().join("replicas").join(members::report(&report.replica));
    // A second of what the two show may be none: they are whole seconds, read one after the other.
    for (shown, offset) in [(-40, -39), (-2, -1), (-1, 0), (0, 0), (1, 0), (25, 24)] {
        let written = report.reported_at.0.checked_add_signed(-shown).unwrap();
        let stamp = SystemTime::UNIX_EPOCH + Duration::from_secs(written);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(stamp).unwrap();
        assert_eq!(store.replicas().await.unwrap()[0].clock_offset, Some(offset));
    }
}

/// Threads of one process, and processes: no report is torn.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reports_that_are_written_at_once_are_whole() {
    let directory = ring().await;
    let store = std::sync::Arc::new(directory.store());
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for round in 0..20 {
                let mut report = report_of(if writer % 2 == 0 { "even" } else { "odd" }, 1);
                report.reported_at = START.plus(round);
                store.report(&report).await.unwrap();
            }
        });
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
        assert!(store.replicas().await.unwrap().len() <= 2);
    }
    let found = store.replicas().await.unwrap();
    assert_eq!(found.iter().map(|report| report.replica.as_str()).collect::<Vec<_>>(), ["even", "odd"]);
}
