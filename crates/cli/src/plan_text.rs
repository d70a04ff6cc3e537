//! A plan before it is done, in words.

use keystile_keyring::UnixTime;
use keystile_keyring::manifest::Origin;
use keystile_keyring::plan::{Impact, Plan, Step};

use crate::console::{Hue, Paint, harmless};
use crate::picture::{Labels, fold};
use crate::when::roughly;

/// A plan, as a dry run shows it: kids are short, and a key that would be made has none yet.
pub(crate) fn plan(plan: &Plan, width: usize, paint: Paint) -> String {
    let labels = Labels::of(&plan.next);
    let say = |text: &str| labels.shorten(&harmless(text));
    impact(&said(&provisional(plan), say), plan.planned_at, width, paint)
}

/// The statement of a plan that is not carried out: the key that it would make has no kid yet, since each run
/// makes another.
pub(crate) fn provisional(plan: &Plan) -> Impact {
    let fresh = plan.next.keys.last().filter(|key| plan.takes_candidate && key.origin == Origin::Generated);
    said(&plan.impact, |text| match fresh {
        Some(key) => {
            text.replace(&format!("key {}", key.kid), "a new key").replace(key.kid.as_str(), "a new key")
        }
        None => text.to_owned(),
    })
}

/// The statement with every text put through `say`.
fn said(impact: &Impact, say: impl Fn(&str) -> String) -> Impact {
    let all = |texts: &[String]| texts.iter().map(|text| say(text)).collect();
    let step = |step: &Step| Step { what: say(&step.what), ..step.clone() };
    Impact {
        headline: say(&impact.headline),
        steps: impact.steps.iter().map(step).collect(),
        supervisors: all(&impact.supervisors),
        warnings: all(&impact.warnings),
        undo: say(&impact.undo),
    }
}

fn impact(impact: &Impact, now: UnixTime, width: usize, paint: Paint) -> String {
    let mut text = fold(&paint.paint(Hue::Bold, &impact.headline), width, 2);
    if !impact.steps.is_empty() {
        text.push('\n');
        text.push_str(&steps(&impact.steps, now, width));
    }
    text.push('\n');
    for (index, line) in impact.supervisors.iter().enumerate() {
        let name = if index == 0 { "Supervisors: " } else { "  " };
        text.push_str(&format!("{name}{}", fold(line, width, 2)));
    }
    for warning in &impact.warnings {
        text.push_str(&fold(&format!("{} {warning}", paint.paint(Hue::Yellow, "Note:")), width, 2));
    }
    text.push_str(&fold(&format!("Undo: {}", impact.undo), width, 2));
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

fn steps(steps: &[Step], now: UnixTime, width: usize) -> String {
    let offsets: Vec<String> = steps.iter().map(|step| offset(step, now)).collect();
    let widest = |widths: &mut dyn Iterator<Item = usize>| widths.max().unwrap_or_default();
    let first = widest(&mut offsets.iter().map(|text| text.chars().count()));
    let second = widest(&mut steps.iter().map(|step| step.label.chars().count()));
    let indent = 2 + first + 2 + second + 2;
    let lines = offsets.iter().zip(steps).map(|(offset, step)| {
        let what = fold(&step.what, width, indent);
        format!("  {offset:<first$}  {:<second$}  {what}", step.label)
    });
    lines.collect()
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
        assert_eq!(impact(&plan, UnixTime(100), 80, Paint::default()), expected);
    }
}
