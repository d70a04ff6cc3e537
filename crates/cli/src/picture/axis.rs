//! The line of times above the bars.

use crate::picture::INDENT;
use crate::picture::window::{Window, nice};
use crate::when::When;

const NOW: &str = "now";
const DAY: u64 = 86_400;

/// The axis: the zone's name at the left, round times above their columns, and now.
pub(super) fn line(window: &Window, when: &When, left: usize) -> String {
    let mut row = vec![' '; window.columns + 8];
    place(&mut row, window.now_column.saturating_sub(1), NOW);
    let tick = nice(window.step.saturating_mul(12));
    let offset = when.zoned(when.now()).map_or(0, |now| i64::from(now.offset().seconds()));
    let mut at = first_tick(window.start.0, tick, offset);
    while at < window.end().0 {
        let instant = keystile_keyring::UnixTime(at);
        if let (Some(column), Some(text)) = (window.column(instant), text(when, instant, tick)) {
            place(&mut row, column, &text);
        }
        let Some(next) = at.checked_add(tick) else { break };
        at = next;
    }
    let row: String = row.into_iter().collect();
    let zone = when.zone_name();
    format!("{:INDENT$}{zone:<pad$}{}\n", "", row.trim_end(), pad = left - INDENT)
}

/// The first multiple of `tick` in local time that is not before `start`.
fn first_tick(start: u64, tick: u64, offset: i64) -> u64 {
    let local = start.saturating_add_signed(offset);
    local.div_ceil(tick).saturating_mul(tick).saturating_add_signed(-offset)
}

fn text(when: &When, at: keystile_keyring::UnixTime, tick: u64) -> Option<String> {
    let zoned = when.zoned(at)?;
    let midnight = zoned.hour() == 0 && zoned.minute() == 0 && zoned.second() == 0;
    let format = match tick {
        _ if tick > 31 * DAY => "%Y-%m",
        _ if tick >= DAY || midnight => "%b %d",
        60.. => "%H:%M",
        _ => "%H:%M:%S",
    };
    Some(zoned.strftime(format).to_string())
}

/// Writes `text` at `column` if nothing stands there or next to it.
fn place(row: &mut [char], column: usize, text: &str) {
    let length = text.chars().count();
    let around = column.saturating_sub(1)..(column + length + 1);
    let free = row.get(around).is_some_and(|cells| cells.iter().all(|cell| *cell == ' '));
    if free {
        for (cell, letter) in row.iter_mut().skip(column).zip(text.chars()) {
            *cell = letter;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_never_touch() {
        let mut row = vec![' '; 20];
        place(&mut row, 5, "now");
        place(&mut row, 1, "13:00");
        place(&mut row, 9, "14:00");
        assert_eq!(row.iter().collect::<String>().trim_end(), "     now 14:00");
    }

    #[test]
    fn ticks_are_round_in_local_time() {
        assert_eq!(first_tick(1001, 600, 0), 1200);
        assert_eq!(first_tick(1001, 3600, 1800), 1800);
        assert_eq!(first_tick(1200, 600, 0), 1200);
    }
}
