//! Operator stories: what is typed, and what is said. Each file in `tests/stories` is one, told in this
//! process with its own clock, randomness and store, and compared word for word.
//!
//! `KEYSTILE_BLESS=1 cargo test -p keystile --test suite` writes what is said now.

use std::path::{Path, PathBuf};

use crate::story::Stage;
use keystile_system::{Environment, ProcessEnvironment};

/// One test for each story, so that one that fails is named; and a test that none is left out.
macro_rules! stories {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            tell(stringify!($name));
        })+

        #[test]
        fn every_story_is_told() {
            let mut told = [$(stringify!($name).replace('_', "-")),+];
            told.sort();
            let mut files: Vec<String> = std::fs::read_dir(directory())
                .expect("the stories")
                .map(|entry| entry.expect("an entry").path())
                .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
                .collect();
            files.sort();
            assert_eq!(told.as_slice(), files.as_slice());
        }
    };
}

stories!(
    begin,
    rotate,
    rotate_by_schedule,
    rollback,
    revoke,
    retire,
    adopt,
    ensure,
    set_policy,
    tokens,
    json,
    refusals,
    mend,
    dry_runs,
);

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories")
}

fn tell(name: &str) {
    let path = directory().join(format!("{}.md", name.replace('_', "-")));
    let script = std::fs::read_to_string(&path).expect("the story");
    let told = Stage::new().tell(&script);
    if told == script {
        return;
    }
    if ProcessEnvironment.get("KEYSTILE_BLESS").is_some() {
        std::fs::write(&path, &told).expect("written");
        return;
    }
    panic!("{} is told differently now:\n{}", path.display(), difference(&script, &told));
}

/// The first lines in which two texts differ.
fn difference(before: &str, now: &str) -> String {
    let mut lines = before.lines().zip(now.lines()).enumerate();
    let at = lines.find(|(_, (before, now))| before != now).map_or(0, |(at, _)| at);
    let excerpt = |text: &str, mark| {
        let lines = text.lines().skip(at).take(12).map(|line| [mark, line, "\n"].concat());
        lines.collect::<String>()
    };
    format!("line {}\n{}{}", at + 1, excerpt(before, "- "), excerpt(now, "+ "))
}
