//! Texts that whoever reads them can use: each prints as its length only and is zeroed on drop.

use std::fmt;

use zeroize::Zeroizing;

/// A freshly minted token. Printing it shows its length only; it is zeroed on drop.
pub struct SecretToken(Zeroizing<Box<str>>);

impl SecretToken {
    /// `token` has no room to spare: what shrinks is moved, and leaves a copy behind that nobody zeroes.
    pub(crate) fn new(token: String) -> Self {
        debug_assert_eq!(token.capacity(), token.len(), "room is made for exactly this token");
        // Not a `String`, which is zeroed byte by byte.
        Self(Zeroizing::new(token.into_boxed_str()))
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

/// A private key as PKCS#8 PEM, on its way into the store's file. Printing it shows its length only;
/// it is zeroed on drop.
pub struct PrivatePem(Zeroizing<String>);

impl PrivatePem {
    pub(crate) fn new(pem: Zeroizing<String>) -> Self {
        Self(pem)
    }
}

impl std::ops::Deref for PrivatePem {
    type Target = str;

    /// The text itself, to be written where private keys are kept.
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivatePem({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{keyring, minted};

    #[test]
    fn a_token_is_printed_by_its_length_alone() {
        let (token, _) = minted(&keyring(), "sandbox-1");
        assert_eq!(format!("{token:?}"), format!("SecretToken({} bytes)", token.expose().len()));
    }

    /// A text that grows or shrinks is moved, and leaves a copy behind that nobody zeroes: `SecretToken::new` looks.
    #[test]
    fn a_token_is_written_into_room_that_was_right_from_the_start() {
        let keyring = keyring();
        for sandbox in ["a", "sandbox-1", &"x".repeat(128)] {
            let (token, _) = minted(&keyring, sandbox);
            assert!(token.expose().contains('.'));
        }
    }
}
