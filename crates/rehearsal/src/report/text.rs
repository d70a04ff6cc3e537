//! The verdict for a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use crate::moment::Moment;
use crate::picture::{bars, letters};
use crate::rehearsal::Rehearsed;
use crate::verdict::Criterion;
use crate::view::Ink;
use keystile_picture::{briefly, grouped};

/// Width of the column of names.
const NAME: usize = 36;
/// Width of the column of what was found.
const FOUND: usize = 52;

/// How many wrong answers are told; the page has more.
const MISTAKES: usize = 5;

/// The verdict and what it rests on.
pub fn text(rehearsed: &Rehearsed, report: &str, ink: Ink) -> String {
    let verdict = &rehearsed.verdict;
    let word = if verdict.pass { ink.green(verdict.word()) } else { ink.red(verdict.word()) };
    let mut text = format!("\nVerdict: {word} in {}\n", briefly(verdict.figures.duration));
    for criterion in &verdict.criteria {
        text.push_str(&line(criterion, aside(criterion, rehearsed), ink));
    }
    text.push_str(&figures(rehearsed));
    // Writing to a string cannot fail.
    let (begin, end) = (rehearsed.record.pictured_from(), rehearsed.record.now);
    let picture = letters(&bars(&rehearsed.record), end.since(begin).as_secs_f64());
    if begin > Moment::default() {
        let _ = write!(text, "\n  The end of the run: 0 s is {begin} after its begin.");
    }
    let _ = writeln!(text, "\n{picture}");
    text.push_str(&why_not(rehearsed, ink));
    let _ = writeln!(text, "  {:<NAME$}{report}", "report");
    text
}

fn line(criterion: &Criterion, aside: Option<String>, ink: Ink) -> String {
    let mark = if criterion.holds { ink.green("✓") } else { ink.red("✗") };
    let aside = aside.map_or_else(String::new, |aside| format!("({aside})"));
    let line = format!("{mark} {:<NAME$}{:<FOUND$}{aside}", criterion.name, criterion.found);
    format!("{}\n", line.trim_end())
}

/// What delete-and-restart did to the same load.
fn aside(criterion: &Criterion, rehearsed: &Rehearsed) -> Option<String> {
    let contrast = rehearsed.contrast.as_ref()?;
    let what = match criterion.name {
        "valid tokens wrongly rejected" => contrast.rejections(),
        "longest time without a token" => contrast.gaps(),
        _ => return None,
    };
    Some(format!("delete-and-restart: {what}"))
}

fn figures(rehearsed: &Rehearsed) -> String {
    let figures = &rehearsed.verdict.figures;
    let mut text = String::new();
    let mut say = |name: &str, what: String| {
        let _ = writeln!(text, "  {name:<NAME$}{what}");
    };
    let rate = rate(figures.verified, figures.duration);
    say("minted", format!("{} tokens", grouped(figures.minted)));
    let took = format!("{} half, {} 99 %", briefly(figures.latency_half), briefly(figures.latency_most));
    say("verified", format!("{} ({rate}/s; within {took})", grouped(figures.verified)));
    for refusals in &figures.rejected {
        let why = refusals.ruling.as_str();
        say("rejected", format!("{} {} ({why})", grouped(refusals.count), refusals.text));
    }
    for silence in &figures.no_answer {
        say("no verdict, asked elsewhere", format!("{} {}", grouped(silence.count), silence.reason));
    }
    for gap in figures.longest_ordered_gap.iter().filter(|gap| !gap.longest.is_zero()) {
        let longest = briefly(gap.longest);
        say("without a token after a revoke", format!("at most {longest}, bootstrap by {}", gap.bootstrap));
    }
    text
}

pub(super) fn rate(count: u64, duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a count over the seconds of one run"
    )]
    let rate = if seconds > 0.0 { (count as f64 / seconds).round() as u64 } else { 0 };
    grouped(rate)
}

fn why_not(rehearsed: &Rehearsed, ink: Ink) -> String {
    let mut text = String::new();
    for why in rehearsed.verdict.why_not() {
        let _ = writeln!(text, "  {} {why}", ink.red("fails:"));
    }
    for mistake in rehearsed.verdict.mistakes.iter().take(MISTAKES) {
        let who = mistake.replica.map(|replica| replica.to_string()).into_iter();
        let who = who.chain(mistake.supervisor.map(|supervisor| supervisor.to_string()));
        let who = who.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "    {:.3} s {who}: {}", mistake.at.seconds(), mistake.what);
    }
    text
}
