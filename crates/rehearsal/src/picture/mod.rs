//! The pictures of the report: keys over time, and the load on each.

mod bars;
mod chart;
mod letters;
mod timeline;

pub(crate) use bars::bars;
pub(crate) use chart::chart;
pub(crate) use letters::letters;
pub(crate) use timeline::{Mark, timeline};
