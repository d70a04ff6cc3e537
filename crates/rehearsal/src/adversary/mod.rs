//! Whoever tries to get in with what must be refused.

mod arsenal;
mod forge;
mod key;

use serde::Serialize;

pub(crate) use arsenal::{Arsenal, Target};

macro_rules! attacks {
    ($($(#[$doc:meta])* $name:ident => $label:literal,)*) => {
        /// How a token that must be refused was made.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Attack {
            $($(#[$doc])* $name,)*
        }

        impl Attack {
            /// Every attack.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// It in words.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $label,)*
                }
            }
        }
    };
}

attacks! {
    /// Signed by a key of the thief's own, under the kid of the key that signs.
    Forged => "forged under a good kid",
    /// Signed by a key of the thief's own, under its own kid.
    UnknownKey => "unknown key",
    /// A good token that names another sandbox.
    Tampered => "tampered",
    /// A good token whose time is over.
    Expired => "expired",
    /// No signature, `alg` none.
    AlgNone => "alg none",
    /// An HMAC with the public key as its secret.
    AlgConfused => "HS256 with the public key",
    /// Signed by the key that signs, for another issuer.
    WrongIssuer => "wrong issuer",
    /// Signed by the key that signs, from the future.
    Future => "issued in the future",
    /// Signed by the key that signs, for longer than any token lives.
    TooLong => "too long a life",
    /// Of the type that extension services take.
    Extension => "extension token",
    /// Signed by a key that is published and must not sign yet.
    Prepared => "prepared key",
    /// Signed by a superseded key after any replica could.
    Superseded => "signed after supersession",
    /// Signed by a key whose window is over.
    Retired => "retired key",
    /// Signed by a revoked key.
    Revoked => "revoked key",
    /// Signed by the key that signs, refreshed from what began while a key was good that is revoked.
    Descendant => "descendant of a revoked key",
}

impl Serialize for Attack {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
