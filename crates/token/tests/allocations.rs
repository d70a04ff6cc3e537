//! A token that is remembered costs no allocation. A program of its own: it counts what its allocator does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use keystile_keyring::manifest::Origin;
use keystile_keyring::plan::{self, Candidate};
use keystile_keyring::{GatewayId, Policy, UnixTime};
use keystile_system::SystemEntropy;
use keystile_token::{
    BootstrapMethod, Circumstance, Keyring, PrivateKey, PrivateKeys, Remembered, SandboxGrant, SandboxId,
    digest, kid_of,
};

const NOW: UnixTime = UnixTime(1_800_000_000);

#[test]
fn a_remembered_token_costs_no_allocation() {
    let private = PrivateKey::generate(&SystemEntropy).unwrap();
    let public_key = private.public_key();
    let first = Candidate { kid: kid_of(&public_key), public_key, origin: Origin::Generated };
    let manifest =
        plan::init(GatewayId::new("openshell").unwrap(), Policy::default(), &first, "me", NOW).unwrap().next;
    let mut keys = PrivateKeys::new();
    keys.insert(first.kid, private).unwrap();
    let digest = digest(&manifest.to_json().unwrap());
    let keyring = Keyring::open(manifest, digest, keys).unwrap();
    let id = SandboxId::new("sandbox-1").unwrap();
    let grant = SandboxGrant::bootstrap(id, BootstrapMethod::TokenFile, NOW);
    let token = keyring.mint(&grant, NOW).unwrap().token.expose().to_owned();

    let remembered = Remembered::new(1024 * 1024);
    let ask = || {
        let verdict = keyring.verify_remembering(token.as_bytes(), NOW, Circumstance::Usual, &remembered);
        assert!(verdict.is_accepted());
    };
    let first = allocation_counter::measure(ask);
    assert!(first.count_total > 0, "the first time it is read and remembered");
    let again = allocation_counter::measure(ask);
    assert_eq!((again.count_total, again.bytes_total), (0, 0));
}
