//! Where no keyring is created, because something of an older life is there.

use keystile_store::conformance::{KEY_SET, Sample, report_of};
use keystile_store::{CommitError, Occupancy, Store};

use crate::common::{Directory, write};

/// Nothing may be created there, and what is there stays as it is.
async fn refused(directory: &Directory, says: &str) {
    let store = directory.store();
    let before = directory.files();
    let found = store.occupancy().await.unwrap();
    assert!(matches!(&found, Occupancy::Remains(what) if what.contains(says)), "{found:?}, not {says}");
    let error = store.compare_and_swap(Sample::new().first()).await.unwrap_err();
    assert!(matches!(error, CommitError::Occupied { .. }), "{error}");
    assert!(store.load().await.is_err());
    let after = directory.files();
    let kept = before.iter().all(|file| after.contains(file));
    assert!(kept, "something was lost: {says}");
}

#[tokio::test]
async fn t06_generations_without_a_link() {
    let directory = Directory::new();
    Sample::new().create(&directory.store()).await;
    std::fs::remove_file(directory.path().join("..data")).unwrap();
    refused(&directory, "ln -s ..g1-").await;
    // The remedy that it names works.
    let generation = directory.generations().remove(0);
    std::os::unix::fs::symlink(generation, directory.path().join("..data")).unwrap();
    assert!(directory.store().load().await.is_ok());
}

#[tokio::test]
async fn t06_links_without_a_generation() {
    let directory = Directory::new();
    Sample::new().create(&directory.store()).await;
    std::fs::remove_file(directory.path().join("..data")).unwrap();
    std::fs::remove_dir_all(directory.path().join(&directory.generations()[0])).unwrap();
    refused(&directory, "links").await;
}

#[tokio::test]
async fn t06_reports_of_replicas() {
    let directory = Directory::new();
    let store = directory.store();
    Sample::new().create(&store).await;
    store.report(&report_of("gateway-1", 1)).await.unwrap();
    for name in directory.names().iter().filter(|name| *name != "replicas") {
        let path = directory.path().join(name);
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
    refused(&directory, "replicas").await;
}

#[tokio::test]
async fn t06_a_manifest_or_key_that_lies_about() {
    for name in ["keyring.json", "key-8b98b466-00112233445566778899aabbccddeeff.pem"] {
        let directory = Directory::new();
        directory.put_files(&[(name, b"?")]);
        refused(&directory, name).await;
    }
}

#[tokio::test]
async fn t06_a_witness_alone_and_a_spoilt_one() {
    let directory = Directory::new();
    let store = directory.store();
    write(store.witness_path(), 0o644, b"spoilt");
    refused(&directory, "unreadable").await;
    assert!(!directory.path().exists(), "not even the directory is made");
}

#[tokio::test]
async fn t06_any_two_files_of_a_key_set() {
    for (missing, _) in KEY_SET {
        let directory = Directory::new();
        let two: Vec<_> = KEY_SET.into_iter().filter(|(name, _)| *name != missing).collect();
        directory.put_files(&two);
        refused(&directory, missing).await;
    }
}

#[tokio::test]
async fn what_is_nobodys_does_not_hinder() {
    let directory = Directory::new();
    directory.put_files(&[("README", b"keys live here"), (".gitignore", b"*")]);
    std::fs::create_dir(directory.path().join("replicas")).unwrap();
    let store = directory.store();
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::Empty);
    Sample::new().create(&store).await;
    assert!(directory.path().join("README").exists());
}

#[tokio::test]
async fn a_directory_whose_link_leads_nowhere_counts_as_a_keyring() {
    let directory = Directory::new();
    std::fs::create_dir(directory.path()).unwrap();
    std::os::unix::fs::symlink("..g7-gone-0", directory.path().join("..data")).unwrap();
    let store = directory.store();
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::Keyring);
    let error = store.compare_and_swap(Sample::new().first()).await.unwrap_err();
    assert!(matches!(error, CommitError::Occupied { .. }), "{error}");
}
