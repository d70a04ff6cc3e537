//! One key's bar: its state in every column of the window.

use std::collections::BTreeSet;

use keystile_keyring::{Key, Manifest, UnixTime};

use crate::console::{Hue, Paint};
use crate::picture::window::Window;

/// What stands in one column of a bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cell {
    /// The key is not there yet, or not any more.
    Nothing,
    /// Published, does not sign.
    Prepared,
    /// Signs.
    Active,
    /// Verifies.
    VerifyOnly,
    /// Its window ends here.
    Retired,
    /// It was revoked here.
    Revoked,
    /// Goes on beyond the window, in the state before.
    GoesOn,
    /// Now.
    Now,
}

impl Cell {
    fn glyph(self) -> char {
        match self {
            Self::Nothing => ' ',
            Self::Prepared => '░',
            Self::Active => '█',
            Self::VerifyOnly => '▒',
            Self::Retired => '╳',
            Self::Revoked => '!',
            Self::GoesOn => '▶',
            Self::Now => '┃',
        }
    }

    fn hue(self) -> Option<Hue> {
        match self {
            Self::Nothing | Self::GoesOn => None,
            Self::Prepared => Some(Hue::Cyan),
            Self::Active => Some(Hue::Green),
            Self::VerifyOnly => Some(Hue::Yellow),
            Self::Retired | Self::Revoked => Some(Hue::Red),
            Self::Now => Some(Hue::Bold),
        }
    }

    fn meaning(self) -> Option<&'static str> {
        match self {
            Self::Nothing | Self::GoesOn | Self::Now => None,
            Self::Prepared => Some("prepared"),
            Self::Active => Some("active"),
            Self::VerifyOnly => Some("verify-only"),
            Self::Retired => Some("retired"),
            Self::Revoked => Some("revoked"),
        }
    }
}

/// The bar of `key` in `window`.
pub(super) fn cells(manifest: &Manifest, key: &Key, window: &Window) -> Vec<Cell> {
    let mut cells: Vec<_> =
        (0..window.columns).map(|column| state(manifest, key, window.instant(column))).collect();
    if let Some(last) = cells.last_mut()
        && !matches!(last, Cell::Nothing)
        && !matches!(state(manifest, key, window.end()), Cell::Nothing)
    {
        *last = Cell::GoesOn;
    }
    let retired = key.superseded.and_then(|superseded| superseded.accept_until);
    let end = match &key.revoked {
        Some(revoked) => Some((revoked.at, Cell::Revoked)),
        None => retired.map(|at| (at, Cell::Retired)),
    };
    mark(&mut cells, window.column(window.instant(window.now_column)), Cell::Now);
    if let Some((at, cell)) = end {
        mark(&mut cells, window.column(at), cell);
    }
    cells
}

fn mark(cells: &mut [Cell], column: Option<usize>, mark: Cell) {
    if let Some(cell) = column.and_then(|column| cells.get_mut(column)) {
        *cell = mark;
    }
}

/// The state of `key` at `at` as it was or will be: a key that is revoked now was not always.
fn state(manifest: &Manifest, key: &Key, at: UnixTime) -> Cell {
    if key.revoked.as_ref().is_some_and(|revoked| at >= revoked.at) {
        return Cell::Nothing;
    }
    let past = manifest.timeline.iter().filter(|activation| activation.from <= at);
    let last = past.clone().next_back();
    if last.is_some_and(|activation| activation.kid == key.kid) {
        return Cell::Active;
    }
    let ever = past.clone().any(|activation| activation.kid == key.kid);
    if !ever {
        return if at < key.created_at { Cell::Nothing } else { Cell::Prepared };
    }
    match key.superseded.and_then(|superseded| superseded.accept_until) {
        Some(until) if at > until => Cell::Nothing,
        _ => Cell::VerifyOnly,
    }
}

/// Cells as text, a colour for each run of equal ones.
pub(super) fn paint(cells: &[Cell], paint: Paint) -> String {
    let runs = cells.chunk_by(|one, other| one == other);
    let painted = runs.filter_map(|run| {
        let cell = *run.first()?;
        let text: String = run.iter().map(|cell| cell.glyph()).collect();
        Some(cell.hue().map_or_else(|| text.clone(), |hue| paint.paint(hue, &text)))
    });
    painted.collect()
}

/// Which states stand in the picture, for its legend.
#[derive(Default)]
pub(super) struct Seen(BTreeSet<Cell>);

impl Seen {
    /// Notes the states of one bar.
    pub(super) fn note(&mut self, cells: &[Cell]) {
        self.0.extend(cells);
    }

    /// `░ prepared  █ active`.
    pub(super) fn legend(&self, paint: Paint) -> String {
        let entries = self.0.iter().filter_map(|cell| {
            let glyph = cell.glyph().to_string();
            let glyph = cell.hue().map_or_else(|| glyph.clone(), |hue| paint.paint(hue, &glyph));
            cell.meaning().map(|meaning| format!("{glyph} {meaning}"))
        });
        entries.collect::<Vec<_>>().join("  ")
    }
}
