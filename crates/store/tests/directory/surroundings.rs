//! Real surroundings: a read-only and a full file system, a process that is killed.
//!
//! Each test runs this program again as another process; file systems of its own need a mount
//! namespace, and where the system gives none, the test says so and passes.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use keystile_store::conformance::{START, Sample, report_of};
use keystile_store::{CommitError, LoadError, Store, StoreError};
use keystile_system::{Environment, ProcessEnvironment};

use crate::common::Directory;

const WHERE: &str = "KEYSTILE_TEST_DIRECTORY";

/// This program, to run the one test that is named.
fn again(test: &str, around: &Path) -> Vec<String> {
    let program = std::env::current_exe().unwrap();
    assert!(around.is_absolute());
    [program.to_str().unwrap(), "--ignored", "--exact", test, "--nocapture"].map(str::to_owned).to_vec()
}

/// Runs the test in a mount namespace of its own after `setup`, a shell command for which `$0` is the
/// directory; `false` if the system gives no such namespace.
fn isolated(setup: &str, test: &str, around: &Path) -> bool {
    let possible = Command::new("unshare").args(["-Urm", "true"]).stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no mount namespace can be made here");
        return false;
    }
    let script = format!("{setup} && exec \"$@\"");
    let status = Command::new("unshare")
        .args(["-Urm", "sh", "-c", &script])
        .arg(around)
        .args(again(test, around))
        .env(WHERE, around)
        .status()
        .unwrap();
    assert!(status.success(), "{test}");
    true
}

fn given() -> Directory {
    Directory::at(ProcessEnvironment.get(WHERE).unwrap())
}

#[tokio::test]
async fn t37_a_read_only_file_system() {
    let directory = Directory::new();
    let store = directory.store();
    let sample = Sample::new();
    sample.create(&store).await;
    store.report(&report_of("gateway-1", 1)).await.unwrap();
    store.write_witness(&sample.manifest).await.unwrap();
    let before = directory.files();
    let setup = "mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\"";
    isolated(setup, "surroundings::on_a_read_only_file_system", directory.around());
    assert_eq!(directory.files(), before);
}

#[tokio::test]
#[ignore = "run by another test"]
async fn on_a_read_only_file_system() {
    let directory = given();
    let store = directory.store();
    let loaded = store.load().await.unwrap();
    let mut sample = Sample::resumed(loaded);
    let base = sample.base();
    sample.rotated(START);
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    let CommitError::Io(file) = &error else { panic!("{error:?}") };
    assert_eq!(file.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    assert!(file.to_string().contains("writable"), "what to do: {file}");
    let error = store.report(&report_of("gateway-2", 1)).await.unwrap_err();
    assert!(matches!(error, StoreError::Io(_)), "{error}");
    assert!(matches!(store.write_witness(&sample.manifest).await, Err(StoreError::Io(_))));
    assert!(store.clean().await.is_err());
    assert_eq!(store.load().await.unwrap().base(), base, "reading goes on");
    assert_eq!(store.replicas().await.unwrap().len(), 1);
    assert_eq!(store.witness().await.unwrap().unwrap().generation, 1);
    assert!(!store.watch().has_changed().unwrap());
}

#[test]
fn t37_a_full_file_system() {
    let directory = Directory::new();
    let setup = "mount -t tmpfs -o size=256k,mode=0700 none \"$0\"";
    isolated(setup, "surroundings::on_a_full_file_system", directory.around());
}

#[tokio::test]
#[ignore = "run by another test"]
async fn on_a_full_file_system() {
    let directory = given();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    let filler = directory.around().join("filler");
    // Room is left for a few more pages each time, so that each call in turn is the one that fails.
    for pages in 0..8 {
        let base = sample.base();
        let mut next = sample.copy();
        next.rotated(START);
        fill(&filler, pages * 4096);
        let error = store.compare_and_swap(next.on(base)).await;
        std::fs::remove_file(&filler).unwrap();
        match error {
            Err(CommitError::Io(file)) => {
                assert_eq!(file.kind(), std::io::ErrorKind::StorageFull, "{file}");
                assert!(file.to_string().contains("free some space"), "{file}");
                assert_eq!(store.load().await.unwrap().base(), base);
                assert!(directory.generations().len() <= 2, "nothing is left of the attempt");
            }
            Ok(_) => {
                assert!(pages > 2, "a generation needs some room");
                return;
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    let base = sample.base();
    sample.rotated(START);
    store.compare_and_swap(sample.on(base)).await.expect("with room it works");
}

/// Fills the file system but for `room` bytes.
fn fill(filler: &Path, room: usize) {
    use std::io::Write;
    let mut file = std::fs::File::create(filler).unwrap();
    while file.write_all(&[0; 512]).is_ok() {}
    let size = file.metadata().unwrap().len();
    file.set_len(size.saturating_sub(u64::try_from(room).unwrap())).unwrap();
}

fn writer(directory: &Directory) -> Child {
    let command = again("surroundings::writing_for_ever", directory.around());
    Command::new(&command[0])
        .args(&command[1..])
        .env(WHERE, directory.around())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn t35_kill_9_at_any_moment() {
    let directory = Directory::on_disk();
    let store = directory.store();
    Sample::new().create(&store).await;
    let mut ticks = store.watch();
    for round in 0..12 {
        let mut writer = writer(&directory);
        let before = store.load_public().await.unwrap().manifest.generation;
        while store.load_public().await.unwrap().manifest.generation < before + 1 + round % 3 {
            ticks.changed().await.unwrap();
            assert_eq!(writer.try_wait().unwrap(), None, "the writer ended");
        }
        writer.kill().unwrap();
        writer.wait().unwrap();
        let found = store.load().await.unwrap();
        store.clean().await.unwrap();
        assert_eq!(store.load().await.unwrap().base(), found.base());
        assert!(directory.generations().len() <= 2);
        let present: Vec<_> = found.private.iter().map(|(_, private)| private.public_key()).collect();
        for (path, bytes) in directory.files() {
            if let Ok(private) = keystile_token::PrivateKey::from_pem(&bytes) {
                assert!(present.contains(&private.public_key()), "orphan {}", path.display());
            }
        }
    }
}

#[tokio::test]
#[ignore = "run by another test, which kills it"]
async fn writing_for_ever() {
    let store = given().store();
    let mut sample = Sample::resumed(store.load().await.unwrap());
    loop {
        let old = sample.signer();
        sample.change(&store, |sample| sample.rotated(START)).await;
        sample.change(&store, |sample| sample.destroyed(&old, START)).await;
        sample.change(&store, Sample::pruned).await;
    }
}

/// For those who are not root, permission bits do the same; root runs it as nobody.
#[test]
fn t37_a_directory_without_write_permission() {
    const NOBODY: u32 = 65_534;
    let directory = Directory::new();
    let command = again("surroundings::in_a_directory_without_write_permission", directory.around());
    let mut run = Command::new(&command[0]);
    run.args(&command[1..]).env(WHERE, directory.around());
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(directory.around(), Some(NOBODY), Some(NOBODY)).unwrap();
        run.uid(NOBODY).gid(NOBODY);
    }
    match run.status() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: nobody may not run this program");
        }
        status => assert!(status.unwrap().success()),
    }
}

#[tokio::test]
#[ignore = "run by another test"]
async fn in_a_directory_without_write_permission() {
    let directory = given();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    let base = sample.base();
    sample.bump();
    crate::common::set_mode(&directory.path(), 0o500);
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    crate::common::set_mode(&directory.path(), 0o700);
    assert!(matches!(error, CommitError::Io(_)), "{error}");
    assert_eq!(store.load().await.unwrap().base(), base);
    crate::common::set_mode(&directory.path(), 0o000);
    let error = store.load().await.err().unwrap();
    crate::common::set_mode(&directory.path(), 0o700);
    assert!(matches!(error, LoadError::Unreadable(_)), "{error}");
}
