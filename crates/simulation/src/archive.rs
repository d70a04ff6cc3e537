//! Every generation that was committed, and every key that there ever was.

use std::sync::Arc;

use keystile_keyring::{Digest, Kid, Manifest};

use crate::moment::Moment;

/// A committed generation.
#[derive(Clone, Debug)]
pub(crate) struct Generation {
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) committed: Moment,
}

/// What the store has held.
pub(crate) struct Archive {
    generations: Vec<Generation>,
    kids: Vec<Kid>,
    first: Generation,
}

impl Archive {
    pub(crate) fn new(manifest: Manifest) -> Self {
        let kids = manifest.keys.iter().map(|key| key.kid.clone()).collect();
        let first = Generation { manifest: Arc::new(manifest), committed: Moment(0) };
        Self { generations: vec![first.clone()], kids, first }
    }

    pub(crate) fn commit(&mut self, manifest: Manifest, at: Moment) {
        for key in &manifest.keys {
            if !self.kids.contains(&key.kid) {
                self.kids.push(key.kid.clone());
            }
        }
        self.generations.push(Generation { manifest: Arc::new(manifest), committed: at });
    }

    /// The number of the newest, from 0.
    pub(crate) fn newest(&self) -> usize {
        self.generations.len() - 1
    }

    pub(crate) fn get(&self, number: usize) -> &Generation {
        self.generations.get(number).unwrap_or(&self.first)
    }

    pub(crate) fn manifest(&self, number: usize) -> &Manifest {
        &self.get(number).manifest
    }

    /// A digest that is of this generation and no other.
    pub(crate) fn digest(number: usize) -> Digest {
        let mut bytes = [0; 32];
        let number = u64::try_from(number).unwrap_or(u64::MAX).to_be_bytes();
        bytes.iter_mut().zip(number).for_each(|(byte, of)| *byte = of);
        Digest(bytes)
    }

    pub(crate) fn kids(&self) -> &[Kid] {
        &self.kids
    }

    /// The key with this number.
    pub(crate) fn kid(&self, number: u8) -> Option<&Kid> {
        self.kids.get(usize::from(number))
    }

    pub(crate) fn number_of(&self, kid: &Kid) -> Option<u8> {
        self.kids.iter().position(|known| known == kid).and_then(|index| u8::try_from(index).ok())
    }
}
