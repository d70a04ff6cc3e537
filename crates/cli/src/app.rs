//! One run of the program: its world, its global options, and how it answers.

use jiff::tz::TimeZone;
use keystile_keyring::UnixTime;
use serde::Serialize;

use crate::args::{Format, Global};
use crate::console::{Paint, Stream, harmless_text};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::when::When;
use crate::world::World;

/// One run of the program.
pub(crate) struct App {
    /// What it takes from outside.
    pub(crate) world: World,
    /// The options that every verb has.
    pub(crate) global: Global,
}

/// The width of text that is not written to a terminal.
const PIPE_COLUMNS: u16 = 110;

/// A document with its schema first.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

impl App {
    /// The wall clock.
    pub(crate) fn now(&self) -> UnixTime {
        self.world.clock.now()
    }

    /// How instants are shown, relative to the wall clock.
    pub(crate) fn when(&self) -> When {
        self.when_it_is(self.now())
    }

    /// How instants are shown, relative to `now`.
    pub(crate) fn when_it_is(&self, now: UnixTime) -> When {
        let zone = if self.global.utc { TimeZone::UTC } else { self.world.zone.clone() };
        When::new(zone, now)
    }

    /// Who changes the keyring.
    pub(crate) fn actor(&self) -> String {
        self.global.actor.clone().unwrap_or_else(|| self.world.actor.clone())
    }

    /// Whether the answer is JSON.
    pub(crate) fn json(&self) -> bool {
        self.global.output == Format::Json
    }

    /// The width of the answer.
    pub(crate) fn width(&self) -> usize {
        usize::from(self.world.stdout.columns().unwrap_or(PIPE_COLUMNS))
    }

    /// Colours for `stream`: only on a terminal, and not where `NO_COLOR` says otherwise.
    pub(crate) fn paint(&self, stream: &Stream) -> Paint {
        let refused = self.world.environment.get("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = self.world.environment.get("TERM").is_some_and(|term| term == "dumb");
        Paint::new(stream.columns().is_some() && !refused && !dumb)
    }

    /// Writes text to standard output.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let written = self.world.stdout.write(text);
        written.map_err(|error| unwritten(&error))
    }

    /// Writes text to standard error; what cannot be said there is not said.
    pub(crate) fn say(&self, text: &str) {
        let _ = self.world.stderr.write(text);
    }

    /// An answer for people: what is in it from outside can move no cursor.
    pub(crate) fn shown(&self, text: &str) -> String {
        harmless_text(text, self.paint(&self.world.stdout))
    }

    /// The answer: the document where JSON was asked for, else the text.
    pub(crate) fn answer<T: Serialize>(
        &self,
        schema: &str,
        body: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if !self.json() {
            return self.print(&self.shown(&text()));
        }
        let document = Document { schema, body };
        let json =
            serde_json::to_string_pretty(&document).map_err(|error| Failure::of(Exit::Other, &error))?;
        self.print(&(json + "\n"))
    }

    /// The answer on one line, while the program goes on: what reads it need not wait for its end.
    pub(crate) fn announce<T: Serialize>(
        &self,
        schema: &str,
        body: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if !self.json() {
            return self.print(&self.shown(&text()));
        }
        let json = serde_json::to_string(&Document { schema, body });
        self.print(&(json.map_err(|error| Failure::of(Exit::Other, &error))? + "\n"))
    }

    /// Says what went wrong.
    pub(crate) fn complain(&self, failure: &Failure) {
        if !failure.is_silent() {
            self.say(&if self.json() { failure.json() } else { failure.text() });
        }
    }
}

/// What was to be answered could not be: the reader is there, and its disk is full.
pub(crate) fn unwritten(error: &std::io::Error) -> Failure {
    Failure::of(Exit::Other, error).expected("a standard output that can be written")
}
