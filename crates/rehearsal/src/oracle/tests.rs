use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::{Outcome, Via};
use crate::fixture::{kid, manifest};
use crate::moment::Stamp;

const NOW: u64 = 1_000_000;

fn replica(index: usize) -> ReplicaName {
    ReplicaName::of_index(index)
}

fn stamp(second: u64) -> Stamp {
    Stamp { moment: Moment(Duration::from_secs(second)), wall: UnixTime(NOW + second) }
}

/// A call with a token of `name` that expires at second 10 and whose lineage began at second 2.
fn call(name: &str, sent: u64, answered: u64) -> Call {
    Call {
        supervisor: 0,
        replica: replica(0),
        via: Via::Verify,
        sent: stamp(sent),
        answered: stamp(answered),
        token: Arc::new(TokenFacts {
            kid: kid(name),
            expires: Some(UnixTime(NOW + 10)),
            began: UnixTime(NOW + 2),
        }),
        outcome: Outcome::Rejected("signing key not accepted".into()),
    }
}

fn oracle() -> Oracle {
    Oracle::new(1, vec![0, 2, -2])
}

fn revoke(name: &str, descendants: bool) -> Order {
    Order::Revoke { kid: kid(name), descendants }
}

#[test]
fn a_good_token_is_wrongly_refused() {
    assert_eq!(oracle().refused(&call("a", 5, 5)), Ruling::Wrong);
    assert_eq!(oracle().refused(&call("a", 11, 11)), Ruling::Wrong, "leeway is part of its life");
}

#[test]
fn an_expired_token_is_rightly_refused_and_wrongly_accepted() {
    assert_eq!(oracle().refused(&call("a", 12, 12)), Ruling::Expired);
    assert_eq!(oracle().accepted(&call("a", 12, 12)), Some(Ruling::Expired));
    assert_eq!(oracle().accepted(&call("a", 11, 11)), None);
}

#[test]
fn an_answer_on_the_edge_is_given_the_benefit() {
    let edge = call("a", 11, 12);
    assert_eq!(oracle().refused(&edge), Ruling::Expired, "the replica may have read 12");
    assert_eq!(oracle().accepted(&edge), None, "and it may have read 11");
}

#[test]
fn a_replica_is_judged_by_its_own_clock() {
    let ahead = Call { replica: replica(1), ..call("a", 10, 10) };
    let behind = Call { replica: replica(2), ..call("a", 12, 12) };
    assert_eq!(oracle().refused(&ahead), Ruling::Expired);
    assert_eq!(oracle().refused(&behind), Ruling::Wrong);
    assert_eq!(oracle().accepted(&behind), None);
}

#[test]
fn a_token_without_end_never_expires() {
    let mut forever = call("a", 1000, 1000);
    forever.token = Arc::new(TokenFacts { expires: None, ..(*forever.token).clone() });
    assert_eq!(oracle().refused(&forever), Ruling::Wrong);
    assert_eq!(oracle().accepted(&forever), None);
}

#[test]
fn from_the_order_on_a_revoked_key_may_be_refused() {
    let mut oracle = oracle();
    oracle.ordered(&revoke("a", false), UnixTime(NOW + 5));
    assert_eq!(oracle.refused(&call("a", 5, 5)), Ruling::KeyRevoked);
    assert_eq!(oracle.refused(&call("b", 5, 5)), Ruling::Wrong, "another key's tokens stay good");
    assert_eq!(oracle.accepted(&call("a", 5, 5)), None, "nobody knows it yet");
}

#[test]
fn who_has_shown_the_generation_must_refuse() {
    let mut oracle = oracle();
    oracle.ordered(&revoke("a", false), UnixTime(NOW + 5));
    oracle.committed(&manifest(7, &["a", "b"], Some("a")));
    let late = call("a", 7, 7);
    assert_eq!(oracle.accepted(&late), None, "the replica may not have read it");
    oracle.showed(replica(0), 6, stamp(6).moment);
    assert_eq!(oracle.accepted(&late), None, "it holds an older one");
    oracle.showed(replica(0), 8, stamp(6).moment);
    assert_eq!(oracle.accepted(&late), Some(Ruling::KeyRevoked));
    assert_eq!(oracle.accepted(&call("a", 6, 7)), None, "sent before it showed");
    assert_eq!(oracle.accepted(&Call { replica: replica(1), ..late }), None, "another replica");
}

#[test]
fn a_commit_that_says_nothing_of_the_revocation_does_not_bind() {
    let mut oracle = oracle();
    oracle.ordered(&revoke("a", false), UnixTime(NOW + 5));
    oracle.committed(&manifest(7, &["a", "b"], None));
    oracle.showed(replica(0), 7, stamp(5).moment);
    assert_eq!(oracle.accepted(&call("a", 6, 6)), None);
}

#[test]
fn descendants_end_with_their_ancestor() {
    let mut oracle = oracle();
    oracle.ordered(&revoke("a", true), UnixTime(NOW + 5));
    assert_eq!(oracle.refused(&call("b", 5, 5)), Ruling::LineageRevoked);
    let mut next = manifest(7, &["a", "b"], Some("a"));
    next.lineage_floor = Some(UnixTime(NOW + 1));
    oracle.committed(&next);
    assert_eq!(oracle.refused(&call("b", 5, 5)), Ruling::Wrong, "it began after the floor that was set");
    next.lineage_floor = Some(UnixTime(NOW + 9));
    oracle.committed(&next);
    assert_eq!(oracle.refused(&call("b", 5, 5)), Ruling::Wrong, "the order's own floor counts, no later one");
}

#[test]
fn a_forced_retirement_ends_tokens_too() {
    let mut oracle = oracle();
    oracle.ordered(&Order::Retire { kid: kid("a") }, UnixTime(NOW + 5));
    let mut next = manifest(7, &["a", "b"], None);
    let superseded = next.keys[0].superseded.as_mut().expect("a is superseded");
    superseded.accept_until = Some(UnixTime(NOW + 6));
    oracle.committed(&next);
    oracle.showed(replica(0), 7, stamp(5).moment);
    assert_eq!(oracle.refused(&call("a", 6, 6)), Ruling::KeyRetired);
    assert_eq!(oracle.accepted(&call("a", 6, 6)), None, "accept-until is the last good second");
    assert_eq!(oracle.accepted(&call("a", 7, 7)), Some(Ruling::KeyRetired));
    assert!(Ruling::KeyRetired.is_ordered() && !Ruling::Expired.is_ordered());
}

#[test]
fn an_older_generation_is_no_news() {
    let mut oracle = oracle();
    oracle.showed(replica(0), 5, stamp(1).moment);
    oracle.showed(replica(0), 4, stamp(2).moment);
    assert!(oracle.held(replica(0), 5, stamp(2).moment));
    assert!(!oracle.held(replica(0), 6, stamp(9).moment));
}
