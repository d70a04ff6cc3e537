//! The names of the replicas.

use std::fmt;

use serde::{Serialize, Serializer};

/// The most replicas that one machine rehearses with.
pub const MOST_REPLICAS: usize = 16;

/// A replica of the rehearsal: `gateway-1`, `gateway-2`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaName(usize);

impl ReplicaName {
    /// The replica with this place in lists, from 0.
    pub fn of_index(index: usize) -> Self {
        Self(index)
    }

    /// Its place in lists, from 0.
    pub fn index(self) -> usize {
        self.0
    }

    /// Reads `gateway-N`, N from 1 to [`MOST_REPLICAS`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let number: usize = text.strip_prefix("gateway-")?.parse().ok()?;
        (1..=MOST_REPLICAS).contains(&number).then(|| Self(number - 1))
    }
}

impl fmt::Display for ReplicaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gateway-{}", self.0 + 1)
    }
}

impl Serialize for ReplicaName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_count_from_one() {
        assert_eq!(ReplicaName::parse("gateway-2"), Some(ReplicaName::of_index(1)));
        assert_eq!(ReplicaName::of_index(0).to_string(), "gateway-1");
        for text in ["gateway-0", "gateway-17", "gateway-", "gateway-x", "2", "gateway--1"] {
            assert_eq!(ReplicaName::parse(text), None, "{text}");
        }
    }
}
