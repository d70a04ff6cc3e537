//! What the fuzzers put manifests to: the one of these tests, and the one led by coverage in `fuzz/`.

#![allow(unreachable_pub, reason = "shared by test binaries")]

use keystile_keyring::check::{postcondition, structure};
use keystile_keyring::plan::{Mode, Planned, PolicyChange, Verb};
use keystile_keyring::{Manifest, TokenTimes, UnixTime};

use crate::world::{Ring, kid, small};

const EMERGENCY: Verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };

/// The manifests of a life: rotated, rolled back, revoked, its policy changed.
pub fn life() -> Vec<Vec<u8>> {
    let mut ring = Ring::begin(small(), 100);
    let revoke = Verb::Revoke { kid: kid("a"), descendants: true };
    let longer = Verb::SetPolicy(PolicyChange([("token_ttl".to_owned(), Some(9))].into()));
    let prepare = Verb::Prepare { no_rollback: false };
    let verbs = [EMERGENCY, Verb::Rollback { to: None }, longer, EMERGENCY, revoke, prepare];
    let mut all = vec![ring.manifest.to_json().unwrap()];
    for (verb, now) in verbs.into_iter().zip((110..).step_by(3)) {
        all.push(ring.verb(verb, now).manifest.to_json().unwrap());
    }
    all
}

/// What is read is sound, reads the same again, answers any question, and every plan on it is sound too. Whether it was
/// read.
pub fn manifest(input: &[u8]) -> bool {
    let Ok(manifest) = Manifest::from_json(input) else { return false };
    // What cannot be stored again is refused when it is written; nothing was lost.
    if let Ok(json) = manifest.to_json() {
        assert_eq!(Manifest::from_json(&json).as_ref(), Ok(&manifest));
    }
    ask(&manifest);
    for verb in [EMERGENCY, Verb::Rollback { to: None }, Verb::Prune] {
        let ring = Ring::of(manifest.clone());
        if let Ok(Planned::Change(plan)) = ring.try_verb(verb, 135) {
            assert_eq!(structure(&plan.next), Ok(()));
            assert_eq!(postcondition(&plan.next, plan.planned_at), Ok(()));
        }
    }
    true
}

fn ask(manifest: &Manifest) {
    for now in [0, 100, 112, 130, u64::MAX].map(UnixTime) {
        let _ = (
            manifest.next_event(now),
            manifest.rotation_due(now),
            manifest.key_age(now),
            manifest.maxima(now),
        );
        for key in &manifest.keys {
            let times = TokenTimes { issued_at: now, expires_at: Some(now.plus(4)), lineage_began: now };
            let accepted = manifest.admit(key, times, now).is_ok();
            assert!(!accepted || key.revoked.is_none());
            assert!(!accepted || manifest.state_of(key, now).published());
        }
    }
}
