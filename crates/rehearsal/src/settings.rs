//! What a rehearsal is asked to do, once everything is decided.

use std::time::Duration;

use keystile_keyring::Policy;

use crate::dice::Dice;
use crate::replica::ReplicaName;
use crate::script::Script;

/// What a rehearsal is asked to do, once everything is decided.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many gateways run.
    pub gateways: usize,
    /// How many supervisors run.
    pub supervisors: usize,
    /// The policy that is rehearsed: the operator's own, scaled.
    pub policy: Policy,
    /// The operator's own policy.
    pub own: Policy,
    /// How far the replicas' clocks are apart, in seconds.
    pub skew: u64,
    /// Makes choices repeatable.
    pub seed: u64,
    /// What happens.
    pub script: Script,
    /// When the load ends, from its begin.
    pub ends_at: Duration,
    /// Whether the script was drawn to go on for long, and what every process takes of the machine is measured.
    pub soak: bool,
}

/// How a supervisor gets its first token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bootstrap {
    /// By its client certificate, whenever it needs to.
    ClientCertificate,
    /// From a token file that the operator writes.
    TokenFile,
}

impl Bootstrap {
    /// It in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ClientCertificate => "client certificate",
            Self::TokenFile => "token file",
        }
    }
}

/// One supervisor in so many begins from a token file.
const FILE_FED: usize = 5;

impl Settings {
    /// How each supervisor gets its first token: one in five from a token file, which ones by the seed.
    pub fn bootstraps(&self) -> Vec<Bootstrap> {
        let mut dice = Dice::new(self.seed).fork(1);
        let offset = dice.below(FILE_FED);
        let fed = |index: usize| {
            let file = index % FILE_FED == offset && self.supervisors > 1;
            if file { Bootstrap::TokenFile } else { Bootstrap::ClientCertificate }
        };
        (0..self.supervisors).map(fed).collect()
    }

    /// Seconds by which each replica's clock is put forward. The first two are `skew` apart, one on either
    /// side of the machine's; the others lie between them.
    pub fn shifts(&self) -> Vec<i64> {
        let skew = i64::try_from(self.skew).unwrap_or(i64::MAX);
        let behind = -(skew / 2);
        let ahead = skew + behind;
        let shift = |index: usize| match index {
            0 if self.gateways > 1 => behind,
            0 | 1 => ahead,
            _ => 0,
        };
        (0..self.gateways).map(shift).collect()
    }

    /// The replicas' names.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaName> + use<> {
        (0..self.gateways).map(ReplicaName::of_index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::settings;

    #[test]
    fn one_in_five_begins_from_a_file_and_the_seed_says_which() {
        let count = |seed| {
            let bootstraps = Settings { seed, supervisors: 100, ..settings() }.bootstraps();
            bootstraps.iter().filter(|one| **one == Bootstrap::TokenFile).count()
        };
        assert_eq!([1, 2, 3].map(count), [20; 3]);
        let which = |seed| Settings { seed, ..settings() }.bootstraps();
        assert_eq!(which(7), which(7));
        assert!((0..20).any(|seed| which(seed) != which(7)));
    }

    #[test]
    fn clocks_are_as_far_apart_as_asked() {
        let shifts = |skew, gateways| Settings { gateways, skew, ..settings() }.shifts();
        assert_eq!(shifts(0, 3), [0, 0, 0]);
        assert_eq!(shifts(1, 3), [0, 1, 0]);
        assert_eq!(shifts(4, 4), [-2, 2, 0, 0]);
        assert_eq!(shifts(5, 2), [-2, 3]);
        assert_eq!(shifts(2, 1), [1]);
    }
}
