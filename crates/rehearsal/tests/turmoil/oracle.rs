//! What was right: judged in true time, by what was minted, what was committed when, and what each process of a
//! gateway is known to have read.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keystile_keyring::manifest::Activation;
use keystile_keyring::{KeyState, Kid, Manifest, TokenTimes, UnixTime};
use keystile_token::inspect;

use crate::faults::Class;
use crate::weakness::Weakness;
use crate::world::store::{Generation, Truth};
use crate::world::time::{HostClock, Time};

/// A token and what it says.
#[derive(Clone, Debug)]
pub struct Facts {
    pub kid: Kid,
    pub times: TokenTimes,
}

/// Where a token comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Maker {
    /// A gateway or an operator minted it.
    Keyring,
    /// A thief signed it with a key of the keyring. Whatever is good about it may be accepted, and nothing must be.
    Thief,
    /// Somebody signed it who has none of the keys.
    Stranger,
}

impl Facts {
    /// Reads them from a token; nothing is checked.
    pub fn of(token: &str) -> Option<Self> {
        let inspection = inspect(token.as_bytes()).ok()?;
        let claim =
            |name: &str| inspection.claims.get(name).and_then(serde_json::Value::as_u64).map(UnixTime);
        let issued_at = claim("iat")?;
        let began = inspection.claims.pointer("/keystile/began").and_then(serde_json::Value::as_u64);
        let lineage_began = began.map_or(issued_at, UnixTime);
        let expires_at = claim("exp").filter(|exp| exp.0 != 0);
        Some(Self { kid: inspection.kid?, times: TokenTimes { issued_at, expires_at, lineage_began } })
    }
}

/// What a gateway said about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Answer {
    Accepted,
    Rejected,
    Unavailable,
    /// None in time, or no connection.
    Silence,
}

/// A token was presented.
pub struct Call<'a> {
    pub gateway: usize,
    pub clock: &'a HostClock,
    pub sent: Duration,
    pub answered: Duration,
    pub token: &'a Facts,
    pub maker: Maker,
    pub answer: Answer,
}

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub claim: Claim,
    pub at: Duration,
    pub what: String,
}

/// What is claimed of every life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claim {
    /// (a) No good token is rejected.
    GoodIsNotRejected,
    /// (b) No bad token is accepted.
    BadIsNotAccepted,
    /// (c) After the faults every supervisor has a usable token again within the bound.
    EverySupervisorRecovers,
    /// (d) What is revoked when a process starts, it never accepts.
    RevokedStaysRevoked,
    /// I2: no key signs before every live replica has it.
    GateHolds,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9.3} {:?}: {}", self.at.as_secs_f64(), self.claim, self.what)
    }
}

/// One process of a gateway.
struct Process {
    gateway: usize,
    started: Duration,
    ended: Option<Duration>,
    /// When it had read which generation; ascending.
    loaded: Vec<(Duration, u64)>,
    reported: Option<Duration>,
}

pub struct Oracle {
    time: Time,
    class: Class,
    pub weakness: Weakness,
    truth: Arc<Truth>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    processes: Vec<Process>,
    violations: Vec<Violation>,
    answers: BTreeMap<(Maker, Answer), u64>,
    timeline: Vec<(Duration, String)>,
}

impl Oracle {
    pub fn new(time: Time, class: Class, weakness: Weakness, truth: Arc<Truth>) -> Arc<Self> {
        Arc::new(Self { time, class, weakness, truth, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a line of the timeline.
    pub fn note(&self, line: impl Into<String>) {
        let at = self.time.now();
        self.state().timeline.push((at, line.into()));
    }

    pub fn violated(&self, claim: Claim, what: String) {
        let at = self.time.now();
        self.note(format!("VIOLATION {claim:?}: {what}"));
        self.state().violations.push(Violation { claim, at, what });
    }

    pub fn violations(&self) -> Vec<Violation> {
        self.state().violations.clone()
    }

    pub fn timeline(&self) -> Vec<(Duration, String)> {
        self.state().timeline.clone()
    }

    /// How many answers of each kind there were to whose tokens.
    pub fn answers(&self) -> BTreeMap<(Maker, Answer), u64> {
        self.state().answers.clone()
    }

    /// A process of a gateway starts; its number.
    pub fn started(&self, gateway: usize) -> usize {
        let started = self.time.now();
        let mut state = self.state();
        state.processes.push(Process { gateway, started, ended: None, loaded: Vec::new(), reported: None });
        state.processes.len() - 1
    }

    pub fn ended(&self, process: usize) {
        let now = self.time.now();
        self.state().processes[process].ended.get_or_insert(now);
    }

    /// A process was given a generation to load. It holds the newest that it was given.
    pub fn loaded(&self, process: usize, generation: u64) {
        let now = self.time.now();
        let loaded = &mut self.state().processes[process].loaded;
        if loaded.last().is_none_or(|(_, last)| *last < generation) {
            loaded.push((now, generation));
        }
    }

    /// A process's report reached the store.
    pub fn reported(&self, process: usize) {
        let now = self.time.now();
        self.state().processes[process].reported = Some(now);
    }

    /// A generation was committed; `gated`: by an operation that must have waited for the fleet.
    pub fn committed(&self, generation: &Generation, gated: bool) {
        let manifest = &generation.manifest;
        let change = manifest.history.last().map(|change| change.verb.clone()).unwrap_or_default();
        self.note(format!("generation {}: {change}, {}", manifest.generation, shape(manifest)));
        if gated && self.class == Class::WithinBounds {
            self.gate_held(manifest);
        }
    }

    /// I2, by what is known of every process: its reports reach the store, and it has what it was given.
    fn gate_held(&self, manifest: &Manifest) {
        let generations = self.truth.generations();
        let before = generations.iter().rev().find(|one| one.manifest.generation < manifest.generation);
        let Some(before) = before else { return };
        let known = |activation: &Activation| before.manifest.timeline.contains(activation);
        let Some(fresh) = manifest.timeline.iter().find(|activation| !known(activation)) else { return };
        let first = generations.iter().find(|one| one.manifest.key(&fresh.kid).is_some());
        let Some(first) = first.map(|first| first.manifest.generation) else { return };
        drop(generations);
        let (now, live) = (self.time.now(), Duration::from_secs(before_staleness(manifest)));
        let behind: Vec<String> = {
            let state = self.state();
            let lives = |process: &&Process| {
                process.ended.is_none()
                    && process.reported.is_some_and(|at| now.saturating_sub(at) <= live)
                    && process.loaded.last().is_some_and(|(_, held)| *held < first)
            };
            state
                .processes
                .iter()
                .filter(lives)
                .map(|process| format!("gateway-{}", process.gateway))
                .collect()
        };
        if !behind.is_empty() {
            let what =
                format!("{} signs, and {} has not read generation {first}", fresh.kid, behind.join(", "));
            self.violated(Claim::GateHolds, what);
        }
    }

    /// Whether a token can be used now: everybody's clock, and the newest generation, admit it.
    pub fn usable(&self, token: &Facts) -> bool {
        let Some(newest) = self.truth.newest() else { return false };
        let now = HostClock::new(self.time, 0);
        let (now, _) = now.readings(self.time.now(), self.time.now());
        let skew = newest.manifest.policy.max_skew;
        let ends = token.times.expires_at.is_none_or(|exp| exp > now);
        ends && [now.minus(skew), now, now.plus(skew)]
            .into_iter()
            .all(|now| admits(&newest.manifest, token, now))
    }

    /// Judges one answer.
    pub fn judge(&self, call: &Call<'_>) {
        *self.state().answers.entry((call.maker, call.answer)).or_default() += 1;
        let told = match call.answer {
            Answer::Rejected if call.maker == Maker::Keyring => self.rejected(call),
            Answer::Accepted => self.accepted(call),
            _ => None,
        };
        if let Some((claim, why)) = told {
            let Facts { kid, times } = call.token;
            let what = format!(
                "gateway-{} answered {:?} to a token of {} (iat {}, exp {:?}, began {}), sent {:.3}: {why}",
                call.gateway,
                call.answer,
                short(kid),
                times.issued_at.0,
                times.expires_at.map(|exp| exp.0),
                times.lineage_began.0,
                call.sent.as_secs_f64(),
            );
            self.violated(claim, what);
        }
    }

    /// Whether a rejection was wrong.
    pub fn is_wrong(&self, call: &Call<'_>) -> bool {
        self.rejected(call).is_some()
    }

    /// (a): a genuine token may be rejected only once it has expired or an operator has ended it.
    fn rejected(&self, call: &Call<'_>) -> Option<(Claim, String)> {
        if self.class != Class::WithinBounds {
            return None;
        }
        let (_, latest) = call.clock.readings(call.sent, call.answered);
        let generations = self.truth.generations();
        let ended = generations.iter().take_while(|one| one.committed <= call.answered).any(|one| {
            let manifest = &one.manifest;
            let Facts { kid, times } = call.token;
            let expired = times.expires_at.is_some_and(|exp| latest > exp.plus(manifest.policy.leeway));
            let revoked = manifest.revoked_kids().any(|revoked| revoked == kid);
            let descends = manifest.lineage_floor.is_some_and(|floor| times.lineage_began <= floor);
            let retired = manifest.history.last().is_some_and(|change| change.verb == "retire")
                && manifest
                    .key(kid)
                    .and_then(|key| key.superseded?.accept_until)
                    .is_some_and(|at| latest > at);
            expired || revoked || descends || retired
        });
        (!ended).then(|| (Claim::GoodIsNotRejected, format!("its clock showed {} at most", latest.0)))
    }

    /// (b) and (d): a token may be accepted only by what a generation says that the replica may have held, at an
    /// instant that its clock showed.
    fn accepted(&self, call: &Call<'_>) -> Option<(Claim, String)> {
        if call.maker == Maker::Stranger {
            return Some((Claim::BadIsNotAccepted, "no key of the keyring signed it".to_owned()));
        }
        let (earliest, latest) = call.clock.readings(call.sent, call.answered);
        let (least, started) = self.held(call);
        let generations = self.truth.generations();
        let known = generations.iter().filter(|one| one.committed <= call.answered);
        let mut held = known.clone().filter(|one| one.manifest.generation >= least);
        let span = latest.since(earliest).min(300);
        let prepared = |manifest: &Manifest| {
            let key = manifest.keys.iter().find(|key| key.kid == call.token.kid);
            key.is_some_and(|key| manifest.state_of(key, latest) == KeyState::Prepared)
        };
        let admitted = held.any(|one| {
            // Where the store cannot be read the key may have been activated since: only a thief can tell.
            if call.maker == Maker::Thief && prepared(&one.manifest) {
                return true;
            }
            (0..=span)
                .map(|second| earliest.plus(second))
                .chain([latest])
                .any(|now| admits(&one.manifest, call.token, now))
        });
        if !admitted {
            let what = format!("no generation from {least} on admits it at {} to {}", earliest.0, latest.0);
            return Some((Claim::BadIsNotAccepted, what));
        }
        if self.class == Class::StoreLies {
            return None;
        }
        let revoked = |one: &&Arc<Generation>| one.manifest.revoked_kids().any(|kid| *kid == call.token.kid);
        let revoked = known.clone().find(revoked)?;
        if revoked.witnessed.is_some_and(|witnessed| witnessed < started) {
            return Some((
                Claim::RevokedStaysRevoked,
                "it was revoked before the process started".to_owned(),
            ));
        }
        let grace = Duration::from_secs(revoked.manifest.policy.verify_staleness);
        let ago = call.sent.saturating_sub(revoked.committed);
        (ago > grace).then(|| (Claim::BadIsNotAccepted, format!("it was revoked {ago:?} before")))
    }

    /// The generation that whoever answered held at least when the call was sent, and when the oldest of them
    /// started.
    fn held(&self, call: &Call<'_>) -> (u64, Duration) {
        let state = self.state();
        let answering = state.processes.iter().filter(|process| {
            process.gateway == call.gateway
                && process.started <= call.answered
                && process.ended.is_none_or(|ended| ended >= call.sent)
        });
        let held = |process: &Process| {
            let before = process.loaded.iter().rev().find(|(at, _)| *at < call.sent);
            before.or(process.loaded.first()).map_or(0, |(_, generation)| *generation)
        };
        let answering: Vec<_> = answering.collect();
        let least = answering.iter().map(|process| held(process)).min().unwrap_or_default();
        let started = answering.iter().map(|process| process.started).min().unwrap_or_default();
        (least, started)
    }
}

fn admits(manifest: &Manifest, token: &Facts, now: UnixTime) -> bool {
    manifest.key(&token.kid).is_some_and(|key| manifest.admit(key, token.times, now).is_ok())
}

fn before_staleness(manifest: &Manifest) -> u64 {
    let before = manifest.policy_before.as_ref().map_or(u64::MAX, |before| before.staleness);
    manifest.policy.max_staleness.min(before)
}

/// The first characters of a kid, which tell it apart.
pub fn short(kid: &Kid) -> &str {
    kid.as_str().get(..6).unwrap_or(kid.as_str())
}

/// A manifest's keys and timeline in a few words.
fn shape(manifest: &Manifest) -> String {
    let activations: Vec<_> =
        manifest.timeline.iter().map(|one| format!("{} from {}", short(&one.kid), one.from.0)).collect();
    let keys: Vec<_> = manifest
        .keys
        .iter()
        .map(|key| format!("{}{}", short(&key.kid), if key.revoked.is_some() { " revoked" } else { "" }))
        .collect();
    format!("keys {}; {}", keys.join(", "), activations.join(", "))
}
