//! The keys over time in letters, for a terminal.

use std::fmt::Write as _;

use keystile_keyring::KeyState;
use keystile_picture::ticks;

use super::bars::Bar;

/// Columns of the time axis.
const COLUMNS: usize = 72;
/// Columns of the names before it.
const NAMES: usize = 12;
/// The most marks of the axis after its begin.
const MARKS: u32 = 8;

/// Each key a row of letters, over the seconds of the run.
pub(crate) fn letters(bars: &[Bar], seconds: f64) -> String {
    if bars.is_empty() || seconds <= 0.0 {
        return String::new();
    }
    let mut text = format!("  {:NAMES$}{}\n", "", axis(seconds));
    for bar in bars {
        let row: String = (0..COLUMNS).map(|column| letter(bar, middle(column, seconds))).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:NAMES$}{}", bar.kid.short(), row.trim_end());
    }
    let _ = writeln!(text, "  {:NAMES$}░ prepared  █ active  ▒ verify-only  · retired  ╳ revoked", "");
    text
}

fn axis(seconds: f64) -> String {
    let mut axis = String::new();
    for tick in ticks(seconds, MARKS) {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the axis")]
        let column = (number(COLUMNS) * tick / seconds).round() as usize;
        // Writing to a string cannot fail.
        let _ = write!(axis, "{:blank$}{tick} s", "", blank = column.saturating_sub(axis.chars().count()));
    }
    axis
}

fn middle(column: usize, seconds: f64) -> f64 {
    f64::midpoint(at(column, seconds), at(column + 1, seconds))
}

/// Where a column begins, in seconds.
fn at(column: usize, seconds: f64) -> f64 {
    number(column) / number(COLUMNS) * seconds
}

fn number(columns: usize) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a terminal has few columns")]
    let number = columns as f64;
    number
}

fn letter(bar: &Bar, at: f64) -> char {
    let span = bar.spans.iter().find(|span| span.from <= at && at < span.to);
    match span.map(|span| span.state) {
        None => ' ',
        Some(KeyState::Prepared) => '░',
        Some(KeyState::Active) => '█',
        Some(KeyState::VerifyOnly) => '▒',
        Some(KeyState::Retired) => '·',
        Some(KeyState::Revoked) => '╳',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::kid;
    use crate::picture::bars::Span;

    #[test]
    fn each_state_is_a_letter() {
        let span = |from, to, state| Span { from, to, state };
        let first = [
            span(0.0, 10.0, KeyState::Active),
            span(10.0, 20.0, KeyState::VerifyOnly),
            span(20.0, 36.0, KeyState::Retired),
        ];
        let second = [
            span(5.0, 10.0, KeyState::Prepared),
            span(10.0, 30.0, KeyState::Active),
            span(30.0, 36.0, KeyState::Revoked),
        ];
        let bars = [
            Bar { kid: kid("8b98b466aa"), spans: first.to_vec() },
            Bar { kid: kid("c41d09e7bb"), spans: second.to_vec() },
        ];
        let expected = [
            "              0 s       5 s       10 s      15 s      20 s      25 s      30 s      35 s",
            &format!("  8b98b466    {}{}{}", "█".repeat(20), "▒".repeat(20), "·".repeat(32)),
            &format!("  c41d09e7              {}{}{}", "░".repeat(10), "█".repeat(40), "╳".repeat(12)),
            "              ░ prepared  █ active  ▒ verify-only  · retired  ╳ revoked",
        ];
        assert_eq!(letters(&bars, 36.0).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(letters(&[], 36.0), "");
        assert_eq!(letters(&[Bar { kid: kid("a"), spans: Vec::new() }], 0.0), "");
    }
}
