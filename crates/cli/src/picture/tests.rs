//! Pictures of keyrings that plans have made, compared with what they should look like.

use jiff::tz::TimeZone;
use keystile_keyring::manifest::{Lifetime, Origin};
use keystile_keyring::plan::{self, Adoption, Candidate, Context, Planned, Request, Verb};
use keystile_keyring::report::{Condition, KeyReport, KeyUsage};
use keystile_keyring::{Digest, Fleet, GatewayId, Kid, Manifest, Policy, PublicKey, ReplicaReport, UnixTime};

use super::*;
use crate::health::problems;

/// 2026-11-23 14:00:00 UTC.
const NOON: UnixTime = UnixTime(1_795_442_400);
const DIGEST: Digest = Digest([7; 32]);
const MINUTE: u64 = 60;
const DAY: u64 = 86_400;

/// A keyring with a history, and a clock.
struct Story {
    manifest: Manifest,
    reports: Vec<ReplicaReport>,
    now: UnixTime,
    keys: u8,
}

fn candidate(number: u8) -> Candidate {
    let kids =
        ["8b98b466", "c41d09e7", "17aa02f1", "5e6de310", "a90b7c44", "3c2f8815", "d07719e2", "62b4f0aa"];
    let kid = kids[usize::from(number) % kids.len()];
    Candidate {
        kid: Kid::new(format!("{kid}{number:024}")).expect("a kid"),
        public_key: PublicKey([number; 32]),
        origin: Origin::Generated,
    }
}

impl Story {
    fn begin(now: UnixTime) -> Self {
        let id = GatewayId::new("openshell").expect("an id");
        let plan = plan::init(id, Policy::default(), &candidate(0), "tester", now).expect("a plan");
        Self { manifest: plan.next, reports: Vec::new(), now, keys: 1 }
    }

    fn adopted(now: UnixTime) -> Self {
        let id = GatewayId::new("openshell").expect("an id");
        let adoption = Adoption { longest_token: Lifetime::Unbounded };
        let key = Candidate { origin: Origin::Adopted, ..candidate(0) };
        let plan = plan::adopt(id, Policy::default(), &key, adoption, "tester", now).expect("a plan");
        Self { manifest: plan.next, reports: Vec::new(), now, keys: 1 }
    }

    fn wait(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.plus(seconds);
        self
    }

    fn plan(&mut self, verb: Verb) -> &mut Self {
        let fresh = candidate(self.keys);
        let request =
            Request { verb, actor: "tester".into(), reason: Some("a test".into()), request_id: None };
        let context =
            Context { now: self.now, digest: DIGEST, reports: &self.reports, candidate: Some(&fresh) };
        match plan::plan(&self.manifest, &request, &context) {
            Ok(Planned::Change(plan)) => {
                self.keys += u8::from(plan.takes_candidate);
                self.manifest = plan.next;
            }
            other => panic!("no change: {other:?}"),
        }
        self
    }

    fn rotate(&mut self) -> &mut Self {
        let fleet = Fleet::Offline;
        self.plan(Verb::Prepare { no_rollback: false }).wait(300);
        self.plan(Verb::Activate { fleet, no_rollback: false })
    }

    /// Reports of `replicas`, each at its generation.
    fn reporting(&mut self, replicas: &[(&str, u64)]) -> &mut Self {
        self.reports = replicas.iter().map(|(name, generation)| self.report(name, *generation)).collect();
        self
    }

    fn report(&self, name: &str, generation: u64) -> ReplicaReport {
        let age = self.manifest.generation - generation;
        let held = self.manifest.keys.iter().rev().skip(usize::try_from(age).expect("small")).rev();
        let usage = |index: usize| KeyUsage {
            sandboxes: 412 + 876 * index as u64,
            last_use: Some(self.now.minus(4)),
            never_expires: Vec::new(),
            methods: [("service-account".to_owned(), 400)].into(),
        };
        let keys = held.enumerate().map(|(index, key)| KeyReport {
            kid: key.kid.clone(),
            held_since: self.now.minus(30),
            from_start: false,
            usage: usage(index),
        });
        ReplicaReport {
            replica: name.parse().expect("a name"),
            build: "0.1.0".to_owned(),
            started_at: self.now.minus(DAY),
            reported_at: self.now.minus(2),
            generation,
            digest: (age == 0).then_some(DIGEST),
            condition: Condition::Ready,
            confirmed_at: Some(self.now.minus(3)),
            keys: keys.collect(),
            revoked: Vec::new(),
            lineage_floor: None,
            withdrawn_at: None,
            tls_stale: None,
            clock_offset: Some(0),
        }
    }

    fn picture(&self, width: usize) -> String {
        let problems = problems(&self.manifest, DIGEST, &self.reports, self.now);
        let when = When::new(TimeZone::UTC, self.now);
        let (manifest, reports) = (&self.manifest, self.reports.as_slice());
        let paint = Paint::default();
        draw(&View { manifest, digest: DIGEST, reports, problems: &problems, when: &when, width, paint })
    }
}

#[test]
fn one_key() {
    let mut story = Story::begin(NOON);
    story.wait(31 * DAY).reporting(&[("gateway-0", 1), ("gateway-1", 1), ("gateway-2", 1)]);
    insta::assert_snapshot!(story.picture(110));
}

#[test]
fn rotation_in_flight() {
    let mut story = Story::begin(NOON);
    story.wait(31 * DAY).plan(Verb::Prepare { no_rollback: false }).wait(90);
    story.reporting(&[("gateway-0", 2), ("gateway-1", 2), ("gateway-2", 2)]);
    insta::assert_snapshot!(story.picture(110));
}

#[test]
fn gate_waiting_for_a_replica() {
    let mut story = Story::begin(NOON);
    story.wait(31 * DAY).plan(Verb::Prepare { no_rollback: false }).wait(90);
    story.reporting(&[("gateway-0", 2), ("gateway-1", 2), ("gateway-2", 1)]);
    insta::assert_snapshot!(story.picture(110));
}

#[test]
fn verify_only() {
    let mut story = Story::begin(NOON);
    story.wait(31 * DAY).rotate().wait(23 * MINUTE);
    story.reporting(&[("gateway-0", 3), ("gateway-1", 3), ("gateway-2", 3)]);
    insta::assert_snapshot!(story.picture(110));
}

#[test]
fn rollback() {
    let mut story = Story::begin(NOON);
    story.wait(31 * DAY).rotate().wait(10 * MINUTE).plan(Verb::Rollback { to: None }).wait(5 * MINUTE);
    story.reporting(&[("gateway-0", 4), ("gateway-1", 4), ("gateway-2", 4)]);
    insta::assert_snapshot!(story.picture(110));
}

#[test]
fn revoked() {
    let mut story = Story::begin(NOON);
    let kid = candidate(0).kid;
    story.wait(31 * DAY).plan(Verb::Revoke { kid, descendants: false }).wait(5 * MINUTE);
    story.reporting(&[("gateway-0", 2), ("gateway-1", 1)]);
    insta::assert_snapshot!(story.picture(110));
}

#[test]
fn unbounded_adopted_key() {
    let mut story = Story::adopted(NOON);
    story.wait(DAY).rotate().wait(20 * MINUTE);
    story.reporting(&[("gateway-0", 3)]);
    insta::assert_snapshot!(story.picture(110));
}

#[test]
fn eight_keys() {
    let mut story = Story::begin(NOON);
    for _ in 0..6 {
        story.rotate().wait(4 * MINUTE);
    }
    // One place is kept for a revocation: it takes the eighth.
    let kid = candidate(6).kid;
    story.plan(Verb::Revoke { kid, descendants: false }).wait(MINUTE);
    insta::assert_snapshot!(story.picture(110));
}

#[test]
fn narrow_terminal() {
    let mut story = Story::begin(NOON);
    story.wait(31 * DAY).rotate().wait(23 * MINUTE);
    story.reporting(&[("gateway-0", 3), ("gateway-1", 3), ("gateway-2", 2)]);
    let picture = story.picture(60);
    assert!(picture.lines().all(|line| line.chars().count() <= 60), "{picture}");
    insta::assert_snapshot!(picture);
}

#[test]
fn no_width_is_too_small_or_too_large() {
    let mut story = Story::begin(NOON);
    story.rotate().wait(MINUTE);
    for width in [0, 1, 39, 40, 41, 79, 200, 10_000] {
        assert!(story.picture(width).starts_with("keyring openshell"), "{width}");
    }
}

#[test]
fn colour_only_adds() {
    let mut story = Story::begin(NOON);
    story.wait(DAY).rotate().wait(23 * MINUTE);
    let plain = story.picture(110);
    let when = When::new(TimeZone::UTC, story.now);
    let problems = problems(&story.manifest, DIGEST, &story.reports, story.now);
    let (manifest, paint) = (&story.manifest, Paint::new(true));
    let view =
        View { manifest, digest: DIGEST, reports: &[], problems: &problems, when: &when, width: 110, paint };
    let coloured = draw(&view);
    assert_ne!(coloured, plain);
    let mut stripped = String::new();
    for part in coloured.split('\x1b') {
        stripped.push_str(if coloured.starts_with(part) {
            part
        } else {
            part.split_once('m').expect("a code").1
        });
    }
    assert_eq!(stripped, plain);
}
