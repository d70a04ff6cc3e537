//! Single failures: a full disk, a directory that became read-only, permission that was taken away.

use std::io::ErrorKind;

use keystile_store::{CommitError, Store};

use crate::crash::{CHANGES, Failing, Scene};

#[tokio::test]
async fn t37_any_call_that_fails_leaves_the_old_generation_or_says_that_nobody_knows() {
    for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied] {
        for change in CHANGES {
            let mut step = 0;
            loop {
                let scene = Scene::new(change).await;
                let failure = Failing::once(step, kind);
                let outcome = scene.change(&scene.store(failure.clone())).await;
                if !failure.struck() {
                    outcome.unwrap();
                    break;
                }
                let why = format!("{change:?}, {kind:?} at step {step}");
                let found = scene.found(&why).await;
                match outcome {
                    Err(CommitError::Io(error)) => {
                        assert_eq!(found, scene.before, "{why}");
                        assert_eq!(error.kind(), kind, "{why}");
                        assert!(error.to_string().contains(" ("), "what to do: {error}");
                        // A key that was never committed is gone without anybody's help.
                        scene.no_orphans(&why).await;
                    }
                    Err(CommitError::Unknown(error)) => assert_eq!(error.kind(), kind, "{why}"),
                    outcome => panic!("{why}: {outcome:?}"),
                }
                step += 1;
            }
        }
    }
}

/// Clearing up that fails is told: a private key may be left where it should not be.
#[tokio::test]
async fn a_key_that_could_not_be_destroyed_is_not_called_destroyed() {
    let mut unknown = 0;
    for step in 0.. {
        let scene = Scene::new(crate::crash::Change::Destroy).await;
        let failure = Failing::once(step, ErrorKind::PermissionDenied);
        let outcome = scene.change(&scene.store(failure.clone())).await;
        if !failure.struck() {
            break;
        }
        if let Err(CommitError::Unknown(_)) = outcome {
            unknown += 1;
            scene.directory.store().clean().await.unwrap();
            scene.no_orphans("after cleaning up").await;
        }
    }
    assert!(unknown >= 5, "the removal of the old generation has steps of its own: {unknown}");
}
