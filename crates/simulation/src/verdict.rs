//! Whether everything held that must.

use keystile_picture::grouped;
use serde::Serialize;

use crate::settings::Settings;
use crate::tally::Tally;

/// PASS or FAIL, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Whether everything held.
    pub pass: bool,
    /// What must hold.
    pub criteria: Vec<Criterion>,
}

/// One thing that must hold.
#[derive(Clone, Debug, Serialize)]
pub struct Criterion {
    /// What.
    pub name: &'static str,
    /// What was found.
    pub found: String,
    /// Whether that is as it must be.
    pub holds: bool,
}

impl Verdict {
    pub(crate) fn of(settings: &Settings, tally: &Tally) -> Self {
        let criterion = |name, found, holds| Criterion { name, found, holds };
        let steps = tally.steps.iter().filter(|step| step.as_expected).count();
        let criteria = vec![
            criterion(
                "good tokens rejected",
                format!("{} of {} judged", grouped(tally.wrongly_rejected), grouped(tally.judged)),
                tally.wrongly_rejected == 0 && tally.judged > 0,
            ),
            criterion(
                "bad tokens accepted",
                format!("{} of {} presented", grouped(tally.wrongly_accepted), grouped(tally.forged)),
                tally.wrongly_accepted == 0,
            ),
            criterion(
                "sandboxes without a token in the end",
                format!("{} of {}", grouped(tally.without), grouped(u64::from(settings.options.sandboxes))),
                tally.without == 0,
            ),
            criterion(
                "steps that went as written",
                format!("{steps} of {}", tally.steps.len()),
                steps == tally.steps.len(),
            ),
        ];
        Self { pass: criteria.iter().all(|criterion| criterion.holds), criteria }
    }

    /// `PASS` or `FAIL`.
    pub fn word(&self) -> &'static str {
        if self.pass { "PASS" } else { "FAIL" }
    }
}
