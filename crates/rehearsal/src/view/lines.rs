//! One line per step, for whatever is no terminal.

use std::time::Duration;

use crate::event::Event;
use crate::moment::Moment;
use crate::record::Record;
use crate::settings::Settings;

use super::{View, Writer, text};
use keystile_picture::Ink;

/// One line per step.
pub struct Lines<'a> {
    write: Writer<'a>,
    ink: Ink,
    /// When it was last told what processes take of the machine.
    told: Moment,
}

/// How often that is told.
const TELL: Duration = Duration::from_mins(1);

impl<'a> Lines<'a> {
    /// Writes to `write`.
    pub fn new(write: Writer<'a>, ink: Ink) -> Self {
        Self { write, ink, told: Moment::default() }
    }
}

/// The line that an event is worth.
pub(super) fn line_of(event: &Event, record: &Record, ink: Ink) -> Option<String> {
    match event {
        Event::Step { step, .. } => text::step(record.steps.get(*step)?, ink),
        Event::Replica { at, replica, what } => text::replica(*at, *replica, what, ink),
        _ => None,
    }
}

impl View for Lines<'_> {
    fn begins(&mut self, settings: &Settings) {
        self.says(&text::header(settings));
    }

    fn event(&mut self, event: &Event, record: &Record) {
        if let Some(line) = line_of(event, record, self.ink) {
            self.says(&line);
        }
    }

    fn frame(&mut self, record: &Record) {
        if record.now.since(self.told) >= TELL
            && let Some(told) = text::footprints(record)
        {
            self.told = record.now;
            self.says(&format!("  {}  {:<12} {told}", record.now, "memory"));
        }
    }

    fn ends(&mut self, record: &Record) {
        self.says(&text::closing(record.now));
    }

    fn says(&mut self, line: &str) {
        (self.write)(&format!("{line}\n"));
    }
}
