//! A Secret as it was read, and as it is written.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keystile_keyring::{Digest, Manifest};
use keystile_kubernetes::{ApiError, Call, Meta, Object, ObjectName};
use keystile_store::parts::{Members, partial, read_manifest};
use keystile_store::{FileError, LoadError, Secrecy, members};
use zeroize::Zeroizing;

use crate::Root;

/// The members that this store may remove: its own.
pub(crate) fn is_ours(name: &str) -> bool {
    name == members::MANIFEST || members::MIRROR.contains(&name) || members::is_private_key(name)
}

/// Members by name, and where they are from.
pub(crate) struct Files {
    place: String,
    pub(crate) members: BTreeMap<String, Zeroizing<Vec<u8>>>,
}

impl Members for Files {
    fn read(&self, name: &str, limit: usize, _: Secrecy) -> Result<Option<Zeroizing<Vec<u8>>>, LoadError> {
        match self.members.get(name) {
            Some(bytes) if bytes.len() > limit => Err(LoadError::TooLarge { place: self.place(name), limit }),
            found => Ok(found.cloned()),
        }
    }

    fn place(&self, name: &str) -> String {
        if name.is_empty() { self.place.clone() } else { format!("member {name} of {}", self.place) }
    }
}

/// A Secret that is there.
pub(crate) struct Found {
    pub(crate) meta: Meta,
    pub(crate) members: Files,
}

impl Root {
    pub(crate) fn place(&self) -> String {
        place(&self.secret)
    }

    /// The store's Secret, of the newest that is committed.
    pub(crate) async fn read(&self) -> Result<Option<Found>, FileError> {
        self.find(&self.secret).await
    }

    pub(crate) async fn find(&self, name: &ObjectName) -> Result<Option<Found>, FileError> {
        let object: Option<Object> =
            self.api.find(Call::get(path(name))).await.map_err(|error| failed("read", name, error))?;
        Ok(object.map(|object| found(name, object)))
    }

    /// The newest generation's number and digest are known from here on, or not.
    pub(crate) fn seen(&self) {
        self.used.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn found(name: &ObjectName, object: Object) -> Found {
    let members = object.data.into_iter().map(|(name, data)| (name, data.0)).collect();
    Found { meta: object.metadata, members: Files { place: place(name), members } }
}

/// What a Secret is called in messages.
pub(crate) fn place(name: &ObjectName) -> String {
    format!("Secret {name}")
}

/// The Secrets of a namespace.
pub(crate) fn collection(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/secrets")
}

pub(crate) fn path(name: &ObjectName) -> String {
    format!("{}/{}", collection(name.namespace()), name.name())
}

pub(crate) fn failed(doing: &'static str, name: &ObjectName, error: ApiError) -> FileError {
    FileError::new(doing, place(name), cause(error))
}

/// What an outage is can be told from what is wrong for good.
pub(crate) fn cause(error: ApiError) -> io::Error {
    if error.is_outage() { io::Error::new(io::ErrorKind::TimedOut, error) } else { io::Error::other(error) }
}

/// The newest generation in what was found.
pub(crate) fn newest<'a>(
    root: &Root,
    found: Option<&'a Found>,
) -> Result<(&'a Found, (Manifest, Digest)), LoadError> {
    let missing = |found: String| LoadError::Missing { place: root.place(), found };
    let found = found.ok_or_else(|| missing("there is no such Secret".to_owned()))?;
    if let Some(newest) = read_manifest(&found.members)? {
        root.seen();
        return Ok((found, newest));
    }
    match members::MIRROR.map(|name| found.members.members.contains_key(name)) {
        [true, true, true] => Err(LoadError::NotAdopted { place: root.place() }),
        [false, false, false] => Err(missing(format!("it has no member {}", members::MANIFEST))),
        there => Err(missing(partial(there))),
    }
}

/// The JSON of a Secret: `head`, then `data` with these members; `None` removes one.
///
/// It is put together by hand so that no private key is left in memory that nobody wipes. Names have
/// only letters, digits and `-._`, values are base64: nothing needs to be escaped.
pub(crate) fn body<'a>(
    head: &str,
    members: impl Iterator<Item = (&'a str, Option<&'a [u8]>)> + Clone,
) -> Zeroizing<Vec<u8>> {
    const ROUND: usize = 16;
    let size = |(name, bytes): (&str, Option<&[u8]>)| name.len() + bytes.map_or(0, <[u8]>::len) * 2 + ROUND;
    let room = head.len() + members.clone().map(size).sum::<usize>() + ROUND;
    let mut json = Zeroizing::new(Vec::with_capacity(room));
    json.extend_from_slice(head.as_bytes());
    json.extend_from_slice(b",\"data\":{");
    for (number, (name, bytes)) in members.enumerate() {
        if number > 0 {
            json.push(b',');
        }
        json.push(b'"');
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(b"\":");
        match bytes {
            None => json.extend_from_slice(b"null"),
            Some(bytes) => {
                json.push(b'"');
                let text = Zeroizing::new(STANDARD.encode(bytes));
                json.extend_from_slice(text.as_bytes());
                json.push(b'"');
            }
        }
    }
    json.extend_from_slice(b"}}");
    json
}

/// The head of a Secret that is created.
pub(crate) fn new_head(name: &ObjectName) -> String {
    let (namespace, name) = (name.namespace(), name.name());
    format!(
        r#"{{"apiVersion":"v1","kind":"Secret","type":"Opaque","metadata":{{"namespace":"{namespace}","name":"{name}"}}"#
    )
}

/// The head of a change to the very object that `meta` is of.
pub(crate) fn change_head(meta: &Meta) -> String {
    serde_json::json!({"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}})
        .to_string()
        .trim_end_matches('}')
        .to_owned()
        + "}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_json_and_removes_what_is_none() {
        let name = ObjectName::new("ns", "keys").expect("a name");
        let members = [("kid", Some(&b"abc"[..])), ("key-old.pem", None)];
        let created = body(&new_head(&name), members[..1].iter().copied());
        let created: serde_json::Value = serde_json::from_slice(&created).expect("JSON");
        assert_eq!(created["metadata"]["name"], "keys");
        assert_eq!(created["data"]["kid"], "YWJj");
        let meta = Meta { uid: "u\"1".into(), resource_version: "7".into(), ..Meta::default() };
        let change = body(&change_head(&meta), members.iter().copied());
        let change: serde_json::Value = serde_json::from_slice(&change).expect("JSON");
        assert_eq!(change["metadata"], serde_json::json!({"uid": "u\"1", "resourceVersion": "7"}));
        assert_eq!(change["data"]["key-old.pem"], serde_json::Value::Null);
    }

    #[test]
    fn only_members_of_a_keyring_are_ours() {
        for ours in ["keyring.json", "kid", "signing.pem", "public.pem", "key-a-1.pem"] {
            assert!(is_ours(ours), "{ours}");
        }
        for other in ["tls.key", "keyring.json.bak", "README"] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
