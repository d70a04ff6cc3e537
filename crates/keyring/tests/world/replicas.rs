//! Replicas: each holds the generation that it read last, and has a clock of its own.

use std::collections::BTreeMap;

use keystile_keyring::manifest::{End, PrivateState};
use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{Breach, Kid, Lookup, Manifest, ReplicaId, ReplicaReport, TokenTimes, UnixTime};

use super::World;

/// One gateway process.
pub struct Replica {
    id: ReplicaId,
    /// What its clock shows, less true time.
    pub offset: i64,
    /// The generation it holds, as an index into the log.
    pub held: usize,
    /// When its last read began, true time.
    pub read_at: u64,
    held_since: BTreeMap<Kid, (UnixTime, bool)>,
    /// What it reported last.
    pub report: Option<ReplicaReport>,
}

/// A token: who signed it, and its times. The signature is always good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub kid: Kid,
    pub times: TokenTimes,
}

/// Why a generation refuses a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    UnknownKid,
    Gone(End),
    Breach(Breach),
}

impl Why {
    /// Whether a newer generation could think otherwise, so that the store is read again.
    pub fn newer_generation_could_change(self) -> bool {
        match self {
            Self::UnknownKid | Self::Gone(End::Retired) => true,
            Self::Gone(End::Revoked) => false,
            Self::Breach(breach) => matches!(
                breach,
                Breach::KeyRetired
                    | Breach::SignedBeforeActivation
                    | Breach::SignedAfterSupersession
                    | Breach::LifetimeExceedsPolicy
                    | Breach::NeverExpires
            ),
        }
    }
}

impl Token {
    /// A token of `kid` from `iat` to `exp`.
    pub fn forged(kid: &str, iat: u64, exp: u64) -> Self {
        let times = TokenTimes {
            issued_at: UnixTime(iat),
            expires_at: (exp != 0).then_some(UnixTime(exp)),
            lineage_began: UnixTime(iat),
        };
        Self { kid: super::kid(kid), times }
    }

    /// The same with a lineage that began at `began`.
    pub fn of_lineage(mut self, began: u64) -> Self {
        self.times.lineage_began = UnixTime(began);
        self
    }
}

/// What `manifest` says of `token` on a clock that shows `now`.
pub fn verify(manifest: &Manifest, token: &Token, now: UnixTime) -> Result<(), Why> {
    match manifest.lookup(&token.kid, now) {
        Lookup::Unknown => Err(Why::UnknownKid),
        Lookup::Gone(end) => Err(Why::Gone(end)),
        Lookup::Held(key, _) => manifest.admit(key, token.times, now).map_err(Why::Breach),
    }
}

impl Replica {
    pub(super) fn new(number: usize, offset: i64) -> Self {
        Self {
            id: ReplicaId::new(format!("gateway-{number}")).unwrap(),
            offset,
            held: 0,
            read_at: 0,
            held_since: BTreeMap::new(),
            report: None,
        }
    }
}

impl World {
    /// Replica `index` reads the store and reports.
    pub fn read(&mut self, index: usize) {
        let newest = self.log.len() - 1;
        let clock = self.clock(self.replicas[index].offset);
        let manifest = &self.log[newest];
        let replica = &mut self.replicas[index];
        let from_start = replica.report.is_none();
        replica.held = newest;
        replica.read_at = self.now;
        replica.held_since.retain(|kid, _| manifest.key(kid).is_some());
        for key in &manifest.keys {
            replica.held_since.entry(key.kid.clone()).or_insert((clock, from_start));
        }
        let keys = replica.held_since.iter().map(|(kid, (held_since, from_start))| KeyReport {
            kid: kid.clone(),
            held_since: *held_since,
            from_start: *from_start,
            usage: KeyUsage::default(),
        });
        replica.report = Some(ReplicaReport {
            replica: replica.id.clone(),
            build: "test".to_owned(),
            started_at: UnixTime(super::START),
            reported_at: clock,
            generation: manifest.generation,
            digest: None,
            condition: Condition::Ready,
            confirmed_at: Some(clock),
            keys: keys.collect(),
            revoked: Vec::new(),
            lineage_floor: None,
            withdrawn_at: None,
            tls_stale: None,
            clock_offset: None,
        });
    }

    /// Replica `index` stops gracefully, and another process takes its place: it reports, then loads.
    pub fn restart(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        let offset = replica.offset;
        let clock = UnixTime(self.now.saturating_add_signed(offset));
        if let Some(report) = replica.report.take() {
            self.left.push(ReplicaReport { withdrawn_at: Some(clock), ..report });
        }
        self.started += 1;
        self.replicas[index] = Replica::new(self.started, offset);
        self.read(index);
    }

    /// Every replica reads the store.
    pub fn read_all(&mut self) -> &mut Self {
        (0..self.replicas.len()).for_each(|index| self.read(index));
        self
    }

    /// What the replicas have reported.
    pub fn reports(&self) -> Vec<ReplicaReport> {
        let running = self.replicas.iter().filter_map(|replica| replica.report.as_ref());
        running.chain(&self.left).cloned().collect()
    }

    /// The generation that replica `index` holds.
    pub fn held(&self, index: usize) -> &Manifest {
        &self.log[self.replicas[index].held]
    }

    /// Whether replica `index` read the store within max_staleness of what it holds.
    pub fn is_fresh(&self, index: usize) -> bool {
        self.now - self.replicas[index].read_at <= self.held(index).policy.max_staleness
    }

    /// What replica `index` mints now: `None` if it is stale, or nothing signs by its clock.
    pub fn mint(&self, index: usize) -> Option<Token> {
        let clock = self.clock(self.replicas[index].offset);
        self.mint_lineage(index, clock)
    }

    /// The same for a lineage that began at `began`.
    pub fn mint_lineage(&self, index: usize, began: UnixTime) -> Option<Token> {
        let clock = self.clock(self.replicas[index].offset);
        let manifest = self.held(index);
        let key = manifest.active_at(clock).filter(|_| self.is_fresh(index))?;
        assert_eq!(
            key.private,
            PrivateState::Present,
            "{} signs at {clock} without its private key",
            key.kid
        );
        let ttl = manifest.policy.token_ttl;
        let times = TokenTimes {
            issued_at: clock,
            expires_at: (ttl != 0).then(|| clock.plus(ttl)),
            lineage_began: began.min(clock),
        };
        Some(Token { kid: key.kid.clone(), times })
    }

    /// What replica `index` says of `token` by the generation that it holds.
    pub fn verify_without_reading(&self, index: usize, token: &Token) -> Result<(), Why> {
        verify(self.held(index), token, self.clock(self.replicas[index].offset))
    }

    /// What replica `index` says of `token`: before it refuses for a reason that a newer generation
    /// could change, it reads the store again.
    pub fn verify(&self, index: usize, token: &Token) -> Result<(), Why> {
        self.verify_without_reading(index, token).or_else(|why| {
            if !why.newer_generation_could_change() {
                return Err(why);
            }
            verify(self.newest(), token, self.clock(self.replicas[index].offset))
        })
    }

    /// What replica `index` says of `token` while the store cannot be read: `None` is "unavailable".
    ///
    /// A token of a key that it holds without an activation is accepted if it was minted after the
    /// replica's last confirmation: the key may have been activated since.
    pub fn verify_cut_off(&self, index: usize, token: &Token) -> Option<Result<(), Why>> {
        let why = match self.verify_without_reading(index, token) {
            Err(why) if why.newer_generation_could_change() => why,
            answer => return Some(answer),
        };
        let replica = &self.replicas[index];
        let confirmed = UnixTime(replica.read_at.saturating_add_signed(replica.offset));
        let prepared = why == Why::Breach(Breach::SignedBeforeActivation)
            && self.held(index).first_activation(&token.kid).is_none();
        let since = token.times.issued_at >= confirmed.minus(self.held(index).policy.max_skew);
        (prepared && since).then_some(Ok(()))
    }

    /// Asserts that every replica within its staleness accepts `token` now.
    pub fn assert_accepted_everywhere(&self, token: &Token) {
        for index in (0..self.replicas.len()).filter(|index| self.is_fresh(*index)) {
            assert_eq!(self.verify(index, token), Ok(()), "replica {index} at {}: {token:?}", self.now);
        }
    }
}
