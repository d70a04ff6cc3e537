use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::UnixTime;

use super::*;
use crate::adversary::Attack;
use crate::contrast::Contrast;
use crate::event::{Attacked, Event, Order, ReplicaEvent, StepEvent};
use crate::fixture::{EPOCH, accepted, call, kid, manifest, moment, rejected, settings, stamp};
use crate::record::{Process, Sample};
use crate::replica::ReplicaName;
use keystile_system::Footprint;

/// A little run: a rotation, a revocation, a kill, a wrong refusal.
fn rehearsed(contrast: bool) -> Rehearsed {
    let mut record = Record::new(settings(), UnixTime(EPOCH));
    let step = |at, step, what| Event::Step { at: moment(at), step, what };
    let generation = |at, number, keys: &[&str], revoked| Event::Generation {
        at: moment(at),
        manifest: Arc::new(manifest(number, keys, revoked)),
    };
    let done = |did: &str, measured: &str| StepEvent::Done { did: did.into(), measured: measured.into() };
    let replica = ReplicaName::of_index(1);
    let mut events = vec![
        generation(0.0, 1, &["8b98b466"], None),
        step(4.0, 0, StepEvent::Began),
        generation(4.1, 2, &["8b98b466", "c41d09e7"], None),
        step(4.2, 0, StepEvent::Told("waits for outside verifiers' caches".into())),
        step(6.0, 0, done("8b98b466 → c41d09e7", "gate 0.8 s")),
        Event::Replica { at: moment(7.0), replica, what: ReplicaEvent::Killed },
        Event::Replica {
            at: moment(8.0),
            replica,
            what: ReplicaEvent::Ready { after: Duration::from_millis(80) },
        },
        step(9.0, 1, StepEvent::Began),
        Event::Order { at: stamp(9.0), order: Order::Revoke { kid: kid("c41d09e7"), descendants: false } },
        Event::Probed { step: 1 },
        Event::Reached { step: 1, replica, after: Duration::from_millis(210) },
        generation(9.1, 3, &["8b98b466", "c41d09e7", "02c5fdf4"], Some("c41d09e7")),
        step(10.0, 1, done("c41d09e7 ⇒ 02c5fdf4", "the last replica refused after 0.21 s")),
    ];
    for (quarter, at) in (0..60).map(|quarter| f64::from(quarter) / 4.0).enumerate() {
        let name = if at < 6.0 {
            "8b98b466"
        } else if at < 9.0 {
            "c41d09e7"
        } else {
            "02c5fdf4"
        };
        events.push(Event::Call(call(quarter % 5, name, at, accepted())));
    }
    events.push(Event::Call(call(0, "8b98b466", 12.0, rejected())));
    events.push(Event::Call(call(1, "c41d09e7", 12.0, rejected())));
    events.extend(Attack::ALL.iter().map(|attack| {
        Event::Attacked(Attacked { at: moment(1.0), attack: *attack, replica, outcome: rejected() })
    }));
    events.extend((0..60_u32).map(|second| {
        let took = Footprint { resident_bytes: (50 + u64::from(second / 20)) << 20, open_fds: 311 };
        Event::Measured { process: Process::Own, sample: Sample { at: moment(second.into()), took } }
    }));
    events.push(Event::Supply { obtained: vec![4; 5], files: 1 });
    events.push(Event::Ended { at: moment(15.0) });
    for event in &events {
        record.apply(event);
    }
    let contrast = contrast.then(|| Contrast {
        wrongly_rejected: 1204,
        verified: 9000,
        rejected_for: Duration::from_secs(8),
        longest_gap: Duration::from_secs(11),
        cut_off: 5,
        never_recovered: 1,
        supervisors: 5,
        watched_for: Duration::from_secs(10),
    });
    Rehearsed { verdict: Verdict::of(&record), record, contrast }
}

#[test]
fn the_page_is_as_it_was_agreed_on() {
    insta::assert_snapshot!(html(&rehearsed(true), "keystile rehearse --baseline"));
}

#[test]
fn the_text_is_as_it_was_agreed_on() {
    let text = crate::report::text(&rehearsed(true), "report.html", crate::view::Ink::default());
    insta::assert_snapshot!(text);
}

#[test]
fn the_document_is_as_it_was_agreed_on() {
    let rehearsed = rehearsed(false);
    insta::assert_json_snapshot!(crate::report::document(&rehearsed, "report.html"));
}

#[test]
fn the_page_needs_nothing_from_elsewhere_and_is_well_formed() {
    let page = html(&rehearsed(true), "keystile rehearse --report '<b>'");
    for outside in ["http://", "https://", "src=", "@import", "<script", "<link"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("--report &#39;&lt;b&gt;&#39;"));
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let name: String = tag.chars().take_while(|letter| !" >\n".contains(*letter)).collect();
        let closes_itself = tag.split('>').next().is_some_and(|tag| tag.ends_with('/'));
        match name.as_str() {
            "!doctype" | "meta" => {}
            _ if closes_itself => {}
            name => match name.strip_prefix('/') {
                Some(closed) => assert_eq!(open.pop().as_deref(), Some(closed), "{open:?}"),
                None => open.push(name.to_owned()),
            },
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn without_a_comparison_none_is_shown() {
    assert!(!html(&rehearsed(false), "").contains("the old way"));
}
