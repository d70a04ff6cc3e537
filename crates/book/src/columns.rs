//! Columns of tests: which test guards which line.
//!
//! In a table whose last column is headed `Tests by name`, that column is made from the source: the row
//! of `T05` names the tests that begin with `t05_`. Where there is none, a cell that begins with `–` must
//! say why. In a table whose last column is headed `Tests`, it is written by hand, and every name in
//! backticks there must be a test.

use crate::error::BookError;
use crate::markdown::{self, cells};

const BY_NAME: &str = "Tests by name";
const BY_HAND: &str = "Tests";
/// What a cell begins with that says why there is no test.
const NONE: &str = "–";

/// `text` with its columns of tests made anew from `tests`, the names of all tests.
pub fn refresh(page: &str, text: &str, tests: &[String]) -> Result<String, BookError> {
    let mut made = String::with_capacity(text.len());
    let mut heading = None;
    for line in markdown::lines(text) {
        let row = cells(line.text).filter(|_| !line.fenced);
        let fresh = match (&row, heading) {
            (Some(row), Some(BY_NAME)) => by_name(page, line.index, row, tests)?,
            _ => None,
        };
        made.push_str(&fresh.unwrap_or_else(|| line.text.to_owned()));
        made.push('\n');
        heading = match row {
            None => None,
            Some(row) => heading.or(row.last().copied()),
        };
    }
    Ok(made)
}

fn by_name(page: &str, index: usize, row: &[&str], tests: &[String]) -> Result<Option<String>, BookError> {
    let [id, middle @ .., last] = row else {
        return Ok(None);
    };
    if id.starts_with('-') {
        return Ok(None);
    }
    let prefix = format!("{}_", id.to_lowercase());
    let named: Vec<_> =
        tests.iter().filter(|test| test.starts_with(&prefix)).map(|test| format!("`{test}`")).collect();
    if named.is_empty() && last.starts_with(NONE) {
        return Ok(None);
    }
    if named.is_empty() {
        return Err(BookError::page(page, index, format!("no test begins with {prefix}")));
    }
    Ok(Some(format!("| {id} | {} | {} |", middle.join(" | "), named.join(" "))))
}

/// The tests that the page names by hand, with their lines from 0.
pub fn named_by_hand(text: &str) -> Vec<(usize, &str)> {
    let mut heading = None;
    let mut named = Vec::new();
    for line in markdown::lines(text) {
        let row = cells(line.text).filter(|_| !line.fenced);
        let last = row.and_then(|row| row.last().copied());
        match (last, heading) {
            (Some(cell), Some(BY_HAND)) => {
                named.extend(cell.split('`').skip(1).step_by(2).map(|test| (line.index, test)));
            }
            (Some(cell), None) => heading = Some(cell),
            (Some(_), Some(_)) => {}
            (None, _) => heading = None,
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "| Line | What | Tests by name |\n|---|---|---|\n| T05 | restart | |\n| T07 | helm | – no helm |\n";

    #[test]
    fn a_row_names_the_tests_that_begin_with_it() {
        let tests = ["t05_a".to_owned(), "t05_b".to_owned(), "t051_c".to_owned()];
        let made = refresh("p.md", PAGE, &tests).expect("every row has a test");
        assert!(made.contains("| T05 | restart | `t05_a` `t05_b` |"), "{made}");
        assert!(made.contains("| T07 | helm | – no helm |"), "{made}");
        assert_eq!(refresh("p.md", &made, &tests).expect("it stays so"), made);
    }

    #[test]
    fn a_row_without_a_test_is_a_fault_of_the_page() {
        let error = refresh("p.md", PAGE, &[]).expect_err("nothing guards T05");
        assert_eq!(error.to_string(), "p.md:3: no test begins with t05_");
    }

    #[test]
    fn tests_named_by_hand_are_those_in_backticks() {
        let page = "| I | Tests |\n|---|---|\n| I1 | `a_b`, `c` |\n\n| I | Else |\n|---|---|\n| I1 | `d` |\n";
        assert_eq!(named_by_hand(page), [(2, "a_b"), (2, "c")]);
    }
}
