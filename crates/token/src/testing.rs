//! What unit tests build keyrings from.

use keystile_keyring::manifest::Origin;
use keystile_keyring::plan::{self, Candidate};
use keystile_keyring::{GatewayId, Policy, UnixTime};
use keystile_system::SystemEntropy;

use crate::{
    Accepted, BootstrapMethod, Keyring, PrivateKey, PrivateKeys, SandboxGrant, SandboxId, SecretToken,
    Verdict, digest, kid_of,
};

/// When the key of [`keyring`] begins to sign.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000);

/// A keyring of one fresh key that signs since [`NOW`].
pub(crate) fn keyring() -> Keyring {
    let private = PrivateKey::generate(&SystemEntropy).unwrap();
    let public_key = private.public_key();
    let first = Candidate { kid: kid_of(&public_key), public_key, origin: Origin::Generated };
    let gateway = GatewayId::new("openshell").unwrap();
    let manifest = plan::init(gateway, Policy::default(), &first, "me", NOW).unwrap().next;
    let mut keys = PrivateKeys::new();
    keys.insert(first.kid, private).unwrap();
    let digest = digest(&manifest.to_json().unwrap());
    Keyring::open(manifest, digest, keys).unwrap()
}

/// A token for `sandbox`, and what it is accepted as.
pub(crate) fn minted(keyring: &Keyring, sandbox: &str) -> (SecretToken, Accepted) {
    let id = SandboxId::new(sandbox).unwrap();
    let grant = SandboxGrant::bootstrap(id, BootstrapMethod::TokenFile, NOW);
    let token = keyring.mint(&grant, NOW).unwrap().token;
    let Verdict::Accepted(accepted) = keyring.verify(token.expose().as_bytes(), NOW) else {
        panic!("a fresh token is accepted");
    };
    (token, accepted)
}
