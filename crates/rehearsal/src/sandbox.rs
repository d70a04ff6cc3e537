//! The names of the sandboxes.

use std::fmt;

use serde::{Serialize, Serializer};

/// A sandbox of the rehearsal, and so its supervisor: `sandbox-001`, `sandbox-002`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SandboxName(usize);

impl SandboxName {
    /// The sandbox with this place in lists, from 0.
    pub fn of_index(index: usize) -> Self {
        Self(index)
    }
}

impl fmt::Display for SandboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sandbox-{:03}", self.0 + 1)
    }
}

impl Serialize for SandboxName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
