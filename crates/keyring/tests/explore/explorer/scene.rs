//! One state of a world: what landed, what the witness knows, which tokens are out.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use keystile_keyring::plan::init;
use keystile_keyring::{Digest, Kid, Manifest, Policy, UnixTime};

use super::settings::Setting;
use super::story::{Story, Violation};
use crate::world::{START, Token, gateway, offer};

/// A generation, and when it landed, true time.
pub struct Landed {
    pub at: u64,
    pub manifest: Manifest,
}

/// A token, and where it came from.
#[derive(Clone)]
pub struct Minted {
    pub token: Token,
    pub at: u64,
    /// Index of the generation that its replica held.
    pub held: usize,
    /// How far that replica's clock is ahead.
    pub offset: u64,
}

/// What somebody put in the store's place.
#[derive(Clone, PartialEq, Eq)]
pub struct Backup {
    /// Index of the generation that is back.
    pub index: usize,
    /// Whether its private keys came with it.
    pub private: bool,
    /// Whether the witness was put back too, so that only living replicas remember.
    pub witness: bool,
}

/// One state of a world.
#[derive(Clone)]
pub struct Scene {
    pub setting: &'static Setting,
    /// True time: what the slowest clock shows.
    pub now: u64,
    /// Every generation that landed, oldest first.
    pub log: Vec<Rc<Landed>>,
    /// Index of the generation that the witness remembers.
    pub witness: usize,
    /// Set while a backup stands in the store's place.
    pub backup: Option<Backup>,
    /// Tokens that have not expired on every clock.
    pub tokens: Vec<Minted>,
    /// Tokens that a thief had refreshed from one that he forged of the key named.
    pub laundered: Vec<(Kid, Minted)>,
    /// Keys whose tokens an operator may have cut off.
    pub cut: BTreeSet<Kid>,
    /// Keys whose tokens without an end have one, set by an operator.
    pub deadline: BTreeSet<Kid>,
    /// Keys that were let sign without a gate or a full schedule.
    pub ungated: BTreeSet<Kid>,
    /// Keys that a rollback went back from.
    pub abandoned: BTreeSet<Kid>,
    /// When the revocation of a key landed.
    pub revoked: BTreeMap<Kid, u64>,
    /// By a gate that opened, every live replica holds at least the generation with this index.
    pub least: usize,
    /// Keys that nothing holds any more, because store and witness were put back: nothing takes them back either.
    pub lost: BTreeSet<Kid>,
    /// Fresh keys made.
    pub made: usize,
    pub story: Story,
}

impl Scene {
    /// Key `a` signs since [`START`].
    pub fn begin(setting: &'static Setting) -> Self {
        let plan = init(gateway(), setting.policy.clone(), &offer(0), "olga", UnixTime(START));
        let manifest = plan.expect("a first generation").next;
        let mut story = Story::default();
        story.add(START, "generation 1 (init): a signs".to_owned());
        Self {
            setting,
            now: START,
            log: vec![Rc::new(Landed { at: START, manifest })],
            witness: 0,
            backup: None,
            tokens: Vec::new(),
            laundered: Vec::new(),
            cut: BTreeSet::new(),
            deadline: BTreeSet::new(),
            ungated: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            revoked: BTreeMap::new(),
            least: 0,
            lost: BTreeSet::new(),
            made: 1,
            story,
        }
    }

    /// The generation with this index.
    pub fn generation(&self, index: usize) -> &Manifest {
        &self.log[index].manifest
    }

    /// The newest generation: what a read of a store in order brings.
    pub fn newest(&self) -> &Manifest {
        self.generation(self.log.len() - 1)
    }

    /// What a clock shows that is `offset` ahead.
    pub fn clock(&self, offset: u64) -> UnixTime {
        UnixTime(self.now + offset)
    }

    /// Every generation that some replica may hold and use now, where `bound` says for how long after the
    /// beginning of its last read. A read that began in the second in which the next one landed may have
    /// missed it.
    pub fn holders(&self, bound: impl Fn(&Policy) -> u64) -> impl Iterator<Item = usize> {
        let newest = self.log.len() - 1;
        (0..=newest).filter(move |index| {
            *index == newest || self.log[*index + 1].at + bound(&self.generation(*index).policy) >= self.now
        })
    }

    /// The last instant by a clock `offset` ahead at which a holder of this generation may have confirmed it.
    pub fn confirmed(&self, index: usize, offset: u64) -> UnixTime {
        let last = self.log.get(index + 1).map_or(self.now, |next| next.at.min(self.now));
        UnixTime(last + offset)
    }

    /// The index of the first generation that holds `kid`.
    pub fn published(&self, kid: &Kid) -> Option<usize> {
        self.log.iter().position(|landed| landed.manifest.key(kid).is_some())
    }

    pub fn tell(&mut self, what: String) {
        self.story.add(self.now, what);
    }

    /// What must not be, at the end of this scene's story.
    pub fn violation(&self, invariant: &'static str, what: String) -> Violation {
        let mut story = self.story.clone();
        story.add(self.now, what);
        Violation { invariant, timeline: story.events() }
    }

    /// The same where a token is to blame: its minting stands in the timeline.
    pub fn violation_of(&self, invariant: &'static str, minted: &Minted, what: String) -> Violation {
        let mut violation = self.violation(invariant, what);
        let last = violation.timeline.len() - 1;
        let place = violation.timeline[..last].partition_point(|(at, _)| *at <= minted.at);
        violation.timeline.insert(place, (minted.at, self.minting(minted)));
        violation
    }

    fn minting(&self, minted: &Minted) -> String {
        let Minted { token, held, offset, .. } = minted;
        let end = token.times.expires_at.map_or("never".to_owned(), |exp| exp.to_string());
        format!(
            "{} mints a token of {}: iat {}, exp {end}",
            self.replica(*held, *offset),
            token.kid,
            token.times.issued_at
        )
    }

    /// A replica, in words.
    pub fn replica(&self, held: usize, offset: u64) -> String {
        format!("a replica that holds generation {} (clock +{offset})", self.generation(held).generation)
    }
}

/// Tells the generations of one life apart; nobody computes it.
pub fn digest_of(manifest: &Manifest) -> Digest {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&manifest.generation.to_be_bytes());
    Digest(digest)
}
