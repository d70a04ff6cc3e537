//! What lies in the directory after a change.

use std::os::unix::fs::MetadataExt;

use keystile_keyring::UnixTime;
use keystile_keyring::plan::Base;
use keystile_store::conformance::{KEY_SET, START, Sample};
use keystile_store::{Store, members};

use crate::common::{Directory, mode_of, names};

/// The part of a PEM text that is the key's alone.
fn body(pem: &str) -> &str {
    pem.lines().nth(1).unwrap()
}

fn holds(directory: &Directory, text: &str) -> bool {
    let files = directory.files();
    files.iter().any(|(_, bytes)| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

#[tokio::test]
async fn the_layout_is_the_one_of_a_mounted_secret() {
    let directory = Directory::on_disk();
    let sample = Sample::new();
    sample.create(&directory.store()).await;
    let data = std::fs::read_link(directory.path().join("..data")).unwrap();
    let key = members::private_key(&sample.signer());
    let mut expected = vec!["keyring.json", "kid", "public.pem", "signing.pem", &key];
    expected.sort_unstable();
    assert_eq!(names(&directory.path().join(&data)), expected);
    for name in ["keyring.json", "kid", "public.pem", "signing.pem"] {
        let link = std::fs::read_link(directory.path().join(name)).unwrap();
        assert_eq!(link.to_str().unwrap(), format!("..data/{name}"));
    }
    let all: Vec<_> = directory.names().into_iter().filter(|name| *name != data.to_str().unwrap()).collect();
    assert_eq!(all, ["..data", ".lock", "keyring.json", "kid", "public.pem", "signing.pem"]);
}

#[tokio::test]
async fn private_files_are_for_the_owner_only() {
    let directory = Directory::new();
    let store = directory.store();
    let sample = Sample::new();
    sample.create(&store).await;
    assert_eq!(mode_of(&directory.path()), 0o700);
    let generation = directory.path().join(&directory.generations()[0]);
    assert_eq!(mode_of(&generation), 0o700);
    for name in ["signing.pem", &members::private_key(&sample.signer())] {
        assert_eq!(mode_of(&generation.join(name)), 0o600, "{name}");
    }
    for name in ["keyring.json", "public.pem", "kid"] {
        assert_eq!(mode_of(&generation.join(name)) & 0o600, 0o600, "{name}");
    }
}

#[tokio::test]
async fn parents_are_made_where_they_are_not_there() {
    let directory = Directory::new();
    let deep = directory.path().join("a/b");
    let store =
        keystile_store::DirectoryStore::new(&deep, std::sync::Arc::new(directory.clock.clone())).unwrap();
    Sample::new().create(&store).await;
    for path in [&deep, deep.parent().unwrap()] {
        assert_eq!(mode_of(path), 0o700, "{}", path.display());
    }
    assert!(store.load().await.is_ok());
}

#[tokio::test]
async fn t42_a_single_key_reader_starts_from_it() {
    let directory = Directory::new();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    let kid = sample.change(&store, |sample| sample.rotated(START)).await;
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(read("kid"), kid.as_str(), "no newline");
    assert_eq!(read("signing.pem"), sample.pem(&kid));
    assert!(read("signing.pem").contains("BEGIN PRIVATE KEY"));
    let public = keystile_token::public_key_from_pem(read("public.pem").as_bytes()).unwrap();
    assert_eq!(public, sample.manifest.key(&kid).unwrap().public_key);
}

/// An adopted key set stays where a single-key gateway looks for it.
#[tokio::test]
async fn t42_an_adopted_place_still_starts_a_single_key_reader() {
    let directory = Directory::new();
    directory.put_files(&KEY_SET);
    let store = directory.store();
    let mut sample = Sample::adopted();
    sample.create(&store).await;
    let files = ["signing.pem", "public.pem", "kid"];
    for name in files {
        assert!(directory.path().join(name).is_symlink(), "{name}");
    }
    assert_eq!(std::fs::read_to_string(directory.path().join("kid")).unwrap(), sample.signer().as_str());
    let new = sample.change(&store, |sample| sample.rotated(START)).await;
    assert_eq!(std::fs::read_to_string(directory.path().join("kid")).unwrap(), new.as_str());
}

#[tokio::test]
async fn t47_a_destroyed_private_key_is_in_no_file() {
    let directory = Directory::new();
    directory.put_files(&KEY_SET);
    let store = directory.store();
    let mut sample = Sample::adopted();
    let old = sample.signer();
    let traces =
        [body(std::str::from_utf8(KEY_SET[0].1).unwrap()).to_owned(), body(&sample.pem(&old)).to_owned()];
    sample.create(&store).await;
    sample.change(&store, |sample| sample.rotated(START)).await;
    assert!(holds(&directory, &traces[1]), "kept for a rollback");
    sample.change(&store, |sample| sample.destroyed(&old, START.plus(10))).await;
    for trace in &traces {
        assert!(!holds(&directory, trace), "{old} is still there");
    }
    assert_eq!(directory.generations().len(), 1, "the generation before held it");
    let signer = sample.signer();
    assert!(holds(&directory, body(&sample.pem(&signer))), "the search finds what is there");
}

/// Until its keys are destroyed, the generation before can be gone back to by hand.
#[tokio::test]
async fn t49_the_generation_before_is_kept() {
    let directory = Directory::new();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    let mut before = sample.base();
    for change in 0..5 {
        before = sample.base();
        sample.change(&store, |sample| sample.rotated(START.plus(change))).await;
        assert_eq!(directory.generations().len(), 2);
    }
    let link = directory.path().join("..data");
    let newest = std::fs::read_link(&link).unwrap();
    let kept = directory.generations().into_iter().find(|name| *name != newest.to_str().unwrap()).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(kept, &link).unwrap();
    assert_eq!(store.load().await.unwrap().base(), before);
}

/// The store says what it finds; that a replica refuses it is the replica's affair.
#[tokio::test]
async fn t08_a_generation_that_is_put_back_is_reported_as_it_is() {
    let directory = Directory::new();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    store.write_witness(&sample.manifest).await.unwrap();
    sample.change(&store, Sample::bump).await;
    store.write_witness(&sample.manifest).await.unwrap();
    let link = directory.path().join("..data");
    let newest = std::fs::read_link(&link).unwrap();
    let old = directory.generations().into_iter().find(|name| *name != newest.to_str().unwrap()).unwrap();
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(old, &link).unwrap();
    assert_eq!(store.load().await.unwrap().manifest.generation, 1);
    assert_eq!(store.witness().await.unwrap().unwrap().generation, 2);
}

/// A repaired mirror is a new directory of the same generation; the one before it is still kept.
#[tokio::test]
async fn a_repair_keeps_the_generation_before() {
    let directory = Directory::new();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    let before: Base = sample.base();
    sample.change(&store, |sample| sample.rotated(START.plus(1000))).await;
    let generations = directory.generations();
    for instant in [1000, 0, 1000] {
        directory.clock.set(START.plus(instant));
        store.repair_mirror().await.unwrap();
        assert_eq!(store.load().await.unwrap().base(), sample.base());
    }
    let repaired = directory.generations();
    assert_eq!(repaired.len(), 2);
    let first = |generations: &[String]| generations.iter().find(|name| name.starts_with("..g1-")).cloned();
    assert_eq!(first(&repaired), first(&generations), "{before:?}");
    assert_ne!(repaired, generations, "a new directory");
}

#[tokio::test]
async fn a_member_that_was_deleted_is_repaired() {
    let directory = Directory::new();
    let store = directory.store();
    let sample = Sample::new();
    sample.create(&store).await;
    let kid = sample.signer();
    let current = keystile_store::Mirror::Current { kid };
    let generation = directory.path().join(&directory.generations()[0]);
    std::fs::remove_file(generation.join("public.pem")).unwrap();
    let broken = store.mirror().await.unwrap();
    assert!(
        matches!(&broken, keystile_store::Mirror::Broken { why, .. } if why.contains("public.pem")),
        "{broken:?}"
    );
    assert_eq!(store.repair_mirror().await.unwrap(), current);
    std::fs::remove_file(directory.path().join("kid")).unwrap();
    let broken = store.mirror().await.unwrap();
    assert!(
        matches!(&broken, keystile_store::Mirror::Broken { why, .. } if why.contains("kid")),
        "{broken:?}"
    );
    assert_eq!(store.repair_mirror().await.unwrap(), current);
    assert_eq!(std::fs::read_to_string(directory.path().join("kid")).unwrap(), sample.signer().as_str());
}

/// A file that the keyring knows nothing of is somebody's key: it is shown, not overwritten.
#[tokio::test]
async fn t06_a_foreign_key_file_is_left_alone() {
    let directory = Directory::new();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    let other = Sample::new();
    let foreign = directory.path().join("signing.pem");
    std::fs::remove_file(&foreign).unwrap();
    crate::common::write(&foreign, 0o600, other.pem(&other.signer()).as_bytes());
    sample.change(&store, Sample::bump).await;
    store.clean().await.unwrap();
    let mirror = store.repair_mirror().await.unwrap();
    assert!(
        matches!(&mirror, keystile_store::Mirror::Broken { why, .. } if why.contains("signing.pem")),
        "{mirror:?}"
    );
    assert_eq!(std::fs::read_to_string(&foreign).unwrap(), other.pem(&other.signer()));
    assert_eq!(directory.generations().len(), 2, "and nothing is written over and over");
    // What is said to be done ends it.
    let path = foreign.display().to_string();
    assert!(
        mirror.remedy().contains(&format!("mv {path} {path}.away; then: keystile reconcile")),
        "{mirror:?}"
    );
    std::fs::rename(&foreign, foreign.with_extension("pem.away")).unwrap();
    let kid = sample.signer();
    assert_eq!(store.repair_mirror().await.unwrap(), keystile_store::Mirror::Current { kid });
}

/// An operator who runs as root leaves nothing that the gateway cannot read.
#[tokio::test]
async fn what_root_writes_belongs_to_the_directorys_owner() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let directory = Directory::new();
    std::fs::create_dir(directory.path()).unwrap();
    std::os::unix::fs::chown(directory.path(), Some(1234), Some(1235)).unwrap();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    sample.change(&store, |sample| sample.rotated(START)).await;
    store.write_witness(&sample.manifest).await.unwrap();
    store.report(&keystile_store::conformance::report_of("gateway-1", 2)).await.unwrap();
    let owned = |path: &std::path::Path| {
        let found = std::fs::symlink_metadata(path).unwrap();
        (found.uid(), found.gid())
    };
    for (path, _) in directory.files() {
        assert_eq!(owned(&path), (1234, 1235), "{}", path.display());
    }
    for name in directory.generations().iter().map(String::as_str).chain(["replicas"]) {
        assert_eq!(owned(&directory.path().join(name)), (1234, 1235), "{name}");
    }
}

#[tokio::test]
async fn a_mirror_is_absent_where_no_key_may_sign() {
    let directory = Directory::new();
    let store = directory.store();
    let mut sample = Sample::new();
    sample.create(&store).await;
    let kid = sample.signer();
    sample.change(&store, |sample| sample.destroyed(&kid, UnixTime(1))).await;
    assert!(!directory.path().join("signing.pem").exists(), "a single-key reader sees none of its files");
    assert!(!directory.path().join("kid").exists());
    let mirror = store.repair_mirror().await.unwrap();
    assert!(matches!(mirror, keystile_store::Mirror::Broken { expected: None, .. }), "{mirror:?}");
    assert_eq!(store.load().await.unwrap().base(), sample.base());
}
