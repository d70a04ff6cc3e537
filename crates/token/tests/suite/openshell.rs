//! The real OpenShell's key set and tokens.

use crate::common::{adopted, open_adopted, openshell};
use keystile_keyring::{KeyState, UnixTime};
use keystile_token::{PrivateKey, Reason, Verdict, kid_of, public_key_from_pem};

/// A little after OpenShell minted the tokens.
const NOW: UnixTime = UnixTime(1_795_407_700);

#[test]
fn its_key_set_is_read() {
    let openshell = openshell();
    let private = PrivateKey::from_pem(openshell.private_pem.as_bytes()).unwrap();
    let public = public_key_from_pem(openshell.public_pem.as_bytes()).unwrap();
    assert_eq!(private.public_key(), public);
    assert_eq!(kid_of(&public), openshell.kid);
    assert_eq!(open_adopted(adopted()).issuer(), format!("openshell-gateway:{}", openshell.gateway_id));
}

#[test]
fn its_tokens_are_accepted_once_adopted() {
    let (openshell, keyring) = (openshell(), open_adopted(adopted()));
    for (name, expires_at) in [("never_expires", None), ("ten_years", Some(UnixTime(2_110_767_622)))] {
        let Verdict::Accepted(accepted) = keyring.verify(openshell.tokens[name].as_bytes(), NOW) else {
            panic!("{name} is refused");
        };
        assert_eq!(accepted.claims.sandbox_id.as_str(), openshell.sandbox_id);
        assert_eq!(accepted.claims.expires_at, expires_at);
        assert_eq!(accepted.claims.lineage.began, accepted.claims.issued_at);
        assert_eq!((accepted.kid, accepted.state), (openshell.kid.clone(), KeyState::Active));
    }
}

#[test]
fn its_tokens_for_others_are_not() {
    let (openshell, keyring) = (openshell(), open_adopted(adopted()));
    let reason = |name: &str| keyring.verify(openshell.tokens[name].as_bytes(), NOW).reason();
    assert_eq!(reason("other_gateway"), Some(Reason::WrongIssuer));
    assert_eq!(reason("other_kid"), Some(Reason::UnknownKid));
}
