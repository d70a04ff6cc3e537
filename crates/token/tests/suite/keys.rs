//! Keys in and out of PEM, and the vectors of RFC 8037 appendix A.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keystile_keyring::{Kid, PublicKey};
use keystile_system::SystemEntropy;
use keystile_token::{
    KeyError, Keyring, KidTaken, PrivateKey, PrivateKeys, kid_of, public_key_from_pem, public_key_to_pem,
};

use crate::common::{hex, kid, manifest, no_digest, openshell, pem, private_key};

/// RFC 8037 appendix A.1: `d` and `x`.
const RFC8037_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const RFC8037_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn der(pem_text: &str) -> Vec<u8> {
    let body: String = pem_text.lines().filter(|line| !line.starts_with('-')).collect();
    base64::engine::general_purpose::STANDARD.decode(body).unwrap()
}

fn refused(pem: &str) -> KeyError {
    PrivateKey::from_pem(pem.as_bytes()).err().expect("a key that is refused")
}

fn rfc8037_pem() -> String {
    let mut v1 = hex("302e020100300506032b657004220420");
    v1.extend(URL_SAFE_NO_PAD.decode(RFC8037_D).unwrap());
    pem("PRIVATE KEY", &v1)
}

#[test]
fn rfc_8037_a1_and_a2_the_public_key_follows_from_the_private_one() {
    let key = PrivateKey::from_pem(rfc8037_pem().as_bytes()).unwrap();
    assert_eq!(key.public_key().0.to_vec(), URL_SAFE_NO_PAD.decode(RFC8037_X).unwrap());
}

#[test]
fn version_1_is_written_and_read_back() {
    let key = private_key(7);
    let text = key.to_pem();
    assert_eq!(der(&text).len(), 48);
    assert!(
        text.starts_with("-----BEGIN PRIVATE KEY-----\n") && text.ends_with("\n-----END PRIVATE KEY-----\n")
    );
    assert_eq!(PrivateKey::from_pem(text.as_bytes()).unwrap().public_key(), key.public_key());
    assert_eq!(*PrivateKey::from_pem(text.as_bytes()).unwrap().to_pem(), *text);
}

#[test]
fn version_2_is_read_and_version_1_written() {
    let openshell = openshell();
    let key = PrivateKey::from_pem(openshell.private_pem.as_bytes()).unwrap();
    assert_eq!(der(&openshell.private_pem).len(), 83);
    assert_eq!(der(&key.to_pem()).len(), 48);
    assert_eq!(PrivateKey::from_pem(key.to_pem().as_bytes()).unwrap().public_key(), key.public_key());
}

#[test]
fn version_2_with_attributes_is_read() {
    // RFC 8410 section 10.3.
    let text = "-----BEGIN PRIVATE KEY-----\n\
        MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
        oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB\n\
        Z9w7lshQhqowtrbLDFw4rXAxZuE=\n\
        -----END PRIVATE KEY-----\n";
    let key = PrivateKey::from_pem(text.as_bytes()).unwrap();
    assert_eq!(
        key.public_key().to_string(),
        "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
    );
}

#[test]
fn lines_may_have_another_width_than_64() {
    let openshell = openshell();
    let wrapped = |label: &str, pem_text: &str, width: usize, end: &str| {
        let body: String = pem_text.lines().filter(|line| !line.starts_with('-')).collect();
        let lines = body.as_bytes().chunks(width).map(|line| std::str::from_utf8(line).unwrap());
        let lines: String = lines.flat_map(|line| [line, end]).collect();
        format!("-----BEGIN {label}-----{end}{lines}-----END {label}-----{end}")
    };
    let expected = PrivateKey::from_pem(openshell.private_pem.as_bytes()).unwrap().public_key();
    let public = public_key_to_pem(&expected);
    for (width, end) in [(76, "\n"), (76, "\r\n"), (60, "\n"), (4, "\n"), (4000, "\n")] {
        let private = wrapped("PRIVATE KEY", &openshell.private_pem, width, end);
        let key = PrivateKey::from_pem(private.as_bytes()).unwrap_or_else(|error| panic!("{width}: {error}"));
        assert_eq!(key.public_key(), expected);
        let read = public_key_from_pem(wrapped("PUBLIC KEY", &public, width, end).as_bytes());
        assert_eq!(read.unwrap_or_else(|error| panic!("{width}: {error}")), expected);
    }
    // All lines but the last are of one width.
    let ragged = wrapped("PRIVATE KEY", &openshell.private_pem, 76, "\n").replacen('M', "M\n", 1);
    assert!(matches!(refused(&ragged), KeyError::NotPem { .. }));
}

#[test]
fn version_2_with_the_public_key_of_another_is_refused() {
    let mut der = der(&openshell().private_pem);
    let length = der.len();
    der[length - 32..].copy_from_slice(&private_key(1).public_key().0);
    assert_eq!(refused(&pem("PRIVATE KEY", &der)), KeyError::NotEd25519Private);
}

#[test]
fn trailing_data_is_refused_inside_and_after_the_block() {
    let good = private_key(1).to_pem();
    let mut longer = der(&good);
    longer.push(0);
    assert_eq!(refused(&pem("PRIVATE KEY", &longer)), KeyError::NotEd25519Private);
    let two = format!("{}{}", &*good, &*private_key(2).to_pem());
    assert!(matches!(refused(&two), KeyError::NotPem { what: "private key", .. }));
}

#[test]
fn keys_of_other_kinds_are_refused() {
    // X25519, by its OID; then a seed one byte short.
    let x25519 = [hex("302e020100300506032b656e04220420"), vec![7; 32]].concat();
    assert_eq!(refused(&pem("PRIVATE KEY", &x25519)), KeyError::NotEd25519Private);
    let short = [hex("302d020100300506032b65700421041f"), vec![7; 31]].concat();
    assert_eq!(refused(&pem("PRIVATE KEY", &short)), KeyError::NotEd25519Private);
    assert!(matches!(refused(&pem("PRIVATE KEY", &[])), KeyError::NotPem { .. }));
    for der in [vec![0x30], vec![0x30, 0], vec![0x04, 1, 7], vec![0x30, 0x80, 0, 0], vec![0x30, 0x81, 1, 7]] {
        assert_eq!(refused(&pem("PRIVATE KEY", &der)), KeyError::NotEd25519Private);
    }
    // A version that nobody has defined.
    let version_3 = [hex("302e020102300506032b657004220420"), vec![7; 32]].concat();
    assert_eq!(refused(&pem("PRIVATE KEY", &version_3)), KeyError::NotEd25519Private);
    let other = KeyError::Label { found: "EC PRIVATE KEY".to_owned(), expected: "PRIVATE KEY" };
    assert_eq!(refused(&pem("EC PRIVATE KEY", &[1; 40])), other);
    assert!(matches!(refused("no key at all"), KeyError::NotPem { .. }));
}

#[test]
fn pem_is_bounded() {
    let good = private_key(1).to_pem();
    let padded = |size: usize| format!("{}\n{}", "x".repeat(size - good.len() - 1), &*good);
    assert!(PrivateKey::from_pem(padded(8192).as_bytes()).is_ok());
    assert_eq!(refused(&padded(8193)), KeyError::TooLarge { found: 8193 });
    let found = vec![b'x'; 8193];
    assert_eq!(public_key_from_pem(&found), Err(KeyError::TooLarge { found: 8193 }));
    let public = public_key_to_pem(&private_key(1).public_key());
    let longest = format!("{}\n{public}", "x".repeat(8192 - public.len() - 1));
    assert_eq!(public_key_from_pem(longest.as_bytes()), Ok(private_key(1).public_key()));
}

#[test]
fn line_ends_may_be_of_any_kind() {
    let text = private_key(3).to_pem().replace('\n', "\r\n");
    assert!(PrivateKey::from_pem(text.as_bytes()).is_ok());
    assert!(PrivateKey::from_pem(private_key(3).to_pem().trim_end().as_bytes()).is_ok());
    assert!(PrivateKey::from_pem(format!("{}\n \n", &*private_key(3).to_pem()).as_bytes()).is_ok());
}

#[test]
fn public_keys_go_out_and_in() {
    let openshell = openshell();
    let key = public_key_from_pem(openshell.public_pem.as_bytes()).unwrap();
    assert_eq!(public_key_to_pem(&key), openshell.public_pem);
    assert_eq!(kid_of(&key), openshell.kid);
}

#[test]
fn only_the_first_public_block_counts() {
    let (first, second) = (private_key(1).public_key(), private_key(2).public_key());
    let both = format!("{}{}", public_key_to_pem(&first), public_key_to_pem(&second));
    assert_eq!(public_key_from_pem(both.as_bytes()), Ok(first));
}

#[test]
fn other_public_keys_are_refused() {
    let spki = der(&public_key_to_pem(&private_key(1).public_key()));
    let short = pem("PUBLIC KEY", &spki[..43]);
    assert_eq!(public_key_from_pem(short.as_bytes()), Err(KeyError::NotEd25519Public));
    let long = pem("PUBLIC KEY", &[spki.clone(), vec![0]].concat());
    assert_eq!(public_key_from_pem(long.as_bytes()), Err(KeyError::NotEd25519Public));
    let mut x25519 = spki.clone();
    x25519[8] = 0x6e;
    assert_eq!(public_key_from_pem(pem("PUBLIC KEY", &x25519).as_bytes()), Err(KeyError::NotEd25519Public));
    let private = private_key(1).to_pem();
    let expected = KeyError::Label { found: "PRIVATE KEY".to_owned(), expected: "PUBLIC KEY" };
    assert_eq!(public_key_from_pem(private.as_bytes()), Err(expected));
}

#[test]
fn generated_keys_differ() {
    let (one, two) =
        (PrivateKey::generate(&SystemEntropy).unwrap(), PrivateKey::generate(&SystemEntropy).unwrap());
    assert_ne!(one.public_key(), two.public_key());
}

#[test]
fn no_randomness_is_no_key() {
    struct Dry;
    impl keystile_system::Entropy for Dry {
        fn fill(&self, _: &mut [u8]) -> Result<(), keystile_system::EntropyError> {
            Err(keystile_system::EntropyError)
        }
    }
    assert!(matches!(PrivateKey::generate(&Dry).err(), Some(KeyError::Entropy(_))));
}

#[test]
fn one_kid_has_one_private_key() {
    let mut keys = PrivateKeys::new();
    keys.insert(kid(1), private_key(1)).unwrap();
    assert_eq!(keys.insert(kid(1), private_key(2)), Err(KidTaken(kid(1))));
    assert_eq!(keys.get(&kid(1)).unwrap().public_key(), private_key(1).public_key());
    keys.insert(kid(2), private_key(2)).unwrap();
    assert_eq!((keys.len(), keys.is_empty()), (2, false));
    let held: Vec<_> = keys.iter().map(|(kid, key)| (kid.clone(), key.public_key())).collect();
    assert_eq!(held.len(), 2);
    assert!(held.iter().all(|(kid, public_key)| *kid == kid_of(public_key)));
    keys.retain(|found, _| *found == kid(2));
    assert_eq!(keys.kids().collect::<Vec<_>>(), [&kid(2)]);
    assert!(keys.remove(&kid(2)).is_some() && keys.is_empty());
}

#[test]
fn a_public_key_off_the_curve_is_refused_or_verifies_nothing() {
    let mut off = crate::common::key(1);
    off.public_key = PublicKey([0xff; 32]);
    off.kid = Kid::new("off-the-curve").unwrap();
    let mut manifest = manifest(vec![crate::common::key(2), off], &[(0, 2)]);
    manifest.keys[1].private =
        keystile_keyring::manifest::PrivateState::DestroyedAt(keystile_keyring::UnixTime(0));
    if let Ok(keyring) = Keyring::verify_only(manifest, no_digest()) {
        let token = crate::common::draft(2, 100, 200).header("kid", "off-the-curve");
        let token = token.signed(&crate::common::forging_key(2));
        assert_eq!(crate::common::reason(&keyring, &token, 100), keystile_token::Reason::BadSignature);
    }
}
