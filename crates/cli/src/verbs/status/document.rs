//! The shape of `keystile status --output json`. Schema `keystile/status/v1`; instants are seconds
//! since 1970, durations seconds.

use keystile_keyring::manifest::PrivateState;
use keystile_keyring::plan::Census;
use keystile_keyring::report::Presence;
use keystile_keyring::{
    Digest, Fleet, Gate, GatewayId, KeyState, Kid, Policy, ReplicaId, RequestId, UnixTime,
};
use keystile_operator::Survey;
use serde::Serialize;

use crate::health::Problem;
use crate::picture::{Labels, View, gate_in_words, next_event, rollback};

/// The keyring and its fleet at an instant.
#[derive(Debug, Serialize)]
pub(super) struct Status<'a> {
    /// The instant, by the clock of whoever looked.
    now: UnixTime,
    /// The store, in a few words.
    store: &'a str,
    /// The gateway identity.
    gateway_id: &'a GatewayId,
    /// The newest generation.
    generation: u64,
    /// Its digest.
    digest: Digest,
    /// The newest generation that the witness remembers.
    witness: Option<u64>,
    /// What is wrong, worst first; empty is healthy.
    problems: &'a [Problem],
    /// The key that signs.
    active: Option<&'a Kid>,
    /// The next thing that happens by itself.
    next_event: Option<NextEvent>,
    /// The keys, oldest first.
    keys: Vec<KeyStatus<'a>>,
    /// The rotation in flight.
    operation: Option<OperationStatus<'a>>,
    /// What a rollback would return to.
    rollback: RollbackStatus,
    /// The replicas that have reported.
    replicas: Vec<ReplicaStatus<'a>>,
    /// The rules.
    policy: &'a Policy,
}

/// Something that will happen by itself.
#[derive(Debug, Serialize)]
struct NextEvent {
    at: UnixTime,
    what: String,
}

/// One key.
#[derive(Debug, Serialize)]
struct KeyStatus<'a> {
    kid: &'a Kid,
    state: KeyState,
    created_at: UnixTime,
    /// When it first signed, or will.
    signs_from: Option<UnixTime>,
    /// The last instant at which its tokens are accepted.
    accept_until: Option<UnixTime>,
    revoked_at: Option<UnixTime>,
    /// Whether the store holds the private key.
    private_key: bool,
    /// Who uses it, as far as the live replicas saw: an upper bound.
    usage: Census,
}

/// The rotation in flight.
#[derive(Debug, Serialize)]
struct OperationStatus<'a> {
    id: &'a str,
    request_id: Option<&'a RequestId>,
    started_at: UnixTime,
    from_kid: &'a Kid,
    to_kid: &'a Kid,
    /// `unattended`, `replicas`, `caches` or `open`.
    gate: &'static str,
    /// What it waits for, in words.
    waits_for: String,
    /// Replicas that do not hold the key yet.
    behind: Vec<ReplicaId>,
    /// When outside verifiers' caches have run out, if only they are waited for.
    until: Option<UnixTime>,
}

/// What a rollback would do.
#[derive(Debug, Serialize)]
struct RollbackStatus {
    possible: bool,
    /// The key that would sign again.
    to: Option<Kid>,
    /// The last instant at which its private key is kept.
    until: Option<UnixTime>,
    /// Why it is not possible.
    why: Option<String>,
}

/// One replica.
#[derive(Debug, Serialize)]
struct ReplicaStatus<'a> {
    replica: &'a ReplicaId,
    /// `live`, `withdrawn` or `lost`.
    presence: &'static str,
    generation: u64,
    digest: Option<Digest>,
    reported_at: UnixTime,
    confirmed_at: Option<UnixTime>,
    /// Its clock less the store's, in seconds.
    clock_offset: Option<i64>,
    build: &'a str,
}

impl<'a> Status<'a> {
    /// The document for what is drawn.
    pub(super) fn of(view: &View<'a>, survey: &'a Survey) -> Self {
        let (manifest, now) = (view.manifest, view.when.now());
        let labels = Labels::of(manifest);
        let event = next_event(manifest, view.reports, &labels, now);
        Self {
            now,
            store: &survey.store,
            gateway_id: &manifest.gateway_id,
            generation: manifest.generation,
            digest: view.digest,
            witness: survey.witness,
            problems: view.problems,
            active: manifest.active_at(now).map(|key| &key.kid),
            next_event: event.map(|(at, what)| NextEvent { at, what }),
            keys: keys(view),
            operation: operation(view),
            rollback: rollback_status(view),
            replicas: replicas(view),
            policy: &manifest.policy,
        }
    }
}

fn keys<'a>(view: &View<'a>) -> Vec<KeyStatus<'a>> {
    let (manifest, now) = (view.manifest, view.when.now());
    let maxima = manifest.maxima(now);
    let keys = manifest.keys.iter().map(|key| KeyStatus {
        kid: &key.kid,
        state: manifest.state_of(key, now),
        created_at: key.created_at,
        signs_from: manifest.first_activation(&key.kid),
        accept_until: key.superseded.and_then(|superseded| superseded.accept_until),
        revoked_at: key.revoked.as_ref().map(|revoked| revoked.at),
        private_key: key.private == PrivateState::Present,
        usage: Census::of(view.reports, &key.kid, now, maxima),
    });
    keys.collect()
}

fn operation<'a>(view: &View<'a>) -> Option<OperationStatus<'a>> {
    let operation = view.manifest.operation.as_ref()?;
    let gate = view.manifest.gate(operation, view.reports, Fleet::Reporting, view.when.now());
    let waits_for = gate_in_words(&gate, view.when);
    let (word, behind, until) = match gate {
        Gate::Unattended => ("unattended", Vec::new(), None),
        Gate::Replicas { behind, .. } => ("replicas", behind, None),
        Gate::Caches { until, .. } => ("caches", Vec::new(), Some(until)),
        Gate::Open { .. } => ("open", Vec::new(), None),
    };
    Some(OperationStatus {
        id: &operation.id,
        request_id: operation.request_id.as_ref(),
        started_at: operation.started_at,
        from_kid: &operation.from_kid,
        to_kid: &operation.to_kid,
        gate: word,
        waits_for,
        behind,
        until,
    })
}

fn rollback_status(view: &View<'_>) -> RollbackStatus {
    match rollback(view) {
        Ok((to, until)) => RollbackStatus { possible: true, to: Some(to), until, why: None },
        Err(why) => RollbackStatus { possible: false, to: None, until: None, why: Some(why) },
    }
}

fn replicas<'a>(view: &View<'a>) -> Vec<ReplicaStatus<'a>> {
    let now = view.when.now();
    let maxima = view.manifest.maxima(now);
    let replicas = view.reports.iter().map(|report| ReplicaStatus {
        replica: &report.replica,
        presence: match report.presence(now, maxima) {
            Presence::Live => "live",
            Presence::Withdrawn(_) => "withdrawn",
            Presence::Lost(_) => "lost",
        },
        generation: report.generation,
        digest: report.digest,
        reported_at: report.reported_at,
        confirmed_at: report.confirmed_at,
        clock_offset: report.clock_offset,
        build: &report.build,
    });
    replicas.collect()
}
