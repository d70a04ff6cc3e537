//! What ARCHITECTURE.md says of the crates is so.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use keystile_book::tree;

/// What the picture says of a crate.
struct Drawn {
    layer: u32,
    for_supervisors: bool,
}

fn architecture() -> String {
    fs::read_to_string(tree::root().join("ARCHITECTURE.md")).expect("the page can be read")
}

/// The crates in the picture: `4   operator     carries out the verbs`.
fn drawn(page: &str) -> BTreeMap<String, Drawn> {
    let picture = page.split("```text\n").nth(1).and_then(|rest| rest.split("```").next());
    let crates = picture.expect("the first picture is of the crates").lines().map(|line| {
        let (layer, rest) = line.split_once(' ').expect("a layer and a crate");
        let name = rest.split_whitespace().next().expect("a crate");
        let layer = layer.parse().expect("a number");
        (name.to_owned(), Drawn { layer, for_supervisors: line.ends_with('*') })
    });
    crates.collect()
}

/// The crates of this workspace that `name` depends on, for more than its tests.
fn dependencies(name: &str) -> Vec<String> {
    let path = tree::root().join("crates").join(name).join("Cargo.toml");
    let manifest = fs::read_to_string(path).expect("the crate has a manifest");
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap_or_default();
    let lines = section.lines().take_while(|line| !line.starts_with('['));
    let ours = lines.filter_map(|line| line.strip_prefix("keystile-"));
    ours.map(|line| line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn crates_depend_only_on_lower_layers() {
    let drawn = drawn(&architecture());
    for (name, of) in &drawn {
        for dependency in dependencies(name) {
            let lower = drawn.get(&dependency).expect("every crate that is depended on is in the picture");
            assert!(lower.layer < of.layer, "{name} depends on {dependency}, which is not below it");
            let fit = name != "supervisor" || lower.for_supervisors;
            assert!(fit, "{name} depends on {dependency}, which is not marked for it");
        }
    }
}

#[test]
fn every_crate_is_in_the_table() {
    let page = architecture();
    for entry in fs::read_dir(tree::root().join("crates")).expect("the crates can be listed") {
        let name = entry.expect("a crate").file_name().into_string().expect("a name in ASCII");
        assert!(page.contains(&format!("\n| `{name}` |")), "{name} is not in the table of crates");
    }
}

#[test]
fn files_that_the_page_names_exist() {
    let page = architecture();
    let files = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| Path::new(code).extension().is_some_and(|extension| extension == "rs"));
    for file in files {
        assert!(tree::root().join("crates").join(file).exists(), "there is no crates/{file}");
    }
}
