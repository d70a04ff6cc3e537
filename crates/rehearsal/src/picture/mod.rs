//! The pictures of the report: keys over time, and the load on each.

mod axis;
mod bars;
mod chart;
mod letters;
mod svg;
mod timeline;

pub(crate) use bars::bars;
pub(crate) use chart::chart;
pub(crate) use letters::letters;
pub(crate) use svg::escape;
pub(crate) use timeline::{Mark, timeline};

/// Width of a picture in its own units; the page scales it.
const WIDTH: f64 = 1000.0;
/// Where the time axis begins: before it stand the names.
const LEFT: f64 = 116.0;
/// Where the time axis ends.
const RIGHT: f64 = 988.0;
/// How many colours keys have; then they begin again.
const COLOURS: usize = 8;
