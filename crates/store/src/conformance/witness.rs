//! The witness, and the mirror: what is kept beside the generations.

use super::{Place, START, Sample};
use keystile_keyring::Standing;
use keystile_keyring::manifest::Revoked;

use crate::{Commit, CommitError, LoadError, Mirror, Occupancy, StoreError};

/// Its manifest is the last that it was told.
pub async fn the_witness_remembers_the_newest(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    store.write_witness(&sample.manifest).await.unwrap();
    store.write_witness(&sample.manifest).await.expect("the same again is no error");
    sample.change(&*store, Sample::bump).await;
    store.write_witness(&sample.manifest).await.unwrap();
    assert_eq!(place.open().witness().await.unwrap(), Some(sample.manifest));
}

/// An older generation is refused.
pub async fn t08_the_witness_never_goes_back(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    let first = sample.manifest.clone();
    sample.create(&*store).await;
    sample.change(&*store, Sample::bump).await;
    store.write_witness(&sample.manifest).await.unwrap();
    let error = store.write_witness(&first).await.unwrap_err();
    assert!(matches!(error, StoreError::WitnessAhead { found: 2, offered: 1 }), "{error}");
    assert_eq!(store.witness().await.unwrap(), Some(sample.manifest));
}

/// Another manifest of the same generation is a fork.
pub async fn the_witness_takes_no_other_manifest_of_its_generation(place: &impl Place) {
    let store = place.open();
    let sample = Sample::new();
    sample.create(&*store).await;
    store.write_witness(&sample.manifest).await.unwrap();
    let error = store.write_witness(&Sample::new().manifest).await.unwrap_err();
    assert!(matches!(error, StoreError::Forked { generation: 1, .. }), "{error}");
    assert_eq!(store.witness().await.unwrap(), Some(sample.manifest));
}

/// A keyring that vanished is not created anew.
pub async fn t06_a_place_that_its_witness_remembers_is_not_empty(place: &impl Place) {
    let store = place.open();
    let sample = Sample::new();
    sample.create(&*store).await;
    store.write_witness(&sample.manifest).await.unwrap();
    place.lose();
    let error = store.load().await.err().unwrap();
    assert!(matches!(error, LoadError::Missing { .. }), "{error}");
    let found = store.occupancy().await.unwrap();
    assert!(matches!(&found, Occupancy::Remains(what) if what.contains("generation 1")), "{found}");
    for commit in [sample.first(), Sample::new().first()] {
        let error = store.compare_and_swap(commit).await.unwrap_err();
        assert!(matches!(error, CommitError::Occupied { .. }), "{error}");
    }
}

/// Replicas hold the witness's generation: only a higher one reaches them.
pub async fn a_store_that_went_back_takes_only_what_follows_its_witness(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    let mut newer = sample.manifest.clone();
    newer.generation = 5;
    newer.history.last_mut().unwrap().generation = 5;
    store.write_witness(&newer).await.unwrap();
    let base = sample.base();
    sample.bump();
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Broken(Standing::Behind { store: 1, witness: 5 })), "{error}");
    sample.number(6);
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    assert!(matches!(error, CommitError::Broken(_)), "only a repair: {error}");
    store.compare_and_swap(Commit { repairs: true, ..sample.on(base) }).await.unwrap();
    assert_eq!(store.load().await.unwrap().base(), sample.base());
}

/// I8: where somebody went on from a backup, numbers say nothing.
pub async fn i8_a_forked_store_takes_only_a_repair(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    let mut other = sample.manifest.clone();
    other.policy.leeway += 1;
    store.write_witness(&other).await.unwrap();
    let base = sample.base();
    sample.bump();
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    let forked = CommitError::Broken(Standing::Forked { generation: 1 });
    assert_eq!(error.to_string(), forked.to_string());
    assert_eq!(store.load().await.unwrap().base(), base);
    sample.number(7);
    store
        .compare_and_swap(Commit { repairs: true, ..sample.on(base) })
        .await
        .expect("a repair may jump ahead");
    store.write_witness(&sample.manifest).await.unwrap();
}

/// I8: what the witness knows to be revoked stays revoked, whatever the number of what it is told.
pub async fn i8_the_witness_never_forgets_a_revocation(place: &impl Place) {
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    let mut revoked = sample.manifest.clone();
    let kid = sample.signer();
    let key = revoked.keys.iter_mut().find(|key| key.kid == kid).unwrap();
    key.revoked = Some(Revoked { at: START, reason: "stolen".to_owned() });
    store.write_witness(&revoked).await.unwrap();
    let base = sample.base();
    sample.bump();
    sample.number(9);
    let error = store.write_witness(&sample.manifest).await.unwrap_err();
    assert!(matches!(error, StoreError::Undoes { offered: 9, .. }), "{error}");
    for repairs in [false, true] {
        let error = store.compare_and_swap(Commit { repairs, ..sample.on(base) }).await.unwrap_err();
        let refused = matches!(error, CommitError::Broken(_) | CommitError::Invalid(_));
        assert!(refused, "{error}");
    }
    assert_eq!(store.witness().await.unwrap(), Some(revoked));
    assert_eq!(store.load().await.unwrap().base(), base);
}

/// A single-key gateway that starts now signs with the key that signs.
pub async fn the_mirror_shows_the_key_that_signs(place: &impl Place) {
    place.set_clock(START);
    let store = place.open();
    let sample = Sample::new();
    sample.create(&*store).await;
    let kid = sample.signer();
    assert_eq!(store.mirror().await.unwrap(), Mirror::Current { kid: kid.clone() });
    let set = store.read_key_set().await.unwrap();
    assert_eq!(set.kid, kid);
    assert_eq!(*set.private.to_pem(), sample.pem(&kid));
    assert_eq!(set.public, sample.manifest.key(&kid).unwrap().public_key);
}

/// An activation that is `activation_lead` away, or less, is in the mirror; one further away is not.
pub async fn the_mirror_shows_the_next_key_within_its_lead(place: &impl Place) {
    place.set_clock(START);
    let store = place.open();
    let mut sample = Sample::new();
    let old = sample.signer();
    sample.create(&*store).await;
    let lead = sample.manifest.policy.activation_lead;
    let new = sample.change(&*store, |sample| sample.rotated(START.plus(lead + 1))).await;
    assert_eq!(store.mirror().await.unwrap(), Mirror::Current { kid: old });
    place.set_clock(START.plus(1));
    sample.change(&*store, Sample::bump).await;
    assert_eq!(store.mirror().await.unwrap(), Mirror::Current { kid: new });
}

/// A scheduled switch needs no write, so the mirror falls behind until somebody repairs it.
pub async fn a_stale_mirror_is_told_and_repaired(place: &impl Place) {
    place.set_clock(START);
    let store = place.open();
    let mut sample = Sample::new();
    let old = sample.signer();
    sample.create(&*store).await;
    let new = sample.change(&*store, |sample| sample.rotated(START.plus(1000))).await;
    place.set_clock(START.plus(1000));
    let stale = Mirror::Stale { shown: old, expected: new.clone() };
    assert_eq!(store.mirror().await.unwrap(), stale);
    let repaired = place.open().repair_mirror().await.unwrap();
    assert_eq!(repaired, Mirror::Current { kid: new.clone() });
    assert_eq!(store.mirror().await.unwrap(), repaired);
    assert_eq!(store.read_key_set().await.unwrap().kid, new);
    let loaded = store.load().await.unwrap();
    assert_eq!(loaded.base(), sample.base(), "generation and digest stay");
    assert_eq!(loaded.private.len(), 2);
    assert_eq!(store.repair_mirror().await.unwrap(), repaired, "again is no error");
}
