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
