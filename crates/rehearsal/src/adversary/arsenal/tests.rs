use std::collections::BTreeSet;

use keystile_keyring::manifest::{Operation, Revoked};
use keystile_keyring::{Digest, PublicKey};
use keystile_system::SystemEntropy;
use keystile_token::{Keyring, PrivateKey, Reason, Verdict};

use super::*;
use crate::fixture::{EPOCH, kid, manifest};

const DIGEST: Digest = Digest([7; 32]);

/// A keyring of `names` with real keys, and what was stolen of it.
fn stolen(names: &[&str], change: impl FnOnce(&mut Manifest)) -> (Arc<Manifest>, Arsenal) {
    let mut manifest = manifest(5, names, None);
    let mut keys = PrivateKeys::new();
    for key in &mut manifest.keys {
        let private = PrivateKey::generate(&SystemEntropy).expect("a key");
        key.public_key = private.public_key();
        keys.insert(key.kid.clone(), private).expect("once each");
    }
    change(&mut manifest);
    let manifest = Arc::new(manifest);
    let mut arsenal = Arsenal::new(Arc::clone(&manifest), 1729, 0).expect("an arsenal");
    arsenal.steal(Arc::clone(&manifest), &keys).expect("stolen");
    (manifest, arsenal)
}

fn target(second: u64) -> Target {
    Target { now: UnixTime(EPOCH + second), shown: 5, turn: 0 }
}

/// What a replica of the same generation says to the token, and why.
fn verdict(manifest: &Manifest, token: &str, second: u64) -> Option<Reason> {
    let keyring = Keyring::verify_only(manifest.clone(), DIGEST).expect("a keyring");
    match keyring.verify(token.as_bytes(), UnixTime(EPOCH + second)) {
        Verdict::Accepted(_) => None,
        Verdict::NotOurs => Some(Reason::WrongIssuer),
        Verdict::Rejected(rejection) | Verdict::Unavailable(rejection) => Some(rejection.reason),
    }
}

/// Keys a, b and c signed from 0, 5 and 10 on; b is revoked, d is prepared, and a lineage floor is set.
fn rich() -> (Arc<Manifest>, Arsenal) {
    stolen(&["a", "b", "c", "d"], |manifest| {
        manifest.timeline.pop();
        manifest.keys[1].revoked = Some(Revoked { at: UnixTime(EPOCH + 9), reason: "stolen".into() });
        manifest.keys[2].superseded = None;
        manifest.lineage_floor = Some(UnixTime(EPOCH + 9));
        manifest.operation = Some(Operation {
            id: "rotation-5".into(),
            request_id: None,
            started_at: UnixTime(EPOCH + 10),
            from_kid: kid("c"),
            to_kid: kid("d"),
            no_rollback: false,
        });
    })
}

#[test]
fn every_attack_can_be_made_and_is_refused_for_its_own_reason() {
    let (manifest, arsenal) = rich();
    let mut tried = BTreeSet::new();
    for (attack, second, reason) in [
        (Attack::Forged, 12, Reason::BadSignature),
        (Attack::UnknownKey, 12, Reason::UnknownKid),
        (Attack::Tampered, 12, Reason::BadSignature),
        (Attack::Expired, 30, Reason::Expired),
        (Attack::AlgNone, 12, Reason::Malformed),
        (Attack::AlgConfused, 12, Reason::AlgMismatch),
        (Attack::WrongIssuer, 12, Reason::WrongIssuer),
        (Attack::Future, 12, Reason::IssuedInFuture),
        (Attack::TooLong, 12, Reason::LifetimeExceedsPolicy),
        (Attack::Extension, 12, Reason::ExtensionToken),
        (Attack::Prepared, 12, Reason::KeyNotActive),
        (Attack::Superseded, 13, Reason::SignedAfterSupersession),
        (Attack::Retired, 21, Reason::RetiredKey),
        (Attack::Revoked, 12, Reason::RevokedKey),
        (Attack::Descendant, 12, Reason::LineageRevoked),
    ] {
        let token = arsenal.token(attack, target(second)).unwrap_or_else(|| panic!("{attack:?}"));
        let found = verdict(&manifest, &token, second);
        let also = attack == Attack::AlgNone && found == Some(Reason::AlgMismatch);
        assert!(found == Some(reason) || also, "{attack:?}: {found:?}");
        tried.insert(attack);
    }
    assert_eq!(tried.len(), Attack::ALL.len());
}

#[test]
fn a_replica_that_may_not_know_is_not_attacked_with_what_it_need_not_know() {
    let (_, arsenal) = rich();
    for attack in [Attack::Revoked, Attack::Superseded, Attack::Retired, Attack::Descendant] {
        let behind = Target { shown: 4, ..target(21) };
        assert_eq!(arsenal.token(attack, behind), None, "{attack:?}");
    }
    assert!(arsenal.token(Attack::Forged, Target { shown: 0, ..target(12) }).is_some());
}

#[test]
fn nothing_is_made_of_what_is_not_there() {
    let (_, arsenal) = stolen(&["a"], |_| {});
    for attack in [Attack::Prepared, Attack::Superseded, Attack::Retired, Attack::Revoked, Attack::Descendant]
    {
        assert_eq!(arsenal.token(attack, target(3)), None, "{attack:?}");
    }
}

#[test]
fn a_superseded_key_is_left_alone_while_a_replica_may_still_sign_with_it() {
    let (_, arsenal) = stolen(&["a", "b"], |_| {});
    assert_eq!(arsenal.token(Attack::Superseded, target(11)), None, "its last iat is 11");
    assert!(arsenal.token(Attack::Superseded, target(12)).is_some());
}

#[test]
fn a_prepared_keys_token_stays_bad_whenever_it_is_activated() {
    let (manifest, arsenal) = rich();
    let token = arsenal.token(Attack::Prepared, target(12)).expect("a token");
    let mut activated = (*manifest).clone();
    activated.operation = None;
    activated
        .timeline
        .push(keystile_keyring::manifest::Activation { from: UnixTime(EPOCH + 12), kid: kid("d") });
    activated.keys[2].superseded = manifest.keys[0].superseded;
    assert_eq!(verdict(&activated, &token, 12), Some(Reason::SignedBeforeActivation));
}

#[test]
fn a_probe_is_good_but_for_what_comes() {
    let (manifest, arsenal) = stolen(&["a", "b"], |_| {});
    for (name, second) in [("b", 7), ("a", 7), ("a", 14)] {
        let token = arsenal.probe(&kid(name), UnixTime(EPOCH + second)).expect(name);
        assert_eq!(verdict(&manifest, &token, second), None, "{name} at {second}");
    }
    assert_eq!(arsenal.probe(&kid("a"), UnixTime(EPOCH + 17)), None, "none of its tokens can be alive");
    assert_eq!(arsenal.probe(&kid("x"), UnixTime(EPOCH)), None);
}

#[test]
fn keys_stay_stolen_when_the_keyring_forgets_them() {
    let (manifest, mut arsenal) = stolen(&["a", "b"], |_| {});
    let mut later = (*manifest).clone();
    later.generation = 6;
    later.history[0].generation = 6;
    later.keys.remove(0);
    later.timeline.remove(0);
    later.tombstones.push(keystile_keyring::manifest::Tombstone {
        kid: kid("a"),
        end: End::Retired,
        at: UnixTime(EPOCH + 18),
        named_until: None,
    });
    arsenal.steal(Arc::new(later.clone()), &PrivateKeys::new()).expect("nothing new");
    assert_eq!(arsenal.generation(), 6);
    let token = arsenal.token(Attack::Retired, Target { shown: 6, ..target(30) }).expect("a token");
    assert_eq!(verdict(&later, &token, 30), Some(Reason::RetiredKey));
}

#[test]
fn of_the_keys_of_a_long_run_the_latest_are_kept() {
    let (manifest, mut arsenal) = stolen(&["a", "b"], |_| {});
    let mut later = (*manifest).clone();
    for number in 0..200 {
        let mut keys = PrivateKeys::new();
        let gone = kid(&format!("k-{number}"));
        keys.insert(gone.clone(), PrivateKey::generate(&SystemEntropy).expect("a key")).expect("once");
        later.generation += 1;
        later.tombstones.push(keystile_keyring::manifest::Tombstone {
            kid: gone,
            end: End::Retired,
            at: UnixTime(EPOCH + 18),
            named_until: None,
        });
        arsenal.steal(Arc::new(later.clone()), &keys).expect("stolen");
    }
    assert_eq!(arsenal.stolen.len(), 2 + MOST_GONE);
    assert!(arsenal.stolen.contains_key(&kid("k-199")) && arsenal.stolen.contains_key(&kid("a")));
}

#[test]
fn the_thiefs_own_key_is_nobody_elses() {
    let (manifest, arsenal) = stolen(&["a"], |_| {});
    assert!(manifest.keys.iter().all(|key| key.public_key != PublicKey([0x5a; 32])));
    assert_ne!(arsenal.thief.public_bytes(), manifest.keys[0].public_key.0);
}
