//! Changes: taken whole or refused whole, and of two exactly one.

use keystile_keyring::manifest::{Origin, PrivateState};
use keystile_keyring::plan::Base;
use keystile_keyring::{Digest, Kid};
use keystile_system::SystemEntropy;
use keystile_token::{PrivateKey, PrivateKeys};

use super::{Place, START, Sample};
use crate::{Commit, CommitError, Freshness, LoadError, Occupancy, Store};

fn fresh_key() -> PrivateKey {
    PrivateKey::generate(&SystemEntropy).unwrap()
}

async fn stored(store: &dyn Store) -> Base {
    store.load_public().await.unwrap().base()
}

/// Nothing is there, and looking creates nothing.
pub async fn a_place_never_used_is_empty_and_has_no_keyring(place: &impl Place) {
    let store = place.open();
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::Empty);
    let error = store.load().await.err().unwrap();
    assert!(matches!(error, LoadError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("keystile init"), "the remedy: {error}");
    assert!(matches!(store.load_public().await, Err(LoadError::Missing { .. })));
    assert!(matches!(store.read_key_set().await, Err(LoadError::Missing { .. })));
    assert_eq!(store.witness().await.unwrap(), None);
    assert_eq!(store.clean().await.unwrap(), Vec::<String>::new());
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::Empty);
}

/// What one process commits, another loads: manifest, digest, private keys.
pub async fn the_first_generation_is_loaded_as_it_was_committed(place: &impl Place) {
    let (writer, reader) = (place.open(), place.open());
    let sample = Sample::new();
    let digest = writer.compare_and_swap(sample.first()).await.unwrap();
    assert_eq!(digest, sample.base().digest);
    let loaded = reader.load().await.unwrap();
    assert_eq!(loaded.manifest, sample.manifest);
    assert_eq!(loaded.base(), sample.base());
    assert_eq!(loaded.freshness, Freshness::Confirmed);
    let private = loaded.private.get(&sample.signer()).unwrap();
    assert_eq!(*private.to_pem(), sample.pem(&sample.signer()));
    assert_eq!(reader.occupancy().await.unwrap(), Occupancy::Keyring);
}

/// The public part alone agrees with the whole.
pub async fn a_public_load_needs_no_private_key(place: &impl Place) {
    let store = place.open();
    let sample = Sample::new();
    sample.create(&*store).await;
    let public = store.load_public().await.unwrap();
    assert_eq!(public.manifest, sample.manifest);
    assert_eq!(public.base(), sample.base());
}

/// A keyring is created once.
pub async fn a_second_first_generation_is_refused(place: &impl Place) {
    let store = place.open();
    let sample = Sample::new();
    sample.create(&*store).await;
    let error = place.open().compare_and_swap(Sample::new().first()).await.unwrap_err();
    assert!(matches!(error, CommitError::Occupied { occupancy: Occupancy::Keyring, .. }), "{error}");
    assert_eq!(stored(&*store).await, sample.base());
}

/// The chain of digests holds through many generations.
pub async fn each_generation_names_the_one_before_it(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    for _ in 0..5 {
        let before = stored(&*store).await;
        sample.change(&*store, Sample::bump).await;
        let after = store.load_public().await.unwrap();
        assert_eq!(after.manifest.previous, Some(before.digest));
        assert_eq!(after.manifest.generation, before.generation + 1);
    }
}

/// A change that was made from an older generation.
pub async fn a_wrong_generation_is_a_conflict(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    let stale = sample.base();
    sample.change(&*store, Sample::bump).await;
    let newest = sample.base();
    let error = store.compare_and_swap(sample.on(stale)).await.unwrap_err();
    match error {
        CommitError::Conflict { expected, found } => {
            assert_eq!((expected, found), (Some(stale), Some(newest)));
        }
        error => panic!("{error}"),
    }
    assert_eq!(stored(&*store).await, newest);
}

/// A change that was made from another manifest of the same generation: what is there stays, and can
/// be told apart.
pub async fn t49_another_digest_of_the_same_generation_is_a_conflict(place: &impl Place) {
    let store = place.open();
    let sample = Sample::new();
    sample.create(&*store).await;
    let mut other = Sample::new();
    let base = other.base();
    assert_eq!(base.generation, sample.base().generation);
    other.bump();
    let error = store.compare_and_swap(other.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict { .. }), "{error}");
    assert!(error.to_string().contains("generation 1"), "{error}");
    assert_eq!(store.load().await.unwrap().manifest, sample.manifest);
}

/// Nothing is created by a change of what is not there.
pub async fn a_change_of_an_empty_place_is_a_conflict(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    let base = sample.base();
    sample.bump();
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Conflict { found: None, .. }), "{error}");
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::Empty);
}

/// Two operators commit at once, again and again: one wins each time, and the loser is told.
pub async fn t03_of_two_concurrent_changes_exactly_one_wins(place: &impl Place) {
    let mut sample = Sample::new();
    sample.create(&*place.open()).await;
    for _ in 0..10 {
        let base = sample.base();
        let mut changes = Vec::new();
        for actor in ["a", "b"] {
            let mut mine = sample.copy();
            mine.bump();
            actor.clone_into(&mut mine.manifest.history.last_mut().unwrap().actor);
            changes.push(mine);
        }
        let race = changes.iter().map(|change| {
            let (store, commit) = (place.open(), change.on(base));
            tokio::spawn(async move { store.compare_and_swap(commit).await })
        });
        let race: Vec<_> = race.collect();
        let mut won = Vec::new();
        for (racer, change) in race.into_iter().zip(changes) {
            match racer.await.unwrap() {
                Ok(digest) => won.push((digest, change)),
                Err(CommitError::Conflict { .. } | CommitError::Locked { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(won.len(), 1, "exactly one");
        let (digest, winner) = won.remove(0);
        assert_eq!(stored(&*place.open()).await.digest, digest);
        sample = winner;
    }
}

/// Numbers are not left out and not repeated, and the chain is not forged.
pub async fn a_generation_that_does_not_follow_is_refused(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    let base = sample.base();
    sample.bump();
    let mut skipping = sample.on(base);
    skipping.manifest.generation += 1;
    skipping.manifest.history.last_mut().unwrap().generation += 1;
    let mut forged = sample.on(base);
    forged.manifest.previous = Some(Digest([7; 32]));
    let mut orphan = sample.on(base);
    orphan.manifest.previous = None;
    for commit in [skipping, forged, orphan] {
        let error = store.compare_and_swap(commit).await.unwrap_err();
        assert!(matches!(error, CommitError::Invalid(_)), "{error}");
    }
    assert_eq!(stored(&*store).await, base);
}

/// A manifest never promises a private key that the store does not hold.
pub async fn a_present_key_without_its_private_key_is_refused(place: &impl Place) {
    let store = place.open();
    let sample = Sample::new();
    let commit = Commit { private: PrivateKeys::default(), ..sample.first() };
    let error = store.compare_and_swap(commit).await.unwrap_err();
    assert!(matches!(error, CommitError::Invalid(_)), "{error}");
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::Empty);
}

/// Nor one that is another key's.
pub async fn t23_a_private_key_of_another_key_is_refused(place: &impl Place) {
    let store = place.open();
    let sample = Sample::new();
    let mut private = PrivateKeys::default();
    private.insert(sample.signer(), fresh_key()).unwrap();
    let error = store.compare_and_swap(Commit { private, ..sample.first() }).await.unwrap_err();
    assert!(matches!(error, CommitError::Invalid(_)), "{error}");
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::Empty);
}

/// What no reader would accept is not written.
pub async fn t39_a_manifest_over_its_limit_is_refused_and_the_old_one_stays(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    let base = sample.base();
    sample.bump();
    let mut commit = sample.on(base);
    let change = commit.manifest.history.last().unwrap().clone();
    let crowd = keystile_keyring::manifest::limits::HISTORY + 1;
    commit.manifest.history = vec![change; crowd];
    let error = store.compare_and_swap(commit).await.unwrap_err();
    assert!(matches!(error, CommitError::Invalid(_)), "{error}");
    assert_eq!(stored(&*store).await, base);
}

/// A destroyed key is gone even if its bytes are still offered.
pub async fn private_keys_that_the_manifest_does_not_call_present_are_not_stored(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    let old = sample.signer();
    sample.create(&*store).await;
    let new = sample.change(&*store, |sample| sample.rotated(START.plus(100))).await;
    assert_eq!(store.load().await.unwrap().private.len(), 2);
    sample.change(&*store, |sample| sample.destroyed(&old, START.plus(200))).await;
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.private.kids().cloned().collect::<Vec<_>>(), vec![new]);
    let key = loaded.manifest.key(&old).unwrap();
    assert_eq!(key.private, PrivateState::DestroyedAt(START.plus(200)));
}

/// A gateway that starts ten times finds the same keyring ten times.
pub async fn t05_reading_changes_nothing(place: &impl Place) {
    let mut sample = Sample::new();
    sample.create(&*place.open()).await;
    sample.change(&*place.open(), |sample| sample.rotated(START.plus(100))).await;
    for _ in 0..10 {
        let store = place.open();
        assert_eq!(store.load().await.unwrap().base(), sample.base());
        assert_eq!(store.clean().await.unwrap(), Vec::<String>::new());
    }
}

/// Whoever watches, from whatever process, learns of a change.
pub async fn a_change_ticks_every_watcher(place: &impl Place) {
    let (writer, reader) = (place.open(), place.open());
    let mut ticks = [writer.watch(), reader.watch()];
    let mut sample = Sample::new();
    sample.create(&*writer).await;
    for tick in &mut ticks {
        tick.changed().await.unwrap();
    }
    // The same receivers go on.
    sample.change(&*reader, Sample::bump).await;
    for tick in &mut ticks {
        tick.changed().await.unwrap();
    }
    assert_eq!(stored(&*writer).await, sample.base());
}

/// A kid is opaque text: no character of it can lead anywhere.
pub async fn any_kid_can_be_stored(place: &impl Place) {
    let all: String = (0x21..=0x7e_u8).map(char::from).collect();
    let longest = "~".repeat(Kid::MAX);
    let kids = ["../../etc/passwd", "..", "a/b", "a_b", "CaSe", "case", &all, &longest];
    let kids = kids.map(|kid| Kid::new(kid).unwrap());
    let store = place.open();
    let mut sample = Sample::of(kids[0].clone(), fresh_key(), Origin::Imported, START);
    sample.create(&*store).await;
    for (kid, at) in kids[1..].iter().zip(1..) {
        sample.change(&*store, |sample| sample.rotated_to(kid.clone(), fresh_key(), START.plus(at))).await;
    }
    let loaded = store.load().await.unwrap();
    for kid in &kids {
        assert_eq!(*loaded.private.get(kid).unwrap().to_pem(), sample.pem(kid), "{kid}");
    }
}
