//! A keyring is taken or refused whole.

use keystile_keyring::check::Violation;
use keystile_keyring::manifest::PrivateState;
use keystile_keyring::{Kid, Manifest, UnixTime};
use keystile_token::{Keyring, KeyringError, PrivateKeys, digest};

use crate::common::{accepted, key, kid, manifest, no_digest, open, private_key, revoked, superseded, token};

fn with_private(manifest: Manifest, keys: &[(Kid, u8)]) -> Result<Keyring, KeyringError> {
    let mut private = PrivateKeys::new();
    for (kid, seed) in keys {
        private.insert(kid.clone(), private_key(*seed)).unwrap();
    }
    Keyring::open(manifest, no_digest(), private)
}

fn one_key() -> Manifest {
    manifest(vec![key(1)], &[(0, 1)])
}

#[test]
fn t23_a_private_key_of_another_public_key_is_refused() {
    let error = with_private(one_key(), &[(kid(1), 2)]).unwrap_err();
    assert_eq!(error, KeyringError::PrivateKeyMismatch(kid(1)));
}

#[test]
fn t23_a_private_key_that_should_be_there_is_missed() {
    assert_eq!(with_private(one_key(), &[]).unwrap_err(), KeyringError::PrivateKeyMissing(kid(1)));
    // Also where the key that signs is there.
    let mut two = manifest(vec![key(1), key(2)], &[(0, 1), (100, 2)]);
    two.keys[0].superseded = Some(superseded(100));
    assert_eq!(with_private(two, &[(kid(2), 2)]).unwrap_err(), KeyringError::PrivateKeyMissing(kid(1)));
}

#[test]
fn t23_two_keys_of_one_kid_are_refused() {
    let mut two = manifest(vec![key(1), key(2)], &[(0, 1)]);
    two.keys[1].kid = kid(1);
    let error = with_private(two, &[(kid(1), 1)]).unwrap_err();
    assert_eq!(error, KeyringError::Manifest(Violation::KidTwice(kid(1))));
}

#[test]
fn t23_an_adopted_kid_is_not_recomputed() {
    let mut adopted = one_key();
    let own = Kid::new("6f1ed002ab5595859014ebf0951522d9").unwrap();
    adopted.keys[0].kid = own.clone();
    adopted.timeline[0].kid = own.clone();
    let keyring = with_private(adopted, &[(own.clone(), 1)]).unwrap();
    assert!(keyring.can_sign_with(&own));
    assert_eq!(keyring.jwk_set(UnixTime(0)).keys[0].kid, own.as_str());
}

#[test]
fn keys_beyond_the_manifest_are_not_kept() {
    let keyring = with_private(one_key(), &[(kid(1), 1), (kid(2), 2)]).unwrap();
    assert!(keyring.can_sign_with(&kid(1)) && !keyring.can_sign_with(&kid(2)));
    let mut destroyed = manifest(vec![key(1), key(2)], &[(0, 1), (100, 2)]);
    destroyed.keys[0].superseded = Some(superseded(100));
    destroyed.keys[0].private = PrivateState::DestroyedAt(UnixTime(200));
    let keyring = with_private(destroyed, &[(kid(1), 1), (kid(2), 2)]).unwrap();
    assert!(!keyring.can_sign_with(&kid(1)));
}

#[test]
fn a_broken_manifest_is_refused() {
    let mut zero = one_key();
    zero.generation = 0;
    let error = Keyring::verify_only(zero, no_digest()).unwrap_err();
    assert_eq!(error, KeyringError::Manifest(Violation::GenerationZero));
}

#[test]
fn a_keyring_whose_signer_is_revoked_is_refused() {
    let mut dead = one_key();
    dead.keys[0].revoked = Some(revoked(50));
    assert_eq!(Keyring::verify_only(dead, no_digest()).unwrap_err(), KeyringError::SignerRevoked(kid(1)));
}

#[test]
fn a_verify_only_keyring_verifies_and_holds_no_private_key() {
    let keyring = Keyring::verify_only(one_key(), no_digest()).unwrap();
    accepted(&keyring, &token(1, 100, 200), 100);
    assert!(!keyring.can_sign_with(&kid(1)));
}

#[test]
fn it_tells_what_it_was_compiled_from() {
    let manifest = one_key();
    let bytes = manifest.to_json().unwrap();
    let keyring = open(manifest.clone());
    assert_eq!(**keyring.manifest(), manifest);
    assert_eq!(keyring.digest(), digest(&bytes));
    assert_eq!(keyring.generation(), 1);
    assert_eq!(keyring.issuer(), "openshell-gateway:openshell");
}

#[test]
fn a_keyring_is_printed_by_its_issuer_and_generation_alone() {
    let shown = format!("{:?}", crate::common::simple());
    assert!(
        shown.starts_with("Keyring { issuer: \"openshell-gateway:openshell\", generation: 1, "),
        "{shown}"
    );
    assert!(shown.ends_with(", .. }"), "{shown}");
}
