//! Every page is what the source says, and what it points to is there.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use keystile_book::tree::{self, TextFile};
use keystile_book::{columns, markdown, parts};
use keystile_gateway::{METRICS, VIEWED};

fn pages() -> Vec<TextFile> {
    tree::pages().expect("the pages can be read")
}

fn join(page: &str, target: &str) -> String {
    let mut path = PathBuf::new();
    for part in Path::new(page).parent().expect("a page is a file").join(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{page}: {target} leaves the repository"),
            other => path.push(other),
        }
    }
    path.to_string_lossy().into_owned()
}

#[test]
fn generated_parts_are_current() {
    for page in pages() {
        let made = parts::refresh(&page.name, &page.text).expect("its parts can be made");
        assert!(made == page.text, "{}: run cargo run -p keystile-book -- generate", page.name);
    }
}

#[test]
fn columns_of_tests_are_current() {
    let tests = tree::test_names().expect("the source can be read");
    for page in pages() {
        let made = columns::refresh(&page.name, &page.text, &tests).expect("every row has a test");
        assert!(made == page.text, "{}: run cargo run -p keystile-book -- generate", page.name);
    }
}

#[test]
fn tests_named_by_hand_exist() {
    let tests: BTreeSet<String> = tree::test_names().expect("the source can be read").into_iter().collect();
    for page in pages() {
        for (index, test) in columns::named_by_hand(&page.text) {
            assert!(tests.contains(test), "{}:{}: there is no test {test}", page.name, index + 1);
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let pages = pages();
    for page in &pages {
        for link in markdown::links(&page.text) {
            let place = format!("{}:{}: {}", page.name, link.index + 1, link.target);
            if link.target.starts_with("https://") {
                continue;
            }
            let (path, anchor) = link.target.split_once('#').unwrap_or((link.target, ""));
            let name = if path.is_empty() { page.name.clone() } else { join(&page.name, path) };
            assert!(tree::root().join(&name).exists(), "{place}: there is no {name}");
            let anchors =
                pages.iter().find(|other| other.name == name).map(|page| markdown::anchors(&page.text));
            let found =
                anchor.is_empty() || anchors.is_some_and(|anchors| anchors.iter().any(|a| a == anchor));
            assert!(found, "{place}: {name} has no heading for #{anchor}");
        }
    }
}

#[test]
fn the_summary_lists_every_page_of_the_book_once() {
    let pages = pages();
    let summary = pages.iter().find(|page| page.name == "docs/SUMMARY.md").expect("the book has a summary");
    let mut listed: Vec<_> =
        markdown::links(&summary.text).iter().map(|link| join("docs/SUMMARY.md", link.target)).collect();
    listed.sort();
    let in_book = |page: &&TextFile| page.name.starts_with("docs/") && page.name != "docs/SUMMARY.md";
    let there: Vec<_> = pages.iter().filter(in_book).map(|page| page.name.clone()).collect();
    assert_eq!(listed, there);
}

#[test]
fn metrics_that_pages_name_exist() {
    let known: BTreeSet<&str> = METRICS.iter().chain(VIEWED).map(|metric| metric.name).collect();
    for page in tree::files(&[".md", ".yaml"]).expect("the pages can be read") {
        let words = page.text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for name in words.filter_map(|word| word.strip_prefix("keystile_")) {
            let is_crate = tree::root().join("crates").join(name).exists();
            let found = known.contains(name.strip_suffix("_total").unwrap_or(name));
            assert!(is_crate || found, "{}: there is no metric keystile_{name}", page.name);
        }
    }
}

#[test]
fn every_shape_of_json_output_is_in_the_reference() {
    let source = tree::files(&[".rs"]).expect("the source can be read");
    let answers = source.iter().filter(|file| file.name.starts_with("crates/cli/src/"));
    let quoted = answers.flat_map(|file| file.text.split('"').skip(1).step_by(1));
    let shapes: BTreeSet<_> =
        quoted.filter(|text| text.starts_with("keystile/") && text.ends_with("/v1")).collect();
    assert!(shapes.contains("keystile/status/v1"), "{shapes:?}");
    let pages = pages();
    let page = pages.iter().find(|page| page.name == "docs/reference/json.md").expect("there is a reference");
    for shape in shapes {
        assert!(page.text.contains(&format!("| `{shape}` |")), "{} does not list {shape}", page.name);
    }
}
