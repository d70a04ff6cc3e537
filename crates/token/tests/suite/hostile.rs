//! Whatever arrives: no panic, no acceptance, and the same verdict for the same bytes.

use keystile_keyring::UnixTime;
use keystile_token::{Audience, Circumstance, Keyring, PrivateKey, inspect, public_key_from_pem};
use proptest::prelude::*;

use crate::common::{draft, forging_key, simple, token};
use crate::forger::sign_raw;

pub(crate) fn refused(keyring: &Keyring, token: &[u8]) -> bool {
    let now = UnixTime(2000);
    let unreadable = Circumstance::StoreUnreadable { confirmed_at: now };
    let audience = Audience::new("urn:x").unwrap();
    let first = keyring.verify(token, now);
    let _ = inspect(token);
    assert_eq!(keyring.verify(token, now), first);
    !first.is_accepted()
        && !keyring.verify_with(token, now, unreadable).is_accepted()
        && !keyring.verify_extension(token, &audience, now).is_accepted()
}

/// JSON of any shape, deep and wide, with the names that the profile knows among its members.
fn json() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("kid".to_owned()),
        Just("alg".to_owned()),
        Just("iss".to_owned()),
        Just("exp".to_owned()),
        Just("keystile".to_owned()),
        "[a-z]{0,8}",
        "\\PC{0,4}",
    ];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<u64>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| value.to_string()),
        "\\PC{0,12}".prop_map(|text| serde_json::Value::from(text).to_string()),
        Just("\"openshell-gateway:openshell\"".to_owned()),
        Just("1e999".to_owned()),
        Just("-0".to_owned()),
    ];
    leaf.prop_recursive(24, 96, 6, move |inner| {
        let member = (name.clone(), inner.clone())
            .prop_map(|(name, value)| format!("{}:{value}", serde_json::Value::from(name)));
        prop_oneof![
            prop::collection::vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(refused(&simple(), &bytes));
        prop_assert!(PrivateKey::from_pem(&bytes).is_err());
        prop_assert!(public_key_from_pem(&bytes).is_err());
    }

    #[test]
    fn any_dotted_text_is_refused(text in "[A-Za-z0-9_-]{0,200}\\.[A-Za-z0-9_-]{0,200}\\.[A-Za-z0-9_-]{0,100}") {
        prop_assert!(refused(&simple(), text.as_bytes()));
    }

    #[test]
    fn any_json_under_a_good_signature_is_refused(header in json(), payload in json()) {
        let keyring = simple();
        prop_assert!(refused(&keyring, sign_raw(&header, &payload, &forging_key(1)).as_bytes()));
        let good = draft(1, 2000, 3000);
        let odd_header = sign_raw(&header, &good.claims_json(), &forging_key(1));
        prop_assert!(refused(&keyring, odd_header.as_bytes()));
        let odd_payload = sign_raw(&good.header_json(), &payload, &forging_key(1));
        prop_assert!(refused(&keyring, odd_payload.as_bytes()));
    }

    #[test]
    fn any_change_to_a_good_token_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut token = token(1, 2000, 3000).into_bytes();
        let at = at.index(token.len());
        prop_assume!(token[at] != byte);
        token[at] = byte;
        prop_assert!(refused(&simple(), &token));
    }

    #[test]
    fn any_shortened_token_is_refused(length in any::<prop::sample::Index>()) {
        let token = token(1, 2000, 3000);
        prop_assert!(refused(&simple(), &token.as_bytes()[..length.index(token.len())]));
    }
}
