//! The attacks of RFC 8725 and their relatives.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use keystile_keyring::UnixTime;
use keystile_token::{Reason, TOKEN_BYTES, Verdict, public_key_to_pem};
use serde_json::json;

use crate::common::{
    accepted, base64url, draft, forging_key, kid, private_key, reason, rejected, simple, token,
};
use crate::forger::{sign_encoded, sign_raw};

#[test]
fn alg_none_is_refused_with_and_without_a_signature() {
    for alg in ["none", "None", "NONE", "nOnE"] {
        let forged = draft(1, 2000, 3000).header("alg", alg);
        assert_eq!(reason(&simple(), &forged.unsigned(), 2000), Reason::AlgMismatch);
        assert_eq!(reason(&simple(), &forged.signed(&forging_key(1)), 2000), Reason::AlgMismatch);
    }
    assert_eq!(reason(&simple(), &draft(1, 2000, 3000).unsigned(), 2000), Reason::BadSignature);
}

#[test]
fn hs256_with_the_public_key_as_the_secret_is_refused() {
    let public = private_key(1).public_key();
    let pem = public_key_to_pem(&public);
    let secrets =
        [public.0.to_vec(), pem.clone().into_bytes(), pem.trim_end().as_bytes().to_vec(), Vec::new()];
    for secret in secrets {
        let honest_alg = draft(1, 2000, 3000);
        assert_eq!(
            reason(&simple(), &honest_alg.clone().header("alg", "HS256").hmac(&secret), 2000),
            Reason::AlgMismatch
        );
        assert_eq!(reason(&simple(), &honest_alg.hmac(&secret), 2000), Reason::BadSignature);
    }
}

#[test]
fn rs256_and_es256_headers_are_refused_over_a_good_ed25519_signature() {
    for alg in ["RS256", "ES256", "PS512", "ES256K"] {
        let forged = draft(1, 2000, 3000).header("alg", alg).signed(&forging_key(1));
        assert_eq!(reason(&simple(), &forged, 2000), Reason::AlgMismatch);
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_never_used() {
    let thief = forging_key(9);
    let x = base64url(thief.public_bytes());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x, "kid": kid(1).as_str() });
    let embedded = [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/chain.pem")),
        ("x5c", json!([STANDARD.encode(thief.public_bytes())])),
    ];
    for (member, value) in embedded {
        let forged = draft(1, 2000, 3000).header(member, value.clone());
        assert_eq!(reason(&simple(), &forged.signed(&thief), 2000), Reason::BadSignature, "{member}");
        let unknown = forged.header("kid", "evil");
        assert_eq!(reason(&simple(), &unknown.signed(&thief), 2000), Reason::UnknownKid, "{member}");
        // It changes nothing either: the keyring's own key decides.
        accepted(&simple(), &draft(1, 2000, 3000).header(member, value).signed(&forging_key(1)), 2000);
    }
}

#[test]
fn t27_a_hostile_kid_is_refused_and_safe_to_print() {
    let keyring = simple();
    let own = kid(1);
    let hostile = [
        "../../etc/passwd".to_owned(),
        "' OR 1=1 --".to_owned(),
        "a\nb".to_owned(),
        "a\u{0}b".to_owned(),
        "\u{1b}[2J".to_owned(),
        "k".repeat(128),
        "k".repeat(129),
        String::new(),
        format!("{own} "),
        format!(" {own}"),
        own.as_str().to_uppercase(),
        own.as_str()[..31].to_owned(),
        format!("{own}\u{0}"),
        "\u{202e}gnp".to_owned(),
    ];
    for kid in hostile {
        let rejection = rejected(
            &keyring,
            &draft(1, 2000, 3000).header("kid", kid.as_str()).signed(&forging_key(1)),
            2000,
        );
        let usable = (1..=128).contains(&kid.len()) && kid.bytes().all(|byte| byte.is_ascii_graphic());
        assert_eq!(rejection.reason, if usable { Reason::UnknownKid } else { Reason::Malformed }, "{kid:?}");
        assert_eq!(rejection.kid.is_some(), usable);
        let shown = format!("{rejection:?}");
        assert!(shown.len() < 1024 && shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{shown}");
    }
    // 1 MB, a number, a list, twice.
    let large = draft(1, 2000, 3000).header("kid", "k".repeat(1 << 20)).signed(&forging_key(1));
    assert_eq!(reason(&keyring, &large, 2000), Reason::TooLarge);
    for kid in [json!(7), json!([own.as_str()]), json!(null), json!({ "kid": own.as_str() })] {
        let forged = draft(1, 2000, 3000).header("kid", kid).signed(&forging_key(1));
        assert_eq!(reason(&keyring, &forged, 2000), Reason::Malformed);
    }
}

#[test]
fn duplicate_members_are_refused_in_header_and_payload() {
    let (keyring, thief) = (simple(), forging_key(1));
    let (header, claims) = (draft(1, 2000, 3000).header_json(), draft(1, 2000, 3000).claims_json());
    let also = |object: &str, member: &str| format!("{{{member},{}", &object[1..]);
    let own = kid(1);
    let twice = [
        (also(&header, &format!("\"kid\":\"{own}\"")), claims.clone()),
        (also(&header, "\"alg\":\"none\""), claims.clone()),
        (also(&header, "\"\\u006bid\":\"x\""), claims.clone()),
        (header.clone(), also(&claims, "\"sandbox_id\":\"sandbox-2\"")),
        (header.clone(), also(&claims, "\"exp\":3000")),
        (header.clone(), also(&claims, "\"x\":{\"a\":1,\"a\":2}")),
    ];
    accepted(&keyring, &sign_raw(&header, &claims, &thief), 2000);
    for (header, claims) in twice {
        assert_eq!(reason(&keyring, &sign_raw(&header, &claims, &thief), 2000), Reason::Malformed);
    }
}

#[test]
fn crit_and_b64_are_refused() {
    let critical = [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!("b64")),
        ("b64", json!(false)),
        ("b64", json!(true)),
    ];
    for (member, value) in critical {
        let forged = draft(1, 2000, 3000).header(member, value).signed(&forging_key(1));
        assert_eq!(reason(&simple(), &forged, 2000), Reason::Malformed);
    }
}

#[test]
fn base64url_has_one_form() {
    let keyring = simple();
    let good = token(1, 2000, 3000);
    accepted(&keyring, &good, 2000);
    // Padding, the other alphabet, blanks, line breaks: in every segment.
    for segment in 0..3 {
        for spoil in ["=", "==", " ", "\n", "+", "/", "\u{0}"] {
            let mut segments: Vec<String> = good.split('.').map(str::to_owned).collect();
            segments[segment].push_str(spoil);
            assert_eq!(reason(&keyring, &segments.join("."), 2000), Reason::Malformed, "{segment} {spoil:?}");
        }
    }
    // Trailing bits that are not zero: another text for the same 64 bytes of signature.
    let (input, signature) = good.rsplit_once('.').unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let last = alphabet.find(signature.chars().last().unwrap()).unwrap();
    assert_eq!(last % 16, 0, "64 bytes end with four bits that are zero");
    for bits in 1..16 {
        let other = &alphabet[last + bits..=last + bits];
        let spoiled = format!("{input}.{}{other}", &signature[..signature.len() - 1]);
        assert_eq!(reason(&keyring, &spoiled, 2000), Reason::Malformed);
    }
    // Signed over a padded header, so that the signature itself is good.
    for blanks in 0..3 {
        let header = URL_SAFE.encode(format!("{}{}", draft(1, 2000, 3000).header_json(), " ".repeat(blanks)));
        let input = format!("{header}.{}", base64url(draft(1, 2000, 3000).claims_json()));
        let accepted =
            keyring.verify(sign_encoded(&input, &forging_key(1)).as_bytes(), UnixTime(2000)).is_accepted();
        assert_eq!(accepted, !header.ends_with('='));
    }
}

#[test]
fn there_are_exactly_three_segments_and_nothing_after() {
    let keyring = simple();
    let good = token(1, 2000, 3000);
    let (input, _) = good.rsplit_once('.').unwrap();
    let (header, payload) = input.split_once('.').unwrap();
    let broken = [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        header.to_owned(),
        input.to_owned(),
        format!("{good}."),
        format!("{good}.{header}"),
        format!(".{payload}."),
        format!("{header}.."),
        format!(" {good}"),
        format!("{good}\n"),
        format!("Bearer {good}"),
        // The JSON serialization of RFC 7515 section 7.2.
        format!("{{\"payload\":\"{payload}\",\"signatures\":[]}}"),
        // JWE has five segments.
        format!("{good}.a.b"),
    ];
    for token in broken {
        assert_eq!(reason(&keyring, &token, 2000), Reason::Malformed, "{token:?}");
    }
}

#[test]
fn header_and_payload_are_json_objects_and_nothing_after() {
    let (keyring, key) = (simple(), forging_key(1));
    let (header, claims) = (draft(1, 2000, 3000).header_json(), draft(1, 2000, 3000).claims_json());
    for text in [
        "",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        "{}{}",
        "{} x",
        "{\"a\":1,}",
        "\u{feff}{}",
        "{a:1}",
        "{\"a\":NaN}",
    ] {
        assert_eq!(reason(&keyring, &sign_raw(text, &claims, &key), 2000), Reason::Malformed, "{text}");
        assert_eq!(reason(&keyring, &sign_raw(&header, text, &key), 2000), Reason::Malformed, "{text}");
    }
    assert_eq!(
        reason(&keyring, &sign_raw(&header, &format!("{claims}{claims}"), &key), 2000),
        Reason::Malformed
    );
    // White space around it is JSON still.
    accepted(&keyring, &sign_raw(&format!(" {header}\n"), &format!("\t{claims} "), &key), 2000);
    let latin1 = format!("{}.{}", base64url(&header), base64url(b"{\"iss\":\"\xe9\"}"));
    assert_eq!(reason(&keyring, &sign_encoded(&latin1, &key), 2000), Reason::Malformed);
    let surrogate = claims.replacen('{', "{\"x\":\"\\ud800\",", 1);
    assert_eq!(reason(&keyring, &sign_raw(&header, &surrogate, &key), 2000), Reason::Malformed);
}

#[test]
fn alg_is_required_and_a_string() {
    for alg in [json!(null), json!(1), json!(["EdDSA"])] {
        let forged = draft(1, 2000, 3000).header("alg", alg).signed(&forging_key(1));
        assert_eq!(reason(&simple(), &forged, 2000), Reason::Malformed);
    }
    let missing = draft(1, 2000, 3000).without_header("alg").signed(&forging_key(1));
    assert_eq!(reason(&simple(), &missing, 2000), Reason::Malformed);
    let typ = draft(1, 2000, 3000).header("typ", json!(["JWT"])).signed(&forging_key(1));
    assert_eq!(reason(&simple(), &typ, 2000), Reason::Malformed);
}

#[test]
fn a_token_has_at_most_8_kib() {
    let keyring = simple();
    let sized = |size: usize| {
        let fillers = (0..4).flat_map(|header| (5500..6000).map(move |claims| (header, claims)));
        let mut tokens = fillers.map(|(header, claims)| {
            let draft = draft(1, 2000, 3000).header("x", "x".repeat(header)).claim("x", "x".repeat(claims));
            draft.signed(&forging_key(1))
        });
        tokens.find(|token| token.len() == size).unwrap()
    };
    accepted(&keyring, &sized(TOKEN_BYTES), 2000);
    assert_eq!(reason(&keyring, &sized(TOKEN_BYTES + 1), 2000), Reason::TooLarge);
    let good =
        format!("{}{}", token(1, 2000, 3000), "x".repeat(TOKEN_BYTES + 1 - token(1, 2000, 3000).len()));
    assert_eq!(reason(&keyring, &good, 2000), Reason::TooLarge);
}

#[test]
fn nesting_and_members_are_bounded() {
    let (keyring, key) = (simple(), forging_key(1));
    let nested = |depth: usize| {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        draft(1, 2000, 3000).claims_json().replacen('{', &format!("{{\"x\":{deep},"), 1)
    };
    let header = draft(1, 2000, 3000).header_json();
    accepted(&keyring, &sign_raw(&header, &nested(15), &key), 2000);
    assert_eq!(reason(&keyring, &sign_raw(&header, &nested(16), &key), 2000), Reason::Malformed);
    assert_eq!(reason(&keyring, &sign_raw(&header, &nested(2500), &key), 2000), Reason::Malformed);
    let many = |count: usize| {
        (0..count)
            .fold(draft(1, 2000, 3000), |draft, index| draft.claim(&format!("x{index}"), 1))
            .signed(&key)
    };
    accepted(&keyring, &many(122), 2000);
    assert_eq!(reason(&keyring, &many(123), 2000), Reason::Malformed);
}

#[test]
fn a_signature_has_64_bytes() {
    let good = token(1, 2000, 3000);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    for other in
        [bytes[..63].to_vec(), [bytes.clone(), vec![0]].concat(), Vec::new(), [bytes.clone(), bytes].concat()]
    {
        let forged = format!("{input}.{}", base64url(other));
        assert_eq!(reason(&simple(), &forged, 2000), Reason::BadSignature);
    }
}

#[test]
fn a_signature_is_not_malleable() {
    // S plus the order of the group: the same equation, refused by RFC 8032 section 5.1.7.
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let good = token(1, 2000, 3000);
    let (input, signature) = good.rsplit_once('.').unwrap();
    let mut bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(signature).unwrap();
    let mut carry = 0;
    for (byte, order) in bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(reason(&simple(), &format!("{input}.{}", base64url(bytes)), 2000), Reason::BadSignature);
}

#[test]
fn every_flipped_bit_is_noticed() {
    let (keyring, good) = (simple(), token(1, 2000, 3000));
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut flipped = good.clone().into_bytes();
            flipped[at] ^= 1 << bit;
            let verdict = keyring.verify(&flipped, UnixTime(2000));
            assert!(!matches!(verdict, Verdict::Accepted(_)), "byte {at}, bit {bit}");
        }
    }
}
