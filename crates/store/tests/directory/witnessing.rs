//! The witness file.

use std::sync::Arc;

use keystile_store::conformance::Sample;
use keystile_store::directory::Options;
use keystile_store::{CommitError, DirectoryStore, Store, StoreError};

use crate::common::{Directory, names, write};

#[tokio::test]
async fn it_lies_beside_the_directory() {
    let directory = Directory::new();
    let store = directory.store();
    assert_eq!(store.witness_path(), directory.around().join("ring.witness.json"));
    let sample = Sample::new();
    sample.create(&store).await;
    store.write_witness(&sample.manifest).await.unwrap();
    assert_eq!(names(directory.around()), ["ring", "ring.witness.json"]);
    let stored = std::fs::read(store.witness_path()).unwrap();
    assert_eq!(stored, sample.manifest.to_json().unwrap(), "the whole manifest");
}

#[tokio::test]
async fn it_may_lie_elsewhere() {
    let directory = Directory::new();
    let witness = directory.around().join("elsewhere.json");
    let store = directory.store_with(Options { witness: Some(witness.clone()), ..Options::default() });
    let sample = Sample::new();
    sample.create(&store).await;
    store.write_witness(&sample.manifest).await.unwrap();
    assert!(witness.exists());
    assert_eq!(directory.store().witness().await.unwrap(), None);
}

#[test]
fn one_directory_has_one_witness_however_it_is_written() {
    let directory = Directory::new();
    let clock = Arc::new(directory.clock.clone());
    let slash = format!("{}/", directory.path().display());
    let store = DirectoryStore::new(&slash, clock.clone()).unwrap();
    assert_eq!(store.witness_path(), directory.store().witness_path());
    let error = DirectoryStore::new("/", clock.clone()).err().unwrap();
    assert!(matches!(error, StoreError::Place { .. }), "{error}");
    let inside = Options { witness: Some(directory.path().join("w.json")), ..Options::default() };
    let error = DirectoryStore::with(directory.path(), clock, inside).err().unwrap();
    assert!(matches!(error, StoreError::Place { .. }), "{error}");
}

/// Nobody knows what the store must follow, so nothing is committed.
#[tokio::test]
async fn a_spoilt_one_stops_every_change() {
    let directory = Directory::new();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    store.write_witness(&sample.manifest).await.unwrap();
    write(store.witness_path(), 0o644, b"{\"schema\": \"keystile/keyring/v1\"");
    let base = sample.base();
    sample.bump();
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Witness(StoreError::WitnessGarbage { .. })), "{error}");
    assert!(matches!(store.witness().await, Err(StoreError::WitnessGarbage { .. })));
    assert!(matches!(store.write_witness(&sample.manifest).await, Err(StoreError::WitnessGarbage { .. })));
    assert_eq!(store.load().await.unwrap().base(), base);
}

/// A change that could not be remembered is refused before it happens, not regretted after.
#[tokio::test]
async fn one_that_cannot_be_written_stops_every_change() {
    let directory = Directory::new();
    let witness = directory.around().join("not-there/witness.json");
    let store = directory.store_with(Options { witness: Some(witness), ..Options::default() });
    let error = store.compare_and_swap(Sample::new().first()).await.unwrap_err();
    assert!(matches!(error, CommitError::Io(_)), "{error}");
    assert!(store.load().await.is_err());
}

/// A link to the store, a way around to it and the store itself are one store with one witness (I8).
#[tokio::test]
async fn i8_links_to_a_store_have_its_witness() {
    let directory = Directory::new();
    let clock = Arc::new(directory.clock.clone());
    let expected = directory.around().canonicalize().unwrap().join("ring.witness.json");
    let ways = || {
        let around = directory.around().join("elsewhere/../ring");
        [directory.path(), directory.around().join("link"), around]
    };
    std::fs::create_dir(directory.around().join("elsewhere")).unwrap();
    let before = DirectoryStore::new(directory.path(), clock.clone()).unwrap();
    assert_eq!(before.witness_path(), expected, "a place that is not there yet");
    Sample::new().create(&before).await;
    std::os::unix::fs::symlink("ring", directory.around().join("link")).unwrap();
    for way in ways() {
        let store = DirectoryStore::new(&way, clock.clone()).unwrap();
        assert_eq!(store.witness_path(), expected, "{}", way.display());
    }
    let inside = Options { witness: Some(directory.path().join("w.json")), ..Options::default() };
    let error = DirectoryStore::with(directory.around().join("link"), clock, inside).err().unwrap();
    assert!(matches!(error, StoreError::Place { .. }), "{error}");
}
