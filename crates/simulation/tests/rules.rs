//! What a simulation finds: nothing where every rule holds, and something where one is broken.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::time::Duration;

use keystile_keyring::Policy;
use keystile_simulation::{Broken, Mix, Options, Simulated, Source, Spread, report, script, simulate};

/// A small fleet that calls often.
fn small(text: &str) -> Options {
    Options {
        sandboxes: 1000,
        replicas: 8,
        script: Some(script::parse(text).unwrap()),
        call_every: 60,
        ..Options::default()
    }
}

fn run(options: Options) -> Simulated {
    simulate(options.settle().unwrap())
}

fn say(simulated: &Simulated) -> String {
    report::text(simulated, keystile_picture::Ink::default())
}

#[test]
fn i3_the_usual_script_hurts_nobody_but_whom_a_revocation_is_meant_for() {
    let simulated = run(Options { sandboxes: 1000, replicas: 8, ..Options::default() });
    let (tally, text) = (&simulated.tally, say(&simulated));
    assert!(simulated.verdict.pass, "{text}");
    assert_eq!((tally.wrongly_rejected, tally.wrongly_accepted, tally.without), (0, 0, 0), "{text}");
    assert_eq!((tally.longest_gap, tally.gaps), (Duration::ZERO, 0), "{text}");
    assert_eq!(tally.keys.len(), 4, "two by rotation, two replace revoked ones: {text}");
    assert!(
        tally.judged > 10_000 && tally.forged > 10_000 && tally.attacks.len() == 10,
        "{:?}",
        tally.attacks
    );
    assert!(tally.rejected.keys().all(|why| ["revoked-key", "lineage-revoked"].contains(why)), "{text}");
    assert!(tally.convergence.iter().all(|told| told.half <= told.all && told.all.is_some()), "{text}");
}

/// Replicas hear of an emergency late, and read again before they reject.
#[test]
fn i3_a_fleet_that_hears_late_rejects_no_good_token_because_it_reads_again() {
    let options = Options {
        watch: Spread::Modelled(120.0),
        ..small("at 5m rotate --emergency\nat 20m rollback\nat 30m end")
    };
    let simulated = run(options.clone());
    let (tally, text) = (&simulated.tally, say(&simulated));
    assert!(simulated.verdict.pass && tally.rereads > 0, "{text}");

    let simulated = run(Options { broken: Some(Broken::NoReread), ..options });
    let (tally, text) = (&simulated.tally, say(&simulated));
    assert!(!simulated.verdict.pass && tally.wrongly_rejected > 0, "{text}");
    assert!(text.contains("rejected a good token of key-2 (unknown-kid)"), "{text}");
}

#[test]
fn i2_a_key_that_signs_before_the_gate_is_open_is_noticed() {
    let options = Options { watch: Spread::Modelled(120.0), ..small("at 5m rotate\nat 30m end") };
    let gated = run(options.clone());
    assert!(gated.verdict.pass, "{}", say(&gated));
    let hasty = run(Options { broken: Some(Broken::NoGate), ..options });
    assert!(hasty.tally.wrongly_rejected > 0 && !hasty.verdict.pass, "{}", say(&hasty));
}

#[test]
fn a_window_that_ends_too_early_is_noticed() {
    let options = small("at 5m rotate\nat 80m end");
    assert!(run(options.clone()).verdict.pass);
    let simulated = run(Options { broken: Some(Broken::NoWindow), ..options });
    let text = say(&simulated);
    assert!(simulated.tally.wrongly_rejected > 100 && text.contains("(retired-key)"), "{text}");
}

#[test]
fn a_replica_that_accepts_whatever_its_keys_signed_is_noticed() {
    let options = small("at 5m rotate\nat 40m revoke active --descendants\nat 60m end");
    assert!(run(options.clone()).verdict.pass);
    let simulated = run(Options { broken: Some(Broken::NoBounds), ..options });
    let (tally, text) = (&simulated.tally, say(&simulated));
    assert!(tally.wrongly_accepted > 1000 && !simulated.verdict.pass, "{text}");
    let missed = ["of a revoked key", "expired", "signed before activation", "that lives too long"];
    assert!(missed.iter().all(|what| tally.attacks[what].accepted > 0), "{:?}", tally.attacks);
    assert_eq!(tally.attacks["of an unknown key"].accepted, 0);
}

/// Design: minting stops after max_staleness, verifying goes on until verify_staleness, and nothing is rejected.
#[test]
fn an_outage_stops_minting_first_and_verifying_much_later() {
    let policy = Policy { token_ttl: 4 * 3600, verify_staleness: 1800, ..Policy::default() };
    let text = "at 10m outage for 45m\nat 70m end";
    let simulated = run(Options { policy, ..small(text) });
    let (tally, text) = (&simulated.tally, say(&simulated));
    assert!(simulated.verdict.pass, "{text}");
    let minute = |from: usize, to: usize| &tally.rates[from * 60..to * 60];
    let refreshed = |from, to| minute(from, to).iter().map(|rates| rates.refreshed).sum::<u32>();
    assert!(refreshed(10, 14) > 0, "within max_staleness: {text}");
    assert_eq!(refreshed(16, 55), 0, "{text}");
    assert!(minute(16, 40).iter().any(|rates| rates.put_off > 0), "{text}");
    assert!(refreshed(55, 56) > 100, "all who waited, at once: {text}");
    // 1000 sandboxes, one call a minute, from the 40th minute to the 55th.
    assert!((13_000..17_000).contains(&tally.unanswered), "{}", tally.unanswered);
}

#[test]
fn an_outage_that_outlives_tokens_leaves_sandboxes_without_and_they_recover() {
    let options = small("at 5m outage for 75m\nat 100m end");
    let mix = Mix { certificate: 70, service_account: 30, file: 0 };
    let simulated = run(Options { mix, ..options.clone() });
    let (tally, text) = (&simulated.tally, say(&simulated));
    assert!(simulated.verdict.pass, "an outage breaks no promise: {text}");
    assert!(tally.gaps > 900 && tally.longest_gap > Duration::from_mins(10), "{text}");
    assert!(tally.longest_gap < Duration::from_mins(75), "{text}");
    assert_eq!((tally.wrongly_rejected, tally.without), (0, 0), "{text}");

    // A token file that nobody writes anew is no way back.
    let simulated = run(options);
    assert_eq!((simulated.tally.without, simulated.verdict.pass), (100, false), "{}", say(&simulated));
}

#[test]
fn a_limit_on_bootstraps_spreads_a_revocations_burst() {
    let options = Options {
        call_every: 5,
        mix: Mix { certificate: 100, service_account: 0, file: 0 },
        ..small("at 2m revoke active\nat 15m end")
    };
    let peak = |rate| {
        let simulated = run(Options { bootstrap_rate: rate, ..options.clone() });
        assert!(simulated.verdict.pass, "{}", say(&simulated));
        let peak = simulated.tally.rates.iter().map(|rates| rates.bootstrapped).max().unwrap();
        (peak, simulated.tally.ordered_gaps[&Source::Certificate])
    };
    let (free, short) = peak(10_000);
    let (limited, long) = peak(2);
    assert!(free > 100 && limited <= 16, "{free} {limited}: 8 replicas, 2 each");
    // Some get a token of the revoked key once more, from a replica that has not heard.
    assert!((1000..1100).contains(&short.count) && (1000..1100).contains(&long.count), "{short:?} {long:?}");
    assert!(
        short.longest < Duration::from_secs(10) && long.longest > Duration::from_mins(1),
        "{short:?} {long:?}"
    );
}

/// The operator's file is the only way back, and takes its time.
#[test]
fn file_fed_sandboxes_wait_for_their_file() {
    let mix = Mix { certificate: 0, service_account: 0, file: 100 };
    let options = Options { mix, rewrite: 300, ..small("at 2m revoke active\nat 20m end") };
    let simulated = run(options.clone());
    let gaps = simulated.tally.ordered_gaps[&Source::File];
    assert!(simulated.verdict.pass && (1000..1100).contains(&gaps.count), "{}", say(&simulated));
    assert!((240..310).contains(&gaps.longest.as_secs()), "{gaps:?}");

    let late = run(Options { rewrite: 36_000, ..options });
    assert!(late.tally.without > 500 && !late.verdict.pass, "{}", say(&late));
}

#[test]
fn a_step_that_does_not_go_as_written_fails_the_verdict() {
    let as_expected = run(small("at 1m rollback expect nothing-to-roll-back\nat 2m end"));
    assert!(as_expected.verdict.pass, "{}", say(&as_expected));
    for text in
        ["at 1m rollback\nat 2m end", "at 1m rotate\nat 2m end", "at 1m retire key-9 --force\nat 2m end"]
    {
        let simulated = run(small(text));
        assert!(!simulated.verdict.pass && say(&simulated).contains("fails:"), "{text}: {}", say(&simulated));
    }
}

/// Where no clock is further off than policy says, how far makes no difference to anybody.
#[test]
fn clocks_at_the_edge_of_what_policy_allows_hurt_nobody() {
    for max_skew in [0, 1, 30, 300] {
        let policy = Policy { max_skew, leeway: 0, ..Policy::default() };
        let options = Options {
            policy,
            skew: Spread::Modelled(300.0),
            watch: Spread::Modelled(60.0),
            ..small("at 5m rotate\nat 30m rollback\nat 50m end")
        };
        let simulated = run(options);
        assert!(simulated.verdict.pass, "{}", say(&simulated));
    }
}

#[test]
fn tokens_that_never_expire_and_lineages_with_an_age_can_be_simulated() {
    let policy = Policy { token_ttl: 0, ..Policy::default() };
    let forever = run(Options { policy, ..small("at 5m rotate\nat 30m revoke key-1\nat 60m end") });
    assert!(forever.verdict.pass, "{}", say(&forever));
    assert!(forever.tally.rates.iter().any(|rates| rates.bootstrapped > 0), "{}", say(&forever));

    let policy = Policy { max_lineage_age: Some(7200), ..Policy::default() };
    let mix = Mix { certificate: 100, service_account: 0, file: 0 };
    let aged = run(Options { policy, mix, ..small("at 4h end") });
    assert!(aged.verdict.pass, "{}", say(&aged));
    assert!(
        aged.tally.rates.iter().any(|rates| rates.bootstrapped > 0),
        "they bootstrap again: {}",
        say(&aged)
    );
}
