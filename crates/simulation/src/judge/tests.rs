//! The verdict without signatures beside the real one, on real tokens.

use keystile_keyring::plan::{Candidate, Context, Mode, Planned, Request, Verb, init, plan};
use keystile_keyring::{Digest, GatewayId, Policy, manifest::Origin};
use keystile_testkit::forger::{Forger, ForgingKey};
use keystile_token::{Keyring, PrivateKey, kid_of};

use super::*;
use crate::chance::{Chance, Seeded};

const BORN: u64 = 1_000_000;

struct Owned {
    kid: Kid,
    private: PrivateKey,
    forging: ForgingKey,
}

fn owned(seed: u64) -> Owned {
    let private = PrivateKey::generate(&Seeded::new(seed)).expect("a key");
    Owned { kid: kid_of(&private.public_key()), forging: ForgingKey::of(&private), private }
}

/// TTL 100, leeway 10, skew 5.
fn policy(token_ttl: u64) -> Policy {
    Policy { token_ttl, leeway: 10, max_skew: 5, max_staleness: 50, commit_delay: 20, ..Policy::default() }
}

fn next(manifest: &Manifest, verb: Verb, key: &Owned, now: u64) -> Manifest {
    let public_key = key.private.public_key();
    let candidate = Candidate { kid: key.kid.clone(), public_key, origin: Origin::Generated };
    let request = Request { verb, actor: "olga".into(), reason: Some("test".into()), request_id: None };
    let context = Context {
        now: UnixTime(BORN + now),
        digest: Digest([0; 32]),
        reports: &[],
        candidate: Some(&candidate).filter(|_| request.verb.may_take_a_key()),
    };
    match plan(manifest, &request, &context).expect("a plan") {
        Planned::Change(plan) => plan.next,
        other => panic!("{other:?}"),
    }
}

/// A keyring's life: a is superseded by b, c is prepared, b is revoked with its descendants and c replaces it, a is
/// pruned.
fn lives(keys: &[Owned], ttl: u64) -> Vec<Manifest> {
    let public_key = keys[0].private.public_key();
    let first = Candidate { kid: keys[0].kid.clone(), public_key, origin: Origin::Generated };
    let gateway = GatewayId::new("openshell").unwrap();
    let born = init(gateway, policy(ttl), &first, "olga", UnixTime(BORN)).unwrap().next;
    let rotated = next(&born, Verb::Rotate { mode: Mode::Emergency, no_rollback: false }, &keys[1], 1000);
    let prepared = next(&rotated, Verb::Prepare { no_rollback: false }, &keys[2], 1040);
    let revoke = Verb::Revoke { kid: keys[1].kid.clone(), descendants: true };
    let revoked = next(&prepared, revoke, &keys[3], 1100);
    if ttl == 0 {
        return vec![born, rotated, prepared, revoked];
    }
    let pruned = next(&revoked, Verb::Prune, &keys[3], 5000);
    vec![born, rotated, prepared, revoked, pruned]
}

fn real(keyring: &Keyring, token: &str, now: UnixTime, circumstance: Circumstance) -> (String, bool) {
    let circumstance = match circumstance {
        Circumstance::Usual => keystile_token::Circumstance::Usual,
        Circumstance::StoreUnreadable { confirmed_at } => {
            keystile_token::Circumstance::StoreUnreadable { confirmed_at }
        }
    };
    match keyring.verify_with(token.as_bytes(), now, circumstance) {
        keystile_token::Verdict::Accepted(_) => ("accepted".to_owned(), false),
        keystile_token::Verdict::Rejected(rejection) => {
            (rejection.reason.as_str().to_owned(), rejection.reread)
        }
        keystile_token::Verdict::Unavailable(_) => ("unavailable".to_owned(), false),
        keystile_token::Verdict::NotOurs => ("not ours".to_owned(), false),
    }
}

fn simulated(bench: Bench<'_>, kid: &Kid, times: TokenTimes) -> (String, bool) {
    match bench.verdict(kid, times) {
        Verdict::Accepted => ("accepted".to_owned(), false),
        Verdict::Rejected { why, reread } => (why.as_str().to_owned(), reread),
        Verdict::Unavailable => ("unavailable".to_owned(), false),
    }
}

#[test]
fn the_verdict_without_signatures_is_the_verifiers_own() {
    let keys: Vec<_> = (0..5).map(owned).collect();
    let mut chance = Chance::new(1, 1);
    let mut seen = std::collections::BTreeMap::<String, u32>::new();
    for ttl in [100, 0] {
        for manifest in lives(&keys, ttl) {
            let keyring = Keyring::verify_only(manifest.clone(), Digest([0; 32])).expect("a keyring");
            for _ in 0..1500 {
                let key = &keys[chance.below(5) as usize];
                // Around the instants at which something changes.
                let near = [0, 1000, 1040, 1075, 1100, 1185, 5000][chance.below(7) as usize];
                let issued = BORN + near + u64::from(chance.below(41)) - 20;
                let now = UnixTime(issued + u64::from(chance.below(150)) - 20);
                let life = [99, 100, 101, 0][chance.below(4) as usize];
                let expires = if life == 0 { 0 } else { issued + life };
                let began = issued - u64::from(chance.below(120));
                let circumstance = if chance.one_in(2) {
                    Circumstance::Usual
                } else {
                    Circumstance::StoreUnreadable {
                        confirmed_at: UnixTime(issued + u64::from(chance.below(20)) - 5),
                    }
                };
                let token = Forger::sandbox(&key.private, "s1", issued, expires)
                    .lineage(began, "client-certificate")
                    .signed(&key.forging);
                let times = TokenTimes {
                    issued_at: UnixTime(issued),
                    expires_at: (expires != 0).then_some(UnixTime(expires)),
                    lineage_began: UnixTime(began),
                };
                let expected = real(&keyring, &token, now, circumstance);
                let bench = Bench { manifest: &manifest, now, circumstance };
                let found = simulated(bench, &key.kid, times);
                assert_eq!(
                    found, expected,
                    "{times:?} at {now}, {circumstance:?}, generation {}",
                    manifest.generation
                );
                *seen.entry(expected.0).or_default() += 1;
            }
        }
    }
    // Every verdict and reason that there is occurs, and not by chance only.
    let all = [
        "accepted",
        "expired",
        "issued-in-future",
        "key-not-active",
        "lifetime-exceeds-policy",
        "lineage-revoked",
        "never-expires-not-allowed",
        "retired-key",
        "revoked-key",
        "signed-after-supersession",
        "signed-before-activation",
        "unavailable",
        "unknown-kid",
    ];
    assert!(seen.values().all(|count| *count >= 5), "{seen:?}");
    assert_eq!(seen.keys().map(String::as_str).collect::<Vec<_>>(), all, "{seen:?}");
}
