//! Secrets as kubelet mounts them: other names of directories, group-readable files, never changed.

use std::path::Path;

use keystile_store::conformance::{KEY_SET, START, Sample};
use keystile_store::{CommitError, Freshness, LoadError, Mirror, Occupancy, Store};

use crate::common::{Directory, write};

/// Mounts `members` as kubelet does; again, it replaces what was mounted before.
fn mount(directory: &Directory, stamp: &str, members: &[(&str, &[u8])]) {
    let root = directory.path();
    let generation = root.join(stamp);
    std::fs::create_dir_all(&generation).unwrap();
    for (name, bytes) in members {
        write(&generation.join(name), 0o440, bytes);
        let link = root.join(name);
        if !link.is_symlink() {
            std::os::unix::fs::symlink(Path::new("..data").join(name), link).unwrap();
        }
    }
    std::os::unix::fs::symlink(stamp, root.join("..data_tmp")).unwrap();
    std::fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
}

fn mount_sample(directory: &Directory, stamp: &str, sample: &Sample) {
    let image = sample.image(START);
    let members: Vec<(&str, &[u8])> =
        image.members.iter().map(|member| (member.name.as_str(), member.bytes.as_slice())).collect();
    mount(directory, stamp, &members);
}

#[tokio::test]
async fn a_mounted_keyring_is_read_and_its_age_is_only_asserted() {
    let directory = Directory::new();
    let mut sample = Sample::new();
    mount_sample(&directory, "..2026_08_21_10_00_00.123456789", &sample);
    let store = directory.store();
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.base(), sample.base());
    assert_eq!(loaded.freshness, Freshness::Asserted);
    assert_eq!(loaded.private.len(), 1);
    assert_eq!(store.load_public().await.unwrap().freshness, Freshness::Asserted);
    assert_eq!(store.mirror().await.unwrap(), Mirror::Current { kid: sample.signer() });
    assert_eq!(store.read_key_set().await.unwrap().kid, sample.signer());
    let mut ticks = store.watch();
    sample.rotated(START);
    mount_sample(&directory, "..2026_08_21_10_01_00.987654321", &sample);
    ticks.changed().await.unwrap();
    assert_eq!(store.load().await.unwrap().base(), sample.base());
}

#[tokio::test]
async fn a_mounted_keyring_is_not_changed() {
    let directory = Directory::new();
    let mut sample = Sample::new();
    mount_sample(&directory, "..2026_08_21_10_00_00.123456789", &sample);
    let store = directory.store();
    let before = directory.files();
    let base = sample.base();
    let error = store.compare_and_swap(sample.first()).await.unwrap_err();
    assert!(matches!(error, CommitError::Occupied { .. }), "{error}");
    sample.bump();
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Copy { .. }), "{error}");
    assert_eq!(store.clean().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.load().await.unwrap().base(), base);
    let after: Vec<_> = directory.files().into_iter().filter(|(path, _)| !path.ends_with(".lock")).collect();
    assert_eq!(after, before);
}

#[tokio::test]
async fn a_mounted_openshell_secret_is_recognised_and_adopted_elsewhere() {
    let directory = Directory::new();
    mount(&directory, "..2026_08_21_10_00_00.123456789", &KEY_SET);
    let store = directory.store();
    let sample = Sample::adopted();
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::OpenShellKeySet(sample.signer()));
    assert!(matches!(store.load().await, Err(LoadError::NotAdopted { .. })));
    assert_eq!(store.read_key_set().await.unwrap().kid, sample.signer());
    let error = store.compare_and_swap(sample.first()).await.unwrap_err();
    assert!(matches!(error, CommitError::Copy { .. }), "{error}");
}

#[tokio::test]
async fn t40_a_mount_of_single_files_is_a_key_set_that_never_changes() {
    let directory = Directory::new();
    directory.put_files(&KEY_SET);
    assert!(matches!(directory.store().load().await, Err(LoadError::NotAdopted { .. })));
}
