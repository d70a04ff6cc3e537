//! The verdict: what was measured against what must hold.

mod flat;

use std::time::Duration;

use serde::Serialize;

use crate::adversary::Attack;
use crate::event::NoAnswer;
use crate::moment::seconds_of;
use crate::oracle::Ruling;
use crate::record::{Attempts, Cause, Judged, Mistake, Record};
use crate::settings::Bootstrap;
pub(crate) use flat::mebibytes;
use keystile_picture::{briefly, grouped};

/// What a rehearsal came to.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// Whether every criterion holds.
    pub pass: bool,
    /// What must hold, and whether it does.
    pub criteria: Vec<Criterion>,
    /// What was measured.
    pub figures: Figures,
    /// What must not happen, the first of it.
    pub mistakes: Vec<Mistake>,
}

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Criterion {
    /// What it is about.
    pub name: &'static str,
    /// What was found.
    pub found: String,
    /// What must be.
    pub expected: String,
    /// Whether it is so.
    pub holds: bool,
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// How long the load ran, in seconds.
    #[serde(serialize_with = "seconds_of")]
    pub duration: Duration,
    /// Tokens minted.
    pub minted: u64,
    /// Honest calls accepted.
    pub verified: u64,
    /// Honest calls refused, by reason.
    pub rejected: Vec<Refusals>,
    /// Honest calls without a verdict, by reason: all of them were made again elsewhere.
    pub no_answer: Vec<Silence>,
    /// Good tokens that were refused.
    pub wrongly_rejected: u64,
    /// Tokens that must be refused, by how they were made.
    pub attacks: Vec<Attacks>,
    /// Tokens that must be refused, presented in all.
    pub presented: u64,
    /// Tokens that must be refused and were accepted.
    pub wrongly_accepted: u64,
    /// The longest time without a usable token that no order of the operator explains, in seconds.
    #[serde(serialize_with = "seconds_of")]
    pub longest_gap: Duration,
    /// The longest time without a usable token after an order that ended it, in seconds, by bootstrap.
    pub longest_ordered_gap: Vec<OrderedGap>,
    /// Supervisors whose last call was accepted.
    pub recovered: usize,
    /// Supervisors in all.
    pub supervisors: usize,
    /// From each order that ended a key to the last replica's first refusal.
    pub reached: Vec<Reach>,
    /// Within this time half of the answers came, in seconds.
    #[serde(serialize_with = "seconds_of")]
    pub latency_half: Duration,
    /// Within this time 99 % of the answers came, in seconds.
    #[serde(serialize_with = "seconds_of")]
    pub latency_most: Duration,
    /// Of a soak: what each process took of the machine that ran long enough to be judged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub footprints: Vec<Judged>,
}

/// Honest calls that were refused for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusals {
    /// What the caller was told.
    pub text: String,
    /// Why that was right, or that it was wrong.
    pub ruling: Ruling,
    /// How many.
    pub count: u64,
}

/// Honest calls without a verdict for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Silence {
    /// The reason.
    pub reason: &'static str,
    /// How many.
    pub count: u64,
}

/// Attacks of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attacks {
    /// The kind.
    pub attack: Attack,
    /// What came of them.
    #[serde(flatten)]
    pub attempts: Attempts,
}

/// The longest gap that an order caused, for one way to bootstrap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OrderedGap {
    /// How the supervisors bootstrap.
    pub bootstrap: &'static str,
    /// The longest gap, in seconds.
    #[serde(serialize_with = "seconds_of")]
    pub longest: Duration,
}

/// How an order that ended a key reached the replicas.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reach {
    /// The step, as the script writes it.
    pub step: String,
    /// Seconds from the order to the last replica's first refusal; `None` if one never refused.
    pub seconds: Option<f64>,
}

impl Figures {
    /// Draws them from the record.
    pub fn of(record: &Record) -> Self {
        let calls = &record.calls;
        let rejected = calls.rejected.iter();
        let rejected = rejected.map(|((text, ruling), count)| Refusals {
            text: text.clone(),
            ruling: *ruling,
            count: *count,
        });
        let no_answer = calls.no_answer.iter();
        let no_answer = no_answer.map(|(why, count)| Silence { reason: why.as_str(), count: *count });
        let attacks = record.attacks.iter();
        let attacks = attacks.map(|(attack, attempts)| Attacks { attack: *attack, attempts: *attempts });
        let longest = |cause, bootstrap: Option<Bootstrap>| {
            let asked =
                record.supervisors.iter().filter(|one| bootstrap.is_none_or(|by| by == one.bootstrap));
            asked.map(|one| one.gaps.longest(cause, record.now)).max().unwrap_or_default()
        };
        let by_bootstrap = [Bootstrap::ClientCertificate, Bootstrap::TokenFile]
            .map(|by| OrderedGap { bootstrap: by.as_str(), longest: longest(Cause::Ordered, Some(by)) });
        let by_attack: u64 = record.attacks.values().map(|attempts| attempts.accepted).sum();
        Self {
            duration: record.now.0,
            minted: record.minted(),
            verified: calls.accepted(),
            rejected: rejected.collect(),
            no_answer: no_answer.collect(),
            wrongly_rejected: calls.ruled(Ruling::Wrong),
            attacks: attacks.collect(),
            presented: record.attacks.values().map(|attempts| attempts.all()).sum(),
            wrongly_accepted: by_attack + calls.wrongly_accepted.values().sum::<u64>(),
            longest_gap: longest(Cause::Unordered, None),
            longest_ordered_gap: by_bootstrap.to_vec(),
            recovered: record
                .supervisors
                .iter()
                .filter(|one| one.accepted > 0 && !one.gaps.is_open())
                .count(),
            supervisors: record.supervisors.len(),
            reached: reached(record),
            latency_half: record.latency.quantile(0.5),
            latency_most: record.latency.quantile(0.99),
            footprints: record.footprints.judged(),
        }
    }
}

fn reached(record: &Record) -> Vec<Reach> {
    let probed = record.steps.iter().filter(|step| step.probed);
    let reach = |step: &crate::record::StepRecord| Reach {
        step: step.step.action.to_string(),
        seconds: step.reached_all(record.settings.gateways).map(|took| took.as_secs_f64()),
    };
    probed.map(reach).collect()
}

impl Verdict {
    /// Judges the record.
    pub fn of(record: &Record) -> Self {
        let figures = Figures::of(record);
        let criteria = criteria(record, &figures);
        let pass = criteria.iter().all(|criterion| criterion.holds);
        Self { pass, criteria, figures, mistakes: record.mistakes.clone() }
    }

    /// `PASS` or `FAIL`.
    pub fn word(&self) -> &'static str {
        if self.pass { "PASS" } else { "FAIL" }
    }

    /// Why it fails, one line each.
    pub fn why_not(&self) -> impl Iterator<Item = String> {
        let failed = self.criteria.iter().filter(|criterion| !criterion.holds);
        failed.map(|criterion| {
            format!("{}: {}; expected {}", criterion.name, criterion.found, criterion.expected)
        })
    }
}

fn criteria(record: &Record, figures: &Figures) -> Vec<Criterion> {
    let none = |name, count: u64, of: String, holds| Criterion {
        name,
        found: format!("{} of {of}", grouped(count)),
        expected: "none".to_owned(),
        holds,
    };
    let judged = figures.verified + record.calls.rejected();
    let mut criteria = vec![
        none(
            "valid tokens wrongly rejected",
            figures.wrongly_rejected,
            format!("{} verifications", grouped(judged)),
            figures.wrongly_rejected == 0,
        ),
        none(
            "invalid tokens accepted",
            figures.wrongly_accepted,
            format!("{} forged, expired, retired, revoked", grouped(figures.presented)),
            figures.wrongly_accepted == 0,
        ),
        Criterion {
            name: "longest time without a token",
            found: format!("{}, any supervisor, revocations apart", briefly(figures.longest_gap)),
            expected: "0 s".to_owned(),
            holds: figures.longest_gap.is_zero(),
        },
        orders(record, figures),
        Criterion {
            name: "supervisors at work in the end",
            found: format!("{} of {}", figures.recovered, figures.supervisors),
            expected: "all".to_owned(),
            holds: figures.recovered == figures.supervisors,
        },
        steps(record),
        alive(record),
        errors(record),
        attacked(figures),
    ];
    if record.settings.soak {
        criteria.extend(flat::criteria(record, figures));
    }
    criteria
}

/// A replica that answers may verify by an older generation for max_staleness and a clock's error at most.
/// That counts for every ending; what is shown is the slowest revocation, since the end of a window comes
/// with the next whole second.
fn orders(record: &Record, figures: &Figures) -> Criterion {
    let bound = record.settings.policy.max_staleness + record.settings.policy.max_skew;
    #[allow(clippy::cast_precision_loss, reason = "a policy's seconds are small")]
    let limit = bound as f64;
    let in_time = |reach: &Reach| reach.seconds.is_some_and(|seconds| seconds <= limit);
    let missed = |reach: &Reach| reach.seconds.unwrap_or(f64::INFINITY);
    let revoked = || figures.reached.iter().filter(|reach| reach.step.starts_with("revoke"));
    let slowest = revoked().map(missed).fold(0.0, f64::max);
    let found = match (revoked().next().is_none(), slowest.is_finite()) {
        (true, _) => "nothing was revoked".to_owned(),
        (false, true) => format!("after {}", briefly(Duration::from_secs_f64(slowest))),
        (false, false) => "not every replica".to_owned(),
    };
    Criterion {
        name: "revoke reached every replica",
        found,
        expected: format!("within {bound} s"),
        holds: figures.reached.iter().all(in_time),
    }
}

fn steps(record: &Record) -> Criterion {
    let astray = record.steps.iter().filter(|step| !step.as_expected()).map(|step| step.step.to_string());
    let astray: Vec<_> = astray.collect();
    let all = record.steps.len();
    let found = match astray.first() {
        None => format!("{all} of {all}"),
        Some(first) => format!("{} of {all}; not: {first}", all - astray.len()),
    };
    Criterion {
        name: "steps that went as written",
        found,
        expected: "all".to_owned(),
        holds: astray.is_empty(),
    }
}

fn alive(record: &Record) -> Criterion {
    let deaths: u64 = record.replicas.iter().map(|replica| replica.deaths).sum();
    Criterion {
        name: "gateways that ended by themselves",
        found: format!("{deaths}"),
        expected: "none".to_owned(),
        holds: deaths == 0,
    }
}

/// That a replica cannot know, or is not there, is part of the promise; any other error is not.
fn errors(record: &Record) -> Criterion {
    let count = record.calls.no_answer.get(&NoAnswer::Other).copied().unwrap_or_default();
    Criterion {
        name: "answers that are no answers",
        found: grouped(count),
        expected: "none".to_owned(),
        holds: count == 0,
    }
}

/// A verdict on attacks that never took place would be worth nothing.
fn attacked(figures: &Figures) -> Criterion {
    let judged = |one: &&Attacks| one.attempts.refused + one.attempts.accepted > 0;
    let kinds = figures.attacks.iter().filter(judged).count();
    Criterion {
        name: "kinds of attack tried",
        found: format!("{kinds}"),
        expected: format!("at least {LEAST_KINDS}"),
        holds: kinds >= LEAST_KINDS,
    }
}

/// The attacks that need no superseded or revoked key.
const LEAST_KINDS: usize = 10;

#[cfg(test)]
mod tests;
