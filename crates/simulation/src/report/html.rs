//! The page: self-contained.

use std::fmt::Write as _;

use keystile_keyring::policy::MEMBERS;
use keystile_picture::{COLOURS, Cell, STYLE, escape, grouped, table};

use super::plot::Plot;
use super::series::{RATES, holders, level, peaks};
use super::text::{rate, sources, waited};
use crate::Simulated;
use crate::tally::Tally;

/// How many values a curve has.
const VALUES: usize = 240;

/// The page of a simulation; `command` is what repeats it.
pub fn html(simulated: &Simulated, command: &str) -> String {
    let tally = &simulated.tally;
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{} · Keystile simulation</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n",
        simulated.verdict.word()
    );
    page.push_str(&header(simulated));
    page.push_str(&pictures(simulated));
    let sections = [
        (
            "Load",
            "Requests for a token in one second, over all replicas: mean and busiest second.",
            load(tally),
        ),
        ("Convergence", "From the commit of a generation until replicas hold it.", convergence(tally)),
        (
            "Sandboxes without a usable token after a revocation",
            "From the call that was refused to the next token.",
            gaps(tally),
        ),
        ("Steps", "What the operator did, by the keyring's own plans.", steps(tally)),
        (
            "Tokens that had to be refused",
            "A thief of every private key presents them, once a second, to one replica after the other.",
            attacks(tally),
        ),
        (
            "Rejected, rightly",
            "Tokens that a gateway had minted, and that an order or their age ended.",
            refusals(tally),
        ),
        ("Policy", "Durations in seconds.", policy(simulated)),
    ];
    for (title, about, table) in sections.into_iter().filter(|(_, _, table)| !table.is_empty()) {
        // Writing to a string cannot fail.
        let _ = write!(page, "<h2>{title}</h2>\n<p class=\"soft\">{about}</p>\n{table}");
    }
    let _ = write!(
        page,
        "<h2>The script</h2>\n<pre>{}</pre>\n<h2>Again</h2>\n<pre>{}</pre>\n</main>\n</body>\n</html>\n",
        escape(&simulated.settings.script.to_string()),
        escape(command)
    );
    page
}

fn header(simulated: &Simulated) -> String {
    let (verdict, options) = (&simulated.verdict, &simulated.settings.options);
    let class = if verdict.pass { "pass" } else { "fail" };
    let rows: Vec<_> = verdict
        .criteria
        .iter()
        .map(|one| vec![Cell::Holds(one.holds), Cell::text(one.name), Cell::number(one.found.clone())])
        .collect();
    let mistakes = simulated.tally.mistakes.iter().map(|mistake| format!("<li>{}</li>", escape(mistake)));
    let mistakes = mistakes.collect::<Vec<_>>().concat();
    format!(
        "<h1>Keystile simulation · {} sandboxes · {} replicas · token lifetime {} s</h1>\n\
         <div class=\"verdict\"><span class=\"badge {class}\">{}</span><p class=\"lead\">{} events in {} of virtual \
         time. Signatures are left out; every other rule is the one that decides in production.</p></div>\n{}<ul>{mistakes}</ul>\n",
        grouped(u64::from(options.sandboxes)),
        options.replicas,
        options.policy.token_ttl,
        verdict.word(),
        grouped(simulated.tally.events),
        keystile_keyring::in_words(u64::from(simulated.settings.end.second())),
        table(&["", "what must hold", "found"], &rows)
    )
}

fn pictures(simulated: &Simulated) -> String {
    let tally = &simulated.tally;
    let minutes = f64::from(simulated.settings.end.second()) / 60.0;
    let marks: Vec<_> = tally
        .phases
        .iter()
        .skip(1)
        .map(|phase| (phase.from.elapsed().as_secs_f64() / 60.0, phase.what.clone()))
        .collect();
    let rates: Vec<_> =
        RATES.iter().map(|(name, pick)| ((*name).to_owned(), peaks(tally, *pick, VALUES))).collect();
    let shares: Vec<_> = tally
        .keys
        .iter()
        .enumerate()
        .map(|(key, kid)| (kid.to_string(), holders(tally, key).into_iter().map(f64::from).collect()))
        .collect();
    let figure = |id, title, unit, series: &[(String, Vec<f64>)]| {
        let plot = Plot { id, title, unit, minutes, marks: &marks }.draw(series);
        let names: Vec<String> = series
            .iter()
            .enumerate()
            .map(|(index, (name, _))| {
                let colour = index % COLOURS;
                format!("<span><i style=\"background:var(--k{colour})\"></i>{}</span>", escape(name))
            })
            .collect();
        let names = names.concat();
        format!(
            "<figure><figcaption class=\"key\"><b>{title}</b>{names}</figcaption><div class=\"scroll\">{plot}</div></figure>\n"
        )
    };
    let renewals = rates.get(..1).unwrap_or_default();
    format!(
        "<h2>Over time</h2>\n{}{}{}",
        figure("renewals", "Tokens renewed in a second", "/s", renewals),
        figure("requests", "Requests for a token in a second, stacked", "/s", &rates),
        figure("keys", "Sandboxes by the key of the token that they hold", "", &shares)
    )
}

fn load(tally: &Tally) -> String {
    let rows: Vec<_> = tally
        .phases
        .iter()
        .map(|phase| {
            let mut row = vec![Cell::Time(phase.from.to_string()), Cell::text(phase.what.clone())];
            for (_, pick) in RATES {
                let level = level(tally, phase, pick);
                row.push(Cell::number(rate(level.mean)));
                row.push(Cell::number(grouped(u64::from(level.peak))));
            }
            row
        })
        .collect();
    let heads = ["from", "", "renewed", "peak", "bootstrapped", "peak", "put off", "peak", "refused", "peak"];
    table(&heads, &rows)
}

fn convergence(tally: &Tally) -> String {
    let after = |seconds: Option<f64>| {
        Cell::number(seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s")))
    };
    let rows: Vec<_> = tally
        .convergence
        .iter()
        .map(|told| {
            vec![
                Cell::Time(told.committed.to_string()),
                Cell::number(told.generation.to_string()),
                Cell::text(told.verb.clone()),
                after(told.half),
                after(told.all),
            ]
        })
        .collect();
    table(&["committed", "generation", "", "half of the replicas", "all"], &rows)
}

fn gaps(tally: &Tally) -> String {
    let rows: Vec<_> = sources(tally)
        .filter(|(_, gaps)| gaps.count > 0)
        .map(|(source, gaps)| {
            let count = u32::try_from(gaps.count).unwrap_or(u32::MAX);
            vec![
                Cell::text(source.as_str()),
                Cell::number(grouped(gaps.count)),
                Cell::number(waited(gaps.total / count)),
                Cell::number(waited(gaps.longest)),
            ]
        })
        .collect();
    table(&["bootstrap by", "times", "mean", "longest"], &rows)
}

fn steps(tally: &Tally) -> String {
    let rows: Vec<_> = tally
        .steps
        .iter()
        .map(|step| {
            vec![
                Cell::Holds(step.as_expected),
                Cell::Time(step.began.to_string()),
                Cell::Code(step.step.clone()),
                Cell::Time(step.ended.to_string()),
                Cell::text(step.did.clone()),
            ]
        })
        .collect();
    table(&["", "began", "step", "ended", "outcome"], &rows)
}

fn attacks(tally: &Tally) -> String {
    let rows: Vec<_> = tally
        .attacks
        .iter()
        .map(|(what, attack)| {
            vec![
                Cell::Holds(attack.accepted == 0),
                Cell::text(format!("a token {what}")),
                Cell::number(grouped(attack.presented)),
                Cell::number(grouped(attack.accepted)),
            ]
        })
        .collect();
    table(&["", "what", "presented", "accepted"], &rows)
}

fn refusals(tally: &Tally) -> String {
    let rows: Vec<_> = tally
        .rejected
        .iter()
        .map(|(why, count)| vec![Cell::Code((*why).to_owned()), Cell::number(grouped(*count))])
        .collect();
    table(&["reason", "tokens"], &rows)
}

fn policy(simulated: &Simulated) -> String {
    let policy = &simulated.settings.options.policy;
    let rows: Vec<_> = MEMBERS
        .iter()
        .map(|member| {
            let value = member.get(policy).map_or_else(|| "none".to_owned(), |value| value.to_string());
            vec![Cell::Code(member.name.to_owned()), Cell::number(value), Cell::text(member.meaning)]
        })
        .collect();
    table(&["rule", "value", "meaning"], &rows)
}
