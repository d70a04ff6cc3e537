//! `keystile simulate` from the outside: answers, files, exit codes.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn keystile(place: &Path, arguments: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_keystile"))
        .args(arguments.split(' '))
        .current_dir(place)
        .stdin(Stdio::null())
        .output()
        .expect("it runs")
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_answer_is_text_or_a_document_and_the_same_each_time() {
    let place = tempfile::tempdir().expect("a directory");
    let small = "simulate --sandboxes 300 --replicas 3 --seed 7";
    let output = keystile(place.path(), &format!("{small} --report out/page.html"));
    let text = said(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}{}", said(&output.stderr));
    assert!(text.contains("\nVerdict: PASS\n✓ good tokens rejected"), "{text}");
    assert!(text.ends_with("  report: out/page.html\n") && !text.contains('\u{1b}'), "{text}");
    let page = std::fs::read_to_string(place.path().join("out/page.html")).expect("a page");
    assert!(page.contains("simulate --sandboxes 300 --replicas 3 --seed 7 --report out/page.html"));

    let document = |options: &str| {
        let output = keystile(place.path(), &format!("{small} --output json{options}"));
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let first = document("");
    assert_eq!((&first["schema"], &first["verdict"]), (&"keystile/simulation/v1".into(), &"PASS".into()));
    assert_eq!(first["figures"]["wrongly_rejected"], 0);
    assert_eq!((&first["sandboxes"], &first["replicas"]), (&300.into(), &3.into()));
    assert_eq!(first, document(""));
    assert_eq!(first["phases"].as_array().map(Vec::len), Some(7));
    std::fs::write(place.path().join("offsets"), "# seconds\n-0.2\n0.0\n0.3\n").expect("written");
    let measured = document(" --skew offsets --watch-delay 0.5");
    assert_eq!((&measured["skew"]["values"], &measured["watch"]), (&3.into(), &0.5.into()));
    assert_eq!(measured["verdict"], "PASS");
    let longer = document(" --outage 20m+5m");
    assert_eq!(longer["phases"].as_array().map(Vec::len), Some(9), "one more outage");
}

#[test]
fn a_verdict_that_fails_is_exit_code_3_and_says_why() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("script"), "at 1m rollback\nat 2m end\n").expect("written");
    let output = keystile(place.path(), "simulate --sandboxes 10 --script script");
    let text = said(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("Verdict: FAIL") && text.contains("✗ steps that went as written"), "{text}");
    assert!(text.contains("fails: at 0:01:00 rollback: refused [nothing-to-roll-back]"), "{text}");
}

#[test]
fn the_policy_of_a_store_or_a_file_is_simulated() {
    let place = tempfile::tempdir().expect("a directory");
    assert!(keystile(place.path(), "init --policy token_ttl=1800").status.success());
    let ttl = |options: &str| {
        let output = keystile(place.path(), &format!("simulate --dry-run --output json{options}"));
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(document["schema"], "keystile/simulation-plan/v1");
        document["policy"]["token_ttl"].clone()
    };
    assert_eq!(ttl(""), 1800);
    std::fs::write(place.path().join("policy.json"), "{\"token_ttl\": 600}").expect("written");
    assert_eq!(ttl(" --policy policy.json"), 600);
    let explained = said(&keystile(place.path(), "simulate --dry-run --policy policy.json").stdout);
    assert!(
        explained.contains("at 10m outage for 8m") && explained.contains("\nat 1m40s rotate\n"),
        "{explained}"
    );
}

#[test]
fn options_that_make_no_sense_are_exit_code_2_and_told() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("far"), "0.001\n16\n").expect("written");
    std::fs::write(place.path().join("words"), "0.001\nsoon\n").expect("written");
    let cases = [
        ("--sandboxes 0", "the number of sandboxes is 0; expected 1 to 4000000"),
        ("--replicas 501", "expected 1 to 500"),
        ("--bootstrap 60,30", "expected three percentages, such as 60,30,10"),
        ("--bootstrap 60,30,20", "make 110 %"),
        ("--outage 50m", "such as 50m+8m"),
        ("--outage 50m+8m", "overlap"),
        ("--skew -1", "-1"),
        ("--skew NaN", "the deviation of clocks"),
        ("--skew far", "a clock, by max_skew, is 16; expected -15 to 15"),
        ("--watch-delay words", "words: line 2 is \"soon\"; expected a number of seconds"),
        ("--watch-delay none", "there is no file \"none\", and that is not a number of seconds either"),
    ];
    for (options, expected) in cases {
        let output = keystile(place.path(), &format!("simulate {options}"));
        let text = said(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{options}: {text}");
        assert!(text.contains(expected), "{options}: {text}");
    }
}
