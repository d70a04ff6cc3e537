//! A small world: one true time, a log of committed generations, operators and replicas whose clocks
//! differ from it by less than max_skew, and the tokens that the replicas mint.
//!
//! Nothing of the keyring is rewritten here. A replica signs with what [`Manifest::active_at`] says
//! and verifies by [`Manifest::lookup`] and [`Manifest::admit`]; the world only decides who holds
//! which generation, and what each clock shows.

#![allow(dead_code, unused_imports, unreachable_pub, reason = "each test binary uses its part of the world")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod operators;
mod replicas;
mod ring;

pub use operators::Landing;
pub use replicas::{Replica, Token, Why, verify};
pub use ring::{
    Ring, candidate, context, digest_of, gateway, kid, offer, report, request, second, small, unwrap_change,
};

use keystile_keyring::{Manifest, Policy, ReplicaReport, UnixTime};

/// The instant, true time, at which a world begins.
pub const START: u64 = 1000;

/// Everything there is.
pub struct World {
    /// True time. Every clock shows it plus an offset.
    pub now: u64,
    /// Every generation that was committed, oldest first.
    pub log: Vec<Manifest>,
    /// The gateways.
    pub replicas: Vec<Replica>,
    /// The last reports of those that stopped.
    left: Vec<ReplicaReport>,
    started: usize,
    made: usize,
}

impl World {
    /// Key `a` signs since [`START`]; one replica per clock offset holds generation 1.
    pub fn begin(policy: Policy, offsets: &[i64]) -> Self {
        let first = Ring::begin(policy, START).manifest;
        let mut world = Self {
            now: START,
            log: vec![first],
            replicas: Vec::new(),
            left: Vec::new(),
            started: 0,
            made: 1,
        };
        for (index, offset) in offsets.iter().enumerate() {
            world.started += 1;
            world.replicas.push(Replica::new(world.started, *offset));
            world.read(index);
        }
        world
    }

    /// Lets true time pass until `instant`.
    pub fn at(&mut self, instant: u64) -> &mut Self {
        assert!(instant >= self.now, "time does not run backwards");
        self.now = instant;
        self
    }

    /// The newest generation.
    pub fn newest(&self) -> &Manifest {
        self.log.last().expect("a world begins with a generation")
    }

    /// What a clock that is `offset` off shows.
    pub fn clock(&self, offset: i64) -> UnixTime {
        UnixTime(self.now.saturating_add_signed(offset))
    }
}
