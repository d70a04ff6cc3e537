//! A plan before it is done, in words.

use keystile_keyring::UnixTime;
use keystile_keyring::plan::{Impact, Step};

use crate::console::{Hue, Paint};
use crate::when::roughly;

/// The impact statement, as a dry run shows it.
pub(crate) fn impact(impact: &Impact, now: UnixTime, paint: Paint) -> String {
    let mut text = format!("{}\n", paint.paint(Hue::Bold, &impact.headline));
    if !impact.steps.is_empty() {
        text.push('\n');
        text.push_str(&steps(&impact.steps, now));
    }
    text.push('\n');
    text.push_str(&block("Supervisors", &impact.supervisors));
    for warning in &impact.warnings {
        text.push_str(&format!("{} {warning}\n", paint.paint(Hue::Yellow, "Note:")));
    }
    text.push_str(&format!("Undo: {}\n", impact.undo));
    text
}

/// `now`, `+ 5 min`: from the plan's instant on.
fn offset(step: &Step, now: UnixTime) -> String {
    match step.at {
        None => "?".to_owned(),
        Some(at) if at <= now => "now".to_owned(),
        Some(at) => format!("+ {}", roughly(at.since(now))),
    }
}

fn steps(steps: &[Step], now: UnixTime) -> String {
    let offsets: Vec<String> = steps.iter().map(|step| offset(step, now)).collect();
    let wide = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or_default();
    let first = wide(&mut offsets.iter().map(|text| text.chars().count()));
    let second = wide(&mut steps.iter().map(|step| step.label.chars().count()));
    let lines = offsets.iter().zip(steps);
    lines
        .map(|(offset, step)| format!("  {offset:<first$}  {:<second$}  {}\n", step.label, step.what))
        .collect()
}

fn block(name: &str, lines: &[String]) -> String {
    let mut lines = lines.iter();
    let mut text = lines.next().map_or_else(String::new, |line| format!("{name}: {line}\n"));
    for line in lines {
        text.push_str(&format!("  {line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_as_a_schedule() {
        let step = |at: u64, label: &str, what: &str| Step {
            at: Some(UnixTime(at)),
            label: label.to_owned(),
            what: what.to_owned(),
        };
        let plan = Impact {
            headline: "Would rotate.".to_owned(),
            steps: vec![step(100, "generation 8", "published"), step(400, "gate", "waits")],
            supervisors: vec!["None.".to_owned(), "three".to_owned()],
            warnings: vec!["Careful.".to_owned()],
            undo: "keystile rollback".to_owned(),
        };
        let expected = "Would rotate.\n\n  now      generation 8  published\n  + 5 min  gate          waits\n\n\
                        Supervisors: None.\n  three\nNote: Careful.\nUndo: keystile rollback\n";
        assert_eq!(impact(&plan, UnixTime(100), Paint::default()), expected);
    }
}
