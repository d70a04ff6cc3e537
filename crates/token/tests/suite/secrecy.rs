//! T48: nothing that can be printed shows a token or a key. And the one private-key type can do
//! nothing that would let it out (invariant I11).

use std::error::Error;
use std::fmt::Debug;

use keystile_keyring::UnixTime;
use keystile_system::SystemEntropy;
use keystile_token::{
    Audience, BootstrapMethod, Caller, Circumstance, ExtensionGrant, PrivateKey, PrivateKeys, SandboxGrant,
    SandboxId, inspect,
};

use crate::common::{draft, forging_key, hex, kid, open_adopted, openshell, private_key, simple, token};

/// Everything that must not be seen: segments of the token that carry the signature, and each way to
/// write the seed of a key.
struct Secrets(Vec<String>);

impl Secrets {
    fn of(token: &str, seed: u8) -> Self {
        let signature = token.rsplit('.').next().unwrap().to_owned();
        let pem = private_key(seed).to_pem();
        let body = pem.lines().nth(1).unwrap().to_owned();
        let bytes = [seed; 32];
        let hex = format!("{seed:02x}").repeat(32);
        Self(vec![
            token.to_owned(),
            signature,
            body,
            hex,
            format!("{:?}", &bytes[..4]).replace(['[', ']'], ""),
        ])
    }

    #[track_caller]
    fn absent_from(&self, text: &str) {
        for secret in &self.0 {
            assert!(!text.contains(secret.as_str()), "{secret} is in {text}");
        }
    }
}

fn shown(value: &impl Debug) -> String {
    format!("{value:?} {value:#?}")
}

fn told(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error: &&dyn Error| (*error).source());
    chain.map(|error| format!("{error} {error:?}")).collect::<Vec<_>>().join(" ")
}

#[test]
fn t48_minted_tokens_and_verdicts_show_no_token() {
    let (keyring, now) = (simple(), UnixTime(2000));
    let grant = SandboxGrant::bootstrap(SandboxId::new("s").unwrap(), BootstrapMethod::TokenFile, now);
    let minted = keyring.mint(&grant, now).unwrap();
    let secrets = Secrets::of(minted.token.expose(), 1);
    secrets.absent_from(&shown(&minted));
    secrets.absent_from(&shown(&minted.token));
    secrets.absent_from(&shown(&grant));
    secrets.absent_from(&shown(&keyring));
    let bytes = minted.token.expose().as_bytes();
    secrets.absent_from(&shown(&keyring.verify(bytes, now)));
    secrets.absent_from(&shown(&keyring.verify(bytes, UnixTime(1_000_000))));
    secrets.absent_from(&shown(&inspect(bytes).unwrap()));
    let audience = Audience::new("urn:x").unwrap();
    secrets.absent_from(&shown(&keyring.verify_extension(bytes, &audience, now)));
    let grant = ExtensionGrant { audience, caller: Caller::Gateway, ttl: 60 };
    let extension = keyring.mint_extension(&grant, now, &SystemEntropy).unwrap();
    Secrets::of(extension.token.expose(), 1).absent_from(&shown(&extension));
}

#[test]
fn t48_refusals_show_no_token() {
    let keyring = simple();
    let forgeries = [
        draft(1, 2000, 3000).signed(&forging_key(2)),
        draft(1, 2000, 3000).claim("exp", "soon").signed(&forging_key(1)),
        draft(1, 2000, 3000).claim("iss", "x").header("kid", "a b").signed(&forging_key(1)),
        draft(9, 2000, 3000).signed(&forging_key(9)),
    ];
    for token in forgeries {
        let secrets = Secrets::of(&token, 1);
        for circumstance in [Circumstance::Usual, Circumstance::StoreUnreadable { confirmed_at: UnixTime(0) }]
        {
            let verdict = keyring.verify_with(token.as_bytes(), UnixTime(2000), circumstance);
            secrets.absent_from(&shown(&verdict));
            if let keystile_token::Verdict::Rejected(rejection) = verdict {
                secrets.absent_from(&shown(&rejection.answer()));
            }
        }
        if let Err(reason) = inspect(token.as_bytes()) {
            secrets.absent_from(&format!("{reason} {reason:?}"));
        }
    }
}

#[test]
fn t48_a_private_key_on_its_way_to_a_file_shows_its_length_only() {
    let pem = private_key(7).to_pem();
    assert_eq!(format!("{pem:?}"), format!("PrivatePem({} bytes)", pem.len()));
}

#[test]
fn t48_errors_about_keys_show_no_key() {
    let secrets = Secrets::of(&token(7, 2000, 3000), 7);
    let good = private_key(7).to_pem();
    let broken = [
        good.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        good.replace("-----END PRIVATE KEY-----", ""),
        good[..good.len() - 40].to_owned(),
        good.replace("MC4CAQAw", "MC4CAQIw"),
        format!("{}{}", &*good, &*good),
        good.replace('\n', " "),
        good.repeat(80),
    ];
    for pem in broken {
        let error = PrivateKey::from_pem(pem.as_bytes()).err().expect("a broken key is refused");
        secrets.absent_from(&told(&error));
        let error = keystile_token::public_key_from_pem(pem.as_bytes()).unwrap_err();
        secrets.absent_from(&told(&error));
    }
}

#[test]
fn t48_key_collections_and_keyrings_show_kids_only() {
    let mut keys = PrivateKeys::new();
    keys.insert(kid(7), private_key(7)).unwrap();
    let secrets = Secrets::of(&token(7, 2000, 3000), 7);
    assert_eq!(format!("{keys:?}"), format!("{{{:?}}}", kid(7).as_str()));
    secrets.absent_from(&shown(&keys));
    let error = keys.insert(kid(7), private_key(7)).unwrap_err();
    secrets.absent_from(&told(&error));
    let adopted = open_adopted(crate::common::adopted());
    let text = shown(&adopted);
    let seed = "aa07b5432a5b93f749f77c024837d3e42ce12682c915aa3031b36ee7591f740d";
    assert!(!text.contains(seed) && !text.contains(openshell().private_pem.lines().nth(1).unwrap()));
    assert_eq!(hex(seed).len(), 32);
}

/// Whether a type has a trait, asked where the answer may be no: the method of the trait is found only
/// if the type's own is not.
macro_rules! has {
    ($type:ty, $($bound:tt)+) => {{
        struct Probe<T>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "one of the two is called")]
        trait Otherwise {
            fn answer(&self) -> bool {
                false
            }
        }
        impl<T> Otherwise for Probe<T> {}
        #[allow(dead_code, reason = "one of the two is called")]
        impl<T: $($bound)+> Probe<T> {
            fn answer(&self) -> bool {
                true
            }
        }
        Probe::<$type>(std::marker::PhantomData).answer()
    }};
}

#[test]
fn i11_a_private_key_cannot_be_printed_copied_or_serialized() {
    assert!(has!(u8, Debug) && has!(u8, Clone) && has!(u8, serde::Serialize), "the question works");
    assert!(!has!(PrivateKey, Debug));
    assert!(!has!(PrivateKey, std::fmt::Display));
    assert!(!has!(PrivateKey, Clone));
    assert!(!has!(PrivateKey, serde::Serialize));
    assert!(!has!(PrivateKey, AsRef<[u8]>));
    assert!(!has!(PrivateKeys, Clone));
    assert!(!has!(PrivateKeys, serde::Serialize));
    assert!(!has!(keystile_token::SecretToken, std::fmt::Display));
    assert!(!has!(keystile_token::SecretToken, Clone));
    assert!(!has!(keystile_token::SecretToken, serde::Serialize));
}
