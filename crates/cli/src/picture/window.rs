//! The stretch of time that the picture shows, and its columns.

use keystile_keyring::{Fleet, Gate, Manifest, ReplicaReport, UnixTime};

/// A bar with fewer columns says too little.
pub(super) const FEWEST_COLUMNS: usize = 32;

/// A bar with more columns is hard to follow.
const MOST_COLUMNS: usize = 72;

/// What is shown ahead when nothing is known to come, in seconds.
const QUIET: u64 = 3600;

/// Seconds that a column, or the distance between two labels, may stand for.
pub(super) const NICE: [u64; 27] = [
    1, 2, 5, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800, 3600, 7200, 10_800, 14_400, 21_600,
    43_200, 86_400, 172_800, 604_800, 1_209_600, 2_592_000, 31_536_000,
];

/// The stretch of time that is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// The first instant.
    pub(super) start: UnixTime,
    /// Seconds per column.
    pub(super) step: u64,
    /// Columns.
    pub(super) columns: usize,
    /// The column that begins with now.
    pub(super) now_column: usize,
}

impl Window {
    /// A window around `now` in which everything that is known to come can be seen.
    pub(super) fn of(manifest: &Manifest, reports: &[ReplicaReport], now: UnixTime, columns: usize) -> Self {
        let ends = manifest.keys.iter().filter_map(|key| key.superseded?.accept_until);
        let activations = manifest.timeline.iter().map(|activation| activation.from);
        let gate = manifest.operation.iter().filter_map(|operation| {
            match manifest.gate(operation, reports, Fleet::Reporting, now) {
                Gate::Caches { until, .. } => Some(until),
                _ => None,
            }
        });
        let last = ends.chain(activations).chain(gate).max().unwrap_or(now);
        let ahead = match last.since(now) {
            0 => QUIET,
            seconds => seconds,
        };
        Self::ahead(now, ahead, columns)
    }

    fn ahead(now: UnixTime, ahead: u64, columns: usize) -> Self {
        let columns = columns.clamp(1, MOST_COLUMNS);
        let before = columns * 2 / 5;
        // Three columns are kept free at the right, so that an end that is shown stands clear of the edge.
        let after = (columns - before).saturating_sub(3).max(1) as u64;
        let step = nice(ahead.div_ceil(after));
        let start = now.minus(step.saturating_mul(before as u64));
        let now_column = usize::try_from(now.since(start) / step).unwrap_or(before);
        Self { start, step, columns, now_column }
    }

    /// The first instant of a column.
    pub(super) fn instant(&self, column: usize) -> UnixTime {
        self.start.plus(self.step.saturating_mul(column as u64))
    }

    /// The column that holds an instant.
    pub(super) fn column(&self, at: UnixTime) -> Option<usize> {
        let column = usize::try_from(at.0.checked_sub(self.start.0)? / self.step).ok()?;
        (column < self.columns).then_some(column)
    }

    /// The first instant that is not shown any more.
    pub(super) fn end(&self) -> UnixTime {
        self.instant(self.columns)
    }
}

/// The least nice number of seconds that is not less than `seconds`.
pub(super) fn nice(seconds: u64) -> u64 {
    let year = 31_536_000;
    let found = NICE.into_iter().find(|nice| *nice >= seconds);
    found.unwrap_or_else(|| seconds.div_ceil(year).saturating_mul(year)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_in_the_window() {
        let now = UnixTime(1_000_000);
        for columns in [1, 5, 32, 46, 72, 500] {
            for ahead in [1, 59, 3600, 4000, 86_400 * 365, 86_400 * 3650] {
                let window = Window::ahead(now, ahead, columns);
                if columns >= 32 {
                    assert!(window.column(now.plus(ahead)).is_some(), "{columns} columns, {ahead} s");
                }
                assert!(window.columns <= MOST_COLUMNS);
                assert!(window.column(now).is_some_and(|column| column == window.now_column));
            }
        }
    }

    #[test]
    fn the_beginning_of_time_is_no_obstacle() {
        let window = Window::ahead(UnixTime(10), 86_400, 40);
        assert_eq!(window.start, UnixTime::EPOCH);
        assert_eq!(window.now_column, 0);
    }

    #[test]
    fn nice_numbers_are_not_less() {
        assert_eq!([0, 1, 3, 61, 86_401].map(nice), [1, 1, 5, 120, 172_800]);
        assert_eq!(nice(31_536_001), 2 * 31_536_000);
        assert!(nice(u64::MAX) >= 31_536_000);
    }
}
