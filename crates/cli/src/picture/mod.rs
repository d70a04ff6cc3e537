//! The keyring at an instant, drawn for a terminal: a pure function of (manifest, reports, now, width).

mod axis;
mod bar;
mod facts;
mod label;
mod window;
mod wrap;

use keystile_keyring::{Digest, Manifest, ReplicaReport};

use crate::console::{Hue, Paint};
use crate::health::Problem;
use crate::when::When;

pub(crate) use facts::{gate_in_words, next_event, rollback};
pub(crate) use label::Labels;
pub(crate) use wrap::fold;

/// What is drawn, and how.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    /// The keyring.
    pub(crate) manifest: &'a Manifest,
    /// Digest of the manifest.
    pub(crate) digest: Digest,
    /// What the replicas have reported.
    pub(crate) reports: &'a [ReplicaReport],
    /// What is wrong, worst first.
    pub(crate) problems: &'a [Problem],
    /// The instant, and how instants are shown.
    pub(crate) when: &'a When,
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// Whether colours are written.
    pub(crate) paint: Paint,
}

/// The narrowest picture that is drawn; a narrower terminal folds its lines.
const NARROWEST: usize = 40;

/// Columns between the left margin and the bars.
const INDENT: usize = 2;

/// Draws the keyring: the answer first, then a bar for each key, then the facts.
pub(crate) fn draw(view: &View<'_>) -> String {
    let width = view.width.max(NARROWEST);
    let labels = Labels::of(view.manifest);
    let mut text = wrap::items(&facts::headline(view, &labels), " · ", width, 0);
    text.push('\n');
    text.push_str(&bars(view, &labels, width));
    text.push('\n');
    for (name, items) in facts::lines(view, &labels) {
        let line = wrap::items(&items, " · ", width.saturating_sub(facts::INDENT), facts::INDENT);
        let name = format!("{:INDENT$}{name:<pad$}", "", pad = facts::INDENT - INDENT);
        text.push_str(&view.paint.paint(Hue::Bold, &name));
        text.push_str(&line);
    }
    text
}

fn bars(view: &View<'_>, labels: &Labels, width: usize) -> String {
    let left = INDENT + labels.width() + 4;
    let words: Vec<String> =
        view.manifest.keys.iter().map(|key| facts::of_key(view.manifest, key, view.when)).collect();
    let longest = words.iter().map(|words| words.chars().count()).max().unwrap_or_default();
    let beside = width.saturating_sub(left + 2 + longest);
    let stacked = beside < window::FEWEST_COLUMNS;
    let columns = if stacked { width.saturating_sub(left) } else { beside };
    let window = window::Window::of(view.manifest, view.reports, view.when.now(), columns);
    let mut text = axis::line(&window, view.when, left);
    let mut seen = bar::Seen::default();
    for (key, words) in view.manifest.keys.iter().zip(&words).rev() {
        let cells = bar::cells(view.manifest, key, &window);
        seen.note(&cells);
        let bar = bar::paint(&cells, view.paint);
        let label = format!("{:INDENT$}{:<pad$}", "", labels.get(&key.kid), pad = left - INDENT);
        text.push_str(&label);
        if stacked {
            text.push_str(&format!("{}\n{:left$}{words}\n", bar.trim_end(), ""));
        } else {
            text.push_str(&format!("{bar}  {words}\n"));
        }
    }
    text.push_str(&format!("{:left$}{}\n", "", seen.legend(view.paint)));
    text
}

#[cfg(test)]
mod tests;
