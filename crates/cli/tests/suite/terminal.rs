//! What is different on a terminal: colour, width, and a line that moves.

use crate::story::Stage;

const CODE: &str = "\x1b[";

#[test]
fn colour_is_for_terminals_that_want_it() {
    let mut pipe = Stage::new();
    pipe.keystile("keystile init");
    let plain = pipe.keystile("keystile status");
    assert!(!plain.contains(CODE));

    let mut terminal = Stage::new().at_terminal(110);
    terminal.keystile("keystile init");
    let coloured = terminal.keystile("keystile status");
    assert!(coloured.contains("\x1b[32mhealthy\x1b[0m"), "{coloured}");

    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut refused = Stage::new().at_terminal(110);
        refused.set(name, value);
        refused.keystile("keystile init");
        assert_eq!(refused.keystile("keystile status"), plain, "{name}");
    }
}

#[test]
fn a_picture_is_as_wide_as_its_terminal() {
    for columns in [60, 80, 200] {
        let mut stage = Stage::new().at_terminal(columns);
        stage.set("NO_COLOR", "1");
        stage.keystile("keystile init");
        let picture = stage.keystile("keystile status");
        let widest = picture.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(usize::from(columns)), "{columns}: {picture}");
    }
}

#[test]
fn a_rotation_that_waits_moves_one_line_and_leaves_none() {
    let mut stage = Stage::new().at_terminal(110);
    stage.keystile("keystile init");
    let said = stage.keystile("keystile rotate --offline --timeout 0");
    let moving = "outside verifiers' caches  ░░░░░░░░░░░░░░░░░░░░  0:00 of 5:00     Ctrl-C is safe: run it again to go on";
    assert!(said.contains(moving), "{said}");
    // The line is wiped before anything else is said.
    assert!(said.contains("\r\x1b[Krefused [caches-not-run-out]"), "{said}");
}

/// What moves the cursor is ours; what comes from outside moves none.
#[test]
fn a_watched_status_paints_over_itself() {
    let mut stage = Stage::new().at_terminal(110);
    stage.keystile("keystile init");
    let once = stage.keystile("keystile status");
    stage.heard(2);
    let watched = stage.keystile("keystile status --watch");
    let lines = once.replace('\n', "\x1b[K\n");
    assert_eq!(watched, format!("\x1b[2J\x1b[H{lines}\x1b[J\x1b[H{lines}\x1b[J"));
}

#[test]
fn variables_name_the_store() {
    let mut stage = Stage::new();
    stage.set("KEYSTILE_STORE", "elsewhere");
    stage.keystile("keystile init");
    assert!(stage.keystile("keystile status --store elsewhere").starts_with("keyring openshell"));
    assert!(stage.keystile("keystile status --store keystile").starts_with("? 5"));
}
