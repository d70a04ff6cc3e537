//! Generated parts: what stands between `<!-- generated: NAME -->` and `<!-- end -->`.

mod cli;
mod configuration;
mod metrics;
mod policy;
mod refusals;
mod rejections;

use std::fmt::Write as _;

use crate::error::BookError;

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// `text` with its generated parts made anew.
pub fn refresh(page: &str, text: &str) -> Result<String, BookError> {
    let mut made = String::with_capacity(text.len());
    let mut inside = false;
    for (index, line) in text.lines().enumerate() {
        if inside && line == END {
            inside = false;
        }
        if !inside {
            made.push_str(line);
            made.push('\n');
        }
        if let Some(name) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->")) {
            let part = part(name)
                .ok_or_else(|| BookError::page(page, index, format!("no part is called {name:?}")))?;
            let _ = write!(made, "\n{}\n\n", part.trim());
            inside = true;
        }
    }
    if inside {
        return Err(BookError::page(page, text.lines().count(), format!("a part has no {END}")));
    }
    Ok(made)
}

fn part(name: &str) -> Option<String> {
    match name {
        "cli" => Some(cli::sections()),
        "configuration" => Some(configuration::table()),
        "exits" => Some(cli::exits()),
        "metrics" => Some(metrics::table()),
        "policy" => Some(policy::table()),
        "refusals" => Some(refusals::table()),
        "rejections" => Some(rejections::table()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_put_between_its_marks() {
        let page = "a\n<!-- generated: policy -->\nyesterday\n<!-- end -->\nb\n";
        let made = refresh("p.md", page).expect("the part exists");
        assert!(made.starts_with("a\n<!-- generated: policy -->\n\n| member |"), "{made}");
        assert!(made.ends_with("|\n\n<!-- end -->\nb\n"), "{made}");
        assert!(!made.contains("yesterday"));
        assert_eq!(refresh("p.md", &made).expect("it stays so"), made);
    }

    #[test]
    fn an_unknown_or_open_part_is_a_fault_of_the_page() {
        let unknown = refresh("p.md", "<!-- generated: x -->\n").expect_err("there is no x");
        assert_eq!(unknown.to_string(), "p.md:1: no part is called \"x\"");
        let open = refresh("p.md", "<!-- generated: policy -->\n").expect_err("it has no end");
        assert!(open.to_string().contains("has no <!-- end -->"));
    }
}
