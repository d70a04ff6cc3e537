//! One request.

use std::fmt::Write as _;

use http::Method;
use zeroize::Zeroizing;

/// The usual limit on an answer's size, bytes.
const ANSWER: usize = 4 * 1024 * 1024;

/// A request to the API, ready to be sent.
pub struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) content_type: &'static str,
    pub(crate) accept: &'static str,
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) limit: usize,
}

impl Call {
    fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            query: String::new(),
            content_type: "application/json",
            accept: "application/json",
            body: Zeroizing::default(),
            limit: ANSWER,
        }
    }

    /// Reads `path`. A read without a `resourceVersion` is of the newest that is committed.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Creates an object in the collection `path`.
    pub fn create(path: impl Into<String>, body: Zeroizing<Vec<u8>>) -> Self {
        Self { body, ..Self::new(Method::POST, path) }
    }

    /// Changes those members of `path` that `body` names; `null` removes one. Where it names a
    /// `resourceVersion`, nothing is changed unless the object still has that one.
    pub fn merge(path: impl Into<String>, body: Zeroizing<Vec<u8>>) -> Self {
        let content_type = "application/merge-patch+json";
        Self { content_type, body, ..Self::new(Method::PATCH, path) }
    }

    /// Deletes `path`.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// The same with a parameter.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.push_str(name);
        self.query.push('=');
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                self.query.push(char::from(byte));
            } else {
                // Writing to a string cannot fail.
                let _ = write!(self.query, "%{byte:02X}");
            }
        }
        self
    }

    /// The same, of whose objects only the metadata is answered: no member of a Secret comes along.
    #[must_use]
    pub fn metadata_only(mut self) -> Self {
        self.accept = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
        self
    }

    /// The same with another limit on the answer, bytes.
    #[must_use]
    pub fn at_most(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn uri(&self) -> String {
        if self.query.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, self.query) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_encoded() {
        let call = Call::get("/api").with("watch", "true").with("labelSelector", "a/b=c d&e");
        assert_eq!(call.uri(), "/api?watch=true&labelSelector=a%2Fb%3Dc%20d%26e");
    }
}
