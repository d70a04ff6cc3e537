//! What cannot be loaded, and what is said about it.

use std::path::PathBuf;

use keystile_store::conformance::{START, Sample};
use keystile_store::{CommitError, LoadError, Store, members};

use crate::common::{Directory, set_mode, write};

/// A store with one generation, and where its files are.
async fn ring() -> (Directory, Sample, PathBuf) {
    let directory = Directory::new();
    let sample = Sample::new();
    sample.create(&directory.store()).await;
    let generation = directory.path().join(&directory.generations()[0]);
    (directory, sample, generation)
}

/// The error's text with those of its sources.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test]
async fn t04_a_manifest_that_is_not_one_is_refused_whole() {
    let (directory, sample, generation) = ring().await;
    let store = directory.store();
    let path = generation.join("keyring.json");
    let good = std::fs::read(&path).unwrap();
    let middle = good.len() / 2;
    let bad: [&[u8]; 7] =
        [b"", b"{}", b"null", b"{\"keys\":[]}", &good[..middle], &good[..good.len() - 3], b"\x00\xff"];
    for bytes in bad {
        write(&path, 0o644, bytes);
        for error in [store.load().await.err().unwrap(), store.load_public().await.err().unwrap()] {
            assert!(matches!(error, LoadError::Garbage { .. }), "{error}");
            assert!(error.to_string().contains("keyring.json"), "{error}");
        }
    }
    write(&path, 0o644, &good);
    assert_eq!(store.load().await.unwrap().base(), sample.base(), "and nothing was lost");
}

#[tokio::test]
async fn t04_a_manifest_without_keys_is_refused() {
    let (directory, sample, generation) = ring().await;
    let mut json: serde_json::Value = serde_json::from_slice(&sample.manifest.to_json().unwrap()).unwrap();
    json["keys"] = serde_json::json!([]);
    write(&generation.join("keyring.json"), 0o644, json.to_string().as_bytes());
    let error = directory.store().load().await.err().unwrap();
    assert!(matches!(error, LoadError::Garbage { .. }), "{error}");
}

#[tokio::test]
async fn another_schema_names_its_remedy() {
    let (directory, sample, generation) = ring().await;
    let json = String::from_utf8(sample.manifest.to_json().unwrap()).unwrap();
    write(&generation.join("keyring.json"), 0o644, json.replace("keyring/v1", "keyring/v2").as_bytes());
    let error = directory.store().load().await.err().unwrap();
    assert!(matches!(error, LoadError::OtherVersion { .. }), "{error}");
    assert!(told(&error).contains("keystile/keyring/v2"), "{}", told(&error));
}

#[tokio::test]
async fn t39_files_over_their_limit_are_not_read() {
    let (directory, sample, generation) = ring().await;
    let store = directory.store();
    let key = generation.join(members::private_key(&sample.signer()));
    let good = std::fs::read(&key).unwrap();
    write(&key, 0o600, &vec![b'x'; members::limits::KEY_BYTES + 1]);
    let error = store.load().await.err().unwrap();
    assert!(matches!(error, LoadError::TooLarge { .. }), "{error}");
    assert!(store.load_public().await.is_ok());
    write(&key, 0o600, &good);
    write(&generation.join("keyring.json"), 0o644, &vec![b' '; 256 * 1024 + 1]);
    let error = store.load_public().await.err().unwrap();
    assert!(matches!(error, LoadError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_private_key_names_key_and_file() {
    let (directory, mut sample, _) = ring().await;
    let store = directory.store();
    let kid = sample.change(&store, |sample| sample.rotated(START)).await;
    let file = members::private_key(&kid);
    std::fs::remove_file(directory.path().join("..data").join(&file)).unwrap();
    let error = store.load().await.err().unwrap();
    assert!(matches!(error, LoadError::KeyMissing { .. }), "{error}");
    assert!(error.to_string().contains(kid.as_str()) && error.to_string().contains(&file), "{error}");
    assert_eq!(store.load_public().await.unwrap().base(), sample.base());
    let salvaged = store.salvage().await.unwrap();
    assert_eq!(salvaged.base(), sample.base());
    assert_eq!(salvaged.private.len(), 1, "the other key");
    assert!(salvaged.private.get(&kid).is_none());
}

#[tokio::test]
async fn t23_a_private_key_that_is_not_the_manifests_is_refused_whole() {
    let (directory, sample, generation) = ring().await;
    let store = directory.store();
    let file = generation.join(members::private_key(&sample.signer()));
    let other = Sample::new();
    write(&file, 0o600, other.pem(&other.signer()).as_bytes());
    let error = store.load().await.err().unwrap();
    assert!(matches!(error, LoadError::KeyMismatch { .. }), "{error}");
    write(&file, 0o600, b"-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n");
    let error = store.load().await.err().unwrap();
    assert!(matches!(error, LoadError::KeyGarbage { .. }), "{error}");
    assert!(store.salvage().await.unwrap().private.is_empty());
}

#[tokio::test]
async fn a_private_key_that_others_can_read_is_refused() {
    let (directory, sample, generation) = ring().await;
    let store = directory.store();
    let file = generation.join(members::private_key(&sample.signer()));
    for mode in [0o400, 0o600, 0o440, 0o640, 0o700] {
        set_mode(&file, mode);
        assert!(store.load().await.is_ok(), "{mode:o}");
    }
    for mode in [0o644, 0o660, 0o641, 0o650, 0o604, 0o602, 0o777] {
        set_mode(&file, mode);
        let error = store.load().await.err().unwrap();
        assert!(matches!(&error, LoadError::KeyFileMode { mode: found, .. } if *found == mode), "{error}");
        let text = error.to_string();
        let remedy = "chmod 600 /";
        assert!(
            text.contains(&format!("{mode:04o}")) && text.contains("0600") && text.contains(remedy),
            "{text}"
        );
        assert!(store.load_public().await.is_ok(), "no private key is touched");
        assert!(store.salvage().await.is_err(), "nor is it used for a repair");
    }
}

#[tokio::test]
async fn the_mode_of_an_openshell_key_is_minded_too() {
    let directory = Directory::new();
    directory.put_files(&keystile_store::conformance::KEY_SET);
    set_mode(&directory.path().join("signing.pem"), 0o644);
    let error = directory.store().read_key_set().await.err().unwrap();
    assert!(matches!(error, LoadError::KeyFileMode { mode: 0o644, .. }), "{error}");
}

/// Neither a pipe, which would hold the reader up, nor a link to somewhere else is a member.
#[tokio::test]
async fn only_regular_files_are_read() {
    let (directory, sample, generation) = ring().await;
    let store = directory.store();
    let file = generation.join(members::private_key(&sample.signer()));
    let aside = directory.around().join("aside.pem");
    std::fs::rename(&file, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &file).unwrap();
    let error = store.load().await.err().unwrap();
    assert!(matches!(error, LoadError::Unreadable(_)), "{error}");
    std::fs::remove_file(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let error = store.load().await.err().unwrap();
    assert!(told(&error).contains("not a regular file"), "{}", told(&error));
}

#[tokio::test]
async fn t52_a_bad_generation_is_an_error_and_the_next_good_one_is_not() {
    let (directory, mut sample, _) = ring().await;
    let store = directory.store();
    let link = directory.path().join("..data");
    let good = std::fs::read_link(&link).unwrap();
    let bad = directory.path().join("..g2-bad-0");
    std::fs::create_dir(&bad).unwrap();
    write(&bad.join("keyring.json"), 0o644, b"[]");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink("..g2-bad-0", &link).unwrap();
    assert!(matches!(store.load().await, Err(LoadError::Garbage { .. })));
    let base = sample.base();
    sample.bump();
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, keystile_store::CommitError::Base(LoadError::Garbage { .. })), "{error}");
    std::fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(good, &link).unwrap();
    store.compare_and_swap(sample.on(base)).await.unwrap();
    assert_eq!(store.load().await.unwrap().base(), sample.base());
    assert!(!bad.exists(), "what nothing points to is cleared away");
}

#[tokio::test]
async fn a_link_that_leads_nowhere_is_told() {
    let (directory, _, generation) = ring().await;
    std::fs::rename(&generation, directory.around().join("moved")).unwrap();
    let error = directory.store().load().await.err().unwrap();
    assert!(matches!(&error, LoadError::Missing { found, .. } if found.contains("..g1-")), "{error}");
}

#[tokio::test]
async fn t06_a_deleted_directory_is_told_and_not_created() {
    let (directory, ..) = ring().await;
    let store = directory.store();
    std::fs::remove_dir_all(directory.path()).unwrap();
    let error = store.load().await.err().unwrap();
    assert!(
        matches!(&error, LoadError::Missing { found, .. } if found.contains("does not exist")),
        "{error}"
    );
    assert!(!directory.path().exists());
}

#[tokio::test]
async fn a_file_in_the_directorys_place_is_told() {
    let directory = Directory::new();
    write(&directory.path(), 0o600, b"");
    let store = directory.store();
    let error = store.load().await.err().unwrap();
    assert!(told(&error).contains("Not a directory"), "{}", told(&error));
    assert!(store.compare_and_swap(Sample::new().first()).await.is_err());
}

#[tokio::test]
async fn no_error_shows_a_private_key() {
    let (directory, sample, generation) = ring().await;
    let store = directory.store();
    let pem = sample.pem(&sample.signer());
    let body = pem.lines().nth(1).unwrap();
    let file = generation.join(members::private_key(&sample.signer()));
    for content in
        [pem.replace("PRIVATE", "SECRET"), pem.replace("-----END", "----END"), format!("{pem}{pem}x")]
    {
        write(&file, 0o600, content.as_bytes());
        if let Err(error) = store.load().await {
            let shown = format!("{error:?} {}", told(&error));
            assert!(!shown.contains(body), "t48: {shown}");
        }
    }
}

/// Whoever may write the directory may replace the keys: nothing signs from it, nothing is committed to it.
#[tokio::test]
async fn a_directory_that_others_may_write_is_not_trusted_with_private_keys() {
    let (directory, mut sample, _) = ring().await;
    let store = directory.store();
    let base = sample.base();
    sample.bump();
    for mode in [0o777, 0o720, 0o702, 0o770] {
        set_mode(&directory.path(), mode);
        let error = store.load().await.err().unwrap();
        assert!(matches!(error, LoadError::DirectoryMode { .. }), "{mode:o}: {error}");
        assert!(error.to_string().contains(&format!("mode 0{mode:o}: others may replace")), "{error}");
        let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
        assert!(matches!(error, CommitError::Base(LoadError::DirectoryMode { .. })), "{mode:o}: {error}");
        assert_eq!(store.load_public().await.unwrap().base(), base, "public facts can be looked at");
    }
    for mode in [0o700, 0o755, 0o1777, 0o3777] {
        set_mode(&directory.path(), mode);
        assert_eq!(store.load().await.unwrap().base(), base, "{mode:o}");
    }
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Base(LoadError::DirectoryShared { .. })), "{error}");
    assert!(told(&error).contains("mode 3777: it is shared"), "{}", told(&error));
    set_mode(&directory.path(), 0o755);
    store.compare_and_swap(sample.on(base)).await.unwrap();
}

#[tokio::test]
async fn no_keyring_begins_in_a_directory_that_many_share() {
    let directory = Directory::new();
    std::fs::create_dir_all(directory.path()).unwrap();
    for mode in [0o1777, 0o777] {
        set_mode(&directory.path(), mode);
        let error = directory.store().compare_and_swap(Sample::new().first()).await.unwrap_err();
        assert!(matches!(error, CommitError::Base(_)), "{mode:o}: {error}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "{mode:o}");
    }
}

/// A link in the place of a generation is swept away; what it leads to is not.
#[tokio::test]
async fn what_a_foreign_link_leads_to_is_left_alone() {
    let (directory, mut sample, _) = ring().await;
    let elsewhere = directory.around().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    write(&elsewhere.join("precious"), 0o600, b"mine");
    std::os::unix::fs::symlink(&elsewhere, directory.path().join("..g9-abc")).unwrap();
    write(&directory.path().join("..g9-def"), 0o600, b"a file");
    sample.change(&directory.store(), |sample| sample.rotated(START)).await;
    assert_eq!(std::fs::read(elsewhere.join("precious")).unwrap(), b"mine");
    let names = directory.names();
    assert!(!names.iter().any(|name| name.starts_with("..g9-")), "{names:?}");
}
