//! What a change does to the Secret beyond what every store does.

use keystile_keyring::UnixTime;
use keystile_store::conformance::{KEY_SET, Place, START, Sample};
use keystile_store::{CommitError, Occupancy, members};
use serde_json::json;

use crate::common::{KubePlace, base64};

fn names(object: &keystile_kubernetes::Object) -> Vec<&str> {
    object.data.keys().map(String::as_str).collect()
}

/// Nothing but the keyring's members, in a Secret that is OpenShell's in all other respects.
#[tokio::test]
async fn a_secret_holds_the_generation_and_the_single_key_members() {
    let Some(place) = KubePlace::new() else { return };
    let mut sample = Sample::new();
    let old = sample.signer();
    let store = place.open();
    sample.create(&*store).await;
    let new = sample.change(&*store, |sample| sample.rotated(START.plus(5))).await;
    let object = place.object().await;
    let mut expected = vec![members::private_key(&old), members::private_key(&new)];
    expected.extend(["keyring.json", "kid", "public.pem", "signing.pem"].map(str::to_owned));
    expected.sort();
    assert_eq!(names(&object), expected);
    assert_eq!(*object.data["kid"].0, *new.as_str().as_bytes(), "it signs within activation_lead");
    assert!(object.metadata.labels.is_empty() && object.metadata.owner_references.is_empty());
    sample.change(&*store, |sample| sample.destroyed(&old, UnixTime(START.0 + 9))).await;
    let object = place.object().await;
    assert!(!object.data.contains_key(&members::private_key(&old)), "{:?}", names(&object));
}

#[tokio::test]
async fn what_others_put_into_the_secret_stays() {
    let Some(place) = KubePlace::new() else { return };
    place.put(&KEY_SET);
    let theirs = json!({
        "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
        "data": {"extra": base64(b"c")},
    });
    place.meddle(&theirs).await;
    let store = place.open();
    let mut sample = Sample::adopted();
    sample.create(&*store).await;
    sample.change(&*store, Sample::bump).await;
    let object = place.object().await;
    assert_eq!(object.metadata.labels["team"], "a");
    assert_eq!(object.metadata.annotations["note"], "b");
    assert_eq!(*object.data["extra"].0, b"c");
}

/// Kubernetes takes 1 MiB; a rotation must not be what finds that out.
#[tokio::test]
async fn t39_a_secret_that_others_fill_is_refused_before_the_limit() {
    let Some(place) = KubePlace::new() else { return };
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    place.meddle(&json!({"data": {"filler": base64(&vec![7; 768 * 1024])}})).await;
    let base = sample.base();
    sample.bump();
    let error = store.compare_and_swap(sample.on(base)).await.unwrap_err();
    let CommitError::Io(error) = error else { panic!("{error}") };
    assert!(error.source.to_string().contains("not the keyring's"), "{}", error.source);
    assert_eq!(store.load().await.unwrap().base(), base, "reading goes on");
    place.meddle(&json!({"data": {"filler": null}})).await;
    store.compare_and_swap(sample.on(base)).await.unwrap();
}

/// Whoever changes a label between the read and the write of a change is no second operator.
#[tokio::test]
async fn a_change_goes_through_while_others_change_labels() {
    let Some(place) = KubePlace::new() else { return };
    let store = place.open();
    let mut sample = Sample::new();
    sample.create(&*store).await;
    let meddling = async {
        for number in 0..50 {
            place.meddle(&json!({"metadata": {"labels": {"number": number.to_string()}}})).await;
        }
    };
    let changing = async {
        for _ in 0..5 {
            let base = sample.base();
            sample.bump();
            // Bounded, and told: somebody who never stops is not waited for.
            loop {
                match store.compare_and_swap(sample.on(base)).await {
                    Ok(_) => break,
                    Err(CommitError::Locked { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    };
    tokio::join!(meddling, changing);
    assert_eq!(store.load().await.unwrap().base(), sample.base());
}

#[tokio::test]
async fn i7_a_private_key_of_no_key_here_is_removed() {
    let Some(place) = KubePlace::new() else { return };
    let store = place.open();
    Sample::new().create(&*store).await;
    place.meddle(&json!({"data": {"key-stray-1.pem": base64(b"left over")}})).await;
    let did = store.clean().await.unwrap();
    assert_eq!(did, ["removed the private key key-stray-1.pem, of no key here"]);
    assert!(!place.object().await.data.contains_key("key-stray-1.pem"));
    assert_eq!(store.clean().await.unwrap(), Vec::<String>::new());
}

/// A Secret that somebody made beforehand, such as a chart, is an empty place.
#[tokio::test]
async fn a_secret_without_members_of_ours_is_an_empty_place() {
    let Some(place) = KubePlace::new() else { return };
    place.put(&[("other", b"x")]);
    let store = place.open();
    assert_eq!(store.occupancy().await.unwrap(), Occupancy::Empty);
    let sample = Sample::new();
    sample.create(&*store).await;
    assert_eq!(store.load().await.unwrap().base(), sample.base());
    assert_eq!(*place.object().await.data["other"].0, b"x");
}

#[tokio::test]
async fn t06_a_private_key_without_a_manifest_is_remains() {
    let Some(place) = KubePlace::new() else { return };
    place.put(&[("key-a-1.pem", b"x")]);
    let store = place.open();
    let found = store.occupancy().await.unwrap();
    assert!(matches!(&found, Occupancy::Remains(what) if what.contains("key-a-1.pem")), "{found}");
    let error = store.compare_and_swap(Sample::new().first()).await.unwrap_err();
    assert!(matches!(error, CommitError::Occupied { .. }), "{error}");
}
