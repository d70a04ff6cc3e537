//! What a replica says of itself, so that an operation can wait for the fleet and `status` show it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ident::{Digest, Kid, ReplicaId};
use crate::policy::Maxima;
use crate::time::UnixTime;

/// One replica's own account of itself. Instants are of the replica's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplicaReport {
    /// Which process.
    pub replica: ReplicaId,
    /// Version of the program.
    pub build: String,
    /// When the process started.
    pub started_at: UnixTime,
    /// When it wrote this report.
    pub reported_at: UnixTime,
    /// The generation it has loaded; 0 before its first.
    pub generation: u64,
    /// Digest of that generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// How it is.
    pub condition: Condition,
    /// When a read that confirmed the generation began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed_at: Option<UnixTime>,
    /// The keys it holds.
    #[serde(default)]
    pub keys: Vec<KeyReport>,
    /// Set when it stopped gracefully.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<UnixTime>,
    /// The replica's clock less the store's, in seconds, where the store can tell. Never stored.
    #[serde(skip)]
    pub clock_offset: Option<i64>,
}

/// How a replica is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "why", deny_unknown_fields)]
pub enum Condition {
    /// Started, nothing loaded yet.
    Loading,
    /// Serves.
    Ready,
    /// Serves from the last good keyring: the reason why it holds no newer one.
    Degraded(String),
}

/// What a replica says of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyReport {
    /// The key.
    pub kid: Kid,
    /// When the replica first held it.
    pub held_since: UnixTime,
    /// Whether it held it from its first load on, and so never served without it.
    pub from_start: bool,
    /// What it saw of the key's tokens.
    #[serde(default)]
    pub usage: KeyUsage,
}

/// What a replica saw of a key's tokens, remembered within bounds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyUsage {
    /// Distinct sandboxes whose newest token here is of this key.
    pub sandboxes: u64,
    /// When the last token of the key was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_use: Option<UnixTime>,
    /// Sandboxes that hold a token of the key that never expires; at most [`KeyUsage::NAMED`] of them.
    #[serde(default)]
    pub never_expires: Vec<String>,
    /// Sandboxes by the method their lineage began with.
    #[serde(default)]
    pub methods: BTreeMap<String, u64>,
}

impl KeyUsage {
    /// How many sandboxes a report names.
    pub const NAMED: usize = 16;
}

/// What a report is worth at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The replica counts.
    Live,
    /// It stopped gracefully at this instant.
    Withdrawn(UnixTime),
    /// It has not been heard of; it stopped counting after this instant.
    Lost(UnixTime),
}

impl ReplicaReport {
    /// Whether the replica counts at `now`: it does until its last report is older than
    /// max_staleness + max_skew, for until then it may mint.
    pub fn presence(&self, now: UnixTime, maxima: Maxima) -> Presence {
        if let Some(at) = self.withdrawn_at {
            return Presence::Withdrawn(at);
        }
        let counts_until = self.reported_at.plus(maxima.staleness + maxima.skew);
        if now > counts_until { Presence::Lost(counts_until) } else { Presence::Live }
    }

    /// What it says of `kid`.
    pub fn key(&self, kid: &Kid) -> Option<&KeyReport> {
        self.keys.iter().find(|key| key.kid == *kid)
    }
}
