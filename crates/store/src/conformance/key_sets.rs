//! Key sets that OpenShell wrote.

use super::samples::KEY_SET;
use super::{Place, START, Sample};
use crate::{CommitError, LoadError, Mirror, Occupancy};

/// It is told from an empty place, and read; a keyring it is not.
pub async fn a_key_set_is_recognised_and_read(place: &impl Place) {
    place.put(&KEY_SET);
    let store = place.open();
    let sample = Sample::adopted();
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::OpenShellKeySet(sample.signer()));
    let set = store.read_key_set().await.unwrap();
    assert_eq!(set.kid, sample.signer());
    assert_eq!(set.private.public_key(), set.public);
    let error = store.load().await.err().unwrap();
    assert!(matches!(error, LoadError::NotAdopted { .. }), "{error}");
    assert!(error.to_string().contains("keystile adopt"), "the remedy: {error}");
}

/// The keyring takes its place, and its single-key readers see the same key.
pub async fn a_key_set_is_adopted_in_place(place: &impl Place) {
    place.set_clock(START);
    place.put(&KEY_SET);
    let store = place.open();
    let mut sample = Sample::adopted();
    let before = store.read_key_set().await.unwrap();
    sample.create(&*store).await;
    assert_eq!(store.load().await.unwrap().base(), sample.base());
    let after = store.read_key_set().await.unwrap();
    assert_eq!((&after.kid, after.public), (&before.kid, before.public));
    assert_eq!(*after.private.to_pem(), *before.private.to_pem());
    assert_eq!(store.mirror().await.unwrap(), Mirror::Current { kid: before.kid });
    let new = sample.change(&*store, |sample| sample.rotated(START)).await;
    assert_eq!(store.read_key_set().await.unwrap().kid, new);
}

/// `init` where a key set lies would cut off every sandbox.
pub async fn t06_a_key_set_is_not_overwritten(place: &impl Place) {
    place.put(&KEY_SET);
    let store = place.open();
    let error = store.compare_and_swap(Sample::new().first()).await.unwrap_err();
    assert!(
        matches!(error, CommitError::Occupied { occupancy: Occupancy::OpenShellKeySet(_), .. }),
        "{error}"
    );
    assert_eq!(store.read_key_set().await.unwrap().kid, Sample::adopted().signer());
}

/// Two of three files are something of an older life.
pub async fn t06_a_partial_key_set_is_not_overwritten(place: &impl Place) {
    place.put(&KEY_SET[1..]);
    let store = place.open();
    let found = store.occupancy().await.unwrap();
    assert!(matches!(&found, Occupancy::Remains(what) if what.contains("signing.pem")), "{found}");
    for sample in [Sample::new(), Sample::adopted()] {
        let error = store.compare_and_swap(sample.first()).await.unwrap_err();
        assert!(matches!(error, CommitError::Occupied { .. }), "{error}");
    }
    assert!(matches!(store.read_key_set().await, Err(LoadError::Missing { .. })));
}

/// OpenShell starts with such a set, and every token that it mints fails.
pub async fn t23_a_key_set_of_two_keys_is_refused(place: &impl Place) {
    let other = Sample::new();
    let pem = other.pem(&other.signer());
    let set = [(KEY_SET[0].0, pem.as_bytes()), KEY_SET[1], KEY_SET[2]];
    place.put(&set);
    let store = place.open();
    let error = store.read_key_set().await.err().unwrap();
    assert!(matches!(error, LoadError::KeyMismatch { .. }), "{error}");
    let error = store.compare_and_swap(Sample::adopted().first()).await.unwrap_err();
    assert!(matches!(error, CommitError::Base(LoadError::KeyMismatch { .. })), "{error}");
}

/// A kid is text, but not no text.
pub async fn an_empty_kid_is_refused(place: &impl Place) {
    place.put(&[KEY_SET[0], KEY_SET[1], (KEY_SET[2].0, b" \n")]);
    let store = place.open();
    let error = store.read_key_set().await.err().unwrap();
    assert!(matches!(error, LoadError::KidGarbage { .. }), "{error}");
    assert!(store.compare_and_swap(Sample::adopted().first()).await.is_err());
    assert!(store.occupancy().await.map_or(true, |found| found != Occupancy::Empty));
}
