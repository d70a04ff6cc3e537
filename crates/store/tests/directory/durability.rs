//! What is durable when: a power loss undoes what was not synced, in any order.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use keystile_store::Store;
use keystile_store::conformance::{KEY_SET, START, Sample};
use keystile_store::directory::{Call, Options, Steps};

use crate::common::Directory;

/// Writes down every call.
#[derive(Default)]
struct Journal(Mutex<Vec<(Call, PathBuf)>>);

impl Steps for Journal {
    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        self.0.lock().unwrap().push((call, path.to_owned()));
        Ok(())
    }
}

/// Whether `path` is synced after each of `calls` that concern it.
fn synced(calls: &[(Call, PathBuf)], path: &Path, concerns: impl Fn(&(Call, PathBuf)) -> bool) -> bool {
    let last = calls.iter().rposition(concerns);
    let sync = calls.iter().rposition(|(call, synced)| *call == Call::Sync && synced == path);
    last.is_none_or(|last| sync.is_some_and(|sync| sync > last))
}

/// Every file, and every directory with an entry that came, went or was renamed, is synced.
fn durable(calls: &[(Call, PathBuf)]) {
    for (call, path) in calls {
        if *call == Call::Write {
            assert!(
                synced(calls, path, |(call, other)| *call == Call::Write && other == path),
                "{}",
                path.display()
            );
        }
        if *call != Call::Sync && *call != Call::Write {
            let parent = path.parent().unwrap();
            let entry = |(call, other): &(Call, PathBuf)| {
                !matches!(call, Call::Sync | Call::Write) && other.parent() == Some(parent)
            };
            let gone = calls.iter().any(|(call, other)| *call == Call::Remove && other == parent);
            let lock_only = path.ends_with(".lock");
            assert!(gone || lock_only || synced(calls, parent, entry), "{call:?} {}", path.display());
        }
    }
}

#[tokio::test]
async fn everything_is_durable_before_the_commit_point_and_the_commit_point_before_the_answer() {
    for adopted in [false, true] {
        let directory = Directory::new();
        let journal = Arc::new(Journal::default());
        let store = directory.store_with(Options { steps: journal.clone(), ..Options::default() });
        let mut sample = if adopted { Sample::adopted() } else { Sample::new() };
        if adopted {
            directory.put_files(&KEY_SET);
        }
        let mut commits = 0;
        let first = sample.signer();
        for change in 0..4 {
            match change {
                0 => sample.create(&store).await,
                1 => drop(sample.change(&store, |sample| sample.rotated(START)).await),
                2 => sample.change(&store, |sample| sample.destroyed(&first, START)).await,
                _ => {
                    directory.clock.advance(1000);
                    store.repair_mirror().await.unwrap();
                }
            }
            let calls = std::mem::take(&mut *journal.0.lock().unwrap());
            durable(&calls);
            let commit =
                calls.iter().position(|(call, path)| *call == Call::Rename && path.ends_with("..data"));
            if let Some(commit) = commit {
                durable(&calls[..commit]);
                // Before it is durable, nothing of the old generation may go.
                let next = calls.get(commit + 1).map(|(call, path)| (*call, path.as_path()));
                assert_eq!(next, Some((Call::Sync, store.path())));
                commits += 1;
            }
        }
        assert_eq!(commits, 3, "the mirror was right");
        store.write_witness(&sample.manifest).await.unwrap();
        let calls = std::mem::take(&mut *journal.0.lock().unwrap());
        durable(&calls);
        assert!(calls.iter().any(|(call, path)| *call == Call::Rename && path == store.witness_path()));
    }
}
