//! One rehearsal from begin to end.

use std::sync::Arc;
use std::time::Duration;

use keystile_keyring::Policy;
use tokio::sync::mpsc;

use crate::baseline;
use crate::conduct;
use crate::contrast::Contrast;
use crate::error::RehearsalError;
use crate::event::Event;
use crate::record::Record;
use crate::recorder;
use crate::replica::MOST_REPLICAS;
use crate::scale::scaled_policy;
use crate::script::{Script, drawn, least, usual, with_fault};
use crate::settings::Settings;
use crate::stage::{Means, Stage};
use crate::verdict::Verdict;
use crate::view::View;

/// The most supervisors that one process rehearses with.
const MOST_SUPERVISORS: usize = 10_000;
/// The shortest soak, in seconds.
pub const SHORTEST_SOAK: u64 = 10;
/// The longest soak, in seconds.
pub const LONGEST_SOAK: u64 = 24 * 3600;
/// The longest life of a token that is rehearsed, in seconds.
const LONGEST_TTL: u64 = 600;
/// How long the load goes on after the last step of a script that does not say.
const REST: Duration = Duration::from_secs(8);

/// What to rehearse.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many gateways, 1 to [`MOST_REPLICAS`].
    pub gateways: usize,
    /// How many supervisors, 1 to 2,000.
    pub supervisors: usize,
    /// The operator's own policy; it is scaled down.
    pub policy: Policy,
    /// Lifetime of a token in the rehearsal, in seconds.
    pub ttl: Option<u64>,
    /// How far to put the gateways' clocks apart, in seconds: at most the scaled policy's `max_skew`, because
    /// beyond it nothing is promised.
    pub skew: u64,
    /// Makes choices repeatable.
    pub seed: u64,
    /// What happens; the usual script, if absent.
    pub script: Option<Script>,
    /// Instead of a script, one that the seed draws and that goes on for so many seconds, [`SHORTEST_SOAK`] to
    /// [`LONGEST_SOAK`].
    pub soak: Option<u64>,
    /// Faults to add: names, or steps as a script writes them.
    pub faults: Vec<String>,
    /// Also put the same load on delete-and-restart.
    pub baseline: bool,
    /// Keep keyring, certificates and token files.
    pub keep: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gateways: 3,
            supervisors: 100,
            policy: Policy::default(),
            ttl: None,
            skew: 0,
            seed: 1729,
            script: None,
            soak: None,
            faults: Vec::new(),
            baseline: false,
            keep: false,
        }
    }
}

/// What a rehearsal came to.
#[derive(Clone, Debug)]
pub struct Rehearsed {
    /// What happened.
    pub record: Record,
    /// What it is worth.
    pub verdict: Verdict,
    /// What the same load met under delete-and-restart, if that was asked for.
    pub contrast: Option<Contrast>,
}

impl Options {
    /// Decides everything that is left open.
    pub fn settle(&self) -> Result<Settings, RehearsalError> {
        within("gateways", self.gateways as u64, 1, MOST_REPLICAS as u64)?;
        within("supervisors", self.supervisors as u64, 1, MOST_SUPERVISORS as u64)?;
        within("ttl", self.ttl.unwrap_or_default(), 0, LONGEST_TTL)?;
        let policy = scaled_policy(&self.policy, self.ttl);
        policy.check()?;
        if self.skew > policy.max_skew {
            return Err(RehearsalError::Skew { found: self.skew, most: policy.max_skew });
        }
        let mut script = match (self.soak, &self.script) {
            (Some(_), Some(_)) => return Err(RehearsalError::SoakAndScript),
            (Some(seconds), None) => drawn(&policy, self.gateways, self.seed, soak(seconds, &policy)?),
            (None, Some(script)) => script.clone(),
            (None, None) => usual(&policy, self.gateways),
        };
        for fault in &self.faults {
            script = with_fault(script, fault, self.gateways)?;
        }
        script.check_replicas(self.gateways)?;
        script.check_end()?;
        Ok(Settings {
            gateways: self.gateways,
            supervisors: self.supervisors,
            own: self.policy.clone(),
            policy,
            skew: self.skew,
            seed: self.seed,
            ends_at: script.ends_at(REST),
            script,
            soak: self.soak.is_some(),
        })
    }
}

/// How long to soak, if that can be.
fn soak(seconds: u64, policy: &Policy) -> Result<Duration, RehearsalError> {
    let least = least(policy).as_secs().max(SHORTEST_SOAK);
    if (least..=LONGEST_SOAK).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(RehearsalError::Soak { found: seconds, least, most: LONGEST_SOAK })
}

fn within(name: &'static str, found: u64, least: u64, most: u64) -> Result<(), RehearsalError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(RehearsalError::Option { name, found, expected: format!("{least} to {most}") })
}

/// Rehearses. Everything that it starts ends with it, also when the future is dropped.
pub async fn rehearse(
    options: &Options,
    means: &Means,
    view: &mut dyn View,
) -> Result<Rehearsed, RehearsalError> {
    let settings = options.settle()?;
    view.begins(&settings);
    let record = run(settings.clone(), means, options.keep, view).await?;
    let contrast = if options.baseline { Some(baseline::run(&settings, means, view).await?) } else { None };
    Ok(Rehearsed { verdict: Verdict::of(&record), record, contrast })
}

async fn run(
    settings: Settings,
    means: &Means,
    keep: bool,
    view: &mut dyn View,
) -> Result<Record, RehearsalError> {
    let (events, received) = mpsc::unbounded_channel();
    let stage = Arc::new(Stage::set(settings.clone(), means, "", keep, events).await?);
    if keep {
        view.says(&format!(
            "  keyring, certificates and token files stay in {}",
            stage.directory().display()
        ));
    }
    let record = Record::new(settings, stage.field.clock.epoch());
    let script = async {
        let mut playing = stage.play();
        conduct::play(&stage).await;
        playing.shutdown().await;
        stage.tell_supply();
        stage.field.tell(Event::Ended { at: stage.field.clock.moment() });
        stage.close().await;
    };
    let (record, ()) = tokio::join!(recorder::record(record, received, view), script);
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(options: &Options) -> String {
        let error = options.settle().expect_err("no rehearsal");
        assert!(error.is_usage());
        error.to_string()
    }

    #[test]
    fn clocks_further_apart_than_the_runs_max_skew_are_refused() {
        let skewed = |skew, ttl| Options { ttl, skew, ..Options::default() };
        assert_eq!(
            wrong(&skewed(2, None)),
            "the clocks would be 2 s apart, and nothing is promised beyond max_skew, 1 s in this run"
        );
        assert_eq!(skewed(1, None).settle().expect("within").skew, 1);
        // 30 s of tokens that live an hour.
        assert_eq!(skewed(2, Some(240)).settle().expect("within").policy.max_skew, 2);
    }

    #[test]
    fn a_soak_is_as_long_as_asked_and_its_script_is_the_seeds() {
        let settle = |seed, seconds| Options { seed, soak: Some(seconds), ..Options::default() }.settle();
        let day = settle(7, 24 * 3600).expect("a day");
        assert!(day.soak);
        assert_eq!(day.ends_at, Duration::from_hours(24));
        let shortest = settle(7, 10).expect("ten seconds");
        assert_eq!(shortest.ends_at, Duration::from_secs(10));
        assert_eq!(settle(7, 600).expect("again").script, settle(7, 600).expect("again").script);
        assert_ne!(settle(8, 600).expect("another").script, settle(7, 600).expect("again").script);
    }

    #[test]
    fn a_soak_that_cannot_be_is_refused() {
        let soak = |soak| Options { soak: Some(soak), ..Options::default() };
        assert_eq!(wrong(&soak(9)), "the soak would last 9 s; expected 10 to 86400 s with this policy");
        assert_eq!(
            wrong(&soak(86_401)),
            "the soak would last 86401 s; expected 10 to 86400 s with this policy"
        );
        let slow = Policy { verifier_cache: 7200, ..Policy::default() };
        assert_eq!(
            wrong(&Options { policy: slow, ttl: Some(60), ..soak(10) }),
            "the soak would last 10 s; expected 127 to 86400 s with this policy"
        );
        let script = crate::script::parse("at 2s end").expect("a script");
        assert_eq!(
            wrong(&Options { script: Some(script), ..soak(60) }),
            "a soak draws its own script, and a script was given"
        );
    }

    #[test]
    fn a_fault_after_the_end_is_refused() {
        let script = crate::script::parse("at 2s end").expect("a script");
        let faults = vec!["at 3s freeze gateway-1 for 1s".to_owned()];
        assert_eq!(
            wrong(&Options { script: Some(script), faults, ..Options::default() }),
            "the step \"at 3s freeze gateway-1 for 1s\" comes after the end; expected it by then, or a later end \
             than \"at 2s end\""
        );
    }
}
