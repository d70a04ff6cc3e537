//! A process that masks no permission bit still writes private files for itself only. In a program of
//! its own, since the mask is the whole process's.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests assert")]

mod common;

use common::{Directory, mode_of, set_mode};
use keystile_store::conformance::{KEY_SET, START, Sample, report_of};
use keystile_store::{Store, members};

#[tokio::test]
async fn no_mask_opens_a_private_file() {
    rustix::process::umask(rustix::fs::Mode::empty());
    let directory = Directory::new();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    sample.change(&store, |sample| sample.rotated(START)).await;
    store.report(&report_of("gateway-1", 1)).await.unwrap();
    assert_eq!(mode_of(&directory.path()), 0o700);
    for name in directory.generations().iter().map(String::as_str).chain(["replicas"]) {
        assert_eq!(mode_of(&directory.path().join(name)), 0o700, "{name}");
    }
    for (path, _) in directory.files() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let private = members::is_private_key(name) || name == "signing.pem" || name.starts_with('.');
        assert_eq!(mode_of(&path), if private { 0o600 } else { 0o644 }, "{name}");
    }
    let adopted = Directory::new();
    adopted.put_files(&KEY_SET);
    set_mode(&adopted.path(), 0o755);
    Sample::adopted().create(&adopted.store()).await;
    assert_eq!(mode_of(&std::fs::canonicalize(adopted.path().join("signing.pem")).unwrap()), 0o600);
}
