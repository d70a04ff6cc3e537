//! Small rehearsals: real gateway processes, real supervisors, a real adversary.
#![allow(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use keystile_rehearsal::view::Blind;
use keystile_rehearsal::{Bootstrap, Means, Options, Rehearsed, rehearse, report, script};
use keystile_system::{Environment, ProcessEnvironment, SystemClock, SystemEntropy};
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_keystile");

/// Two rehearsals at once would measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn small(text: &str) -> Options {
    let script = script::parse(text).expect("a script");
    Options { gateways: 2, supervisors: 8, script: Some(script), ..Options::default() }
}

fn run(options: &Options, place: &Path) -> Rehearsed {
    let means = Means {
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SystemEntropy),
        binary: PROGRAM.into(),
        temporary: place.to_owned(),
        logs: place.to_owned(),
        variables: ProcessEnvironment.names(keystile_gateway::config::PREFIX),
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(rehearse(options, &means, &mut Blind)).expect("a rehearsal")
}

/// Processes whose command line names `what`.
fn processes(what: &str) -> usize {
    let line = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
    let lines = std::fs::read_dir("/proc").expect("processes").flatten().map(line);
    lines.filter(|line| String::from_utf8_lossy(line).contains(what)).count()
}

#[test]
fn nobody_is_hurt_by_rotation_kill_and_rollback_and_only_the_right_ones_by_revocation() {
    let _alone = alone();
    let place = tempfile::tempdir().expect("a directory");
    let options = small(
        "at 1s rotate\n\
         at 1400ms kill gateway-2 for 600ms\n\
         at 6s rollback\n\
         at 8s revoke active\n\
         at 14s end",
    );
    let rehearsed = run(&options, place.path());
    let text = report::text(&rehearsed, "", keystile_rehearsal::view::Ink::default());
    assert!(rehearsed.verdict.pass, "{text}");

    let figures = &rehearsed.verdict.figures;
    assert_eq!((figures.wrongly_rejected, figures.wrongly_accepted), (0, 0), "{text}");
    assert_eq!(figures.longest_gap, Duration::ZERO, "{text}");
    assert!(figures.verified > 500 && figures.minted >= 16 && figures.presented > 100, "{text}");
    assert_eq!(figures.reached.len(), 1, "{text}");
    assert!(figures.rejected.iter().all(|refusals| refusals.ruling.is_ordered()), "{text}");
    assert_eq!(rehearsed.record.keys.len(), 3, "two keys, and the replacement of the revoked one");
    let file_fed = rehearsed.record.supervisors.iter().filter(|one| one.bootstrap == Bootstrap::TokenFile);
    assert!(file_fed.clone().count() >= 1);
    assert!(file_fed.into_iter().all(|one| one.obtained > 0), "a file's token is exchanged");
    assert!(report::html(&rehearsed, "").ends_with("</html>\n"));

    let left: Vec<_> =
        std::fs::read_dir(place.path()).expect("listed").flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name.to_string_lossy().ends_with(".log")), "{left:?}");
    assert_eq!(processes(&place.path().display().to_string()), 0, "every gateway has ended");
}

/// Short: that nothing grows is judged of longer ones, by the stage of CI.
#[test]
fn a_soak_plays_what_its_seed_draws_and_measures_every_process() {
    let _alone = alone();
    let place = tempfile::tempdir().expect("a directory");
    let options = Options { gateways: 2, supervisors: 8, soak: Some(12), ..Options::default() };
    let rehearsed = run(&options, place.path());
    let text = report::text(&rehearsed, "", keystile_rehearsal::view::Ink::default());
    assert!(rehearsed.verdict.pass, "{text}");
    assert_eq!(rehearsed.record.settings.script, options.settle().expect("it can be").script);
    assert!(rehearsed.verdict.figures.duration >= Duration::from_secs(12), "{text}");
    let took: Vec<_> = rehearsed.record.footprints.now().collect();
    let names: Vec<_> = took.iter().map(|(process, _)| process.to_string()).collect();
    assert_eq!(names, ["gateway-1", "gateway-2", "supervisors"], "{text}");
    // A gateway's listeners, its connections, its log.
    assert!(took.iter().all(|(_, took)| took.open_fds > 8 && took.resident_bytes > 1 << 20), "{took:?}");
    assert!(text.contains("not judged: no process ran for 40 s"), "{text}");
}

#[test]
fn a_soak_that_cannot_be_is_refused_and_nothing_starts() {
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("script"), "at 2s end").expect("written");
    let said = |arguments: &str| {
        let mut command = Command::new(PROGRAM);
        command.args(arguments.split(' ')).current_dir(place.path()).env("TMPDIR", place.path());
        let output = command.stdin(Stdio::null()).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2), "{arguments}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let short = said("rehearse --soak 9s");
    assert!(short.contains("the soak would last 9 s; expected 10 to 86400 s with this policy"), "{short}");
    assert!(short.contains("--soak 10s to --soak 24h"), "{short}");
    assert!(said("rehearse --soak 25h").contains("the soak would last 90000 s"));
    assert!(said("rehearse --soak soon").contains("\"soon\" is not a duration"));
    for other in ["--script script", "--fault kill"] {
        let both = said(&format!("rehearse --soak 60s {other}"));
        assert!(both.contains("cannot be used with") && both.contains("--soak"), "{both}");
    }
    let left: Vec<_> = std::fs::read_dir(place.path()).expect("listed").flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn the_old_way_hurts_and_it_is_measured_how() {
    let _alone = alone();
    let place = tempfile::tempdir().expect("a directory");
    let rehearsed = run(&Options { baseline: true, ..small("at 2s end") }, place.path());
    let contrast = rehearsed.contrast.expect("a comparison");
    let file_fed = rehearsed.record.supervisors.iter().filter(|one| one.bootstrap == Bootstrap::TokenFile);
    assert!(contrast.wrongly_rejected > 0, "{contrast:?}");
    assert_eq!((contrast.cut_off, contrast.supervisors), (8, 8), "{contrast:?}");
    assert_eq!(contrast.never_recovered, file_fed.count(), "{contrast:?}");
    assert!(contrast.longest_gap > Duration::from_secs(5), "{contrast:?}");
}

#[test]
fn a_verdict_that_fails_is_exit_code_3_and_says_why() {
    let _alone = alone();
    let place = tempfile::tempdir().expect("a directory");
    std::fs::write(place.path().join("script"), "at 500ms rollback\nat 2s end").expect("written");
    let arguments =
        "rehearse --gateways 1 --supervisors 3 --script script --report out/page.html --output json";
    let output = Command::new(PROGRAM)
        .args(arguments.split(' '))
        .current_dir(place.path())
        .env("KEYSTILE_LISTEN", "127.0.0.1:1")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&document["schema"], &document["verdict"]),
        (&"keystile/rehearsal/v1".into(), &"FAIL".into())
    );
    assert_eq!(document["steps"][0]["measured"], "nothing-to-roll-back");
    assert_eq!(document["figures"]["wrongly_rejected"], 0);
    assert!(said.contains("✗") && said.contains("refused [nothing-to-roll-back]"), "{said}");
    let page = std::fs::read_to_string(place.path().join("out/page.html")).expect("a page");
    assert!(page.contains("steps that went as written: 0 of 1"));
    assert!(place.path().join("out/page.logs/gateway-1.log").exists());
}

/// However a rehearsal ends, its gateways end with it.
#[test]
fn no_gateway_outlives_a_rehearsal_that_is_interrupted_or_killed() {
    let _alone = alone();
    for signal in [Signal::INT, Signal::KILL] {
        let place = tempfile::tempdir().expect("a directory");
        let temporary = place.path().display().to_string();
        let mut rehearsal = Command::new(PROGRAM)
            .args(["rehearse", "--gateways", "2", "--supervisors", "2", "--report", "page.html"])
            .current_dir(place.path())
            .env("TMPDIR", &temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let gateways = || processes(&format!("{temporary}/keystile-rehearsal-"));
        wait_until(|| gateways() == 2);
        let pid = i32::try_from(rehearsal.id()).ok().and_then(Pid::from_raw).expect("its id");
        kill_process(pid, signal).expect("it runs");
        let status = rehearsal.wait().expect("it ends");
        assert_eq!(status.code(), (signal == Signal::INT).then_some(1));
        wait_until(|| gateways() == 0);
    }
}

fn wait_until(holds: impl Fn() -> bool) {
    for _ in 0..3000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within 30 s");
}
