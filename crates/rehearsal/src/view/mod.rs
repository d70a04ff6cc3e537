//! What is shown while it happens.

mod lines;
mod live;
mod text;

use crate::event::Event;
use crate::record::Record;
use crate::settings::Settings;

pub use keystile_picture::Ink;
pub use lines::Lines;
pub use live::Live;

/// Shows a run while it goes on.
pub trait View: Send {
    /// A run is being prepared.
    fn begins(&mut self, settings: &Settings);

    /// Something happened, and the record knows it.
    fn event(&mut self, event: &Event, record: &Record);

    /// Time to draw what changes all the time.
    fn frame(&mut self, record: &Record);

    /// The run is over.
    fn ends(&mut self, record: &Record);

    /// Something else that people should know.
    fn says(&mut self, line: &str);
}

/// Takes text for people; what cannot be written is lost.
pub type Writer<'a> = Box<dyn Fn(&str) + Send + Sync + 'a>;

/// Shows nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Blind;

impl View for Blind {
    fn begins(&mut self, _: &Settings) {}
    fn event(&mut self, _: &Event, _: &Record) {}
    fn frame(&mut self, _: &Record) {}
    fn ends(&mut self, _: &Record) {}
    fn says(&mut self, _: &str) {}
}
