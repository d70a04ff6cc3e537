//! T48: a panic tells of no key and no token, neither in its message nor in its backtrace.
//!
//! Each test runs this program again as another process, which panics, and reads all that it said.

use std::hint::black_box;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keystile_keyring::UnixTime;
use keystile_token::{
    BootstrapMethod, Keyring, PrivateKey, PrivateKeys, PrivatePem, SandboxGrant, SandboxId, SecretToken,
};

use crate::common::{kid, private_key, simple};

/// The seed of the key that is held.
const SEED: u8 = 0xa7;

/// What a process holds that panics.
struct Held {
    key: PrivateKey,
    pem: PrivatePem,
    keys: PrivateKeys,
    keyring: Keyring,
    token: SecretToken,
}

impl Held {
    fn new() -> Self {
        let (key, keyring, now) = (private_key(SEED), simple(), UnixTime(2000));
        let mut keys = PrivateKeys::new();
        keys.insert(kid(SEED), private_key(SEED)).unwrap();
        let grant =
            SandboxGrant::bootstrap(SandboxId::new("sandbox-1").unwrap(), BootstrapMethod::TokenFile, now);
        let token = keyring.mint(&grant, now).unwrap().token;
        Self { pem: key.to_pem(), key, keys, keyring, token }
    }

    /// All of it that can be printed. The key cannot: `i11_a_private_key_cannot_be_printed_copied_or_serialized`.
    fn printed(&self) -> String {
        let Self { key, pem, keys, keyring, token } = self;
        let parse = PrivateKey::from_pem(pem.replace("KEY", "LOCK").as_bytes()).err();
        let again = keyring.verify(token.expose().as_bytes(), UnixTime(1_000_000));
        format!("{:?} {pem:?} {keys:#?} {keyring:#?} {token:?} {parse:?} {again:?}", key.public_key())
    }
}

/// Panics with everything among its arguments and locals.
#[inline(never)]
fn panics_with(key: &PrivateKey, keyring: &Keyring, token: &str, held: Held, message: &str) {
    let (pem, own) = (black_box(key.to_pem()), black_box(token.to_owned()));
    assert!(black_box(message).is_empty(), "{message}");
    drop(black_box((pem, own, keyring.manifest().generation, held)));
}

fn panics(message: impl FnOnce(&Held) -> String) {
    let (held, other) = (Held::new(), Held::new());
    let message = message(&held);
    panics_with(&other.key, &other.keyring, other.token.expose(), held, &message);
}

#[test]
#[ignore = "run by another test, which reads what it says"]
fn panicking_with_a_word() {
    panics(|_| "a word".to_owned());
}

#[test]
#[ignore = "run by another test, which reads what it says"]
fn panicking_with_all_that_can_be_printed() {
    panics(Held::printed);
}

/// What the test `name`, run by another process, says on its standard error when it panics.
fn told_by(name: &str) -> Vec<u8> {
    let name = format!("panics::{name}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", &name, "--nocapture"])
        .env("RUST_BACKTRACE", "full")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(101), "{name} panicked");
    output.stderr
}

/// Every form in which the keys and the token could stand there. Both seeds repeat one byte.
fn forms() -> Vec<Vec<u8>> {
    let token = Held::new().token;
    let mut forms: Vec<Vec<u8>> =
        token.expose().split('.').skip(1).map(|part| part.as_bytes().to_vec()).collect();
    for seed in [SEED, 1] {
        let pem = private_key(seed).to_pem();
        let bytes = [seed; 32];
        let hex = format!("{seed:02x}").repeat(32);
        let texts = [
            pem.lines().nth(1).unwrap().to_owned(),
            hex.to_uppercase(),
            hex,
            STANDARD.encode(&bytes[..30]),
            URL_SAFE_NO_PAD.encode(&bytes[..30]),
            format!("{bytes:?}"),
            format!("{bytes:#?}"),
        ];
        forms.extend(texts.map(String::into_bytes));
        forms.push(bytes.to_vec());
    }
    forms
}

fn assert_none_is_in(said: &[u8]) {
    for form in forms() {
        let found = said.windows(form.len()).any(|window| window == form);
        assert!(!found, "{} is in {}", String::from_utf8_lossy(&form), String::from_utf8_lossy(said));
    }
}

#[test]
fn a_backtrace_shows_no_key_and_no_token() {
    let said = told_by("panicking_with_a_word");
    let text = String::from_utf8_lossy(&said);
    assert!(text.contains("a word") && text.contains("stack backtrace"), "{text}");
    assert!(text.contains("panics_with"), "the frame that holds them is named: {text}");
    assert_none_is_in(&said);
}

#[test]
fn t48_a_panic_with_all_that_can_be_printed_shows_no_key_and_no_token() {
    let said = told_by("panicking_with_all_that_can_be_printed");
    let text = String::from_utf8_lossy(&said);
    for shown in ["stack backtrace", "PrivatePem(", "SecretToken(", kid(SEED).as_str(), kid(1).as_str()] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert_none_is_in(&said);
}
