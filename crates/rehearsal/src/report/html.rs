//! The page: self-contained, light or dark as its reader's screen is.

use keystile_keyring::Kid;
use keystile_picture::{STYLE, briefly, escape, grouped};

use super::sections;
use crate::moment::Moment;
use crate::picture::{Mark, bars, chart, timeline};
use crate::record::Record;
use crate::rehearsal::Rehearsed;
use crate::verdict::Verdict;

/// The page of a rehearsal; `command` is what repeats it.
pub fn html(rehearsed: &Rehearsed, command: &str) -> String {
    let (record, verdict) = (&rehearsed.record, &rehearsed.verdict);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{} · Keystile rehearsal</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        verdict.word()
    );
    page.push_str(&header(record, verdict));
    page.push_str(&sections::criteria(verdict));
    page.push_str(&sections::mistakes(verdict));
    page.push_str(&sections::contrast(rehearsed));
    page.push_str(&pictures(record));
    let section = |title: &str, about: &str, table: String| {
        if table.is_empty() {
            table
        } else {
            format!("<h2>{title}</h2>\n<p class=\"soft\">{about}</p>\n{table}")
        }
    };
    page.push_str(&section("Steps", sections::steps_about(record), sections::steps(record)));
    page.push_str(&section(
        "Supervisors without a usable token",
        "From the first call that was refused, or for which there was no token, to the next that was accepted.",
        sections::gaps(record),
    ));
    page.push_str(&section(
        "Tokens that had to be refused",
        "An adversary who has stolen every private key presents them to every gateway, all the time.",
        sections::attacks(verdict),
    ));
    page.push_str(&section(
        "Honest calls that were not accepted",
        "Each refusal is judged by the rehearsal's own record of what was ordered when.",
        sections::refusals(verdict),
    ));
    page.push_str(&section(
        "Gateways",
        "Separate processes on one directory store.",
        sections::replicas(record),
    ));
    page.push_str(&section(
        "Memory and descriptors",
        "Of each process that ran long enough: the medians of its second quarter, when it had warmed up, and of its \
         last; of the descriptors in the second quarter the most. A gateway that is started again begins anew.",
        sections::footprints(verdict),
    ));
    page.push_str(&section(
        "Policy",
        "Durations in seconds. What was rehearsed is your policy with every duration scaled by the same factor, \
         in whole seconds, and never less than a process on this machine needs.",
        sections::policy(record),
    ));
    page.push_str(&again(record, command));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn header(record: &Record, verdict: &Verdict) -> String {
    let (figures, settings) = (&verdict.figures, &record.settings);
    let class = if verdict.pass { "pass" } else { "fail" };
    let judged = figures.verified + record.calls.rejected();
    let lead = if verdict.pass {
        format!(
            "In {} of load, no valid token was rejected in {} verifications, and none of {} invalid tokens was \
             accepted.",
            briefly(figures.duration),
            grouped(judged),
            grouped(figures.presented)
        )
    } else {
        verdict.why_not().collect::<Vec<_>>().join(". ") + "."
    };
    format!(
        "<h1>Keystile {} · {} gateways · {} supervisors · token lifetime {} s</h1>\n\
         <div class=\"verdict\"><span class=\"badge {class}\">{}</span><p class=\"lead\">{}</p></div>\n\
         <p class=\"soft\">{} tokens minted; half of the answers within {}, 99 % within {}.</p>\n",
        if settings.soak { "soak" } else { "rehearsal" },
        settings.gateways,
        settings.supervisors,
        settings.policy.token_ttl,
        verdict.word(),
        escape(&lead),
        grouped(figures.minted),
        briefly(figures.latency_half),
        briefly(figures.latency_most),
    )
}

fn pictures(record: &Record) -> String {
    let begin = record.pictured_from();
    let marks: Vec<_> = record
        .steps
        .iter()
        .enumerate()
        .filter_map(|(index, step)| {
            let at = step.began.filter(|began| *began >= begin)?.since(begin).as_secs_f64();
            let what = step.step.action.to_string();
            Some(Mark { at, number: index + 1, what, good: step.as_expected() })
        })
        .collect();
    let seconds = record.now.since(begin).as_secs_f64();
    let series = |kid: &Kid| (kid.clone(), record.rates.series(kid, begin, record.now));
    let series: Vec<_> = record.keys.iter().map(series).collect();
    let part = if begin == Moment::default() {
        String::new()
    } else {
        format!("<p class=\"soft\">The end of the run: 0 s is {begin} after its begin.</p>\n")
    };
    format!(
        "<h2>The keys over time</h2>\n{part}\
         <figure><figcaption class=\"key\">{LEGEND}</figcaption><div class=\"scroll\">{}</div></figure>\n\
         <figure><figcaption><b>Accepted calls per second</b> by the key that signed their token</figcaption>\
         <div class=\"scroll\">{}</div></figure>\n",
        timeline(&bars(record), &marks, seconds),
        chart(&series, seconds)
    )
}

const LEGEND: &str = "<span><i class=\"i-prepared\"></i>prepared</span><span><i class=\"i-active\"></i>active, \
    signs</span><span><i class=\"i-verify\"></i>verify-only</span><span><i class=\"i-retired\"></i>retired</span>\
    <span><i class=\"i-revoked\"></i>revoked</span><span>① a step</span>";

/// What was played; of a long soak what plays it again is enough.
fn script(record: &Record) -> String {
    let script = &record.settings.script;
    match script.steps.len() {
        steps if steps > MOST_STEPS => {
            format!("{} steps, drawn by the seed: --dry-run shows them.", grouped(steps as u64))
        }
        _ => script.to_string(),
    }
}

/// The most steps of a script that are shown.
const MOST_STEPS: usize = 200;

fn again(record: &Record, command: &str) -> String {
    let settings = &record.settings;
    format!(
        "<h2>The script</h2>\n<pre>{}</pre>\n<h2>Again</h2>\n\
         <p class=\"soft\">Seed {}; clocks {} s apart.</p>\n<pre>{}</pre>\n",
        escape(&script(record)),
        settings.seed,
        settings.skew,
        escape(command)
    )
}

#[cfg(test)]
mod tests;
