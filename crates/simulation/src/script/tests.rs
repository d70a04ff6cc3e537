use std::time::Duration;

use keystile_keyring::{Code, Policy};

use super::*;

const TEXT: &str = "\
at 10m rotate
at 15m rotate --emergency
at 30m retire verify-only expect live-tokens
at 31m retire key-1 --force
at 40m rollback
at 50m outage for 7m48s
at 1h15m revoke active --descendants
at 1h30m prune
at 2h end
";

#[test]
fn a_script_reads_as_it_is_written() {
    let script = parse(TEXT).unwrap();
    assert_eq!(script.to_string(), TEXT);
    assert_eq!(script.steps[2].expect, Some(Code::LiveTokens));
    assert_eq!(script.end, Some(Moment::at_seconds(7200)));
}

#[test]
fn steps_are_put_in_order_and_comments_left_out() {
    let script = parse("# all of it\nat 20s rollback # back\n\nat 1500ms rotate\n").unwrap();
    assert_eq!(script.to_string(), "at 1500ms rotate\nat 20s rollback\n");
}

#[test]
fn an_error_says_line_found_and_expected() {
    let said = [
        ("rotate", "script line 1: found \"rotate\"; expected at, as in: at 10m rotate"),
        ("at 5 rotate", "script line 1: found \"5\"; expected an instant such as 90s, 10m or 1h30m"),
        ("at 5m dance", "script line 1: found \"dance\"; expected rotate, rollback"),
        ("\nat 5m revoke", "script line 2: found the end of the line; expected a key"),
        ("at 5m revoke key-0", "found \"key-0\"; expected a key"),
        ("at 5m retire active expect nonsense", "found \"nonsense\"; expected a refusal's code"),
        ("at 5m outage 8m", "found \"8m\"; expected for, as in: outage for 8m"),
        ("at 5m outage for 8m expect live-tokens", "only an operation can be refused"),
        ("at 169h rotate", "expected at most 168h"),
        ("at 99999999999h rotate", "expected an instant"),
        ("at 5m end now", "found \"now\"; expected the end of the line"),
    ];
    for (text, expected) in said {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let many = "at 1s prune\n".repeat(MOST_STEPS + 1);
    assert_eq!(parse(&many).unwrap_err(), ScriptError::TooMany { found: MOST_STEPS + 1 });
}

#[test]
fn an_outage_has_a_start_and_a_length() {
    let step = parse_outage("50m+8m").unwrap();
    assert_eq!((step.at, step.action), (Moment::at_seconds(3000), Action::Outage(Duration::from_mins(8))));
    for wrong in ["", "50m", "+8m", "50m+", "50m+0s", "8m-3m", "999h+1m"] {
        let error = parse_outage(wrong).unwrap_err().to_string();
        assert!(error.contains("such as 50m+8m"), "{wrong}: {error}");
    }
}

#[test]
fn the_usual_script_takes_two_hours_of_the_usual_policy() {
    let script = usual(&Policy::default());
    assert_eq!(
        script.to_string(),
        "at 10m rotate\nat 35m rollback\nat 50m outage for 7m48s\nat 1h15m revoke active\n\
         at 1h35m revoke active --descendants\nat 1h50m end\n"
    );
}
