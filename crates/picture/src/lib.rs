//! What reports are made of: numbers and colours for a terminal, tables and pictures for a page.
//!
//! Pure: text comes out, and nothing is known of what it is about.
#![cfg_attr(test, allow(clippy::float_cmp, reason = "tests know their values"))]

mod axis;
mod ink;
mod number;
mod spark;
mod svg;
mod table;

pub use axis::{Axis, ticks};
pub use ink::Ink;
pub use number::{briefly, grouped};
pub use spark::line;
pub use svg::{Svg, escape};
pub use table::{Cell, table};

/// The style sheet of a page: light or dark as its reader's screen is.
pub const STYLE: &str = include_str!("style.css");

/// Width of a picture in its own units; the page scales it.
pub const WIDTH: f64 = 1000.0;
/// Where the time axis begins: before it stand the names.
pub const LEFT: f64 = 116.0;
/// Where the time axis ends.
pub const RIGHT: f64 = 988.0;
/// How many colours series have; then they begin again.
pub const COLOURS: usize = 8;
