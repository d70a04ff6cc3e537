//! The parts of the page that are tables.

use keystile_keyring::policy::MEMBERS;
use keystile_picture::{Cell, briefly, grouped, line, table};

use crate::event::ReplicaEvent;
use crate::record::{Cause, Judged, Record, StepRecord, StepState};
use crate::rehearsal::Rehearsed;
use crate::settings::Bootstrap;
use crate::verdict::{Verdict, mebibytes};

/// What must hold, and whether it does.
pub(super) fn criteria(verdict: &Verdict) -> String {
    let rows: Vec<_> = verdict
        .criteria
        .iter()
        .map(|criterion| {
            vec![
                Cell::Holds(criterion.holds),
                Cell::text(criterion.name),
                Cell::text(criterion.found.clone()),
                Cell::text(criterion.expected.clone()),
            ]
        })
        .collect();
    table(&["", "what must hold", "measured", "expected"], &rows)
}

/// What must not happen, the first of it.
pub(super) fn mistakes(verdict: &Verdict) -> String {
    let rows: Vec<_> = verdict
        .mistakes
        .iter()
        .map(|mistake| {
            vec![
                Cell::Time(format!("{:.3} s", mistake.at.seconds())),
                Cell::text(mistake.replica.map_or_else(String::new, |replica| replica.to_string())),
                Cell::text(mistake.supervisor.map_or_else(String::new, |supervisor| supervisor.to_string())),
                Cell::text(mistake.what.clone()),
            ]
        })
        .collect();
    match rows.len() {
        0 => String::new(),
        count => format!(
            "<h2>Mistakes, the first {count}</h2>\n{}",
            table(&["at", "gateway", "supervisor", "what"], &rows)
        ),
    }
}

/// The most steps of a soak that are shown though they went as written.
const MOST_STEPS: usize = 200;

fn first_shown(record: &Record) -> usize {
    if record.settings.soak { record.steps.len().saturating_sub(MOST_STEPS) } else { 0 }
}

/// What the table of steps is.
pub(super) fn steps_about(record: &Record) -> &'static str {
    match first_shown(record) {
        0 => "The numbers are those of the picture.",
        _ => {
            "The numbers are those of the picture. Of the steps before the last 200, those that did not go as written."
        }
    }
}

/// The steps of the script, numbered as in the picture.
pub(super) fn steps(record: &Record) -> String {
    let first = first_shown(record);
    let shown = record.steps.iter().enumerate();
    let shown = shown.filter(|(index, step)| *index >= first || !step.as_expected());
    let rows: Vec<_> = shown.map(|(index, step)| step_row(index + 1, step)).collect();
    table(&["", "", "at", "step", "what it did", "measured"], &rows)
}

fn step_row(number: usize, step: &StepRecord) -> Vec<Cell> {
    let (did, measured) = match &step.state {
        StepState::Waiting => ("never began".to_owned(), String::new()),
        StepState::Running => ("was not over".to_owned(), String::new()),
        StepState::Done { did, measured } => (did.clone(), measured.clone()),
        StepState::Refused { code, found } => (format!("refused [{code}]"), found.clone()),
        StepState::Failed(why) => ("failed".to_owned(), why.clone()),
    };
    let told = step.told.iter().map(|(at, what)| format!("{:.2} s {what}", at.seconds()));
    let reached =
        step.reached.iter().map(|(replica, after)| format!("{replica} refused after {}", briefly(*after)));
    let began = step.began.map_or_else(String::new, |began| format!("{:.1} s", began.seconds()));
    vec![
        Cell::number(number.to_string()),
        Cell::Holds(step.as_expected()),
        Cell::Time(began),
        Cell::Code(step.step.action.to_string()),
        Cell::Time(did),
        Cell::Details(measured, told.chain(reached).collect()),
    ]
}

/// Tokens that had to be refused.
pub(super) fn attacks(verdict: &Verdict) -> String {
    let rows: Vec<_> = verdict
        .figures
        .attacks
        .iter()
        .map(|one| {
            vec![
                Cell::Holds(one.attempts.accepted == 0),
                Cell::text(one.attack.as_str()),
                Cell::number(grouped(one.attempts.refused)),
                Cell::number(grouped(one.attempts.accepted)),
                Cell::number(grouped(one.attempts.no_answer)),
            ]
        })
        .collect();
    table(&["", "token", "refused", "accepted", "no verdict"], &rows)
}

/// Honest calls that were not accepted.
pub(super) fn refusals(verdict: &Verdict) -> String {
    let refused = verdict.figures.rejected.iter().map(|one| {
        let wrong = one.ruling == crate::oracle::Ruling::Wrong;
        vec![
            Cell::Holds(!wrong),
            Cell::Code(one.text.clone()),
            Cell::text(one.ruling.as_str()),
            Cell::number(grouped(one.count)),
        ]
    });
    let silent = verdict.figures.no_answer.iter().map(|one| {
        vec![
            Cell::Holds(true),
            Cell::text(one.reason),
            Cell::text("no verdict: asked another gateway"),
            Cell::number(grouped(one.count)),
        ]
    });
    let rows: Vec<_> = refused.chain(silent).collect();
    table(&["", "answer", "why", "calls"], &rows)
}

/// Who was without a usable token, and for how long.
pub(super) fn gaps(record: &Record) -> String {
    let row = |by: Bootstrap| {
        let supervisors = || record.supervisors.iter().filter(move |one| one.bootstrap == by);
        let longest = |cause| supervisors().map(move |one| one.gaps.longest(cause, record.now)).max();
        let any =
            |cause| supervisors().filter(move |one| one.gaps.iter().any(|gap| gap.cause == cause)).count();
        let duration = |cause| Cell::number(briefly(longest(cause).unwrap_or_default()));
        (supervisors().next().is_some()).then(|| {
            vec![
                Cell::text(by.as_str()),
                Cell::number(supervisors().count().to_string()),
                Cell::number(any(Cause::Unordered).to_string()),
                duration(Cause::Unordered),
                Cell::number(any(Cause::Ordered).to_string()),
                duration(Cause::Ordered),
            ]
        })
    };
    let rows: Vec<_> =
        [Bootstrap::ClientCertificate, Bootstrap::TokenFile].into_iter().filter_map(row).collect();
    let heads =
        ["bootstrap by", "supervisors", "ever without", "longest", "without after a revoke", "longest"];
    table(&heads, &rows)
}

/// The gateways.
pub(super) fn replicas(record: &Record) -> String {
    let rows: Vec<_> = record
        .replicas
        .iter()
        .map(|replica| {
            let events =
                replica.events.iter().map(|(at, what)| format!("{:.1} s {}", at.seconds(), befell(what)));
            vec![
                Cell::text(replica.name.to_string()),
                Cell::number(grouped(replica.answered)),
                Cell::number(replica.generation.to_string()),
                Cell::number(format!("{:+} s", replica.shift)),
                Cell::text(events.collect::<Vec<_>>().join("; ")),
            ]
        })
        .collect();
    table(&["gateway", "calls answered", "newest generation", "clock", "what befell it"], &rows)
}

fn befell(what: &ReplicaEvent) -> String {
    match what {
        ReplicaEvent::Ready { after } => format!("ready {} after its start", briefly(*after)),
        ReplicaEvent::Killed => "killed".to_owned(),
        ReplicaEvent::Stopped => "stopped".to_owned(),
        ReplicaEvent::Frozen => "stands still".to_owned(),
        ReplicaEvent::Thawed => "goes on".to_owned(),
        ReplicaEvent::Died(how) => format!("ended by itself: {how}"),
    }
}

/// What every process took of the machine.
pub(super) fn footprints(verdict: &Verdict) -> String {
    let row = |one: &Judged| {
        let trend = &one.trend;
        #[allow(clippy::cast_precision_loss, reason = "bytes of a machine's memory")]
        let resident: Vec<f64> = one.resident.iter().map(|bytes| *bytes as f64).collect();
        let peak = resident.iter().copied().fold(0.0, f64::max);
        vec![
            Cell::Holds(trend.memory_is_flat() && trend.descriptors_are_flat()),
            Cell::text(one.process.to_string()),
            Cell::Time(one.began.to_string()),
            Cell::Time(briefly(one.lasted)),
            Cell::number(mebibytes(trend.resident_early)),
            Cell::number(mebibytes(trend.resident_late)),
            Cell::Code(line(&spread(&resident, SPARKS), peak, SPARKS)),
            Cell::number(trend.open_early.to_string()),
            Cell::number(trend.open_late.to_string()),
        ]
    };
    let rows: Vec<_> = verdict.figures.footprints.iter().map(row).collect();
    let heads = [
        "",
        "process",
        "began",
        "ran for",
        "memory, 2nd quarter",
        "last",
        "over time",
        "descriptors",
        "last",
    ];
    table(&heads, &rows)
}

/// The width of a line of blocks.
const SPARKS: usize = 24;

/// So many of the values, evenly.
fn spread(values: &[f64], count: usize) -> Vec<f64> {
    let at = |index: usize| values.get(index * values.len() / count.max(1)).copied();
    (0..count).filter_map(at).collect()
}

/// The policy, as it is and as it was rehearsed.
pub(super) fn policy(record: &Record) -> String {
    let shown = |value: Option<u64>| value.map_or_else(|| "none".to_owned(), |value| value.to_string());
    let rows: Vec<_> = MEMBERS
        .iter()
        .map(|member| {
            vec![
                Cell::Code(member.name.to_owned()),
                Cell::number(shown(member.get(&record.settings.own))),
                Cell::number(shown(member.get(&record.settings.policy))),
                Cell::text(member.meaning),
            ]
        })
        .collect();
    table(&["rule", "yours", "rehearsed", "meaning"], &rows)
}

/// The two procedures side by side.
pub(super) fn contrast(rehearsed: &Rehearsed) -> String {
    let Some(contrast) = &rehearsed.contrast else {
        return String::new();
    };
    let figures = &rehearsed.verdict.figures;
    let side = |title: &str, rows: [(&str, String); 4]| {
        let rows = rows.map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>")).concat();
        format!("<div class=\"side\"><h3>{title}</h3><dl>{rows}</dl></div>\n")
    };
    let cut_off = rehearsed.record.supervisors.iter();
    let cut_off = cut_off.filter(|one| one.gaps.iter().any(|gap| gap.cause == Cause::Unordered)).count();
    let live = [
        ("valid tokens rejected", grouped(figures.wrongly_rejected)),
        ("supervisors cut off", format!("{cut_off} of {}", figures.supervisors)),
        ("longest time without a token", briefly(figures.longest_gap)),
        ("never recovered by themselves", (figures.supervisors - figures.recovered).to_string()),
    ];
    let restart = [
        ("valid tokens rejected", grouped(contrast.wrongly_rejected)),
        ("supervisors cut off", format!("{} of {}", contrast.cut_off, contrast.supervisors)),
        ("longest time without a token", briefly(contrast.longest_gap)),
        ("never recovered by themselves", contrast.never_recovered.to_string()),
    ];
    format!(
        "<h2>The same load, the old way</h2>\n\
         <p class=\"soft\">On the right, the key is deleted and every gateway restarted, then the load is watched \
         for {}.</p>\n<div class=\"pair\">\n{}{}</div>\n",
        briefly(contrast.watched_for),
        side("This rehearsal", live),
        side("Delete and restart", restart)
    )
}
