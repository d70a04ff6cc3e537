//! What is read of an object: its metadata, and a Secret's members.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use zeroize::Zeroizing;

/// An object of which only the metadata and, of a Secret, the members matter.
#[derive(Debug, serde::Deserialize)]
pub struct Object {
    /// What it is called, and in which version.
    pub metadata: Meta,
    /// A Secret's members by name.
    #[serde(default)]
    pub data: BTreeMap<String, Data>,
}

/// An object's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Meta {
    /// Its name.
    pub name: String,
    /// What tells it from a later one of its name.
    pub uid: String,
    /// Its version: changes with every change.
    pub resource_version: String,
    /// When it was created, by the server's clock (RFC 3339).
    pub creation_timestamp: Option<String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whom it belongs to.
    pub owner_references: Vec<Owner>,
}

/// Whom an object belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// Group and version of its kind.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// What tells it from a later one of its name.
    pub uid: String,
    /// Whether it controls the object.
    pub controller: Option<bool>,
}

/// The content of a Secret's member. It shows its length only, and is wiped from memory on drop.
pub struct Data(pub Zeroizing<Vec<u8>>);

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Data({} bytes)", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;

        impl Visitor<'_> for Base64 {
            type Value = Data;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Data, E> {
                // Not the decoder's own error: it may quote what it was given.
                let bytes = STANDARD.decode(text).map_err(|_| E::custom("not base64"))?;
                Ok(Data(Zeroizing::new(bytes)))
            }

            fn visit_unit<E: Error>(self) -> Result<Data, E> {
                Ok(Data(Zeroizing::default()))
            }
        }

        deserializer.deserialize_any(Base64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_read_and_not_shown() {
        let json = br#"{"metadata":{"name":"a","resourceVersion":"7","labels":{"x":"y"}},"data":{"kid":"c2VjcmV0","none":null}}"#;
        let object: Object = serde_json::from_slice(json).expect("an object");
        assert_eq!(object.metadata.resource_version, "7");
        assert_eq!(*object.data["kid"].0, b"secret");
        assert!(object.data["none"].0.is_empty());
        let shown = format!("{object:?}");
        assert!(shown.contains("Data(6 bytes)") && !shown.contains("secret"), "{shown}");
    }

    #[test]
    fn what_is_not_base64_is_an_error_that_does_not_quote_it() {
        let error = serde_json::from_str::<Object>(r#"{"metadata":{},"data":{"a":"-----BEGIN"}}"#);
        let error = error.expect_err("no base64").to_string();
        assert!(!error.contains("BEGIN"), "{error}");
    }
}
