//! A token in the open: whoever reads it can use it.

use std::fmt;

use zeroize::Zeroizing;

/// A freshly minted token. Printing it shows its length only; it is zeroed on drop.
pub struct SecretToken(Zeroizing<String>);

impl SecretToken {
    pub(crate) fn new(token: String) -> Self {
        Self(Zeroizing::new(token))
    }

    /// The token itself, to be given to the one it is for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretToken({} bytes)", self.0.len())
    }
}
