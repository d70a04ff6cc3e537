//! Rules that are broken on purpose, to see that the lives find it.

use keystile_keyring::{Manifest, ReplicaReport};

use crate::world::store::Truth;

/// What is broken. All of it is done around the product, in what the world gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weakness {
    #[default]
    None,
    /// The re-read before a refusal brings one gateway nothing new: it is answered as of a few seconds ago, and told
    /// that it is confirmed.
    RereadBringsNothing,
    /// Gateways do not grow stale: their clock for it stands still.
    NeverStale,
    /// The gate takes it that every replica holds everything.
    GateIsBlind,
    /// A gateway that loads a generation does not see what it revokes.
    ForgetsRevocations,
    /// Gateways that start late see the oldest generation and no witness.
    StartsFromABackup,
    /// A supervisor gives up at its first failure.
    SupervisorGivesUp,
}

impl Weakness {
    pub fn without_revocations(manifest: &mut Manifest) {
        for key in &mut manifest.keys {
            key.revoked = None;
        }
        manifest.lineage_floor = None;
    }

    /// Every replica seems to hold what is newest.
    pub fn blind(reports: &mut [ReplicaReport], truth: &Truth) {
        let Some(newest) = truth.newest() else { return };
        for report in reports {
            report.generation = newest.manifest.generation;
            report.digest = Some(newest.digest);
            for key in &newest.manifest.keys {
                if report.key(&key.kid).is_none() {
                    report.keys.push(keystile_keyring::report::KeyReport {
                        kid: key.kid.clone(),
                        held_since: key.created_at,
                        from_start: false,
                        usage: keystile_keyring::report::KeyUsage::default(),
                    });
                }
            }
        }
    }
}
