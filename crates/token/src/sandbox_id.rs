//! Which sandbox a token is for.

use std::fmt;
use std::sync::Arc;

use keystile_keyring::NameError;

/// A sandbox id: 1 to 128 visible ASCII characters, otherwise opaque. A clone shares the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SandboxId(Arc<str>);

/// What `sub` begins with; the sandbox id follows.
pub(crate) const SUBJECT_PREFIX: &str = "spiffe://openshell/sandbox/";

impl SandboxId {
    /// The greatest length in bytes.
    pub const MAX: usize = 128;

    /// Checks `text` and takes it verbatim.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        const WHAT: &str = "sandbox id";
        let text = text.into();
        if text.is_empty() {
            return Err(NameError::Empty { what: WHAT, max: Self::MAX });
        }
        if text.len() > Self::MAX {
            return Err(NameError::TooLong { what: WHAT, found: text.len(), max: Self::MAX });
        }
        match text.bytes().enumerate().find(|(_, byte)| !byte.is_ascii_graphic()) {
            Some((offset, byte)) => Err(NameError::NotVisible { what: WHAT, byte, offset }),
            None => Ok(Self(text.into())),
        }
    }

    /// The sandbox id that a SPIFFE id `spiffe://openshell/sandbox/<id>` names: a token's `sub`, or
    /// the URI in a client certificate. `None` if it is another's, or no sandbox id.
    pub fn from_subject(subject: &str) -> Option<Self> {
        subject.strip_prefix(SUBJECT_PREFIX).and_then(|id| Self::new(id).ok())
    }

    /// Whether it is one segment of a SPIFFE ID's path (SPIFFE-ID section 2.2), as a client certificate must
    /// name it: `a/b`, `a?b` or `a%2fb` would be another workload's name. Tokens name any sandbox.
    pub fn is_path_segment(&self) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        !matches!(self.as_str(), "." | "..") && self.0.bytes().all(allowed)
    }

    /// The text, verbatim.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of `sub` in the sandbox's tokens.
    pub fn subject(&self) -> String {
        format!("{SUBJECT_PREFIX}{}", self.0)
    }

    /// Whether `subject` names this sandbox.
    pub(crate) fn is_subject(&self, subject: &str) -> bool {
        subject.strip_prefix(SUBJECT_PREFIX) == Some(self.as_str())
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for SandboxId {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sandbox_of_a_certificate_is_one_segment_of_a_path() {
        let is = |id: &str| SandboxId::new(id).unwrap().is_path_segment();
        for good in ["a", "Z9", "a.b", "...", ".a", "a-b_c"] {
            assert!(is(good), "{good}");
        }
        for bad in [".", "..", "a/b", "a?b", "a%2fb", "a:b", "a#b"] {
            assert!(!is(bad), "{bad}");
        }
    }
}
