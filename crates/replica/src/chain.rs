//! An error with its sources, in one line.

use std::error::Error;
use std::fmt::Write as _;

/// The error and what it comes from, from the outside in. No layer repeats its source.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        // Writing to a string cannot fail.
        let _ = write!(text, ": {inner}");
        source = inner.source();
    }
    text
}
