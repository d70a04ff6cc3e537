use std::sync::Arc;

use keystile_keyring::UnixTime;

use super::*;
use crate::event::{Attacked, Call, Event, Order, Outcome, StepEvent};
use crate::fixture::{EPOCH, accepted, call, kid, manifest, moment, rejected, settings, stamp};
use crate::moment::Moment;
use crate::replica::ReplicaName;

/// A run in which everything goes well.
fn good() -> Record {
    let mut record = Record::new(settings(), UnixTime(EPOCH));
    let step = |step, what| Event::Step { at: moment(5.0), step, what };
    let done = || StepEvent::Done { did: "done".into(), measured: String::new() };
    let order = Order::Revoke { kid: kid("a"), descendants: false };
    let mut events = vec![
        Event::Generation { at: moment(0.0), manifest: Arc::new(manifest(1, &["a"], None)) },
        step(0, done()),
        Event::Order { at: stamp(9.0), order },
        Event::Probed { step: 1 },
        step(1, done()),
    ];
    events.extend((0..5).map(|supervisor| Event::Call(call(supervisor, "a", 1.0, accepted()))));
    events.extend((0..2).map(reached_by));
    events.extend(Attack::ALL.iter().map(|attack| attacked(*attack, rejected())));
    events.push(Event::Supply { obtained: vec![2; 5], files: 1 });
    events.push(Event::Ended { at: moment(15.0) });
    for event in &events {
        record.apply(event);
    }
    record
}

fn reached_by(index: usize) -> Event {
    let replica = ReplicaName::of_index(index);
    Event::Reached { step: 1, replica, after: Duration::from_millis(100 + 100 * index as u64) }
}

fn attacked(attack: Attack, outcome: Outcome) -> Event {
    Event::Attacked(Attacked { at: moment(1.0), attack, replica: ReplicaName::of_index(0), outcome })
}

fn failing(record: &Record) -> Vec<String> {
    Verdict::of(record).why_not().collect()
}

#[test]
fn a_good_run_passes() {
    let verdict = Verdict::of(&good());
    assert!(verdict.pass, "{:?}", verdict.why_not().collect::<Vec<_>>());
    assert_eq!(verdict.word(), "PASS");
    let found: Vec<_> = verdict.criteria.iter().map(|one| format!("{}: {}", one.name, one.found)).collect();
    assert_eq!(
        found,
        [
            "valid tokens wrongly rejected: 0 of 5 verifications",
            "invalid tokens accepted: 0 of 15 forged, expired, retired, revoked",
            "longest time without a token: 0 s, any supervisor, revocations apart",
            "revoke reached every replica: after 0.20 s",
            "supervisors at work in the end: 5 of 5",
            "steps that went as written: 2 of 2",
            "gateways that ended by themselves: 0",
            "answers that are no answers: 0",
            "kinds of attack tried: 15",
        ]
    );
    assert_eq!((verdict.figures.minted, verdict.figures.verified), (11, 5));
    assert_eq!(verdict.figures.duration, Duration::from_secs(15));
}

#[test]
fn one_good_token_refused_fails_it() {
    let mut record = good();
    record.apply(&Event::Call(call(0, "b", 10.0, rejected())));
    record.apply(&Event::Call(call(0, "b", 10.0, accepted())));
    assert_eq!(
        failing(&record),
        [
            "valid tokens wrongly rejected: 1 of 7 verifications; expected none",
            "longest time without a token: 4 ms, any supervisor, revocations apart; expected 0 s",
        ]
    );
    assert_eq!(Verdict::of(&record).mistakes.len(), 1);
}

#[test]
fn one_invalid_token_accepted_fails_it() {
    let mut record = good();
    record.apply(&attacked(Attack::Forged, accepted()));
    assert_eq!(
        failing(&record),
        ["invalid tokens accepted: 1 of 16 forged, expired, retired, revoked; expected none"]
    );
}

#[test]
fn an_expired_token_that_a_replica_accepts_fails_it() {
    let mut record = good();
    let late = call(0, "b", 1002.0, accepted());
    record.apply(&Event::Call(late));
    assert!(failing(&record)[0].starts_with("invalid tokens accepted: 1 of"));
}

#[test]
fn a_revocation_that_reaches_one_replica_late_or_never_fails_it() {
    let mut record = good();
    record.steps[1].reached.clear();
    record.apply(&reached_by(0));
    assert_eq!(failing(&record), ["revoke reached every replica: not every replica; expected within 4 s"]);
    let slow = Event::Reached { step: 1, replica: ReplicaName::of_index(1), after: Duration::from_secs(5) };
    record.apply(&slow);
    assert_eq!(failing(&record), ["revoke reached every replica: after 5.0 s; expected within 4 s"]);
}

#[test]
fn a_gap_that_was_ordered_is_shown_and_does_not_fail_it() {
    let mut record = good();
    record.apply(&Event::Call(call(0, "a", 10.0, rejected())));
    record.apply(&Event::Call(call(0, "b", 10.5, accepted())));
    let verdict = Verdict::of(&record);
    assert!(verdict.pass);
    let longest = verdict.figures.longest_ordered_gap.iter().map(|gap| gap.longest).max();
    assert_eq!(longest, Some(Duration::from_millis(504)));
    assert_eq!(verdict.figures.rejected[0].ruling, Ruling::KeyRevoked);
}

#[test]
fn who_is_cut_off_in_the_end_fails_it() {
    let mut record = good();
    record.apply(&Event::Call(call(3, "a", 10.0, rejected())));
    assert_eq!(failing(&record), ["supervisors at work in the end: 4 of 5; expected all"]);
}

#[test]
fn a_step_that_did_not_go_as_written_fails_it() {
    let mut record = good();
    let what = StepEvent::Failed("the store is gone".into());
    record.apply(&Event::Step { at: Moment::default(), step: 0, what });
    assert_eq!(failing(&record), ["steps that went as written: 1 of 2; not: at 4s rotate; expected all"]);
}

#[test]
fn nothing_measured_is_no_pass() {
    let record = Record::new(settings(), UnixTime(EPOCH));
    let names: Vec<_> =
        Verdict::of(&record).criteria.into_iter().filter(|one| !one.holds).map(|one| one.name).collect();
    assert_eq!(
        names,
        ["supervisors at work in the end", "steps that went as written", "kinds of attack tried"]
    );
}

#[test]
fn calls_without_an_answer_are_told_apart() {
    let mut record = good();
    let silent = Outcome::NoAnswer(crate::event::NoAnswer::Unconfirmed);
    record.apply(&Event::Call(Call { outcome: silent, ..call(0, "a", 2.0, accepted()) }));
    let verdict = Verdict::of(&record);
    assert!(verdict.pass);
    assert_eq!(verdict.figures.no_answer, [Silence { reason: "keyring unconfirmed", count: 1 }]);
}

#[test]
fn a_gateway_that_ends_by_itself_fails_it() {
    let mut record = good();
    let what = crate::event::ReplicaEvent::Died("signal: 6".into());
    record.apply(&Event::Replica { at: moment(3.0), replica: ReplicaName::of_index(0), what });
    assert_eq!(failing(&record), ["gateways that ended by themselves: 1; expected none"]);
}

#[test]
fn an_answer_that_is_neither_a_verdict_nor_an_excuse_fails_it() {
    let mut record = good();
    let odd = Outcome::NoAnswer(crate::event::NoAnswer::Other);
    record.apply(&Event::Call(Call { outcome: odd, ..call(0, "a", 2.0, accepted()) }));
    assert_eq!(failing(&record), ["answers that are no answers: 1; expected none"]);
}
