//! What an operation says while it goes on: lines that stay, and on a terminal one that moves.

use std::error::Error;

use keystile_keyring::manifest::Operation;
use keystile_keyring::plan::Plan;
use keystile_keyring::{Gate, UnixTime};
use keystile_operator::{OperateError, Progress};

use crate::app::App;
use crate::console::{Hue, harmless};
use crate::picture::{Labels, gate_in_words};
use crate::when::When;

/// Tells on standard error, so that the answer alone is on standard output. Where JSON was asked for it tells
/// nothing: then standard error has one document, or none.
pub(crate) struct Teller<'a> {
    app: &'a App,
    /// Whether each step is told, or the answer says it all.
    steps: bool,
    /// Whether waits are told: they are not where nobody waits.
    waits: bool,
    /// The last plan that was committed.
    last: Option<Plan>,
    /// What it waited for when it said so last.
    waited_for: Option<Gate>,
    /// How often the store was found away since it answered: it is said once.
    interruptions: usize,
    /// Whether a line that moves stands on the terminal.
    moving: bool,
    turn: usize,
}

impl<'a> Teller<'a> {
    /// One that tells every step: for what takes several.
    pub(crate) fn of_steps(app: &'a App) -> Self {
        Self {
            app,
            steps: true,
            waits: true,
            last: None,
            waited_for: None,
            interruptions: 0,
            moving: false,
            turn: 0,
        }
    }

    /// One that leaves a single step to the answer.
    pub(crate) fn of_one_step(app: &'a App) -> Self {
        Self { steps: false, ..Self::of_steps(app) }
    }

    /// The same, which tells of waits only if `patient`.
    pub(crate) fn patient(self, patient: bool) -> Self {
        Self { waits: patient, ..self }
    }

    /// The run that it tells of.
    pub(crate) fn app(&self) -> &'a App {
        self.app
    }

    /// The last plan that was committed.
    pub(crate) fn last(&self) -> Option<&Plan> {
        self.last.as_ref()
    }

    /// Ends the line that moves, if there is one.
    pub(crate) fn settle(&mut self) {
        if std::mem::take(&mut self.moving) {
            self.app.say("\r\x1b[K");
        }
    }

    fn line(&mut self, text: &str) {
        if self.app.json() {
            return;
        }
        self.settle();
        let mark = self.app.paint(&self.app.world.stderr).paint(Hue::Green, "✓");
        self.app.say(&format!("{mark} {text}\n"));
    }
}

impl Progress for Teller<'_> {
    fn committed(&mut self, plan: &Plan) {
        // A second step of a single-step verb is a surprise, and is told.
        if self.steps || self.last.is_some() {
            let what = gist(plan, &self.app.when());
            self.line(&format!("generation {} committed: {what}", plan.next.generation));
        }
        self.waited_for = None;
        self.last.get_or_insert_with(|| plan.clone()).clone_from(plan);
    }

    fn waiting(&mut self, _: &Operation, gate: &Gate, now: UnixTime) {
        self.interruptions = 0;
        let when = self.app.when_it_is(now);
        if !self.waits || self.app.json() {
            return;
        }
        if let Some(columns) = self.app.world.stderr.columns() {
            self.turn = self.turn.wrapping_add(1);
            let line = moving_line(gate, &when, self.turn, usize::from(columns));
            self.app.say(&format!("\r{line}\x1b[K"));
            self.moving = true;
        } else if self.waited_for.as_ref() != Some(gate) {
            self.app.say(&format!("  {}\n", gate_in_words(gate, &when)));
        }
        self.waited_for = Some(gate.clone());
    }

    fn interrupted(&mut self, error: &OperateError) {
        self.interruptions += 1;
        if self.interruptions == 1 && !self.app.json() {
            self.settle();
            let mut innermost: &dyn Error = error;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            let why = harmless(&innermost.to_string());
            self.app.say(&format!("  {error}; waiting for it ({why})\n"));
        }
    }

    fn did(&mut self, what: &str) {
        self.line(what);
    }
}

/// What a committed step did, in a few words.
fn gist(plan: &Plan, when: &When) -> String {
    let labels = Labels::of(&plan.next);
    let published = plan.next.operation.as_ref().filter(|operation| operation.started_at == plan.planned_at);
    let switched = plan.next.timeline.last().filter(|last| last.from >= plan.planned_at);
    match (plan.verb, published, switched) {
        ("prepare" | "rotate", Some(operation), _) => {
            format!("key {} published", labels.get(&operation.to_kid))
        }
        ("activate" | "rotate", _, Some(last)) => {
            format!("{} signs from {}", labels.get(&last.kid), when.clock(last.from))
        }
        ("prune", ..) => {
            let all: Vec<_> = plan.impact.steps.iter().map(|step| labels.shorten(&step.what)).collect();
            all.join("; ")
        }
        _ => plan.impact.steps.first().map(|step| labels.shorten(&step.what)).unwrap_or_default(),
    }
}

/// Columns of the progress bar.
const BAR: u64 = 20;

/// One state of the line that moves, at most `columns` wide.
fn moving_line(gate: &Gate, when: &When, turn: usize, columns: usize) -> String {
    const TURNS: [char; 8] = ['⠋', '⠙', '⠸', '⠴', '⠦', '⠧', '⠇', '⠏'];
    let spinner = TURNS.iter().cycle().nth(turn % TURNS.len()).unwrap_or(&' ');
    let what = match gate {
        Gate::Caches { until, since, .. } => {
            let (whole, done) = (until.since(*since).max(1), when.now().since(*since));
            let filled = (done.min(whole) * BAR / whole).min(BAR);
            let bar: String = (0..BAR).map(|column| if column < filled { '█' } else { '░' }).collect();
            format!("outside verifiers' caches  {bar}  {} of {}", minutes(done), minutes(whole))
        }
        other => gate_in_words(other, when),
    };
    // A line that wraps cannot be painted over; the last column stays free.
    let room = columns.saturating_sub(1);
    let line = format!("{spinner} {what}");
    let hints = ["     Ctrl-C is safe: run it again to go on", "   Ctrl-C is safe", ""];
    let fits = hints.iter().find(|hint| line.chars().count() + hint.chars().count() <= room);
    line.chars().take(room).chain(fits.unwrap_or(&"").chars()).collect()
}

/// `2:41`.
fn minutes(seconds: u64) -> String {
    format!("{}:{:02}", seconds / 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    #[test]
    fn the_moving_line_fits_and_shows_how_far_it_is() {
        let when = When::new(TimeZone::UTC, UnixTime(1161));
        let gate = Gate::Caches { until: UnixTime(1300), since: UnixTime(1000), live: 3 };
        let line = moving_line(&gate, &when, 2, 120);
        assert_eq!(
            line,
            "⠸ outside verifiers' caches  ██████████░░░░░░░░░░  2:41 of 5:00     Ctrl-C is safe: run it again to go on"
        );
        assert!(moving_line(&gate, &when, 0, 90).ends_with("2:41 of 5:00   Ctrl-C is safe"));
        assert!(moving_line(&gate, &when, 0, 66).ends_with("2:41 of 5:00"));
        assert_eq!(moving_line(&gate, &when, usize::MAX, 40).chars().count(), 39);
    }
}
