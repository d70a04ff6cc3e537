//! Readers while a writer writes: whatever they see is of one generation.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use keystile_keyring::Digest;
use keystile_store::conformance::{START, Sample};
use keystile_store::{LoadError, Store};

use crate::common::Directory;

const GENERATIONS: u64 = 300;

/// Changes the keyring again and again: a key comes, signs at once, and goes two changes later, so
/// that generations with destroyed keys are removed under the readers' feet.
async fn write(directory: &Directory, mut sample: Sample, digests: &mut HashMap<u64, Digest>) {
    let store = directory.store();
    while sample.manifest.generation < GENERATIONS {
        match sample.manifest.generation % 3 {
            0 => {
                let old = sample.signer();
                sample.change(&store, |sample| sample.rotated(START)).await;
                digests.insert(sample.manifest.generation, sample.base().digest);
                sample.change(&store, |sample| sample.destroyed(&old, START)).await;
            }
            _ => sample.change(&store, Sample::bump).await,
        }
        digests.insert(sample.manifest.generation, sample.base().digest);
        if sample.manifest.keys.len() == 8 {
            sample.change(&store, Sample::pruned).await;
            digests.insert(sample.manifest.generation, sample.base().digest);
        }
    }
}

/// What a single-key gateway reads that resolves the link once; `None` if the generation was removed
/// meanwhile.
fn single_key(root: &Path) -> Option<(String, String, String)> {
    let generation = std::fs::canonicalize(root.join("..data")).ok()?;
    let read = |name| std::fs::read_to_string(generation.join(name)).ok();
    Some((read("kid")?, read("public.pem")?, read("signing.pem")?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t41_every_read_is_of_one_generation() {
    let directory = Directory::new();
    let sample = Sample::new();
    sample.create(&directory.store()).await;
    let mut digests = HashMap::from([(1, sample.base().digest)]);
    let done = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    let mut readers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (store, done, reads) = (directory.store(), done.clone(), reads.clone());
        readers.spawn(async move {
            let mut seen = Vec::new();
            while !done.load(Ordering::Relaxed) {
                match store.load().await {
                    Ok(loaded) => seen.push((loaded.manifest.generation, loaded.digest)),
                    Err(error @ LoadError::Torn { .. }) => panic!("{error}"),
                    Err(error) => panic!("{error:?}"),
                }
                reads.fetch_add(1, Ordering::Relaxed);
            }
            seen
        });
    }
    let (root, stop) = (directory.path(), done.clone());
    let single = std::thread::spawn(move || {
        let mut whole = 0;
        while !stop.load(Ordering::Relaxed) {
            let Some((kid, public, signing)) = single_key(&root) else {
                continue;
            };
            let public = keystile_token::public_key_from_pem(public.as_bytes()).unwrap();
            let private = keystile_token::PrivateKey::from_pem(signing.as_bytes()).unwrap();
            assert_eq!(private.public_key(), public);
            assert_eq!(keystile_token::kid_of(&public).as_str(), kid);
            whole += 1;
        }
        whole
    });
    write(&directory, sample, &mut digests).await;
    done.store(true, Ordering::Relaxed);
    assert!(single.join().unwrap() > 0);
    while let Some(seen) = readers.join_next().await {
        let seen = seen.unwrap();
        assert!(!seen.is_empty());
        assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0), "generations only grow");
        for (generation, digest) in seen {
            assert_eq!(digests.get(&generation), Some(&digest), "generation {generation}");
        }
    }
}
