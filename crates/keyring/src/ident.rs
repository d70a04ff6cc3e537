//! Names that come from outside: each is bounded and safe to print before anything else sees it.
//! A clone of one shares its text: a verdict names its key without an allocation.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text cannot be the name it was given as.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("{what} is empty; expected 1 to {max} visible ASCII characters")]
    Empty {
        /// Which name.
        what: &'static str,
        /// Its greatest length in bytes.
        max: usize,
    },
    /// Too long.
    #[error("{what} has {found} bytes; expected at most {max}")]
    TooLong {
        /// Which name.
        what: &'static str,
        /// Its length in bytes.
        found: usize,
        /// Its greatest length in bytes.
        max: usize,
    },
    /// Something that is not visible ASCII.
    #[error("{what} has the byte 0x{byte:02x} at offset {offset}; expected visible ASCII only")]
    NotVisible {
        /// Which name.
        what: &'static str,
        /// The first byte that is not allowed.
        byte: u8,
        /// Where it stands.
        offset: usize,
    },
}

fn visible(what: &'static str, text: &str, max: usize) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { what, max });
    }
    if text.len() > max {
        return Err(NameError::TooLong { what, found: text.len(), max });
    }
    match text.bytes().enumerate().find(|(_, byte)| !byte.is_ascii_graphic()) {
        Some((offset, byte)) => Err(NameError::NotVisible { what, byte, offset }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The greatest length in bytes.
            pub const MAX: usize = $max;

            /// Checks `text` and takes it verbatim.
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                visible($what, &text, Self::MAX)?;
                Ok(Self(text.into()))
            }

            /// The text, verbatim.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// Key id (RFC 7515 section 4.1.4): opaque to the verifier, 1 to 128 visible ASCII characters.
    Kid,
    "kid",
    128
);
name!(
    /// The gateway identity's name: `iss` and `aud` are `openshell-gateway:<gateway_id>`.
    GatewayId,
    "gateway_id",
    128
);
name!(
    /// What makes an operation idempotent: run again with the same id, it reports the first outcome.
    RequestId,
    "request id",
    128
);
name!(
    /// One running gateway process.
    ReplicaId,
    "replica id",
    128
);

impl Kid {
    /// The first eight characters: what people are shown where the whole would be too long.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }

    /// The kid that is a fingerprint in lowercase hexadecimal.
    pub fn from_fingerprint(bytes: &[u8; 16]) -> Self {
        Self(format!("{:032x}", u128::from_be_bytes(*bytes)).into())
    }
}

impl ReplicaId {
    /// Stands for a replica whose name is not known.
    pub(crate) fn unnamed() -> Self {
        Self("unnamed".into())
    }
}

impl GatewayId {
    /// The value of `iss` and `aud` in the tokens of this gateway identity.
    pub fn issuer(&self) -> String {
        format!("openshell-gateway:{self}")
    }
}

/// Thirty-two bytes written as 64 lowercase hexadecimal digits.
macro_rules! hex32 {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; 32]);

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                parse_hex32(&text).map(Self).ok_or_else(|| {
                    format!("{} must be 64 lowercase hexadecimal digits, found {} bytes of text", $what, text.len())
                })
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

hex32!(
    /// SHA-256 of a manifest's stored bytes. Computed by the store: this crate holds no cryptography.
    Digest,
    "digest"
);
hex32!(
    /// The raw public key of an Ed25519 key pair (RFC 8032 section 5.1.5).
    PublicKey,
    "public key"
);

fn parse_hex32(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    if text.len() != 64 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kid_is_taken_verbatim_up_to_its_limit() {
        let longest = "k".repeat(Kid::MAX);
        assert_eq!(Kid::new(longest.clone()).map(String::from), Ok(longest.clone()));
        assert_eq!(
            Kid::new(format!("{longest}k")),
            Err(NameError::TooLong { what: "kid", found: 129, max: 128 })
        );
        assert_eq!(Kid::new(""), Err(NameError::Empty { what: "kid", max: 128 }));
        assert_eq!(Kid::new("!~\"\\").map(|kid| kid.to_string()), Ok("!~\"\\".to_owned()));
    }

    /// T27: a hostile kid is refused before anything prints it.
    #[test]
    fn t27_hostile_kids_are_refused_with_the_byte_and_its_place() {
        let hostile =
            [("a b", 0x20, 1), ("a\n", 0x0a, 1), ("\u{1b}[31m", 0x1b, 0), ("ké", 0xc3, 1), ("a\0", 0, 1)];
        for (text, byte, offset) in hostile {
            assert_eq!(Kid::new(text), Err(NameError::NotVisible { what: "kid", byte, offset }), "{text:?}");
        }
        let message = Kid::new("a\n").unwrap_err().to_string();
        assert_eq!(message, "kid has the byte 0x0a at offset 1; expected visible ASCII only");
    }

    #[test]
    fn every_name_has_its_own_word_in_its_error() {
        assert!(GatewayId::new("").unwrap_err().to_string().starts_with("gateway_id is empty"));
        assert!(RequestId::new("").unwrap_err().to_string().starts_with("request id is empty"));
        assert!(ReplicaId::new("").unwrap_err().to_string().starts_with("replica id is empty"));
    }

    #[test]
    fn names_are_checked_wherever_they_come_from() {
        assert!(serde_json::from_str::<Kid>("\"a b\"").is_err());
        assert!(serde_json::from_str::<Kid>("7").is_err());
        assert!("a b".parse::<RequestId>().is_err());
        assert_eq!("gateway-0".parse::<ReplicaId>().unwrap().as_str(), "gateway-0");
    }

    #[test]
    fn a_short_kid_is_its_first_eight_characters() {
        assert_eq!(Kid::new("8b98b466c41d09e7").unwrap().short(), "8b98b466");
        assert_eq!(Kid::new("key").unwrap().short(), "key");
    }

    #[test]
    fn a_fingerprint_is_32_hexadecimal_digits() {
        let kid = Kid::from_fingerprint(&[0xab, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff]);
        assert_eq!(kid.as_str(), "ab0102030405060708090a0b0c0d0eff");
    }

    #[test]
    fn the_issuer_names_the_gateway() {
        assert_eq!(GatewayId::new("openshell").unwrap().issuer(), "openshell-gateway:openshell");
    }

    #[test]
    fn hex_is_lowercase_and_exactly_32_bytes() {
        let text = "00ff".repeat(16);
        let digest: Digest = text.parse().unwrap();
        assert_eq!((digest.0[0], digest.0[1], digest.to_string()), (0, 0xff, text.clone()));
        let wrong =
            [text[1..].to_owned(), format!("{text}0"), text.replace('f', "F"), text.replace('f', "g")];
        for text in wrong {
            assert!(text.parse::<Digest>().is_err(), "{text}");
            assert!(serde_json::from_value::<PublicKey>(text.clone().into()).is_err(), "{text}");
        }
        assert_eq!(
            "abc".parse::<Digest>().unwrap_err(),
            "digest must be 64 lowercase hexadecimal digits, found 3 bytes of text"
        );
        assert!("é".repeat(32).parse::<Digest>().is_err(), "64 bytes that are not digits");
    }

    #[test]
    fn debug_shows_what_it_is() {
        assert!(format!("{:?}", Digest([1; 32])).starts_with("Digest(0101"));
    }
}
