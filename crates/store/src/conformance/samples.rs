//! Keyrings to store, and an OpenShell key set.

use keystile_keyring::manifest::{
    Activation, Alg, Change, Key, Lifetime, Origin, PrivateState, SCHEMA, Superseded,
};
use keystile_keyring::plan::Base;
use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{GatewayId, Kid, Manifest, Policy, ReplicaId, ReplicaReport, UnixTime};
use keystile_system::SystemEntropy;
use keystile_token::{PrivateKey, PrivateKeys, kid_of};

use crate::{Commit, Image, Loaded, Store};

/// When the samples begin.
pub const START: UnixTime = UnixTime(1_800_000_000);

/// A key set as OpenShell writes it: PKCS#8 version 2, no newline after the kid. Test data: the key
/// protects nothing.
pub const KEY_SET: [(&str, &[u8]); 3] = [
    (
        "signing.pem",
        b"-----BEGIN PRIVATE KEY-----\n\
          MFECAQEwBQYDK2VwBCIEIKoHtUMqW5P3Sfd8Akg30+Qs4SaCyRWqMDGzbudZH3QN\n\
          gSEAh0UWhcZpD+5gEkoLU5OBsqzTLVu34pyXdbiS5ZYMKD8=\n\
          -----END PRIVATE KEY-----\n",
    ),
    (
        "public.pem",
        b"-----BEGIN PUBLIC KEY-----\n\
          MCowBQYDK2VwAyEAh0UWhcZpD+5gEkoLU5OBsqzTLVu34pyXdbiS5ZYMKD8=\n\
          -----END PUBLIC KEY-----\n",
    ),
    ("kid", b"8b98b466b41b262d59d2ae88f8cf65d0"),
];

/// A keyring with its private keys, one generation after the other.
pub struct Sample {
    /// The generation to commit next, or committed last.
    pub manifest: Manifest,
    private: PrivateKeys,
}

impl Sample {
    /// Generation 1: one fresh key, active since [`START`].
    pub fn new() -> Self {
        let private = PrivateKey::generate(&SystemEntropy).unwrap();
        let kid = kid_of(&private.public_key());
        Self::of(kid, private, Origin::Generated, START)
    }

    /// Generation 1 of a given key.
    pub fn of(kid: Kid, private: PrivateKey, origin: Origin, from: UnixTime) -> Self {
        let mut manifest = Manifest {
            schema: SCHEMA.to_owned(),
            gateway_id: GatewayId::new("openshell").unwrap(),
            generation: 1,
            previous: None,
            policy: Policy::default(),
            policy_before: None,
            lineage_floor: None,
            keys: Vec::new(),
            timeline: vec![Activation { from, kid: kid.clone() }],
            tombstones: Vec::new(),
            operation: None,
            requests: Vec::new(),
            history: Vec::new(),
        };
        manifest.keys.push(key(kid.clone(), &private, origin));
        let mut sample = Self { manifest, private: PrivateKeys::default() };
        sample.private.insert(kid, private).unwrap();
        sample.note("init");
        sample
    }

    /// What was loaded, to go on with.
    pub fn resumed(loaded: Loaded) -> Self {
        Self { manifest: loaded.manifest, private: loaded.private }
    }

    /// Generation 1 that adopts [`KEY_SET`].
    pub fn adopted() -> Self {
        let private = PrivateKey::from_pem(KEY_SET[0].1).unwrap();
        let kid = Kid::new(String::from_utf8(KEY_SET[2].1.to_vec()).unwrap()).unwrap();
        Self::of(kid, private, Origin::Adopted, UnixTime::EPOCH)
    }

    /// The next generation, with nothing else changed.
    pub fn bump(&mut self) {
        let digest = self.base().digest;
        self.manifest.generation += 1;
        self.manifest.previous = Some(digest);
        self.note("test");
    }

    /// The same under another number.
    pub fn number(&mut self, generation: u64) {
        self.manifest.generation = generation;
        self.manifest.history.last_mut().unwrap().generation = generation;
    }

    /// The next generation: a fresh key signs from `from` on, the last one no more.
    pub fn rotated(&mut self, from: UnixTime) -> Kid {
        let private = PrivateKey::generate(&SystemEntropy).unwrap();
        let kid = kid_of(&private.public_key());
        self.rotated_to(kid.clone(), private, from);
        kid
    }

    /// The same with a given key.
    pub fn rotated_to(&mut self, kid: Kid, private: PrivateKey, from: UnixTime) {
        self.bump();
        let last = self.manifest.last_signer().unwrap().clone();
        let superseded = Superseded {
            at: from,
            last_iat: from.plus(390),
            accept_until: Some(from.plus(4050)),
            custody_until: from.plus(86_400),
        };
        let old = self.manifest.keys.iter_mut().find(|key| key.kid == last).unwrap();
        old.superseded = Some(superseded);
        self.manifest.keys.push(key(kid.clone(), &private, Origin::Generated));
        self.manifest.timeline.push(Activation { from, kid: kid.clone() });
        self.private.insert(kid, private).unwrap();
    }

    /// The next generation: the private key of `kid` is destroyed.
    pub fn destroyed(&mut self, kid: &Kid, at: UnixTime) {
        self.bump();
        let key = self.manifest.keys.iter_mut().find(|key| key.kid == *kid).unwrap();
        key.private = PrivateState::DestroyedAt(at);
    }

    /// The next generation: only the key that signs in the end is left.
    pub fn pruned(&mut self) {
        self.bump();
        let signer = self.signer();
        self.manifest.keys.retain(|key| key.kid == signer);
        self.manifest.timeline.retain(|activation| activation.kid == signer);
        self.private.retain(|kid, _| *kid == signer);
    }

    /// The key that signs in the end.
    pub fn signer(&self) -> Kid {
        self.manifest.last_signer().unwrap().clone()
    }

    /// The same once more.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { manifest: self.manifest.clone(), private: self.private() }
    }

    /// The private keys, again.
    pub fn private(&self) -> PrivateKeys {
        let mut copies = PrivateKeys::default();
        for (kid, private) in self.private.iter() {
            copies.insert(kid.clone(), PrivateKey::from_pem(private.to_pem().as_bytes()).unwrap()).unwrap();
        }
        copies
    }

    /// The PEM text of a private key.
    pub fn pem(&self, kid: &Kid) -> String {
        self.private.get(kid).unwrap().to_pem().to_string()
    }

    /// What a change of this generation is made from.
    pub fn base(&self) -> Base {
        let bytes = self.manifest.to_json().unwrap();
        Base { generation: self.manifest.generation, digest: keystile_token::digest(&bytes) }
    }

    /// The change that makes this the first generation.
    pub fn first(&self) -> Commit {
        Commit { expected: None, manifest: self.manifest.clone(), private: self.private(), repairs: false }
    }

    /// The change that puts this in the place of `base`.
    pub fn on(&self, base: Base) -> Commit {
        Commit {
            expected: Some(base),
            manifest: self.manifest.clone(),
            private: self.private(),
            repairs: false,
        }
    }

    /// Commits it as the first generation.
    pub async fn create(&self, store: &dyn Store) {
        store.compare_and_swap(self.first()).await.unwrap();
    }

    /// Makes the next generation by `change` and commits it.
    pub async fn change<T>(&mut self, store: &dyn Store, change: impl FnOnce(&mut Self) -> T) -> T {
        let base = self.base();
        let outcome = change(self);
        store.compare_and_swap(self.on(base)).await.unwrap();
        outcome
    }

    /// How it is stored.
    pub fn image(&self, now: UnixTime) -> Image {
        Image::new(&self.manifest, &self.private, now).unwrap()
    }

    fn note(&mut self, verb: &str) {
        let (generation, at) = (self.manifest.generation, START.plus(self.manifest.generation));
        let change = Change {
            generation,
            at,
            verb: verb.to_owned(),
            actor: "test".to_owned(),
            reason: None,
            request_id: None,
        };
        self.manifest.history.push(change);
        let excess = self.manifest.history.len().saturating_sub(keystile_keyring::manifest::limits::HISTORY);
        self.manifest.history.drain(..excess);
    }
}

impl Default for Sample {
    fn default() -> Self {
        Self::new()
    }
}

fn key(kid: Kid, private: &PrivateKey, origin: Origin) -> Key {
    Key {
        kid,
        alg: Alg::EdDsa,
        public_key: private.public_key(),
        created_at: START,
        origin,
        longest_token: Lifetime::Bounded(3600),
        never_expires: false,
        superseded: None,
        revoked: None,
        private: PrivateState::Present,
    }
}

/// A report of a replica that holds `generation`.
pub fn report_of(replica: &str, generation: u64) -> ReplicaReport {
    let kid = Kid::new("8b98b466b41b262d59d2ae88f8cf65d0").unwrap();
    ReplicaReport {
        replica: ReplicaId::new(replica).unwrap(),
        build: "0.1.0".to_owned(),
        started_at: START,
        reported_at: START.plus(generation),
        generation,
        digest: None,
        condition: Condition::Degraded("the store cannot be read".to_owned()),
        confirmed_at: Some(START),
        keys: vec![KeyReport { kid, held_since: START, from_start: true, usage: KeyUsage::default() }],
        revoked: Vec::new(),
        lineage_floor: None,
        withdrawn_at: None,
        tls_stale: None,
        clock_offset: None,
    }
}
