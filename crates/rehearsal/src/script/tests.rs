use keystile_keyring::Policy;

use super::*;
use crate::scale::scaled_policy;

const EVERYTHING: &str = "\
at 4s rotate
at 5s rotate --emergency
at 9s retire verify-only expect live-tokens
at 12600ms kill gateway-2 for 1500ms
at 13s restart gateway-1 for 500ms
at 14s freeze gateway-3 for 2s
at 15s hide-store for 2s
at 20s rollback
at 26s revoke active
at 27s revoke key-2 --descendants
at 31s retire verify-only --force
at 32s prune
at 33s reconcile
at 44s end
";

fn usual_script() -> Script {
    usual(&scaled_policy(&Policy::default(), None), 3)
}

fn wrong(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn a_script_is_written_as_it_is_read() {
    let script = parse(EVERYTHING).expect("every step of the language");
    assert_eq!(script.to_string(), EVERYTHING);
    assert_eq!(script.steps.len(), 13);
    assert_eq!(script.end, Some(Duration::from_secs(44)));
}

#[test]
fn comments_blanks_and_order_do_not_matter() {
    let text = "# two steps\n\n  at 2.5s   rollback # back\nat 1s rotate\r\n";
    assert_eq!(parse(text).expect("a script").to_string(), "at 1s rotate\nat 2500ms rollback\n");
}

#[test]
fn a_script_in_which_nothing_happens_is_refused() {
    for empty in ["", "\n \n", "# nothing yet\n"] {
        assert_eq!(wrong(empty), "the script is empty; expected at least one step, as in: at 4s rotate");
    }
    parse("at 2s end").expect("load alone is a rehearsal");
}

#[test]
fn steps_after_the_end_are_refused() {
    let late = "comes after the end; expected it by then, or a later end than \"at 6s end\"";
    assert_eq!(
        wrong("at 4s rotate\nat 6s end\nat 6001ms rollback"),
        format!("the step \"at 6001ms rollback\" {late}")
    );
    assert_eq!(wrong("at 6s end\nat 7s rotate"), format!("the step \"at 7s rotate\" {late}"));
    assert_eq!(wrong("at 4s end\nat 6s end"), "script line 2: found a second end; expected one");
    parse("at 6s end\nat 6s rotate").expect("with the end");
}

#[test]
fn an_error_says_line_found_and_expected() {
    assert_eq!(
        wrong("at 1s rotate\n\nat 2s rotat"),
        "script line 3: found \"rotat\"; expected rotate, rollback, revoke, retire, prune, reconcile, kill, \
         restart, freeze, hide-store or end"
    );
    assert_eq!(wrong("rotate"), "script line 1: found \"rotate\"; expected at, as in: at 4s rotate");
    assert_eq!(
        wrong("at soon rotate"),
        "script line 1: found \"soon\"; expected an instant such as 4s, 1500ms or 1.5s"
    );
    assert_eq!(
        wrong("at 1s kill gateway-99 for 1s"),
        "script line 1: found \"gateway-99\"; expected a replica, gateway-1 to gateway-16"
    );
    assert_eq!(
        wrong("at 1s kill gateway-1"),
        "script line 1: found the end of the line; expected for, as in: for 1500ms"
    );
    assert_eq!(
        wrong("at 1s revoke it"),
        "script line 1: found \"it\"; expected a key: active, verify-only, or key-1, key-2 … as they appear"
    );
    assert_eq!(
        wrong("at 1s rollback now"),
        "script line 1: found \"now\"; expected the end of the line, or: expect CODE"
    );
    assert_eq!(
        wrong("at 1s rollback expect trouble"),
        "script line 1: found \"trouble\"; expected a refusal's code, such as live-tokens"
    );
}

#[test]
fn hostile_scripts_are_refused() {
    for text in [
        "at",
        "at 1s",
        "at s rotate",
        "at -1s rotate",
        "at 1h rotate",
        "at 61m rotate",
        "at 1e9s rotate",
        "at nans rotate",
        "at infs rotate",
        "at 1.2.3s rotate",
        "at 1s end now",
        "at 1s freeze gateway-1 for ever",
        "at 1s hide-store for 2s expect live-tokens",
        "at 1s revoke key-0",
        "at 1s revoke key-201",
        "at 1s rotate expect",
        "at 1s rotate expect live-tokens now",
        "\0",
        "at 1s kill gateway-1 for 61m",
    ] {
        let error = parse(text).expect_err(text);
        assert!(matches!(error, ScriptError::Line { line: 1, .. }), "{text}: {error}");
    }
    let many = "at 1s rotate\n".repeat(201);
    assert!(matches!(parse(&many), Err(ScriptError::TooLarge { what: "steps", .. })));
    assert!(matches!(parse(&"#".repeat(17_000)), Err(ScriptError::TooLarge { what: "bytes", .. })));
    let long = format!("at 1s {}", "x".repeat(500));
    assert!(wrong(&long).len() < 300, "what is found is cut");
}

#[test]
fn the_usual_script_fits_the_usual_policy() {
    let expected = "\
at 4s rotate
at 9s retire verify-only expect live-tokens
at 11s rotate
at 11600ms kill gateway-2 for 1500ms
at 18s rollback
at 26s retire verify-only --force
at 27s revoke active
at 30s revoke active --descendants
at 39s end
";
    assert_eq!(usual_script().to_string(), expected);
    assert_eq!(parse(expected).expect("it is a script"), usual_script());
}

#[test]
fn a_longer_life_stretches_the_usual_script() {
    let policy = scaled_policy(&Policy::default(), Some(20));
    let script = usual(&policy, 1);
    assert!(script.to_string().contains("kill gateway-1 for"), "{script}");
    assert!(script.ends_at(Duration::ZERO) > Duration::from_mins(1), "{script}");
    script.check_replicas(1).expect("only gateway-1");
}

#[test]
fn a_policy_without_expiry_expects_another_refusal() {
    let policy = scaled_policy(&Policy { token_ttl: 0, ..Policy::default() }, None);
    assert!(usual(&policy, 3).to_string().contains("retire verify-only expect deadline-required"));
}

#[test]
fn every_named_fault_can_be_added() {
    for (name, _) in FAULTS {
        let script = with_fault(usual_script(), name, 3).expect(name);
        assert!(script.steps.len() > usual_script().steps.len(), "{name}");
        assert!(script.steps.is_sorted_by_key(|step| step.at), "{name}");
        script.check_replicas(3).expect(name);
    }
}

#[test]
fn a_fault_may_be_a_whole_step() {
    let script = with_fault(usual_script(), "at 15s freeze gateway-3 for 2s", 3).expect("a step");
    assert!(script.to_string().contains("at 15s freeze gateway-3 for 2s\n"));
    let error = with_fault(usual_script(), "fire", 3).expect_err("no such fault");
    assert_eq!(
        error.to_string(),
        "there is no fault \"fire\"; expected one of kill, restart, freeze, hide-store, restart-all, or a step \
         such as \"at 9s hide-store for 2s\""
    );
    assert!(with_fault(usual_script(), "at 15s melt", 3).is_err());
}

#[test]
fn a_hidden_store_puts_the_operator_off() {
    let script = with_fault(usual_script(), "hide-store", 3).expect("a fault");
    assert!(script.to_string().starts_with("at 3s hide-store for 2s\nat 5500ms rotate\n"), "{script}");
    assert_eq!(script.end, usual_script().end.map(|end| end + Duration::from_millis(1500)));
}

#[test]
fn replicas_that_do_not_run_are_refused() {
    let script = parse("at 1s kill gateway-4 for 1s").expect("a script");
    let error = script.check_replicas(3).expect_err("three run");
    assert_eq!(error.to_string(), "the script names gateway-4; this rehearsal runs 3 gateways");
}

#[test]
fn a_script_without_an_end_rests_after_its_last_step() {
    let script = parse("at 4s rotate\nat 3s freeze gateway-1 for 5s").expect("a script");
    assert_eq!(script.ends_at(Duration::from_secs(7)), Duration::from_secs(15));
    assert_eq!(Script::default().ends_at(Duration::from_secs(7)), Duration::from_secs(7));
}
