//! For a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use keystile_keyring::in_words;
use keystile_picture::{Ink, grouped, line, ticks};

use super::series::{Level, RATES, holders, level, parts, peaks};
use crate::Simulated;
use crate::sandbox::Source;
use crate::tally::Tally;

/// Width of the column of names.
const NAME: usize = 38;

/// Columns of a picture.
const COLUMNS: usize = 72;

/// The verdict, what it rests on, the table and the pictures.
pub fn text(simulated: &Simulated, ink: Ink) -> String {
    let verdict = &simulated.verdict;
    let mut text = head(simulated);
    let word = if verdict.pass { ink.green(verdict.word()) } else { ink.red(verdict.word()) };
    let _ = writeln!(text, "\nVerdict: {word}");
    for criterion in &verdict.criteria {
        let mark = if criterion.holds { ink.green("✓") } else { ink.red("✗") };
        let _ = writeln!(text, "{mark} {:<NAME$}{}", criterion.name, criterion.found);
    }
    text.push_str(&figures(&simulated.tally));
    text.push_str(&phases(&simulated.tally));
    text.push_str(&convergence(&simulated.tally));
    text.push_str(&pictures(simulated));
    text.push_str(&why_not(simulated, ink));
    text
}

fn head(simulated: &Simulated) -> String {
    let (options, tally) = (&simulated.settings.options, &simulated.tally);
    let offsets = || tally.offsets.iter().copied();
    let apart = offsets().max().unwrap_or_default() - offsets().min().unwrap_or_default();
    format!(
        "Keystile simulation: {} sandboxes, {} replicas, {} of virtual time, seed {}\n  clocks up to {:.1} s apart, \
         token lifetime {} s, signatures left out\n",
        grouped(u64::from(options.sandboxes)),
        options.replicas,
        in_words(u64::from(simulated.settings.end.second())),
        options.seed,
        f64::from(apart) / 1000.0,
        options.policy.token_ttl,
    )
}

/// To the hundredth of a second below ten seconds, in words above.
pub(super) fn waited(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match duration.as_secs() {
        0 if duration.is_zero() => "0 s".to_owned(),
        0..10 => format!("{seconds:.2} s"),
        10..120 => format!("{seconds:.1} s"),
        whole => in_words(whole),
    }
}

fn figures(tally: &Tally) -> String {
    let mut text = String::new();
    let mut say = |name: &str, what: String| {
        let _ = writeln!(text, "  {name:<NAME$}{what}");
    };
    for (why, count) in &tally.rejected {
        say("rejected, rightly", format!("{} {why}", grouped(*count)));
    }
    let any =
        if tally.gaps == 0 { "any sandbox".to_owned() } else { format!("{} sandboxes", grouped(tally.gaps)) };
    say("longest time without a token", format!("{}, {any}", waited(tally.longest_gap)));
    for (source, gaps) in &tally.ordered_gaps {
        let how = format!("at most {}, bootstrap by {}", waited(gaps.longest), source.as_str());
        say("  after a revocation", how);
    }
    say("busiest replica", format!("{} tokens in one second", grouped(u64::from(tally.busiest))));
    say("reads that requests asked for", grouped(tally.rereads));
    say("calls answered by another replica", grouped(tally.asked_elsewhere));
    say("calls that no replica could answer", grouped(tally.unanswered));
    text
}

fn phases(tally: &Tally) -> String {
    let mut text = format!(
        "\n  Requests for a token in a second: mean and peak\n  {:<9}{:<31}{:>16}{:>16}{:>16}{:>16}\n",
        "from", "", "renewed", "bootstrapped", "put off", "refused"
    );
    for phase in &tally.phases {
        let _ = write!(text, "  {:<9}{:<31}", phase.from.to_string(), phase.what);
        for (_, pick) in RATES {
            let Level { mean, peak } = level(tally, phase, pick);
            let _ = write!(text, "{:>8}{:>8}", rate(mean), grouped(u64::from(peak)));
        }
        text.push('\n');
    }
    text
}

/// A mean, with a decimal where it is small.
pub(super) fn rate(mean: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate")]
    let whole = mean.round() as u64;
    if mean > 0.0 && mean < 10.0 { format!("{mean:.1}") } else { grouped(whole) }
}

fn convergence(tally: &Tally) -> String {
    let mut text = String::new();
    if !tally.convergence.is_empty() {
        let _ = writeln!(text, "\n  Until replicas hold a generation{:>24}{:>16}", "half of them", "all");
    }
    let after = |seconds: Option<f64>| {
        seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"))
    };
    for told in &tally.convergence {
        let what = format!("{}, {}", told.generation, told.verb);
        let (half, all) = (after(told.half), after(told.all));
        let _ = writeln!(text, "  {:<9}{what:<25}{half:>22}{all:>16}", told.committed.to_string());
    }
    text
}

fn pictures(simulated: &Simulated) -> String {
    let tally = &simulated.tally;
    let mut text = format!("\n  {:16}{}\n", "", axis(f64::from(simulated.settings.end.second()) / 60.0));
    for (name, pick) in RATES {
        let values = peaks(tally, pick, COLUMNS);
        let peak = tally.rates.iter().map(pick).max().unwrap_or_default();
        if peak > 0 {
            let row = line(&values, f64::from(peak), COLUMNS);
            let _ = writeln!(text, "  {name:<16}{row:<COLUMNS$}  up to {}/s", grouped(u64::from(peak)));
        }
    }
    let all = f64::from(simulated.settings.options.sandboxes);
    for (key, kid) in tally.keys.iter().enumerate() {
        let values: Vec<f64> = holders(tally, key).into_iter().map(f64::from).collect();
        let coarse: Vec<f64> =
            parts(&values, COLUMNS).map(|part| part.iter().copied().fold(0.0, f64::max)).collect();
        let _ = writeln!(text, "  {:<16}{}", kid.short(), line(&coarse, all, COLUMNS).trim_end());
    }
    let _ = writeln!(
        text,
        "  {:16}rates: the busiest second of each column; keys: whose token the sandboxes hold",
        ""
    );
    text
}

fn axis(minutes: f64) -> String {
    let mut axis = String::new();
    for tick in ticks(minutes, 8) {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "within the axis"
        )]
        let column = (COLUMNS as f64 * tick / minutes).round() as usize;
        let blank = column.saturating_sub(axis.chars().count());
        let _ = write!(axis, "{:blank$}{tick} min", "");
    }
    axis
}

fn why_not(simulated: &Simulated, ink: Ink) -> String {
    let mut text = String::new();
    for step in simulated.tally.steps.iter().filter(|step| !step.as_expected) {
        let _ = writeln!(text, "  {} at {} {}: {}", ink.red("fails:"), step.began, step.step, step.did);
    }
    for mistake in simulated.tally.mistakes.iter().take(5) {
        let _ = writeln!(text, "  {} {mistake}", ink.red("fails:"));
    }
    text
}

/// Who was without a usable token after a revocation.
pub(super) fn sources(tally: &Tally) -> impl Iterator<Item = (Source, crate::tally::Gaps)> {
    Source::ALL
        .into_iter()
        .map(|source| (source, tally.ordered_gaps.get(&source).copied().unwrap_or_default()))
}
