//! For a terminal: the same lines, and below them a few that change all the time.

use std::time::Duration;

use keystile_keyring::UnixTime;
use keystile_picture::{Ink, grouped, line as spark_line};

use crate::event::Event;
use crate::moment::Moment;
use crate::oracle::Ruling;
use crate::record::{Record, StepState};
use crate::settings::Settings;

use super::lines::line_of;
use super::{View, Writer, text};

/// Values of a sparkline: four a second.
const WIDTH: usize = 32;
/// As much time as they show.
const SHOWN: Duration = Duration::from_secs(8);
/// The most keys that are shown, the newest of those in use.
const MOST_KEYS: usize = 4;

/// For a terminal.
pub struct Live<'a> {
    write: Writer<'a>,
    ink: Ink,
    columns: usize,
    drawn: usize,
}

impl<'a> Live<'a> {
    /// Draws on a terminal that is so many columns wide.
    pub fn new(write: Writer<'a>, ink: Ink, columns: usize) -> Self {
        Self { write, ink, columns: columns.max(20), drawn: 0 }
    }

    /// Takes back the lines that change.
    fn erase(&mut self) -> String {
        match std::mem::take(&mut self.drawn) {
            0 => String::new(),
            drawn => format!("\x1b[{drawn}A\r\x1b[J"),
        }
    }

    fn draw(&mut self, lines: &[String]) {
        let mut text = self.erase();
        for line in lines {
            // A line that wraps could not be taken back.
            text.extend(line.chars().take(self.columns - 1));
            text.push('\n');
        }
        self.drawn = lines.len();
        (self.write)(&text);
    }
}

impl View for Live<'_> {
    fn begins(&mut self, settings: &Settings) {
        self.says(&self.ink.bold(&text::header(settings)));
        self.draw(&["  starting gateways and supervisors".to_owned()]);
    }

    fn event(&mut self, event: &Event, record: &Record) {
        if let Some(line) = line_of(event, record, self.ink) {
            self.says(&line);
            self.frame(record);
        }
    }

    fn frame(&mut self, record: &Record) {
        self.draw(&changing(record));
    }

    fn ends(&mut self, record: &Record) {
        self.says(&text::closing(record.now));
    }

    fn says(&mut self, line: &str) {
        let erased = self.erase();
        (self.write)(&format!("{erased}{line}\n"));
    }
}

/// What goes on: totals, rates per key, what is waited for.
fn changing(record: &Record) -> Vec<String> {
    let wrong = record.calls.ruled(Ruling::Wrong);
    let mut lines = vec![format!(
        "  {}  minted {}   verified {} ({}/s)   wrongly rejected {}",
        record.now,
        grouped(record.minted()),
        grouped(record.calls.accepted()),
        rate(record.rates.now(record.now)),
        grouped(wrong),
    )];
    lines.extend(text::footprints(record).map(|told| format!("         {told}")));
    lines.extend(keys(record));
    let running = record.steps.iter().filter(|step| step.state == StepState::Running);
    lines.extend(running.map(|step| {
        let told = step.told.last().map_or_else(String::new, |(_, what)| format!(": {what}"));
        format!("         … {}{told}", step.step.action)
    }));
    lines
}

fn keys(record: &Record) -> Vec<String> {
    // What is shown at a time, so that it does not matter how long the run is.
    let begin = Moment(record.now.0.saturating_sub(SHOWN));
    let peak = record.rates.peak(begin, record.now);
    let now = UnixTime(record.epoch.0 + record.now.0.as_secs());
    let state = |kid| record.keyring().and_then(|manifest| manifest.state_at(kid, now));
    let mut lines = Vec::new();
    for kid in record.keys.iter().rev() {
        let recent = record.rates.series(kid, begin, record.now);
        let state = state(kid).filter(|state| state.published());
        if (state.is_some() || recent.iter().any(|rate| *rate > 0.0)) && lines.len() < MOST_KEYS {
            let word = state.map_or("gone", keystile_keyring::KeyState::as_str);
            lines.push(format!(
                "         {}  {:<WIDTH$}  {word}",
                kid.short(),
                spark_line(&recent, peak, WIDTH)
            ));
        }
    }
    lines.reverse();
    lines
}

fn rate(rate: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "calls per second")]
    grouped(rate.max(0.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::event::StepEvent;
    use crate::fixture::{EPOCH, accepted, call, manifest, moment, settings};

    fn record() -> Record {
        let mut record = Record::new(settings(), UnixTime(EPOCH));
        record.apply(&Event::Generation {
            at: moment(0.0),
            manifest: Arc::new(manifest(2, &["key-a", "key-b"], None)),
        });
        for at in 0..24 {
            let name = if at < 16 { "key-a" } else { "key-b" };
            record.apply(&Event::Call(call(0, name, 2.0 + f64::from(at) / 4.0, accepted())));
        }
        record.apply(&Event::Step { at: moment(4.0), step: 0, what: StepEvent::Began });
        record.apply(&Event::Step { at: moment(4.0), step: 0, what: StepEvent::Told("waits".into()) });
        record
    }

    #[test]
    fn totals_rates_and_what_goes_on_are_shown() {
        let lines = changing(&record());
        assert_eq!(lines[0], "  00:07  minted 0   verified 24 (4/s)   wrongly rejected 0");
        assert!(lines[1].contains("key-a") && lines[1].ends_with("verify-only"), "{}", lines[1]);
        assert!(lines[2].contains("key-b") && lines[2].ends_with("active"), "{}", lines[2]);
        assert!(lines[1].contains("████"), "{}", lines[1]);
        assert_eq!(lines[3], "         … rotate: waits");
    }

    #[test]
    fn what_changes_is_taken_back_and_never_wraps() {
        let written = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&written);
        let write: Writer<'_> = Box::new(move |text| sink.lock().expect("unbroken").push_str(text));
        let mut live = Live::new(write, Ink::default(), 30);
        live.frame(&record());
        live.says("a line that stays, however long it may be, because it scrolls away");
        live.frame(&record());
        live.ends(&record());
        let written = written.lock().expect("unbroken").clone();
        assert_eq!(written.matches("\u{1b}[4A\r\u{1b}[J").count(), 2, "{written:?}");
        let block = written.split("\u{1b}[4A").next().expect("the first frame");
        assert!(block.lines().all(|line| line.chars().count() < 30), "{block}");
        assert!(written.ends_with("the load ends after 7.8 s\n"), "{written:?}");
    }
}
