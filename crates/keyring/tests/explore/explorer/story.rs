//! What happened on the way to a state, and what went wrong there, for people.

use std::fmt;
use std::rc::Rc;

/// What happened, newest last. Cheap to clone: states share their past.
#[derive(Clone, Default)]
pub struct Story(Option<Rc<Event>>);

struct Event {
    at: u64,
    what: String,
    before: Story,
}

impl Story {
    pub fn add(&mut self, at: u64, what: String) {
        let before = std::mem::take(self);
        *self = Self(Some(Rc::new(Event { at, what, before })));
    }

    /// The events, oldest first.
    pub fn events(&self) -> Vec<(u64, String)> {
        let mut events = Vec::new();
        let mut story = self;
        while let Some(event) = &story.0 {
            events.push((event.at, event.what.clone()));
            story = &event.before;
        }
        events.reverse();
        events
    }
}

/// An invariant that does not hold, and how the world came to that.
#[derive(Clone)]
pub struct Violation {
    /// `I3`, or the claim that failed.
    pub invariant: &'static str,
    /// Instants down, who does what; the last line is what must not be.
    pub timeline: Vec<(u64, String)>,
}

impl Violation {
    /// What must not be.
    pub fn what(&self) -> &str {
        self.timeline.last().map_or("", |(_, what)| what)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} does not hold:", self.invariant)?;
        for (at, what) in &self.timeline {
            writeln!(f, "  {at:>5}  {what}")?;
        }
        Ok(())
    }
}
