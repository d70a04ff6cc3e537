//! `/status`: everything about this replica that is worth showing, as one JSON document.

use keystile_keyring::report::KeyUsage;
use keystile_keyring::{Event, Key, KeyState, UnixTime};
use keystile_store::Freshness;
use serde::{Deserialize, Serialize};

use super::Admin;
use keystile_replica::{Held, Moment, Viewer};

/// What `/status` answers. Instants are seconds since the Unix epoch, of this replica's clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Which process.
    pub replica: String,
    /// Version of the program.
    pub build: String,
    /// When it started.
    pub started_at: UnixTime,
    /// When this was written.
    pub now: UnixTime,
    /// The store in a few words.
    pub store: String,
    /// Whose keyring it is.
    pub gateway_id: String,
    /// The generation held.
    pub generation: u64,
    /// Digest of the manifest held.
    pub digest: String,
    /// Whether requests should be sent here.
    pub ready: bool,
    /// Whether tokens are minted here.
    pub mints: bool,
    /// What somebody should look at.
    pub problems: Vec<String>,
    /// When a read that confirmed the keyring began.
    pub confirmed_at: UnixTime,
    /// Seconds since then.
    pub confirmed_seconds_ago: u64,
    /// Whether that rests on the store (`confirmed`) or on the operator's word (`asserted`).
    pub freshness: String,
    /// Whether policy calls for a rotation.
    pub rotation_due: bool,
    /// Age of the active key, seconds.
    pub key_age: Option<u64>,
    /// What will happen next by itself.
    pub next_event: Option<NextEvent>,
    /// The keys, in the order of their creation.
    pub keys: Vec<KeyStatus>,
}

/// Something that will happen by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextEvent {
    /// When.
    pub at: UnixTime,
    /// `activates`, `retires` or `custody-ends`.
    pub what: String,
    /// Which key.
    pub kid: String,
}

/// One key of the keyring, as this replica sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyStatus {
    /// The key.
    pub kid: String,
    /// Its state now.
    pub state: KeyState,
    /// When this replica first held it.
    pub held_since: Option<UnixTime>,
    /// Whether this replica could sign with it.
    pub signs_here: bool,
    /// The last instant at which its tokens are accepted, once superseded and bounded.
    pub accept_until: Option<UnixTime>,
    /// Tokens of the key that this process accepted.
    pub accepted: u64,
    /// Tokens that this process signed with it.
    pub minted: u64,
    /// Who uses it, as far as this replica saw.
    pub usage: KeyUsage,
}

impl Status {
    pub(super) fn of(admin: &Admin) -> Self {
        let (held, moment) = (admin.replica.held(), admin.replica.moment());
        let manifest = held.keyring.manifest();
        let readiness = admin.replica.readiness(&held, moment, Viewer::Operators);
        let tls = admin.tls.as_ref().and_then(|tls| tls.problem());
        Self {
            replica: admin.identity.replica.to_string(),
            build: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: admin.identity.started_at,
            now: moment.now,
            store: admin.store.clone(),
            gateway_id: manifest.gateway_id.to_string(),
            generation: held.generation(),
            digest: held.digest().to_string(),
            ready: readiness.ready,
            mints: readiness.mints,
            problems: readiness.problems.into_iter().chain(tls).collect(),
            confirmed_at: held.confirmed.at,
            confirmed_seconds_ago: readiness.confirmed_seconds_ago,
            freshness: match held.freshness {
                Freshness::Confirmed => "confirmed".to_owned(),
                Freshness::Asserted => "asserted".to_owned(),
            },
            rotation_due: manifest.rotation_due(moment.now),
            key_age: manifest.key_age(moment.now),
            next_event: manifest.next_event(moment.now).map(NextEvent::from),
            keys: manifest.keys.iter().map(|key| key_status(admin, &held, key, moment)).collect(),
        }
    }
}

impl From<(UnixTime, Event)> for NextEvent {
    fn from((at, event): (UnixTime, Event)) -> Self {
        let (what, kid) = match event {
            Event::Activates(kid) => ("activates", kid),
            Event::Retires(kid) => ("retires", kid),
            Event::CustodyEnds(kid) => ("custody-ends", kid),
        };
        Self { at, what: what.to_owned(), kid: kid.to_string() }
    }
}

fn key_status(admin: &Admin, held: &Held, key: &Key, moment: Moment) -> KeyStatus {
    let known = held.key(&key.kid);
    KeyStatus {
        kid: key.kid.to_string(),
        state: held.keyring.manifest().state_of(key, moment.now),
        held_since: known.map(|known| known.held_since),
        signs_here: held.keyring.can_sign_with(&key.kid),
        accept_until: key.superseded.and_then(|superseded| superseded.accept_until),
        accepted: known.map(|known| known.accepted.get()).unwrap_or_default(),
        minted: known.map(|known| known.minted.get()).unwrap_or_default(),
        usage: admin.census.tally().get(&key.kid).cloned().unwrap_or_default(),
    }
}
