//! Where an object is: a namespace and a name, as Kubernetes allows them.

use std::fmt;

/// A namespace and a name in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectName {
    namespace: String,
    name: String,
}

/// What is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no {what}: 1 to {most} of a-z, 0-9 and -{dots}, a letter or digit first and last")]
pub struct NameError {
    found: String,
    what: &'static str,
    most: usize,
    dots: &'static str,
}

impl ObjectName {
    /// The most bytes of a namespace.
    pub const NAMESPACE: usize = 63;
    /// The most bytes of a name.
    pub const NAME: usize = 253;

    /// Checks both.
    pub fn new(namespace: &str, name: &str) -> Result<Self, NameError> {
        check(namespace, "namespace", Self::NAMESPACE, false)?;
        check(name, "name of an object", Self::NAME, true)?;
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name in it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The one beside it whose name ends in `suffix`; whether there is room for that is not checked.
    #[must_use]
    pub fn beside(&self, suffix: &str) -> Self {
        Self { namespace: self.namespace.clone(), name: format!("{}{suffix}", self.name) }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

fn check(text: &str, what: &'static str, most: usize, dotted: bool) -> Result<(), NameError> {
    let outer = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let ends = bytes.first().is_some_and(outer) && bytes.last().is_some_and(outer);
        ends && bytes.iter().all(|byte| outer(byte) || *byte == b'-')
    };
    let good = if dotted { text.split('.').all(label) } else { label(text) };
    if good && text.len() <= most {
        return Ok(());
    }
    let found = text.chars().take(80).collect();
    Err(NameError { found, what, most, dots: if dotted { " and ." } else { "" } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_takes() {
        for (namespace, name) in [("a", "b"), ("0-9", "a.b-c.0"), ("openshell", "openshell-jwt-keys")] {
            let object = ObjectName::new(namespace, name).expect(name);
            assert_eq!(object.to_string(), format!("{namespace}/{name}"));
        }
    }

    #[test]
    fn nothing_that_would_lead_elsewhere_is_a_name() {
        let long = "a".repeat(254);
        for name in ["", ".", "..", "a/b", "a..b", "-a", "a-", "A", "a?b", "a%2f", "a\n", &long] {
            assert!(ObjectName::new("ns", name).is_err(), "{name}");
        }
        for namespace in ["", "a.b", "A", "a/b", &long] {
            assert!(ObjectName::new(namespace, "n").is_err(), "{namespace}");
        }
    }
}
