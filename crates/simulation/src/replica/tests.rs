use keystile_keyring::Breach;
use keystile_keyring::plan::{Context, Mode, Planned, Request, Verb, plan};

use super::*;
use crate::operator::candidate;
use crate::settings::Options;

/// One key; the default policy: staleness 300 s to mint, 3600 s to verify.
fn archive() -> Archive {
    Archive::new(Options::default().settle().unwrap().first)
}

/// Another key signs from `at` on.
fn rotate(archive: &mut Archive, at: Moment) {
    let verb = Verb::Rotate { mode: Mode::Emergency, no_rollback: false };
    let request = Request { verb, actor: "olga".into(), reason: None, request_id: None };
    let candidate = candidate(archive.kids().len()).unwrap();
    let digest = Archive::digest(archive.newest());
    let context = Context { now: at.wall(0), digest, reports: &[], candidate: Some(&candidate) };
    let Ok(Planned::Change(plan)) = plan(archive.manifest(archive.newest()), &request, &context) else {
        panic!("a change");
    };
    archive.commit(plan.next, at);
}

fn sight(archive: &Archive, seconds: u64) -> Sight<'_> {
    Sight { now: Moment::at_seconds(seconds), archive, outage: None, healed: Moment(0), broken: None }
}

fn outage(archive: &Archive, seconds: u64) -> Sight<'_> {
    Sight { outage: Some(Moment::at_seconds(100)), ..sight(archive, seconds) }
}

fn replica(offset: i32) -> Replica {
    Replica::new(0, offset, Duration::from_secs(2))
}

fn token(minted: Minted) -> Token {
    match minted {
        Minted::Token(token) => token,
        other => panic!("{other:?}"),
    }
}

fn verify(replica: &mut Replica, token: &Token, sight: &Sight<'_>) -> Outcome {
    let kid = sight.archive.kid(token.key).unwrap().clone();
    replica.verify(&kid, token.times(), sight)
}

#[test]
fn a_token_bears_the_replicas_own_clock_and_keeps_its_lineage() {
    let archive = archive();
    let first = token(replica(7_000).mint(None, &sight(&archive, 60)));
    assert_eq!((first.issued, first.began), (1_800_000_067, 1_800_000_067));
    assert_eq!((first.expires - first.issued, first.key), (3600, 0));
    let next = token(replica(-7_000).mint(Some(first.began), &sight(&archive, 60)));
    assert_eq!(
        (next.issued, next.began),
        (1_800_000_053, 1_800_000_053),
        "a lineage is never younger than its token"
    );
}

#[test]
fn a_quiet_store_is_confirmed_again_and_again_and_an_outage_ends_that() {
    let archive = archive();
    let replica = replica(0);
    assert_eq!(replica.confirmed(&sight(&archive, 99)), Moment::at_seconds(97));
    assert_eq!(replica.confirmed(&outage(&archive, 500)), Moment::at_seconds(97));
    let healed = |seconds| Sight { healed: Moment::at_seconds(600), ..sight(&archive, seconds) };
    assert_eq!(replica.confirmed(&healed(604)), Moment::at_seconds(602));
}

#[test]
fn minting_stops_after_max_staleness_and_goes_on_as_soon_as_the_store_can_be_read() {
    let archive = archive();
    let mut replica = replica(0);
    token(replica.mint(None, &outage(&archive, 397)));
    assert_eq!(replica.mint(None, &outage(&archive, 398)), Minted::Unavailable);
    let healed = Sight { healed: Moment::at_seconds(601), ..sight(&archive, 601) };
    token(replica.mint(None, &healed));
}

#[test]
fn verifying_stops_after_verify_staleness_and_nothing_is_rejected() {
    let archive = archive();
    let mut replica = replica(0);
    let good = Token { issued: 1_800_003_600, expires: 1_800_007_200, began: 1_800_000_000, key: 0 };
    assert_eq!(verify(&mut replica, &good, &outage(&archive, 3697)), Outcome::Accepted);
    assert_eq!(verify(&mut replica, &good, &outage(&archive, 3698)), Outcome::Unavailable);
}

#[test]
fn before_it_rejects_it_reads_again_and_where_it_cannot_it_says_nothing() {
    let mut archive = archive();
    rotate(&mut archive, Moment::at_seconds(120));
    let mut ahead = replica(0);
    ahead.load(&sight(&archive, 121));
    let new = token(ahead.mint(None, &sight(&archive, 121)));
    assert_eq!(new.key, 1);

    let mut behind = replica(0);
    assert_eq!(verify(&mut behind, &new, &outage(&archive, 122)), Outcome::Unavailable);
    assert_eq!((behind.held, behind.rereads), (0, 1));
    assert_eq!(verify(&mut behind, &new, &sight(&archive, 124)), Outcome::Accepted);
    assert_eq!((behind.held, behind.rereads), (1, 2));

    let broken = Sight { broken: Some(Broken::NoReread), ..sight(&archive, 122) };
    assert_eq!(verify(&mut replica(0), &new, &broken), Outcome::Rejected(Why::UnknownKid));
    let old = Token { issued: 1_799_990_000, expires: 1_799_993_600, began: 1_799_990_000, key: 0 };
    let expired = Outcome::Rejected(Why::Broken(Breach::Expired));
    assert_eq!(verify(&mut replica(0), &old, &outage(&archive, 122)), expired, "no generation changes that");
}

#[test]
fn requests_share_one_read_a_second_and_few_enough_wait_for_it() {
    let archive = archive();
    let mut replica = replica(0);
    let at = |millis| Sight { now: Moment(millis), ..sight(&archive, 0) };
    assert_eq!(replica.reread(&at(5_000)), (Moment(5_000), true));
    assert_eq!(replica.reread(&at(5_300)), (Moment(6_000), true));
    for _ in 0..WAITERS - 1 {
        assert_eq!(replica.reread(&at(5_400)), (Moment(6_000), true));
    }
    assert_eq!(replica.reread(&at(5_500)), (Moment(6_000), false), "too many wait");
    assert_eq!(replica.rereads, 2);
    assert_eq!(replica.reread(&at(6_001)), (Moment(7_000), true));
}

#[test]
fn a_replica_answers_so_many_bootstraps_in_a_second() {
    let mut replica = replica(0);
    let admitted =
        |replica: &mut Replica, millis| (0..5).filter(|_| replica.admits(Moment(millis), 3)).count();
    assert_eq!(admitted(&mut replica, 1_000), 3);
    assert_eq!(admitted(&mut replica, 1_999), 0);
    assert_eq!(admitted(&mut replica, 2_000), 3);
}

/// What the gate counts by: since when each key is held, by the replica's clock.
#[test]
fn a_report_tells_since_when_a_key_is_held() {
    let mut archive = archive();
    rotate(&mut archive, Moment::at_seconds(120));
    let mut replica = replica(5_000);
    replica.load(&sight(&archive, 123));
    let report = replica.report(&sight(&archive, 200)).unwrap();
    let keys: Vec<_> =
        report.keys.iter().map(|key| (key.kid.as_str(), key.from_start, key.held_since)).collect();
    assert_eq!(keys[0], ("key-1", true, Moment(0).wall(5_000).minus(3600)));
    assert_eq!(keys[1], ("key-2", false, Moment::at_seconds(123).wall(5_000)));
    assert_eq!((report.generation, report.reported_at), (2, Moment::at_seconds(200).wall(5_000)));
}
