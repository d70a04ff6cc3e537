//! One gateway's keyring and its tokens, the same for every contender. The keys protect nothing.

use std::error::Error;

use keystile_keyring::manifest::{
    Activation, Alg, Change, Lifetime, Origin, PrivateState, SCHEMA, Superseded,
};
use keystile_keyring::{GatewayId, Key, Manifest, Policy, UnixTime};
use keystile_system::{Entropy, EntropyError};
use keystile_token::{
    BootstrapMethod, Keyring, PrivateKey, PrivateKeys, SandboxGrant, SandboxId, digest, kid_of,
};

/// The instant at which everything is minted and verified.
pub const NOW: UnixTime = UnixTime(1_800_000_000);

/// A lifetime: what Helm sets.
pub const LIFETIME: u64 = 3600;

/// Entropy that repeats one byte: a bench makes the same keys each time.
pub struct Repeat(pub u8);

impl Entropy for Repeat {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        bytes.fill(self.0);
        Ok(())
    }
}

/// The seed of key `number`.
pub fn seed(number: u8) -> [u8; 32] {
    [number + 1; 32]
}

/// The private key `number`.
pub fn private_key(number: u8) -> Result<PrivateKey, Box<dyn Error>> {
    Ok(PrivateKey::generate(&Repeat(number + 1))?)
}

/// A manifest of `keys` keys; the last is active, the others verify only.
pub fn manifest(generation: u64, keys: u8) -> Result<Manifest, Box<dyn Error>> {
    let mut manifest = Manifest {
        schema: SCHEMA.to_owned(),
        gateway_id: GatewayId::new("openshell")?,
        generation,
        previous: None,
        policy: Policy::default(),
        policy_before: None,
        lineage_floor: None,
        keys: Vec::new(),
        timeline: Vec::new(),
        tombstones: Vec::new(),
        operation: None,
        requests: Vec::new(),
        history: vec![Change {
            generation,
            at: UnixTime(0),
            verb: "init".to_owned(),
            actor: "bench".to_owned(),
            reason: None,
            request_id: None,
        }],
    };
    for number in 0..keys {
        let public_key = private_key(number)?.public_key();
        let kid = kid_of(&public_key);
        manifest.timeline.push(Activation { from: UnixTime(u64::from(number)), kid: kid.clone() });
        manifest.keys.push(Key {
            kid,
            alg: Alg::EdDsa,
            public_key,
            created_at: UnixTime(0),
            origin: Origin::Generated,
            longest_token: Lifetime::Bounded(LIFETIME),
            never_expires: false,
            superseded: (number + 1 < keys).then(|| Superseded {
                at: UnixTime(u64::from(number) + 1),
                last_iat: NOW,
                accept_until: Some(NOW.plus(100_000)),
                custody_until: NOW.plus(86_400),
            }),
            revoked: None,
            private: PrivateState::Present,
        });
    }
    Ok(manifest)
}

/// The keyring of [`manifest`].
pub fn keyring(generation: u64, keys: u8) -> Result<Keyring, Box<dyn Error>> {
    let manifest = manifest(generation, keys)?;
    let mut private = PrivateKeys::new();
    for number in 0..keys {
        let key = private_key(number)?;
        private.insert(kid_of(&key.public_key()), key)?;
    }
    let digest = digest(&manifest.to_json()?);
    Ok(Keyring::open(manifest, digest, private)?)
}

/// The grant of sandbox `number`: its id is a UUID, as OpenShell's are.
pub fn grant(number: usize) -> Result<SandboxGrant, Box<dyn Error>> {
    let id = SandboxId::new(format!("6c7b0d2e-94f1-4c55-a8d3-{number:012x}"))?;
    Ok(SandboxGrant::bootstrap(id, BootstrapMethod::ServiceAccount, NOW))
}

/// The tokens of `sandboxes` sandboxes.
pub fn tokens(keyring: &Keyring, sandboxes: usize) -> Result<Vec<String>, Box<dyn Error>> {
    (0..sandboxes).map(|number| Ok(keyring.mint(&grant(number)?, NOW)?.token.expose().to_owned())).collect()
}
