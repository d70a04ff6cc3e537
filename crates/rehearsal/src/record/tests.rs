use std::time::Duration;

use super::*;
use crate::event::{Order, StepEvent};
use crate::fixture::{EPOCH, accepted, call, kid, manifest, moment, rejected, settings, stamp};

fn record() -> Record {
    Record::new(settings(), UnixTime(EPOCH))
}

fn apply(record: &mut Record, events: impl IntoIterator<Item = Event>) {
    for event in events {
        record.apply(&event);
    }
}

fn generation(number: u64, keys: &[&str], revoked: Option<&str>) -> Event {
    Event::Generation { at: moment(5.0), manifest: Arc::new(manifest(number, keys, revoked)) }
}

#[test]
fn accepted_calls_count_for_key_replica_and_supervisor() {
    let mut record = record();
    let grpc = Call { via: Via::WhoAmI, ..call(1, "a", 1.0, Outcome::Accepted { generation: Some(3) }) };
    apply(&mut record, [Event::Call(call(0, "a", 1.0, accepted())), Event::Call(grpc)]);
    assert_eq!((record.calls.accepted_grpc, record.calls.accepted_http, record.calls.accepted()), (1, 1, 2));
    assert_eq!((record.supervisors[0].accepted, record.supervisors[1].accepted), (1, 1));
    assert_eq!((record.replicas[0].answered, record.replicas[0].generation), (2, 3));
    assert!(record.oracle.held(ReplicaName::of_index(0), 3, moment(2.0)));
    assert_eq!(record.rates.series(&kid("a"), moment(0.0), moment(1.5))[4], 8.0);
    assert!(record.latency.quantile(0.5) >= Duration::from_millis(4));
}

#[test]
fn a_wrong_refusal_is_counted_told_and_opens_an_unordered_gap() {
    let mut record = record();
    apply(&mut record, [Event::Call(call(2, "a", 1.0, rejected()))]);
    assert_eq!(record.calls.ruled(Ruling::Wrong), 1);
    assert_eq!(record.mistakes.len(), 1);
    let mistake = Mistake {
        at: Moment(Duration::from_millis(1004)),
        replica: Some(ReplicaName::of_index(0)),
        supervisor: Some(SandboxName::of_index(2)),
        what: "refused a good token of a, 999 s before its end: signing key not accepted".into(),
    };
    assert_eq!(record.mistakes, [mistake]);
    apply(&mut record, [Event::Call(call(2, "b", 1.5, accepted()))]);
    let gaps = &record.supervisors[2].gaps;
    assert_eq!(gaps.longest(Cause::Unordered, moment(9.0)), Duration::from_millis(504));
}

#[test]
fn an_unordered_gap_is_a_mistake_that_names_supervisor_instant_and_replica() {
    let mut record = record();
    let over = || Event::Call(call(2, "a", 1003.0, rejected()));
    apply(&mut record, [over(), over(), Event::WithoutToken { supervisor: 2, at: stamp(1003.5) }]);
    apply(&mut record, [Event::WithoutToken { supervisor: 3, at: stamp(1004.0) }]);
    assert_eq!((record.calls.ruled(Ruling::Wrong), record.calls.ruled(Ruling::Expired)), (0, 2));
    let mistake = |at, replica, supervisor, what: &str| Mistake {
        at,
        replica,
        supervisor: Some(SandboxName::of_index(supervisor)),
        what: what.into(),
    };
    let refused = "without a token: that of a had ended 3 s before: signing key not accepted";
    let replica = Some(ReplicaName::of_index(0));
    let expected = [
        mistake(Moment(Duration::from_millis(1_003_004)), replica, 2, refused),
        mistake(moment(1004.0), None, 3, "without a token to present"),
    ];
    assert_eq!(record.mistakes, expected);
}

#[test]
fn a_refusal_after_the_order_is_right_and_its_gap_was_ordered() {
    let mut record = record();
    let order = Order::Revoke { kid: kid("a"), descendants: false };
    apply(&mut record, [Event::Order { at: stamp(1.0), order }, Event::Call(call(2, "a", 1.1, rejected()))]);
    assert_eq!((record.calls.ruled(Ruling::Wrong), record.calls.ruled(Ruling::KeyRevoked)), (0, 1));
    assert!(record.mistakes.is_empty());
    let gaps = &record.supervisors[2].gaps;
    assert_eq!(gaps.longest(Cause::Ordered, moment(2.1)), Duration::from_secs(1));
}

#[test]
fn a_supervisor_that_dropped_a_revoked_token_by_itself_has_an_ordered_gap() {
    let mut record = record();
    apply(
        &mut record,
        [Event::Call(call(0, "a", 1.0, accepted())), Event::Call(call(1, "b", 1.0, accepted()))],
    );
    let order = Order::Revoke { kid: kid("a"), descendants: false };
    apply(&mut record, [Event::Order { at: stamp(2.0), order }]);
    let without = |supervisor| Event::WithoutToken { supervisor, at: stamp(3.0) };
    apply(&mut record, [without(0), without(1), without(99)]);
    let longest = |index: usize, cause| record.supervisors[index].gaps.longest(cause, moment(4.0));
    assert_eq!(longest(0, Cause::Ordered), Duration::from_secs(1));
    assert_eq!(longest(1, Cause::Unordered), Duration::from_secs(1));
}

#[test]
fn no_answer_is_neither_a_refusal_nor_a_gap() {
    let mut record = record();
    let silent = call(0, "a", 1.0, Outcome::NoAnswer(NoAnswer::Unreachable));
    apply(&mut record, [Event::Call(silent)]);
    assert_eq!((record.calls.rejected(), record.calls.accepted()), (0, 0));
    assert_eq!(record.calls.no_answer[&NoAnswer::Unreachable], 1);
    assert!(!record.supervisors[0].gaps.is_open());
    assert_eq!(record.replicas[0].answered, 0);
}

#[test]
fn accepting_what_was_revoked_is_a_mistake_once_the_replica_knows() {
    let mut record = record();
    let order = Order::Revoke { kid: kid("a"), descendants: false };
    let knows = call(1, "b", 6.0, Outcome::Accepted { generation: Some(4) });
    apply(&mut record, [Event::Order { at: stamp(5.0), order }, generation(4, &["a", "b"], Some("a"))]);
    apply(&mut record, [Event::Call(call(0, "a", 5.5, accepted())), Event::Call(knows)]);
    assert!(record.calls.wrongly_accepted.is_empty());
    apply(&mut record, [Event::Call(call(0, "a", 7.0, accepted()))]);
    assert_eq!(record.calls.wrongly_accepted[&Ruling::KeyRevoked], 1);
    assert_eq!(record.mistakes[0].what, "accepted a token of a: its key was revoked");
}

#[test]
fn attacks_are_counted_by_kind() {
    let mut record = record();
    let attacked = |outcome| {
        Event::Attacked(Attacked {
            at: moment(1.0),
            attack: Attack::AlgNone,
            replica: ReplicaName::of_index(0),
            outcome,
        })
    };
    let late = attacked(Outcome::NoAnswer(NoAnswer::Late));
    apply(&mut record, [attacked(rejected()), late, attacked(accepted())]);
    let attempts = record.attacks[&Attack::AlgNone];
    assert_eq!(attempts, Attempts { refused: 1, accepted: 1, no_answer: 1 });
    assert_eq!(attempts.all(), 3);
    assert_eq!(record.mistakes[0].what, "accepted an invalid token: alg none");
}

#[test]
fn keys_are_remembered_in_the_order_in_which_they_appeared() {
    let mut record = record();
    apply(&mut record, [generation(1, &["a"], None), generation(2, &["a", "b"], None)]);
    apply(&mut record, [generation(2, &["x"], None), generation(3, &["b", "c"], None)]);
    assert_eq!(record.keys, ["a", "b", "c"].map(kid));
    assert_eq!(record.keyring().map(|manifest| manifest.generation), Some(3));
}

#[test]
fn steps_know_whether_they_went_as_expected() {
    let mut record = record();
    let step = |step, what| Event::Step { at: moment(4.0), step, what };
    let done = StepEvent::Done { did: "a → b".into(), measured: "1 s".into() };
    apply(&mut record, [step(0, StepEvent::Began), step(0, StepEvent::Told("waits".into()))]);
    assert_eq!(record.steps[0].state, StepState::Running);
    assert!(!record.steps[0].as_expected());
    apply(&mut record, [step(0, done.clone()), step(1, done), step(99, StepEvent::Began)]);
    assert!(record.steps[0].as_expected() && !record.steps[0].probed);
    apply(&mut record, [Event::Probed { step: 1 }]);
    assert!(record.steps[1].probed);
    let reached = |index, millis| Event::Reached {
        step: 1,
        replica: ReplicaName::of_index(index),
        after: Duration::from_millis(millis),
    };
    apply(&mut record, [reached(0, 40), reached(0, 900)]);
    assert_eq!(record.steps[1].reached_all(2), None);
    apply(&mut record, [reached(1, 210)]);
    assert_eq!(record.steps[1].reached_all(2), Some(Duration::from_millis(210)));
}

#[test]
fn an_expected_refusal_is_as_expected_and_another_is_not() {
    let mut settings = settings();
    settings.script = crate::script::parse("at 1s retire verify-only expect live-tokens").unwrap();
    let mut record = Record::new(settings, UnixTime(EPOCH));
    let refused = |code: &str| StepEvent::Refused { code: code.into(), found: "tokens".into() };
    let step = |what| Event::Step { at: moment(4.0), step: 0, what };
    apply(&mut record, [step(refused("key-signs"))]);
    assert!(!record.steps[0].as_expected());
    apply(&mut record, [step(refused("live-tokens"))]);
    assert!(record.steps[0].as_expected());
}

#[test]
fn minted_is_what_gateways_and_operator_gave_out() {
    let mut record = record();
    apply(&mut record, [Event::Supply { obtained: vec![3, 4, 0, 0, 1], files: 2 }]);
    assert_eq!(record.minted(), 10);
}

#[test]
fn of_a_long_soak_only_its_end_is_kept_and_what_must_not_happen_is_counted() {
    let mut record = Record::new(crate::settings::Settings { soak: true, ..settings() }, UnixTime(EPOCH));
    let replica = ReplicaName::of_index(1);
    for number in 0..2000_u32 {
        let (at, this, next) =
            (moment(f64::from(number) * 5.0), format!("k-{number}"), format!("k-{}", number + 1));
        let manifest = Arc::new(manifest(u64::from(number) + 1, &[&this, &next], None));
        let shown = Outcome::Accepted { generation: Some(u64::from(number) + 1) };
        let died = ReplicaEvent::Died("exit status: 1".into());
        apply(
            &mut record,
            [
                Event::Generation { at, manifest },
                Event::Call(call(0, &this, at.seconds(), shown)),
                Event::Replica { at, replica, what: died },
            ],
        );
    }
    let pictured = record.pictured_from();
    assert!(record.now.since(pictured) == PICTURED, "{pictured}");
    assert!((36..=40).contains(&record.generations.len()), "{}", record.generations.len());
    assert!(record.generations[0].0 <= pictured, "the picture begins with what held then");
    assert!((37..=41).contains(&record.keys.len()), "{}", record.keys.len());
    assert_eq!((record.replicas[1].events.len(), record.replicas[1].deaths), (MOST_BEFELL, 2000));
    assert_eq!(record.rates.series(&kid("k-1999"), moment(9995.0), moment(9995.25)), [4.0]);
    assert_eq!(record.rates.series(&kid("k-7"), moment(35.0), moment(35.25)), [0.0]);
    let first = ReplicaName::of_index(0);
    assert!(record.oracle.held(first, 2000, moment(9999.0)) && record.oracle.held(first, 1, moment(9999.0)));
    assert!(!record.oracle.held(first, 1999, moment(9990.0)), "not before it was shown");
}
