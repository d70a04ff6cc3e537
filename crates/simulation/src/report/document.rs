//! For programs. Schema `keystile/simulation/v1`.

use std::collections::BTreeMap;

use keystile_keyring::{Kid, Policy};
use serde::Serialize;

use super::series::{Level, RATES, holders, level, levels};
use super::text::sources;
use crate::Simulated;
use crate::moment::Moment;
use crate::sandbox::Source;
use crate::settings::Mix;
use crate::spread::Spread;
use crate::tally::{Attack, Convergence, StepDone};
use crate::verdict::Verdict;

/// A simulation as JSON. Durations are seconds, instants seconds since the begin.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    verdict: &'static str,
    #[serde(flatten)]
    details: &'a Verdict,
    sandboxes: u32,
    replicas: u32,
    duration: Moment,
    seed: u64,
    skew: &'a Spread,
    watch: &'a Spread,
    call_every: u64,
    bootstrap: Mix,
    bootstrap_rate: u32,
    rewrite: u64,
    policy: &'a Policy,
    figures: Figures<'a>,
    steps: &'a [StepDone],
    phases: Vec<PhaseDocument<'a>>,
    convergence: &'a [Convergence],
    series: Series,
    mistakes: &'a [String],
}

#[derive(Debug, Serialize)]
struct Figures<'a> {
    judged: u64,
    accepted: u64,
    wrongly_rejected: u64,
    wrongly_accepted: u64,
    presented: u64,
    attacks: &'a BTreeMap<&'static str, Attack>,
    rejected: &'a BTreeMap<&'static str, u64>,
    asked_elsewhere: u64,
    unanswered: u64,
    rereads: u64,
    longest_gap: f64,
    gaps: u64,
    ordered_gaps: Vec<GapsDocument>,
    without_in_the_end: u64,
    busiest_replica: u32,
    events: u64,
    clocks_apart: f64,
}

#[derive(Debug, Serialize)]
struct GapsDocument {
    source: Source,
    count: u64,
    longest: f64,
    mean: f64,
}

#[derive(Debug, Serialize)]
struct PhaseDocument<'a> {
    what: &'a str,
    from: Moment,
    to: Moment,
    renewed: Level,
    bootstrapped: Level,
    put_off: Level,
    refused: Level,
    token_reviews: Level,
}

/// Rates and shares over time.
#[derive(Debug, Serialize)]
struct Series {
    /// Seconds between two values.
    every: u32,
    renewed: Vec<Level>,
    bootstrapped: Vec<Level>,
    put_off: Vec<Level>,
    refused: Vec<Level>,
    holders: Vec<Holders>,
}

#[derive(Debug, Serialize)]
struct Holders {
    kid: Kid,
    sandboxes: Vec<u32>,
}

/// A simulation as a document.
pub fn document(simulated: &Simulated) -> Document<'_> {
    let (options, tally) = (&simulated.settings.options, &simulated.tally);
    let [renewed, bootstrapped, put_off, refused] = RATES.map(|(_, pick)| levels(tally, pick, tally.every));
    let kids = tally.keys.iter().enumerate();
    Document {
        verdict: simulated.verdict.word(),
        details: &simulated.verdict,
        sandboxes: options.sandboxes,
        replicas: options.replicas,
        duration: simulated.settings.end,
        seed: options.seed,
        skew: &options.skew,
        watch: &options.watch,
        call_every: options.call_every,
        bootstrap: options.mix,
        bootstrap_rate: options.bootstrap_rate,
        rewrite: options.rewrite,
        policy: &options.policy,
        figures: figures(simulated),
        steps: &tally.steps,
        phases: phases(simulated),
        convergence: &tally.convergence,
        series: Series {
            every: tally.every,
            renewed,
            bootstrapped,
            put_off,
            refused,
            holders: kids
                .map(|(key, kid)| Holders { kid: kid.clone(), sandboxes: holders(tally, key) })
                .collect(),
        },
        mistakes: &tally.mistakes,
    }
}

fn figures(simulated: &Simulated) -> Figures<'_> {
    let tally = &simulated.tally;
    let offsets = || tally.offsets.iter().copied();
    let apart = offsets().max().unwrap_or_default() - offsets().min().unwrap_or_default();
    let gaps = sources(tally).map(|(source, gaps)| GapsDocument {
        source,
        count: gaps.count,
        longest: gaps.longest.as_secs_f64(),
        #[allow(clippy::cast_precision_loss, reason = "a mean for people")]
        mean: (gaps.total.as_secs_f64() / gaps.count.max(1) as f64 * 1000.0).round() / 1000.0,
    });
    Figures {
        judged: tally.judged,
        accepted: tally.accepted,
        wrongly_rejected: tally.wrongly_rejected,
        wrongly_accepted: tally.wrongly_accepted,
        presented: tally.forged,
        attacks: &tally.attacks,
        rejected: &tally.rejected,
        asked_elsewhere: tally.asked_elsewhere,
        unanswered: tally.unanswered,
        rereads: tally.rereads,
        longest_gap: tally.longest_gap.as_secs_f64(),
        gaps: tally.gaps,
        ordered_gaps: gaps.collect(),
        without_in_the_end: tally.without,
        busiest_replica: tally.busiest,
        events: tally.events,
        clocks_apart: f64::from(apart) / 1000.0,
    }
}

fn phases(simulated: &Simulated) -> Vec<PhaseDocument<'_>> {
    let tally = &simulated.tally;
    let phase = |phase: &'_ _| RATES.map(|(_, pick)| level(tally, phase, pick));
    tally
        .phases
        .iter()
        .map(|one| {
            let [renewed, bootstrapped, put_off, refused] = phase(one);
            let token_reviews = level(tally, one, |rates| rates.reviewed);
            let (what, from, to) = (one.what.as_str(), one.from, one.to);
            PhaseDocument { what, from, to, renewed, bootstrapped, put_off, refused, token_reviews }
        })
        .collect()
}
