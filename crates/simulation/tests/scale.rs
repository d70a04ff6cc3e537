//! What a simulation costs: counted in events and verdicts, not in time.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a test that cannot go on fails")]

use keystile_simulation::{Options, Simulated, script, simulate};

fn run(sandboxes: u32, text: &str) -> Simulated {
    let script = Some(script::parse(text).unwrap());
    simulate(Options { sandboxes, replicas: 20, script, ..Options::default() }.settle().unwrap())
}

/// Twice the sandboxes, twice the events: within 3 % of it, the fleet's own events aside.
#[test]
fn cost_grows_in_proportion_to_the_sandboxes() {
    let text = "at 10m rotate\nat 30m rollback\nat 40m outage for 8m\nat 50m revoke active\nat 1h end";
    let cost = |sandboxes| {
        let tally = run(sandboxes, text).tally;
        (tally.events as f64, tally.judged as f64)
    };
    let (none, _) = cost(1);
    let ((events, judged), (twice, twice_judged)) = (cost(4000), cost(8000));
    let ratios = [(twice - none) / (events - none), twice_judged / judged];
    assert!(ratios.iter().all(|ratio| (1.94..2.06).contains(ratio)), "{ratios:?}");
}

/// A rotation adds a key, and a few events of the fleet's own; the sandboxes do the same as before.
#[test]
fn cost_does_not_grow_with_the_number_of_keys() {
    let one = run(4000, "at 2h end");
    let many =
        "at 5m rotate\nat 20m rotate\nat 35m rotate\nat 50m rotate\nat 65m rotate\nat 80m rotate\nat 2h end";
    let seven = run(4000, many);
    assert!(one.verdict.pass && seven.verdict.pass);
    assert_eq!((one.tally.keys.len(), seven.tally.keys.len()), (1, 7));
    let ratio = seven.tally.judged as f64 / one.tally.judged as f64;
    assert!((0.97..1.03).contains(&ratio), "{ratio}");
    // Each step is looked at once a second while it waits, and each of 20 replicas loads two generations.
    let more = seven.tally.events.abs_diff(one.tally.events) as f64 / one.tally.events as f64;
    assert!(more < 0.08, "{more}");
}
