//! The documents that outside verifiers fetch.

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::{Manifest, UnixTime};
use keystile_token::Keyring;
use serde_json::{Value, json};

use crate::common::{
    accepted, base64url, key, kid, manifest, open, open_adopted, openshell, private_key, revoked, simple,
    superseded, token,
};

fn kids(keyring: &Keyring, now: u64) -> Vec<String> {
    keyring.jwk_set(UnixTime(now)).keys.into_iter().map(|key| key.kid).collect()
}

fn sorted(seeds: &[u8]) -> Vec<String> {
    let mut kids: Vec<_> = seeds.iter().map(|seed| kid(*seed).to_string()).collect();
    kids.sort();
    kids
}

/// Key 1 superseded at 5000, 2 active, 3 prepared, 4 revoked.
fn fleet() -> Manifest {
    let mut fleet = manifest(vec![key(1), key(2), key(3), key(4)], &[(1000, 1), (5000, 2)]);
    fleet.keys[0].superseded = Some(superseded(5000));
    fleet.keys[3].revoked = Some(revoked(4000));
    fleet
}

#[test]
fn the_jwk_set_is_openshells_byte_for_byte() {
    let keyring = open_adopted(crate::common::adopted());
    let openshell = openshell();
    let spki: Vec<u8> =
        crate::common::hex("87451685c6690fee60124a0b539381b2acd32d5bb7e29c9775b892e5960c283f");
    let expected = format!(
        "{{\"keys\":[{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"EdDSA\",\"use\":\"sig\",\"kid\":\"{}\",\
         \"x\":\"{}\"}}]}}",
        openshell.kid,
        base64url(spki)
    );
    assert_eq!(serde_json::to_string(&keyring.jwk_set(UnixTime(0))).unwrap(), expected);
}

#[test]
fn a_jwk_has_the_members_of_rfc_8037() {
    let jwk = &simple().jwk_set(UnixTime(2000)).keys[0];
    assert_eq!(jwk.x, base64url(private_key(1).public_key().0));
    assert_eq!((jwk.kty, jwk.crv, jwk.alg, jwk.key_use), ("OKP", "Ed25519", "EdDSA", "sig"));
}

#[test]
fn t43_the_jwk_set_holds_every_key_whose_tokens_can_be_alive() {
    let keyring = open(fleet());
    let lives = |now: u64| {
        let candidates = [(1, now.min(5390)), (2, now.max(5000)), (3, now), (4, now)];
        let alive = candidates.into_iter().filter(|(seed, iat)| {
            let token = token(*seed, *iat, iat + 3600);
            keyring.verify(token.as_bytes(), UnixTime(now)).is_accepted()
        });
        alive.map(|(seed, _)| kid(seed).to_string()).collect::<Vec<_>>()
    };
    for now in (4000..10_000).step_by(50).chain([4999, 5000, 5390, 9050, 9051]) {
        let published = kids(&keyring, now);
        for alive in lives(now) {
            assert!(published.contains(&alive), "{alive} at {now}");
        }
    }
    accepted(&keyring, &token(1, 5390, 8990), 9050);
}

#[test]
fn prepared_active_and_verify_only_keys_are_published() {
    let keyring = open(fleet());
    assert_eq!(kids(&keyring, 5000), sorted(&[1, 2, 3]));
    assert_eq!(kids(&keyring, 9050), sorted(&[1, 2, 3]));
    assert_eq!(kids(&keyring, 9051), sorted(&[2, 3]));
    // A replica whose clock is behind has them all the same.
    assert_eq!(kids(&keyring, 0), sorted(&[1, 2, 3]));
}

#[test]
fn the_order_does_not_follow_the_manifests() {
    let (mut one, mut two) = (fleet(), fleet());
    one.keys[3].private = PrivateState::DestroyedAt(UnixTime(4000));
    two.keys.reverse();
    let (one, two) = (open(one), open(two));
    assert_eq!(one.jwk_set(UnixTime(6000)), two.jwk_set(UnixTime(6000)));
}

#[test]
fn t04_the_jwk_set_is_never_empty() {
    // Without the prepared key, which would be in the set whatever became of the others.
    let mut rotated = fleet();
    rotated.keys.remove(2);
    for keyring in [open(rotated), open(fleet()), simple()] {
        for now in [0, 1, 999, 1000, 4999, 5000, 9051, 1 << 40, u64::MAX] {
            let at = UnixTime(now.max(1000));
            let signs = keyring.manifest().active_at(at).unwrap().kid.to_string();
            assert!(kids(&keyring, now).contains(&signs), "{now}: {signs} is not published");
        }
    }
}

#[test]
fn the_discovery_document_is_openshells() {
    let found = serde_json::to_value(simple().discovery("https://gateway.example:8080")).unwrap();
    let expected = json!({
        "issuer": "openshell-gateway:openshell",
        "jwks_uri": "https://gateway.example:8080/.well-known/jwks.json",
        "id_token_signing_alg_values_supported": ["EdDSA"],
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid"],
        "claims_supported": ["iss", "aud", "sub", "iat", "exp", "jti", "caller_kind", "sandbox_id"],
    });
    assert_eq!(found, expected);
    let text = serde_json::to_string(&simple().discovery("https://x")).unwrap();
    assert!(text.starts_with("{\"issuer\":") && text.contains("\"jwks_uri\""));
    assert!(matches!(found, Value::Object(_)));
}
