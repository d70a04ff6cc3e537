//! The help of every verb, compared word for word with `tests/help`.
//!
//! `KEYSTILE_BLESS=1 cargo test -p keystile --test suite` writes what is said now.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::story::Stage;
use keystile_system::{Environment, ProcessEnvironment};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help")
}

/// The verbs that the program's own help lists.
fn verbs(help: &str) -> Vec<&str> {
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs = commands.take_while(|line| !line.is_empty()).filter(|line| line.starts_with("  "));
    verbs.filter_map(|line| line.get(2..)?.split(' ').next().filter(|verb| !verb.is_empty())).collect()
}

#[test]
fn the_help_of_every_verb_is_as_expected() {
    let mut stage = Stage::new();
    let own = stage.keystile("keystile --help");
    let verbs = verbs(&own);
    assert!(verbs.len() > 20, "{verbs:?}");
    let bless = ProcessEnvironment.get("KEYSTILE_BLESS").is_some();
    let mut expected = BTreeSet::from(["keystile.txt".to_owned()]);
    check("keystile.txt", &own, bless);
    for verb in verbs.into_iter().filter(|verb| *verb != "help") {
        let help = stage.keystile(&format!("keystile {verb} --help"));
        let name = format!("{verb}.txt");
        check(&name, &help, bless);
        expected.insert(name);
    }
    let files = std::fs::read_dir(directory()).expect("the directory");
    let files: BTreeSet<String> =
        files.map(|file| file.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    assert_eq!(files, expected, "a help text that no verb has, or a verb without one");
}

fn check(name: &str, said: &str, bless: bool) {
    let path = directory().join(name);
    if bless {
        std::fs::create_dir_all(directory()).expect("made");
        std::fs::write(&path, said).expect("written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == said, "{} says something else now:\n{said}", path.display());
}

/// Verbs that change nothing, write nothing but what they are told to, or go on until they are stopped. Every
/// other one can be tried first.
const NOTHING_TO_TRY: [&str; 9] =
    ["status", "plan", "serve", "supervise", "verify", "inspect", "jwks", "doctor", "completions"];

#[test]
fn every_verb_that_writes_has_a_dry_run_and_every_verb_has_json() {
    let mut stage = Stage::new();
    let (own, plan) = (stage.keystile("keystile --help"), stage.keystile("keystile plan --help"));
    let mut changes: BTreeSet<&str> = verbs(&plan).into_iter().collect();
    for verb in verbs(&own).into_iter().filter(|verb| *verb != "help") {
        let help = stage.keystile(&format!("keystile {verb} --help"));
        assert_eq!(help.contains("      --dry-run\n"), !NOTHING_TO_TRY.contains(&verb), "{verb}");
        assert!(help.contains("--output <OUTPUT>"), "{verb}");
        assert!(help.contains("[default: text]"), "{verb}");
        changes.remove(verb);
    }
    assert_eq!(changes, BTreeSet::from(["help"]), "plan knows a verb that is none");
}

/// A verb that nobody tells about cannot be found.
#[test]
fn every_verb_has_its_section_its_answer_to_programs_and_a_text_that_is_compared() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).expect("the page");
    let (reference, json) = (read("../../docs/reference/cli.md"), read("../../docs/reference/json.md"));
    let stories = std::fs::read_dir(root.join("tests/stories")).expect("the stories");
    let stories: Vec<String> =
        stories.map(|story| std::fs::read_to_string(story.expect("one").path()).expect("a story")).collect();
    let mut stage = Stage::new();
    let (own, plan) = (stage.keystile("keystile --help"), stage.keystile("keystile plan --help"));
    let changes = verbs(&plan);
    for verb in verbs(&own).into_iter().filter(|verb| *verb != "help") {
        assert!(reference.contains(&format!("\n## keystile {verb}\n")), "{verb} is not in cli.md");
        let answers = json.contains(&format!("`{verb}`")) || changes.contains(&verb);
        assert!(answers, "{verb} is not in json.md");
        let told = format!("\n$ keystile {verb}");
        let is_told = |story: &String| {
            story.match_indices(&told).any(|(at, told)| story[at + told.len()..].starts_with([' ', '\n']))
        };
        assert!(stories.iter().any(is_told), "no story tells what {verb} says");
    }
}

#[test]
fn every_verb_has_a_manual_page_and_every_shell_its_completions() {
    let mut stage = Stage::new();
    let own = stage.keystile("keystile --help");
    for verb in verbs(&own).into_iter().filter(|verb| *verb != "help") {
        let page = stage.keystile(&format!("keystile man {verb}"));
        assert!(page.contains(".SH NAME") && page.contains(verb), "{verb}: {page}");
    }
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = stage.keystile(&format!("keystile completions {shell}"));
        assert!(script.contains("rollback"), "{shell}");
    }
    let said = stage.keystile("keystile man --out ./man --dry-run");
    assert!(said.contains("  ./man/keystile-rotate.1\n") && !stage.path("man").exists(), "{said}");
    let said = stage.keystile("keystile man --out ./man");
    assert!(stage.path("man/keystile-rotate.1").exists());
    assert!(said.ends_with("pages written to ./man\n"), "{said}");
}
