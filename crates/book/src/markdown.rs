//! As much Markdown as the pages use.

/// One line of a page, and whether it stands in a fenced block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its number, from 0.
    pub index: usize,
    /// The line.
    pub text: &'a str,
    /// Whether it is in a fenced block, or its fence.
    pub fenced: bool,
}

/// The lines of a page.
pub fn lines(page: &str) -> impl Iterator<Item = Line<'_>> {
    let mut open = false;
    page.lines().enumerate().map(move |(index, text)| {
        let fence = text.trim_start().starts_with("```");
        let fenced = open || fence;
        open ^= fence;
        Line { index, text, fenced }
    })
}

/// A link of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link<'a> {
    /// The line it stands on, from 0.
    pub index: usize,
    /// What it points to.
    pub target: &'a str,
}

/// The links and pictures of a page: `[text](target)`, outside of code.
pub fn links(page: &str) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    for line in lines(page).filter(|line| !line.fenced) {
        // Every second piece stands between backticks, and is code.
        for prose in line.text.split('`').step_by(2) {
            let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
            found.extend(targets.map(|(target, _)| Link { index: line.index, target }));
        }
    }
    found
}

/// The anchors of a page's headings, as GitHub and mdBook make them.
pub fn anchors(page: &str) -> Vec<String> {
    let headings = lines(page).filter(|line| !line.fenced).filter_map(|line| {
        let title = line.text.trim_start_matches('#');
        (title.len() < line.text.len()).then(|| title.strip_prefix(' ')).flatten()
    });
    headings.map(anchor).collect()
}

fn anchor(title: &str) -> String {
    let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect::<String>().to_lowercase()
}

/// The cells of a table's row; `None` if the line is no row.
pub fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# One `two` (three)\n\n[a](b.md) and ![c](d.svg), not `[e](f)`\n```sh\n[g](h)\n# no heading\n```\n## After\n";

    #[test]
    fn links_are_found_outside_of_code() {
        let targets: Vec<_> = links(PAGE).iter().map(|link| link.target).collect();
        assert_eq!(targets, ["b.md", "d.svg"]);
    }

    #[test]
    fn anchors_are_those_of_headings_outside_of_code() {
        assert_eq!(anchors(PAGE), ["one-two-three", "after"]);
    }

    #[test]
    fn a_row_has_its_cells() {
        assert_eq!(cells("| a | b c |"), Some(vec!["a", "b c"]));
        assert_eq!(cells("no row"), None);
    }
}
