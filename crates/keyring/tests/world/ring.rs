//! One keyring stepped by hand: plans are committed as they are made.

use keystile_keyring::manifest::{Key, Origin};
use keystile_keyring::plan::{self, Candidate, Context, Plan, Planned, Request, Verb};
use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{
    Digest, GatewayId, KeyState, Kid, Manifest, Policy, PublicKey, Refusal, ReplicaId, ReplicaReport,
    RequestId, UnixTime,
};

/// A policy whose edges are close together: TTL 4, staleness 2, skew 1, commit delay 1.
pub fn small() -> Policy {
    Policy {
        token_ttl: 4,
        leeway: 1,
        max_skew: 1,
        max_staleness: 2,
        verify_staleness: 8,
        commit_delay: 1,
        verifier_cache: 0,
        activation_lead: 0,
        rotation_due_after: 0,
        rotate_every: None,
        rollback_custody: 100,
        max_keys: 8,
        max_lineage_age: None,
    }
}

/// The instant `seconds` after the epoch.
pub fn second(seconds: u64) -> UnixTime {
    UnixTime(seconds)
}

pub fn kid(name: &str) -> Kid {
    Kid::new(name).unwrap()
}

/// The gateway identity of every world.
pub fn gateway() -> GatewayId {
    GatewayId::new("test").unwrap()
}

/// A key whose public part is made of its name.
pub fn candidate(name: &str) -> Candidate {
    let mut public_key = [0; 32];
    public_key.iter_mut().zip(name.bytes().cycle()).for_each(|(byte, of)| *byte = of);
    Candidate { kid: kid(name), public_key: PublicKey(public_key), origin: Origin::Generated }
}

/// The fresh key number `made`: `a`, `b`, … `z`, `k26`, …
pub fn offer(made: usize) -> Candidate {
    match u8::try_from(made) {
        Ok(letter @ 0..26) => candidate(&char::from(b'a' + letter).to_string()),
        _ => candidate(&format!("k{made}")),
    }
}

/// Tells manifests apart. Not a digest that anybody should rely on: tests need no cryptography.
pub fn digest_of(manifest: &Manifest) -> Digest {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let bytes = manifest.to_json().unwrap();
    let mut digest = [0; 32];
    for (part, chunk) in digest.chunks_exact_mut(8).enumerate() {
        let mut hasher = DefaultHasher::new();
        (part, &bytes).hash(&mut hasher);
        chunk.copy_from_slice(&hasher.finish().to_be_bytes());
    }
    Digest(digest)
}

pub fn request(verb: Verb) -> Request {
    Request { verb, actor: "olga".to_owned(), reason: Some("a test".to_owned()), request_id: None }
}

pub fn context<'a>(
    manifest: &Manifest,
    now: UnixTime,
    reports: &'a [ReplicaReport],
    candidate: Option<&'a Candidate>,
) -> Context<'a> {
    Context { now, digest: digest_of(manifest), reports, candidate }
}

/// The change in `planned`; anything else is a failure of the test.
pub fn unwrap_change(planned: Planned) -> Plan {
    match planned {
        Planned::Change(plan) => *plan,
        other => panic!("expected a change, found {other:?}"),
    }
}

/// A report of `replica` at `at` that it holds `kids`, each for so long.
pub fn report(replica: &str, at: UnixTime, kids: &[(&str, UnixTime)]) -> ReplicaReport {
    let held = |(name, since): &(&str, UnixTime)| KeyReport {
        kid: kid(name),
        held_since: *since,
        from_start: false,
        usage: KeyUsage::default(),
    };
    ReplicaReport {
        replica: ReplicaId::new(replica).unwrap(),
        build: "test".to_owned(),
        started_at: UnixTime(1),
        reported_at: at,
        generation: 1,
        digest: None,
        condition: Condition::Ready,
        confirmed_at: Some(at),
        keys: kids.iter().map(held).collect(),
        revoked: Vec::new(),
        lineage_floor: None,
        withdrawn_at: None,
        tls_stale: None,
        clock_offset: None,
    }
}

/// A keyring that is changed step by step. Fresh keys are `a`, `b`, `c` in the order of their making.
pub struct Ring {
    pub manifest: Manifest,
    pub reports: Vec<ReplicaReport>,
    made: usize,
}

impl Ring {
    /// Key `a` signs since `start`.
    pub fn begin(policy: Policy, start: u64) -> Self {
        let plan = plan::init(gateway(), policy, &offer(0), "olga", UnixTime(start)).unwrap();
        Self::of(plan.next)
    }

    /// Goes on from `manifest`.
    pub fn of(manifest: Manifest) -> Self {
        let made = manifest.keys.len() + manifest.tombstones.len();
        Self { manifest, reports: Vec::new(), made }
    }

    /// Plans `request` at `now` and commits nothing.
    pub fn plan(&self, request: &Request, now: u64) -> Result<Planned, Refusal> {
        let fresh = offer(self.made);
        let context = context(&self.manifest, UnixTime(now), &self.reports, Some(&fresh));
        plan::plan(&self.manifest, request, &context)
    }

    /// Plans `verb` at `now` and commits nothing.
    pub fn try_verb(&self, verb: Verb, now: u64) -> Result<Planned, Refusal> {
        self.plan(&request(verb), now)
    }

    /// Does `verb` at `now`.
    pub fn verb(&mut self, verb: Verb, now: u64) -> &mut Self {
        self.request(&request(verb), now)
    }

    /// Does `verb` at `now` under a request id.
    pub fn verb_with_id(&mut self, verb: Verb, id: &str, now: u64) -> &mut Self {
        let request = Request { request_id: Some(RequestId::new(id).unwrap()), ..request(verb) };
        self.request(&request, now)
    }

    /// Does `request` at `now`.
    pub fn request(&mut self, request: &Request, now: u64) -> &mut Self {
        let plan = match self.plan(request, now) {
            Ok(planned) => unwrap_change(planned),
            Err(refusal) => panic!("{} at {now}: {refusal}", request.verb.name()),
        };
        self.commit(plan)
    }

    pub fn commit(&mut self, plan: Plan) -> &mut Self {
        self.made += usize::from(plan.takes_candidate);
        self.manifest = plan.next;
        self
    }

    /// The refusal of `verb` at `now`.
    pub fn refusal(&self, verb: Verb, now: u64) -> Refusal {
        match self.try_verb(verb, now) {
            Err(refusal) => refusal,
            Ok(Planned::Change(plan)) => panic!("expected a refusal, found: {}", plan.impact.headline),
            Ok(planned) => panic!("expected a refusal, found {planned:?}"),
        }
    }

    pub fn key(&self, name: &str) -> &Key {
        self.manifest.key(&kid(name)).unwrap_or_else(|| panic!("no key {name}"))
    }

    pub fn state(&self, name: &str, now: u64) -> KeyState {
        self.manifest.state_of(self.key(name), UnixTime(now))
    }

    pub fn signer(&self, now: u64) -> Option<&str> {
        self.manifest.active_at(UnixTime(now)).map(|key| key.kid.as_str())
    }

    /// The timeline as text: `a@0 b@10`.
    pub fn timeline(&self) -> String {
        let entries = self.manifest.timeline.iter().map(|entry| format!("{}@{}", entry.kid, entry.from));
        entries.collect::<Vec<_>>().join(" ")
    }
}
