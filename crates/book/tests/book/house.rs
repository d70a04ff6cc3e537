//! House rules that no compiler checks.

use keystile_book::tree;

/// Lines in the longest source file that is allowed.
const LONGEST_FILE: usize = 800;

#[test]
fn no_source_file_is_too_long() {
    for file in tree::files(&[".rs"]).expect("the source can be read") {
        let lines = file.text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines; expected at most {LONGEST_FILE}", file.name);
    }
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let places =
        [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
    let endings =
        [".rs", ".md", ".toml", ".json", ".proto", ".sh", ".run", ".ci/run", ".yaml", ".yml", ".svg"];
    for file in tree::files(&endings).expect("the files can be read") {
        for place in places {
            assert!(!file.text.contains(place), "{} names {place}", file.name);
        }
    }
}

#[test]
fn no_file_refers_to_a_page_that_is_not_here() {
    let pages = [
        concat!("design", " section"),
        concat!("design", ".md"),
        concat!("contract", " section"),
        concat!("failure", "-modes"),
    ];
    for file in tree::files(&[".rs", ".md", ".toml", ".proto"]).expect("the files can be read") {
        for page in pages {
            assert!(!file.text.to_lowercase().contains(page), "{} refers to {page}", file.name);
        }
    }
}
