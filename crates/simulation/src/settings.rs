//! What is simulated.

use std::time::Duration;

use keystile_keyring::plan::init;
use keystile_keyring::{GatewayId, Manifest, NameError, Policy, Refusal};
use keystile_supervisor::Timing;
use serde::Serialize;

use crate::moment::Moment;
use crate::operator::candidate;
use crate::sandbox::Source;
use crate::script::{Action, LONGEST, Script, Step, usual};
use crate::spread::Spread;

/// The most sandboxes.
pub(crate) const MOST_SANDBOXES: u32 = 4_000_000;

/// The most replicas.
pub(crate) const MOST_REPLICAS: u32 = 500;

/// The longest duration that is simulated, in seconds.
const WEEK: f64 = 7.0 * 86_400.0;

/// What may be asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How many sandboxes there are.
    pub sandboxes: u32,
    /// How many replicas share their calls.
    pub replicas: u32,
    /// The keyring's policy.
    pub policy: Policy,
    /// What happens; the usual script, if absent.
    pub script: Option<Script>,
    /// Further outages.
    pub outages: Vec<Step>,
    /// The replicas' clocks: normal with this deviation, or as measured. None is further than half of max_skew from
    /// true time, so that no two differ by more than max_skew.
    pub skew: Spread,
    /// The time from a commit until a replica has read it: log-normal with this median, or as measured. Never above
    /// max_staleness.
    pub watch: Spread,
    /// How often a sandbox calls, in seconds; 0: only with tokens fresh from the mint and at their end.
    pub call_every: u64,
    /// How many sandboxes bootstrap by what.
    pub mix: Mix,
    /// The most bootstraps that a replica answers in a second; beyond it, it says when to try again.
    pub bootstrap_rate: u32,
    /// Within how many seconds of a revocation the operator has written new token files.
    pub rewrite: u64,
    /// Makes it repeatable.
    pub seed: u64,
    /// A rule to break, so that a test can see the verdict fail.
    #[doc(hidden)]
    pub broken: Option<Broken>,
}

/// Parts of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mix {
    /// By client certificate.
    pub certificate: u32,
    /// By ServiceAccount.
    pub service_account: u32,
    /// By token file.
    pub file: u32,
}

/// A rule that is broken on purpose: whoever measures must be seen to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A replica rejects without reading the store again.
    NoReread,
    /// The operator lets a key sign without waiting for the fleet, and replicas do not read again.
    NoGate,
    /// A superseded key's window ends with its supersession.
    NoWindow,
    /// A replica accepts every token whose key it holds.
    NoBounds,
}

impl Broken {
    pub(crate) fn rereads(broken: Option<Self>) -> bool {
        !matches!(broken, Some(Self::NoReread | Self::NoGate))
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sandboxes: 100_000,
            replicas: 10,
            policy: Policy::default(),
            script: None,
            outages: Vec::new(),
            skew: Spread::Modelled(2.0),
            watch: Spread::Modelled(1.0),
            call_every: 600,
            mix: Mix { certificate: 60, service_account: 30, file: 10 },
            bootstrap_rate: 200,
            rewrite: 600,
            seed: 1729,
            broken: None,
        }
    }
}

/// What is simulated: options that were found to make sense.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What was asked for.
    pub options: Options,
    /// What is played.
    pub script: Script,
    /// When it ends.
    pub end: Moment,
    /// A supervisor's timing.
    pub timing: Timing,
    /// The keyring that there is when it begins: one key, a month old.
    pub first: Manifest,
}

/// Options that make no sense.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// A number out of its range.
    #[error("{what} is {found}; expected {least} to {most}")]
    Range {
        /// Which.
        what: &'static str,
        /// What was given.
        found: f64,
        /// The least.
        least: f64,
        /// The greatest.
        most: f64,
    },
    /// The parts are no whole.
    #[error(
        "the sources of bootstraps make {found} %; expected parts of 100: client certificate, ServiceAccount, token \
         file, such as 60,30,10"
    )]
    Mix {
        /// Their sum.
        found: u32,
    },
    /// A policy that no manifest may have.
    #[error("the policy cannot be simulated")]
    Policy(#[from] keystile_keyring::policy::PolicyError),
    /// No keyring can begin so.
    #[error("no keyring can be made")]
    Name(#[from] NameError),
    /// No keyring can begin so.
    #[error("no keyring can be made")]
    Refused(#[from] Refusal),
    /// A script that ends before it began.
    #[error("the script ends after {found}; expected 1s to 168h, and every step before its end")]
    End {
        /// Its end.
        found: Moment,
    },
    /// Two at once.
    #[error("the outages at {first} and {second} overlap; expected one after the other")]
    Outages {
        /// When one begins.
        first: Moment,
        /// When the next begins.
        second: Moment,
    },
}

impl Options {
    /// Checks the options, and completes them.
    pub fn settle(self) -> Result<Settings, SettingsError> {
        let ranges = [
            ("the number of sandboxes", f64::from(self.sandboxes), 1.0, f64::from(MOST_SANDBOXES)),
            ("the number of replicas", f64::from(self.replicas), 1.0, f64::from(MOST_REPLICAS)),
            ("the time between two calls, in seconds,", f64_of(self.call_every), 0.0, WEEK),
            ("the time until token files are written, in seconds,", f64_of(self.rewrite), 0.0, WEEK),
            ("the bootstrap rate", f64::from(self.bootstrap_rate), 1.0, 1_000_000.0),
        ];
        let half = f64_of(self.policy.max_skew) / 2.0;
        let skew = self.skew.within(
            ["the deviation of clocks", "a clock, by max_skew,"],
            (0.0, 300.0),
            (-half, half),
        );
        let day = (0.0, 86_400.0);
        let watch = self.watch.within(["the median watch delay", "a watch delay"], day, day);
        for (what, found, least, most) in ranges.into_iter().chain(skew).chain(watch) {
            if !(least..=most).contains(&found) {
                return Err(SettingsError::Range { what, found, least, most });
            }
        }
        let parts = [self.mix.certificate, self.mix.service_account, self.mix.file];
        let found = parts.into_iter().fold(0, u32::saturating_add);
        if found != 100 {
            return Err(SettingsError::Mix { found });
        }
        self.policy.check()?;
        let mut script = self.script.clone().unwrap_or_else(|| usual(&self.policy));
        script.steps.extend(self.outages.iter().cloned());
        script.sort();
        let end = script.end.unwrap_or_else(|| last(&script).plus(Duration::from_hours(1)));
        if end < Moment(1000) || end.elapsed() > LONGEST || last(&script) >= end {
            return Err(SettingsError::End { found: end });
        }
        apart(&script)?;
        let first = first(&self.policy)?;
        Ok(Settings { script, end, timing: Timing::default(), first, options: self })
    }
}

#[allow(clippy::cast_precision_loss, reason = "compared with a limit that is exact")]
fn f64_of(seconds: u64) -> f64 {
    seconds as f64
}

fn first(policy: &Policy) -> Result<Manifest, SettingsError> {
    let born = Moment(0).wall(0).minus(30 * 24 * 3600);
    let key = candidate(0)?;
    Ok(init(GatewayId::new("simulated")?, policy.clone(), &key, "simulation", born)?.next)
}

fn last(script: &Script) -> Moment {
    script.steps.last().map(|step| step.at).unwrap_or_default()
}

fn apart(script: &Script) -> Result<(), SettingsError> {
    let outages: Vec<_> = outages(script).collect();
    match outages.windows(2).find(|pair| matches!(pair, [(_, end), (next, _)] if next < end)) {
        Some([(first, _), (second, _)]) => Err(SettingsError::Outages { first: *first, second: *second }),
        _ => Ok(()),
    }
}

/// From when until when.
pub(crate) fn outages(script: &Script) -> impl Iterator<Item = (Moment, Moment)> {
    script.steps.iter().filter_map(|step| match step.action {
        Action::Outage(length) => Some((step.at, step.at.plus(length))),
        _ => None,
    })
}

impl Settings {
    /// The source of the sandbox with this number: the mix, spread evenly.
    pub(crate) fn source_of(&self, index: u32) -> Source {
        let mix = self.options.mix;
        // 61 and 100 share no divisor: every hundred sandboxes in a row have the mix exactly.
        match index.wrapping_mul(61) % 100 {
            part if part < mix.certificate => Source::Certificate,
            part if part < mix.certificate + mix.service_account => Source::ServiceAccount,
            _ => Source::File,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Measured;
    use crate::script::{parse, parse_outage};

    fn error(change: impl FnOnce(&mut Options)) -> String {
        let mut options = Options::default();
        change(&mut options);
        options.settle().unwrap_err().to_string()
    }

    #[test]
    fn what_makes_no_sense_is_told_with_what_was_expected() {
        assert_eq!(
            error(|options| options.sandboxes = 0),
            "the number of sandboxes is 0; expected 1 to 4000000"
        );
        assert!(error(|options| options.replicas = 501).contains("expected 1 to 500"));
        assert!(
            error(|options| options.skew = Spread::Modelled(f64::NAN)).contains("the deviation of clocks")
        );
        let measured = |text| Spread::Measured(Measured::parse(text).unwrap());
        let far = error(|options| options.skew = measured("0.1\n-15.5\n"));
        assert_eq!(far, "a clock, by max_skew, is -15.5; expected -15 to 15");
        let late = error(|options| options.watch = measured("-0.1\n86400"));
        assert_eq!(late, "a watch delay is -0.1; expected 0 to 86400");
        assert!(error(|options| options.call_every = u64::MAX).contains("expected 0 to 604800"));
        assert!(error(|options| options.rewrite = 604_801).contains("is 604801; expected 0 to 604800"));
        assert!(error(|options| options.mix.file = 11).contains("101 %"));
        assert!(error(|options| options.policy.max_keys = 99).contains("policy"));
        let script = |text| parse(text).ok();
        assert!(error(|options| options.script = script("at 5m rotate\nat 4m end")).contains("0:04:00"));
        assert!(error(|options| options.script = script("at 500ms end")).contains("expected 1s to 168h"));
        let two = ["10m+5m", "14m+1m"].map(|text| parse_outage(text).unwrap());
        assert!(error(|options| options.outages = two.to_vec()).contains("overlap"));
    }

    #[test]
    fn a_script_without_an_end_has_an_hour_more() {
        let script = parse("at 5m rotate").ok();
        let settings = Options { script, ..Options::default() }.settle().unwrap();
        assert_eq!(settings.end, Moment::at_seconds(3900));
    }

    #[test]
    fn every_hundred_sandboxes_have_the_mix() {
        let settings = Options::default().settle().unwrap();
        let count = |source| (1000..1100).filter(|index| settings.source_of(*index) == source).count();
        assert_eq!(Source::ALL.map(count), [60, 30, 10]);
    }
}
