//! The private keys that a store hands over, by kid.

use std::collections::BTreeMap;
use std::fmt;

use keystile_keyring::Kid;

use crate::private_key::PrivateKey;

/// Private keys by kid. Printing it shows the kids only.
#[derive(Default)]
pub struct PrivateKeys(BTreeMap<Kid, PrivateKey>);

/// Two private keys were given for one kid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two private keys for kid {0}; expected one")]
pub struct KidTaken(pub Kid);

impl PrivateKeys {
    /// None at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a key; refused if the kid has one.
    pub fn insert(&mut self, kid: Kid, key: PrivateKey) -> Result<(), KidTaken> {
        if self.0.contains_key(&kid) {
            return Err(KidTaken(kid));
        }
        self.0.insert(kid, key);
        Ok(())
    }

    /// The key of `kid`.
    pub fn get(&self, kid: &Kid) -> Option<&PrivateKey> {
        self.0.get(kid)
    }

    /// Takes the key of `kid` out.
    pub fn remove(&mut self, kid: &Kid) -> Option<PrivateKey> {
        self.0.remove(kid)
    }

    /// Keeps the keys that `keep` says; the others are zeroed and gone.
    pub fn retain(&mut self, mut keep: impl FnMut(&Kid, &PrivateKey) -> bool) {
        self.0.retain(|kid, key| keep(kid, key));
    }

    /// The kids, ascending.
    pub fn kids(&self) -> impl Iterator<Item = &Kid> {
        self.0.keys()
    }

    /// The kids and their keys, ascending by kid.
    pub fn iter(&self) -> impl Iterator<Item = (&Kid, &PrivateKey)> {
        self.0.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for PrivateKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys().map(Kid::as_str)).finish()
    }
}
