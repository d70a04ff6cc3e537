//! Tables of the page.

use std::fmt::Write as _;

use crate::svg::escape;

/// What stands in a cell.
pub enum Cell {
    /// Text.
    Text(String),
    /// A number, on the right.
    Number(String),
    /// An instant, or other text that must not be broken.
    Time(String),
    /// Text in the letters of code.
    Code(String),
    /// Whether it is as it must be.
    Holds(bool),
    /// Text, and lines that show when asked for.
    Details(String, Vec<String>),
}

impl Cell {
    /// Text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number.
    pub fn number(number: impl Into<String>) -> Self {
        Self::Number(number.into())
    }

    fn html(&self) -> String {
        match self {
            Self::Text(text) => format!("<td>{}</td>", escape(text)),
            Self::Number(text) => format!("<td class=\"n\">{}</td>", escape(text)),
            Self::Time(text) => format!("<td class=\"t\">{}</td>", escape(text)),
            Self::Code(text) => format!("<td><code>{}</code></td>", escape(text)),
            Self::Holds(true) => {
                "<td class=\"yes\"><span role=\"img\" aria-label=\"yes\">✓</span></td>".to_owned()
            }
            Self::Holds(false) => {
                "<td class=\"no\"><span role=\"img\" aria-label=\"no\">✗</span></td>".to_owned()
            }
            Self::Details(text, lines) if lines.is_empty() => format!("<td>{}</td>", escape(text)),
            Self::Details(text, lines) => {
                let lines = lines.iter().map(|line| format!("<li>{}</li>", escape(line)));
                let count = lines.len();
                let word = if count == 1 { "line" } else { "lines" };
                format!(
                    "<td>{}<details><summary>{count} {word}</summary><ul>{}</ul></details></td>",
                    escape(text),
                    lines.collect::<String>()
                )
            }
        }
    }

    fn is_numeric(&self) -> bool {
        matches!(self, Self::Number(_))
    }

    fn is_bad(&self) -> bool {
        matches!(self, Self::Holds(false))
    }
}

/// A table with these heads; nothing if there are no rows.
pub fn table(heads: &[&str], rows: &[Vec<Cell>]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let mut html = String::from("<div class=\"wrap\"><table>\n<thead><tr>");
    for (head, cell) in heads.iter().zip(first) {
        let class = if cell.is_numeric() { " class=\"n\"" } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(html, "<th scope=\"col\"{class}>{}</th>", escape(head));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        let class = if row.iter().any(Cell::is_bad) { " class=\"bad\"" } else { "" };
        let _ = writeln!(html, "<tr{class}>{}</tr>", row.iter().map(Cell::html).collect::<String>());
    }
    html.push_str("</tbody></table></div>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_safe_and_say_what_they_are() {
        let rows = [
            vec![Cell::text("<b>"), Cell::number("1,000"), Cell::Holds(true)],
            vec![Cell::Details("x".into(), vec!["y & z".into()]), Cell::number("2"), Cell::Holds(false)],
        ];
        let html = table(&["what", "how many", ""], &rows);
        assert!(html.contains("<td>&lt;b&gt;</td><td class=\"n\">1,000</td>"));
        assert!(html.contains("<th scope=\"col\" class=\"n\">how many</th>"));
        assert!(
            html.contains("<tr class=\"bad\"><td>x<details><summary>1 line</summary><ul><li>y &amp; z</li>")
        );
        assert!(html.contains("aria-label=\"no\""));
    }

    #[test]
    fn a_table_without_rows_is_no_table() {
        assert_eq!(table(&["a"], &[]), "");
    }
}
