//! The files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::BookError;
use crate::markdown;

/// What is no part of the repository, wherever it stands: each workspace has its own build.
const NOT_OURS: &[&str] = &["target", ".git"];

/// The shell's functions that tell stories on a cluster.
const STORIES: &str = "e2e/stories";

/// One text file of the repository.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Its path from the root, with `/`.
    pub name: String,
    /// What it holds.
    pub text: String,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every text file of the repository whose name ends with one of `endings`, by name.
pub fn files(endings: &[&str]) -> Result<Vec<TextFile>, BookError> {
    let mut found = Vec::new();
    walk(&root(), "", &mut |name, path| {
        if endings.iter().any(|ending| name.ends_with(ending)) {
            let text = fs::read_to_string(path).map_err(BookError::file("read", path))?;
            found.push(TextFile { name: name.to_owned(), text });
        }
        Ok(())
    })?;
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The Markdown pages of the repository.
pub fn pages() -> Result<Vec<TextFile>, BookError> {
    files(&[".md"])
}

/// The pages of the book, in its order.
pub fn book() -> Result<Vec<TextFile>, BookError> {
    let mut pages = Vec::new();
    let summary = root().join("docs/SUMMARY.md");
    let summary = fs::read_to_string(&summary).map_err(BookError::file("read", summary))?;
    for link in markdown::links(&summary) {
        let name = format!("docs/{}", link.target);
        let path = root().join(&name);
        let text = fs::read_to_string(&path).map_err(BookError::file("read", path))?;
        pages.push(TextFile { name, text });
    }
    Ok(pages)
}

/// The names of the tests in the repository's source, sorted: functions with a test attribute, the
/// public functions of a conformance suite, and the stories told on a real cluster.
pub fn test_names() -> Result<Vec<String>, BookError> {
    let mut names = Vec::new();
    for file in files(&[STORIES])? {
        names.extend(file.text.lines().filter_map(story_name).map(str::to_owned));
    }
    for file in files(&[".rs"])? {
        let suite = file.name.contains("/conformance/");
        let mut marked = false;
        for line in file.text.lines().map(str::trim) {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                marked = true;
            } else if let Some(name) = line.strip_prefix("pub ").and_then(function_name).filter(|_| suite) {
                names.push(name.to_owned());
            } else if let Some(name) = function_name(line).filter(|_| marked) {
                names.push(name.to_owned());
                marked = false;
            }
        }
    }
    names.sort();
    names.dedup();
    Ok(names)
}

fn story_name(line: &str) -> Option<&str> {
    line.strip_prefix("story_")?.strip_suffix("() {")
}

fn function_name(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    let (name, _) = line.strip_prefix("fn ")?.split_once('(')?;
    Some(name.trim())
}

fn walk(
    directory: &Path,
    prefix: &str,
    visit: &mut dyn FnMut(&str, &Path) -> Result<(), BookError>,
) -> Result<(), BookError> {
    let read = || BookError::file("read", directory);
    for entry in fs::read_dir(directory).map_err(read())? {
        let entry = entry.map_err(read())?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        let (name, path) = (format!("{prefix}{name}"), entry.path());
        let kind = entry.file_type().map_err(read())?;
        if kind.is_dir() {
            walk(&path, &format!("{name}/"), visit)?;
        } else if kind.is_file() {
            visit(&name, &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_of_this_file_are_found() {
        let names = test_names().expect("the source can be read");
        assert!(names.contains(&"the_tests_of_this_file_are_found".to_owned()));
        assert!(!names.contains(&"function_name".to_owned()));
        assert!(names.contains(&"t07_an_upgrade_without_a_change_keeps_the_keys".to_owned()), "a story");
    }

    #[test]
    fn functions_are_named_with_and_without_async() {
        assert_eq!(function_name("async fn a_b() {"), Some("a_b"));
        assert_eq!(function_name("fn a_b(x: u8) {"), Some("a_b"));
        assert_eq!(function_name("let a = b();"), None);
    }
}
