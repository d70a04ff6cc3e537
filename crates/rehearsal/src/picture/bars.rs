//! The states of each key over the time of the run, as the keyring said them.

use keystile_keyring::manifest::End;
use keystile_keyring::{KeyState, Kid, Lookup, Manifest, UnixTime};

use crate::record::Record;

/// One key over time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bar {
    /// The key.
    pub(crate) kid: Kid,
    /// Its states, in the order of time, without holes from its first to its last.
    pub(crate) spans: Vec<Span>,
}

/// A time in one state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    /// Seconds since the picture's begin.
    pub(crate) from: f64,
    /// Seconds since the picture's begin.
    pub(crate) to: f64,
    /// The state.
    pub(crate) state: KeyState,
}

/// One bar for each key from where the pictures begin, in the order in which they appeared.
pub(crate) fn bars(record: &Record) -> Vec<Bar> {
    let intervals = intervals(record);
    let begin = record.pictured_from().seconds();
    let bar = |kid: &Kid| {
        let mut spans: Vec<Span> = Vec::new();
        for (from, to, manifest) in &intervals {
            let Some(state) = state(manifest, kid, instant(record, *from)) else {
                continue;
            };
            match spans.last_mut() {
                Some(last) if last.state == state => last.to = *to,
                _ => spans.push(Span { from: *from, to: *to, state }),
            }
        }
        for span in &mut spans {
            (span.from, span.to) = (span.from - begin, span.to - begin);
        }
        Bar { kid: kid.clone(), spans }
    };
    record.keys.iter().map(bar).collect()
}

/// Whole seconds and commits cut the run into intervals in which no state changes.
fn intervals(record: &Record) -> Vec<(f64, f64, &Manifest)> {
    let (begin, end) = (record.pictured_from().seconds(), record.now.seconds());
    let seconds = (0_u32..).map(f64::from).skip_while(|second| *second < begin);
    let seconds = seconds.take_while(|second| *second < end);
    let mut cuts: Vec<f64> = seconds.chain(record.generations.iter().map(|(at, _)| at.seconds())).collect();
    cuts.extend([begin, end]);
    cuts.retain(|cut| (begin..=end).contains(cut));
    cuts.sort_by(f64::total_cmp);
    let interval = |pair: &[f64]| {
        let (from, to) = (*pair.first()?, *pair.last()?);
        let newest = record.generations.iter().rev().find(|(at, _)| at.seconds() <= from)?;
        (to > from).then(|| (from, to, newest.1.as_ref()))
    };
    cuts.windows(2).filter_map(interval).collect()
}

/// What the wall clock showed; a run begins with a whole second.
fn instant(record: &Record, seconds: f64) -> UnixTime {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds of a run")]
    let whole = (seconds + 1e-6).max(0.0) as u64;
    record.epoch.plus(whole)
}

fn state(manifest: &Manifest, kid: &Kid, now: UnixTime) -> Option<KeyState> {
    match manifest.lookup(kid, now) {
        Lookup::Held(_, state) => Some(state),
        Lookup::Gone(End::Retired) => Some(KeyState::Retired),
        Lookup::Gone(End::Revoked) => Some(KeyState::Revoked),
        Lookup::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::Event;
    use crate::fixture::{EPOCH, kid, manifest, moment, settings};

    fn record(generations: Vec<(f64, Manifest)>, end: f64) -> Record {
        let mut record = Record::new(settings(), UnixTime(EPOCH));
        for (at, manifest) in generations {
            record.apply(&Event::Generation { at: moment(at), manifest: Arc::new(manifest) });
        }
        record.apply(&Event::Ended { at: moment(end) });
        record
    }

    fn span(from: f64, to: f64, state: KeyState) -> Span {
        Span { from, to, state }
    }

    #[test]
    fn a_key_is_active_then_verify_only_then_retired() {
        let bars = bars(&record(vec![(0.0, manifest(1, &["a", "b"], None))], 30.0));
        assert_eq!(bars[0].kid, kid("a"));
        assert_eq!(
            bars[0].spans,
            [
                span(0.0, 5.0, KeyState::Active),
                span(5.0, 19.0, KeyState::VerifyOnly),
                span(19.0, 30.0, KeyState::Retired),
            ]
        );
        assert_eq!(bars[1].spans, [span(0.0, 5.0, KeyState::Prepared), span(5.0, 30.0, KeyState::Active)]);
    }

    #[test]
    fn a_commit_between_seconds_shows_where_it_happened() {
        let first = manifest(1, &["a"], None);
        let second = manifest(2, &["a", "b"], Some("a"));
        let bars = bars(&record(vec![(0.0, first), (6.25, second)], 8.0));
        assert_eq!(bars[0].spans, [span(0.0, 6.25, KeyState::Active), span(6.25, 8.0, KeyState::Revoked)]);
        assert_eq!(bars[1].spans, [span(6.25, 8.0, KeyState::Active)]);
    }

    #[test]
    fn what_was_pruned_stays_retired() {
        let first = manifest(1, &["a", "b"], None);
        let mut second = manifest(2, &["b"], None);
        second.tombstones.push(keystile_keyring::manifest::Tombstone {
            kid: kid("a"),
            end: End::Retired,
            at: UnixTime(EPOCH + 19),
            named_until: None,
        });
        let bars = bars(&record(vec![(0.0, first), (21.5, second)], 25.0));
        assert_eq!(bars[0].spans.last(), Some(&span(19.0, 25.0, KeyState::Retired)));
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert!(bars(&record(Vec::new(), 5.0)).is_empty());
        assert!(bars(&record(vec![(0.0, manifest(1, &["a"], None))], 0.0))[0].spans.is_empty());
    }
}
